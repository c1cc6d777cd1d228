import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ElectionWorld, leaseMs, type Weather } from './election-world.ts';

const seeds = Number(process.env['TOMBOLO_SEEDS'] ?? 300);
const names = ['a', 'b', 'c'] as const;

/** Numbers in [0, 1) from a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const calm: Weather = { delayMs: 20, lossOneIn: 0 };

function worldWith(seed: number, weather = calm): ElectionWorld {
  const world = new ElectionWorld(randomFrom(seed), weather);
  for (const name of names) world.start(name);
  return world;
}

/** The world as soon as somebody is master, and who. */
function elected(seed: number): { world: ElectionWorld; master: string } {
  const world = worldWith(seed);
  world.advance(2 * leaseMs, () => world.masters().length > 0);
  expect(world.masters()).toHaveLength(1);
  // At some moment of the rhythm of renewals.
  world.advance(leaseMs + randomFrom(seed ^ 7)() * leaseMs);
  return { world, master: world.masters()[0]! };
}

const forEachSeed = (run: (seed: number) => void) =>
  fc.assert(fc.property(fc.integer(), run), { numRuns: Math.ceil(seeds / 5) });

describe('when one is lost', () => {
  test('a killed master is followed by a standby within two leases', () => {
    forEachSeed((seed) => {
      const { world, master } = elected(seed);
      world.kill(master);
      world.advance(2 * leaseMs, () => world.masters().length > 0);
      expect(world.masters()).toHaveLength(1);
      expect(world.violations).toEqual([]);
    });
  });

  test('a master that is stopped is followed at the next look of a standby', () => {
    forEachSeed((seed) => {
      const { world, master } = elected(seed);
      world.tell(master, { was: 'stopped' });
      world.advance(leaseMs / 4 + 150, () => world.masters().some((name) => name !== master));
      expect(world.masters()).toHaveLength(1);
      expect(world.masters()).not.toContain(master);
    });
  });

  test('a master whose broker is gone gives way, and does not come back for as long as it is', () => {
    forEachSeed((seed) => {
      const { world, master } = elected(seed);
      world.tell(master, { was: 'barred', reason: 'its broker is down' });
      world.advance(4 * leaseMs);
      expect(world.masters()).toHaveLength(1);
      expect(world.masters()).not.toContain(master);
    });
  });

  test('a master that slept longer than its lease may not write when it wakes, and another one works', () => {
    forEachSeed((seed) => {
      const { world, master } = elected(seed);
      world.pause(master, 3 * leaseMs);
      world.advance(2 * leaseMs);
      expect(world.masters()).toHaveLength(1);
      expect(world.masters()).not.toContain(master);
      world.advance(2 * leaseMs);
      expect(world.masters()).toHaveLength(1);
      expect(world.violations).toEqual([]);
    });
  });

  test('a master that the store cannot be reached from has stopped before another one works', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: leaseMs }), (seed, after) => {
        const world = worldWith(seed, { delayMs: leaseMs / 8, lossOneIn: 0 });
        world.advance(3 * leaseMs, () => world.masters().length > 0);
        world.advance(after);
        const [master] = world.masters();
        world.cut(master!, 10 * leaseMs);
        world.advance(3 * leaseMs, () => world.masters().some((name) => name !== master));
        expect(world.masters()).toHaveLength(1);
        expect(world.masters()).not.toContain(master);
        expect(world.violations).toEqual([]);
      }),
      { numRuns: seeds },
    );
  });
});

const step = fc.record({
  after: fc.integer({ min: 0, max: 2 * leaseMs }),
  name: fc.constantFrom(...names),
  what: fc.oneof(
    fc.constant({ do: 'start' as const }),
    fc.constant({ do: 'kill' as const }),
    fc.constant({ do: 'stop' as const }),
    fc.constant({ do: 'bar' as const }),
    fc.constant({ do: 'eligible' as const }),
    fc.record({ do: fc.constant('pause' as const), ms: fc.integer({ min: 1, max: 3 * leaseMs }) }),
    fc.record({ do: fc.constant('cut' as const), ms: fc.integer({ min: 1, max: 3 * leaseMs }) }),
    fc.record({ do: fc.constant('freeze' as const), ms: fc.integer({ min: 1, max: 3 * leaseMs }) }),
    fc.record({
      do: fc.constant('restart' as const),
      backBy: fc.constantFrom(0, 1, 2, 5, 20, Number.POSITIVE_INFINITY),
    }),
    fc.record({ do: fc.constant('see' as const), ahead: fc.integer({ min: 0, max: 100 }) }),
  ),
});

test('never may two write, tokens rise, and in the end there is a master again, whatever happens', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.record({
        delayMs: fc.constantFrom(5, 100, leaseMs / 8, leaseMs / 3, 2 * leaseMs),
        lossOneIn: fc.constantFrom(0, 5, 20),
      }),
      fc.array(step, { maxLength: 30 }),
      (seed, weather, steps) => {
        const world = worldWith(seed, weather);
        for (const { after, name, what } of steps) {
          world.advance(after);
          if (what.do === 'start') world.start(name);
          else if (what.do === 'kill') world.kill(name);
          else if (what.do === 'stop') world.tell(name, { was: 'stopped' });
          else if (what.do === 'bar') world.tell(name, { was: 'barred', reason: 'no broker' });
          else if (what.do === 'eligible') world.tell(name, { was: 'eligible' });
          else if (what.do === 'pause') world.pause(name, what.ms);
          else if (what.do === 'cut') world.cut(name, what.ms);
          else if (what.do === 'freeze') world.freezeStore(what.ms);
          else if (what.do === 'restart') world.restartStore(what.backBy);
          else world.tell(name, { was: 'seen', incarnation: (world.elections.at(-1)?.token ?? 0) + what.ahead });
        }
        for (const name of names) world.start(name);
        world.advance(4 * leaseMs);
        expect(world.violations).toEqual([]);
        if (weather.delayMs > 100 || weather.lossOneIn > 0) return;
        world.advance(8 * leaseMs);
        expect(world.violations).toEqual([]);
        expect(world.masters()).toHaveLength(1);
      },
    ),
    { numRuns: seeds },
  );
});
