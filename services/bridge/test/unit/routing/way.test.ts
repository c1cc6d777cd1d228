import type { DemandFrame } from '@tombolo/wire/frame';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frontOf, type Way } from '../../../src/routing/way.ts';

const clusters = ['a', 'b', 'c', 'd', 'e'];
const path = fc.shuffledSubarray(clusters, { minLength: 1, maxLength: 4 }).map((some) => ['k', ...some]);
const ttl = fc.integer({ min: 1, max: 7 });

/** What each neighbour may tell: a way, and perhaps one that is longer and leads farther. */
const told = fc.array(
  fc.record({ path, ttl, incarnation: fc.integer({ min: 1, max: 2 }), farther: fc.option(fc.record({ path, ttl })) }),
  {
    maxLength: 6,
  },
);

interface Told {
  readonly path: readonly string[];
  readonly ttl: number;
  readonly incarnation: number;
  readonly farther: Pick<Told, 'path' | 'ttl'> | null;
}

function frameOf({ path: way, ttl: bound, incarnation, farther }: Told, neighbour: string): DemandFrame {
  return {
    ...{
      kind: 'demand',
      sink: 'k',
      destination: { kind: 'queue', name: 'q' },
      incarnation,
      version: 1,
      leaseMs: 90_000,
    },
    ...{ path: [...way, neighbour], ttl: bound, connector: 'c', consumers: 1, queue: {} },
    ...(farther && { farther: [{ ...farther, path: [...farther.path, neighbour] }] }),
  };
}

const short = (ways: readonly Way[]) =>
  ways.map(({ neighbour, path: way, ttl: bound }) => [neighbour, way.join(''), bound]);

describe('the ways worth knowing', () => {
  it('are the same in whatever order they were told', () => {
    const twice = told.chain((all) =>
      fc.tuple(
        fc.constant(all.map((each, i) => [`n${i}`, frameOf(each, `n${i}`)] as const)),
        fc.infiniteStream(fc.nat()),
      ),
    );
    fc.assert(
      fc.property(twice, ([entries, chance]) => {
        const shuffled = entries.map((entry) => ({ entry, at: chance.next().value })).sort((a, b) => a.at - b.at);
        const limit = () => 5;
        expect(short(frontOf(new Map(shuffled.map(({ entry }) => entry)), limit))).toEqual(
          short(frontOf(new Map(entries), limit)),
        );
      }),
    );
  });

  it('are each longer and farther-reaching than the one before, and nothing usable is better than all of them', () => {
    fc.assert(
      fc.property(told, fc.array(fc.nat(6), { minLength: 6, maxLength: 6 }), (all, limits) => {
        const frames = new Map(all.map((each, i) => [`n${i}`, frameOf(each, `n${i}`)]));
        const limit = (neighbour: string) => limits[Number(neighbour.slice(1))]!;
        const front = frontOf(frames, limit);
        for (const [i, way] of front.entries()) {
          expect(way.path.length).toBeLessThanOrEqual(way.ttl);
          expect(way.ttl).toBeLessThanOrEqual(limit(way.neighbour));
          const next = front[i + 1];
          if (next) expect([next.path.length > way.path.length, next.ttl > way.ttl]).toEqual([true, true]);
        }
        const usable = [...frames].flatMap(([neighbour, frame]) =>
          [frame, ...(frame.farther ?? [])]
            .map((way) => ({
              length: way.path.length,
              ttl: Math.min(way.ttl, limit(neighbour)),
              incarnation: frame.incarnation,
            }))
            .filter(({ length, ttl: bound }) => length <= bound),
        );
        const newest = Math.max(0, ...usable.map(({ incarnation }) => incarnation));
        for (const { length, ttl: bound, incarnation } of usable) {
          if (incarnation !== newest) continue;
          expect(front.some((way) => way.path.length <= length && way.ttl >= bound)).toBe(true);
        }
        expect(front.length > 0).toBe(usable.length > 0);
      }),
    );
  });

  it('are one at most where every connector has the same networkTTL', () => {
    fc.assert(
      fc.property(fc.array(path, { maxLength: 6 }), (paths) => {
        const frames = paths.map(
          (way, i) => [`n${i}`, frameOf({ path: way, ttl: 7, incarnation: 1, farther: null }, `n${i}`)] as const,
        );
        expect(frontOf(new Map(frames), () => 7).length).toBe(Math.min(1, paths.length));
      }),
    );
  });
});
