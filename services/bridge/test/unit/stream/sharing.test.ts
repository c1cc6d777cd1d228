import { describe, expect, it } from 'vitest';
import { SinkDestination } from '../../../src/stream/sink-destination.ts';

const destination = { kind: 'queue', name: 'q' } as const;
const epoch = { incarnation: 7, epoch: 1 };

/** A destination whose consumers can hold `capacity`, opened by these sources, so many bridges away. */
function shared(capacity: number, distances: Readonly<Record<string, number>>) {
  const sink = new SinkDestination('east', 1, destination, { usual: 1_000, largest: 1_000 });
  sink.brokerUp(true, 0);
  sink.demand(capacity, 0);
  for (const [source, hops] of Object.entries(distances)) open(sink, source, hops);
  sink.probed(0, 0);
  return sink;
}

function open(sink: SinkDestination, source: string, hops: number): void {
  const address = { source, sink: 'east', destination };
  const frame = { kind: 'open' as const, address, ...epoch, hops, attempt: 1, connector: 'c' };
  sink.opened({ ...frame, last: 0, settledThrough: 0, gone: [], queue: {} }, 0);
}

/** The source says whether it has messages. */
function say(sink: SinkDestination, source: string, empty: boolean, now: number): void {
  const address = { source, sink: 'east', destination };
  const state = { kind: 'state' as const, address, ...epoch, settledThrough: 0, removedThrough: 0 };
  sink.stated({ ...state, creditVersion: 0, taken: 0, returned: [], empty }, now);
}

const credit = (sink: SinkDestination) =>
  Object.fromEntries([...sink.streams].map(([source, { outstanding }]) => [source, outstanding]));

describe('the window of one demand', () => {
  it('is shared equally by sources that are equally near', () => {
    expect(credit(shared(20, { north: 0, west: 0 }))).toEqual({ north: 10, west: 10 });
  });

  it('is for the near source while it has messages; the far one keeps a standing credit of one', () => {
    expect(credit(shared(20, { far: 2, near: 0 }))).toEqual({ near: 19, far: 1 });
  });

  it('is for the far source when the near one is empty', () => {
    const sink = shared(20, { far: 2, near: 0 });
    say(sink, 'near', true, 10);
    expect(credit(sink)).toEqual({ near: 1, far: 19 });
  });

  it('goes back to the near source when it has messages again', () => {
    const sink = shared(20, { far: 2, near: 0 });
    say(sink, 'near', true, 10);
    say(sink, 'near', false, 20);
    expect(credit(sink)).toEqual({ near: 19, far: 1 });
  });

  it('is never taken from a source that has all the messages', () => {
    const sink = shared(20, { north: 0, south: 0, west: 0 });
    for (const source of ['north', 'south']) say(sink, source, true, 10);
    expect(credit(sink)).toEqual({ north: 1, south: 1, west: 18 });
  });

  it('lets at most 32 of many empty sources have a standing credit, each in its turn', () => {
    const names = Array.from({ length: 80 }, (_, index) => `s${index}`);
    const sink = shared(1, Object.fromEntries(names.map((name) => [name, 0])));
    for (const name of names) say(sink, name, true, 1);
    const had = new Set<string>();
    for (let now = 500; now <= 10_000; now += 500) {
      sink.wake(now);
      const standing = Object.entries(credit(sink)).filter(([, outstanding]) => outstanding > 0);
      expect(standing.length).toBeLessThanOrEqual(32);
      for (const [name] of standing) had.add(name);
    }
    expect(had.size).toBe(80);
  });
});
