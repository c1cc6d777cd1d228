import type { OpenFrame, StreamMessage } from '@tombolo/wire/frame';
import { describe, expect, it } from 'vitest';
import { SinkDestination } from '../../../src/stream/sink-destination.ts';
import type { DestinationEffect } from '../../../src/stream/sink-streams.ts';

const destination = { kind: 'queue', name: 'q' } as const;
const address = { source: 'west', sink: 'east', destination };
const epoch = { incarnation: 7, epoch: 1 };

function message(sequence: number, bytes = 10): StreamMessage {
  const properties = new Uint8Array(2);
  const body = new Uint8Array(bytes);
  const digest = new Uint8Array(16);
  return {
    sequence,
    redelivered: false,
    resent: false,
    digest,
    hasId: false,
    exchange: '',
    routingKey: 'q',
    properties,
    body,
  };
}

const open: OpenFrame = {
  kind: 'open',
  address,
  ...epoch,
  connector: 'c',
  attempt: 1,
  last: 0,
  settledThrough: 0,
  gone: [],
  queue: { durable: true },
};
const messages = (sequences: number[], bytes?: number) => ({
  kind: 'messages' as const,
  address,
  ...epoch,
  attempt: 1,
  last: Math.max(...sequences),
  messages: sequences.map((sequence) => message(sequence, bytes)),
});

/** A destination with demand, whose empty queue has been looked at, and which `west` has opened. */
function flowing(capacity = 10, room = Number.POSITIVE_INFINITY) {
  const sink = new SinkDestination('east', 1, destination, { usual: 100, largest: 100 });
  sink.setRoom(room, Number.POSITIVE_INFINITY);
  sink.brokerUp(true, 0);
  sink.demand(capacity, 0);
  sink.opened(open, 0);
  const effects = sink.probed(0, 0);
  return { sink, effects };
}

function frames(effects: readonly DestinationEffect[], kind: string) {
  return effects.flatMap((effect) =>
    effect.do === 'stream' && effect.effect.do === 'send' && effect.effect.frame.kind === kind
      ? [effect.effect.frame]
      : [],
  );
}
const published = (effects: readonly DestinationEffect[]) =>
  effects.flatMap((effect) => (effect.do === 'stream' && effect.effect.do === 'publish' ? effect.effect.messages : []));

describe('a destination at the sink', () => {
  it('grants what the consumers can hold once the queue was looked at', () => {
    expect(frames(flowing().effects, 'credit')).toMatchObject([{ granted: 10 }]);
  });

  it('gives back what arrives after the demand was withdrawn, instead of holding it for ever', () => {
    const { sink } = flowing();
    sink.demand(0, 1);
    sink.withdraw(2);
    const effects = sink.messages(messages([1, 2]), 3);
    expect(published(effects)).toEqual([]);
    expect(frames(effects, 'settle')).toMatchObject([{ released: [1, 2] }]);
    expect(sink.bytes).toBe(0);
  });

  it('takes its credit back when its broker is not reachable, and after ten seconds gives back what it holds', () => {
    const { sink } = flowing();
    expect(frames(sink.brokerUp(false, 10), 'credit')).toMatchObject([{ granted: 0 }]);
    expect(published(sink.messages(messages([1]), 11))).toEqual([]);
    expect(sink.nextWake()).toBeLessThanOrEqual(10_010);
    expect(frames(sink.wake(10_010), 'settle')).toMatchObject([{ released: [1, 1] }]);
    sink.brokerUp(true, 20_000);
    expect(published(sink.messages(messages([1]), 20_001)).map(({ sequence }) => sequence)).toEqual([1]);
  });

  it('looks at its queue as soon as consumers come, so that a source that opens its stream then gets credit at once', () => {
    const sink = new SinkDestination('east', 1, destination, { usual: 100, largest: 100 });
    sink.brokerUp(true, 0);
    expect(sink.demand(10, 0)).toEqual([{ do: 'probe' }]);
    expect(sink.probed(0, 1)).toEqual([]);
    expect(frames(sink.opened(open, 50), 'credit')).toMatchObject([{ granted: 10 }]);
  });

  it('gives no credit by a look that is old', () => {
    const sink = new SinkDestination('east', 1, destination, { usual: 100, largest: 100 });
    sink.brokerUp(true, 0);
    sink.demand(10, 0);
    sink.probed(0, 1);
    const effects = sink.opened(open, 1_000);
    expect(frames(effects, 'credit')).toEqual([]);
    expect(effects).toContainEqual({ do: 'probe' });
    expect(frames(sink.probed(0, 1_001), 'credit')).toMatchObject([{ granted: 10 }]);
  });

  it('does not say again that it has given back what may have been sent again since: it would come twice', () => {
    const { sink } = flowing();
    sink.brokerUp(false, 0);
    sink.messages(messages([1]), 1);
    const state = { kind: 'state' as const, address, ...epoch, settledThrough: 0, removedThrough: 0, creditVersion: 1 };
    const stands = { ...state, taken: 1, returned: [], empty: false };
    expect(frames(sink.wake(10_000), 'settle')).toMatchObject([{ released: [1, 1] }]);
    // It may be lost on its way, so it is said again.
    expect(frames(sink.stated(stands, 10_001), 'settle')).toMatchObject([{ released: [1, 1] }]);
    // The source asks how things stand, hears that it has to send it again, and does: whatever is said now comes after that.
    expect(frames(sink.opened({ ...open, attempt: 2, last: 1 }, 10_002), 'resume')).toMatchObject([{ received: [] }]);
    expect(frames(sink.stated(stands, 10_003), 'settle')).toEqual([]);
  });

  it('publishes again once a consumer came while the broker was away for long', () => {
    const { sink } = flowing();
    sink.brokerUp(false, 0);
    sink.demand(0, 1);
    sink.messages(messages([1]), 2);
    sink.wake(11_000);
    sink.demand(5, 12_000);
    sink.brokerUp(true, 13_000);
    expect(published(sink.messages(messages([1]), 13_001))).toHaveLength(1);
  });

  it('never grants beyond max-length, not even without demand', () => {
    expect(frames(flowing(50, 5).effects, 'credit')).toMatchObject([{ granted: 5 }]);
    const sink = new SinkDestination('east', 1, destination, { usual: 100, largest: 100 });
    sink.setRoom(5, Number.POSITIVE_INFINITY);
    sink.brokerUp(true, 0);
    sink.setStatic(0);
    const opened = sink.opened(open, 0);
    expect(opened.some(({ do: verb }) => verb === 'probe')).toBe(true);
    expect(frames(sink.probed(2, 1), 'credit')).toMatchObject([{ granted: 3 }]);
  });

  it('learns of a max-length in bytes by the size of the messages', () => {
    const { sink } = flowing(50);
    sink.setRoom(Number.POSITIVE_INFINITY, 1_000);
    sink.messages(messages([1], 98), 1);
    expect(sink.window.room).toBe(10);
  });

  it('drops numbers that no credit ever allowed', () => {
    const { sink } = flowing(10);
    const far = Array.from({ length: 1_000 }, (_, i) => i + 11);
    sink.messages(messages([1, ...far]), 1);
    expect(sink.streams.get('west')?.unsettled).toBe(1);
  });

  it('is not upset by a peer that claims to have settled what was never granted', () => {
    const { sink } = flowing(10);
    const state = { kind: 'state' as const, address, ...epoch, creditVersion: 99, taken: 0, returned: [], empty: true };
    sink.stated({ ...state, settledThrough: 2 ** 40, removedThrough: 2 ** 40 }, 1);
    expect(() => sink.messages(messages([2 ** 40 + 1, 11]), 2)).not.toThrow();
  });

  it('does not ask for what a busy link is still carrying', () => {
    const { sink } = flowing(10);
    const state = { kind: 'state' as const, address, ...epoch, creditVersion: 2, taken: 5, returned: [], empty: false };
    expect(frames(sink.stated({ ...state, settledThrough: 0, removedThrough: 0 }, 5_000), 'gap')).toEqual([]);
    expect(frames(sink.messages(messages([3]), 5_001), 'gap')).toMatchObject([{ missing: [1, 2] }]);
  });

  it('is not quiet while messages are being published, also when their credit was answered before they were taken', () => {
    const { sink } = flowing(3);
    const state = { kind: 'state' as const, address, ...epoch, returned: [], empty: false };
    sink.stated({ ...state, settledThrough: 0, removedThrough: 0, creditVersion: 2, taken: 0 }, 1);
    const sent = sink.messages(messages([1, 2, 3]), 2);
    expect(published(sent)).toHaveLength(3);
    // The credit is used up: there is nothing to take back, and so no answer to wait for.
    expect(frames(sink.drain(3), 'credit')).toEqual([]);
    expect(sink.quiet).toBe(false);
    sink.outcome('west', epoch, [1, 2], 'confirmed', undefined, 4);
    expect(sink.quiet).toBe(false);
    const last = sink.outcome('west', epoch, [3], 'confirmed', undefined, 5);
    expect(frames(last, 'settle')).toMatchObject([{ accepted: [3, 3] }]);
    expect(sink.quiet).toBe(true);
  });

  it('forgets a stream that ended', () => {
    const { sink } = flowing(10);
    sink.demand(0, 1);
    sink.withdraw(1);
    sink.closed({ kind: 'closed', address, ...epoch, reason: 'done' }, 2);
    expect(sink.idle).toBe(true);
  });
});

describe('a destination whose broker refuses messages for now', () => {
  const state = { kind: 'state' as const, address, ...epoch, returned: [], empty: false, creditVersion: 99, taken: 5 };
  const sequences = (effects: readonly DestinationEffect[]) => published(effects).map(({ sequence }) => sequence);

  /** Wakes it when it wants to, until it publishes; returns what, and when. */
  function untilTried(
    sink: SinkDestination,
    from: number,
  ): { at: number; tried: number[]; effects: DestinationEffect[] } {
    const effects: DestinationEffect[] = [];
    for (let at = sink.nextWake(); at < from + 60_000; at = Math.max(at + 1, sink.nextWake())) {
      const woken = sink.wake(at);
      effects.push(...woken);
      if (sequences(woken).length > 0) return { at, tried: sequences(woken), effects };
      // The queue is looked at meanwhile, and is as it was.
      if (woken.some(({ do: verb }) => verb === 'probe')) sink.probed(7, at);
    }
    return { at: Number.POSITIVE_INFINITY, tried: [], effects };
  }

  function refusing(why: 'refused' | 'returned' | 'forbidden' = 'refused') {
    const { sink } = flowing(10);
    sink.messages(messages([1, 2, 3, 4, 5]), 1);
    const effects = sink.outcome('west', epoch, [1, 2, 3, 4, 5], why, undefined, 2);
    return { sink, effects };
  }

  it('keeps what it has, takes its credit back, and tells the source why', () => {
    const { sink, effects } = refusing();
    expect(published(effects)).toEqual([]);
    expect(frames(effects, 'settle')).toEqual([]);
    const credits = frames(effects, 'credit') as { granted: number; blocked?: { reason: string } }[];
    expect(credits.at(-1)).toMatchObject({ granted: 5, blocked: { reason: 'sink_refuses' } });
    expect(sink.blocked?.detail).toContain('queue q on east');
    expect(refusing('returned').sink.blocked?.reason).toBe('queue_absent');
    expect(refusing('forbidden').sink.blocked?.reason).toBe('no_permission');
  });

  it('tries one message at a time, with waits that grow to half a minute at most and are not in step with others', () => {
    const { sink } = refusing();
    const waits: number[] = [];
    let now = 2;
    for (let round = 0; round < 14; round++) {
      const { at, tried } = untilTried(sink, now);
      expect(tried).toEqual([1]);
      waits.push(at - now);
      sink.outcome('west', epoch, [1], 'refused', undefined, at);
      now = at;
    }
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_001);
    expect(Math.max(...waits)).toBeGreaterThan(3_000);
    expect(waits[0]).toBeLessThanOrEqual(101);
    expect(new Set(waits).size).toBeGreaterThan(7);
  });

  it('goes on in order once one was taken: more each time, then with credit again', () => {
    const { sink } = refusing();
    const { at } = untilTried(sink, 2);
    const next = sink.outcome('west', epoch, [1], 'confirmed', undefined, at + 1);
    expect(sequences(next)).toEqual([2, 3, 4, 5]);
    expect(sink.blocked).toBeDefined();
    const last = sink.outcome('west', epoch, [2, 3, 4, 5], 'confirmed', undefined, at + 2);
    expect(sink.blocked).toBeUndefined();
    const looked = [...sink.probed(0, at + 3), ...sink.wake(at + 20), ...sink.probed(0, at + 21)];
    const credits = frames([...last, ...looked], 'credit') as { granted: number; blocked?: object }[];
    expect(credits.at(-1)!.granted).toBeGreaterThan(5);
    expect(credits.at(-1)!.blocked).toBeUndefined();
  });

  it('tries at once when its queue has room that it had not, when it is made, or when a consumer comes', () => {
    const mend: ((sink: SinkDestination, at: number) => DestinationEffect[])[] = [
      (sink, at) => [...sink.wake(at), ...sink.probed(6, at)],
      (sink, at) => sink.mended(at),
      (sink, at) => sink.demand(11, at),
    ];
    for (const changed of mend) {
      const { sink } = refusing();
      let { at } = untilTried(sink, 2);
      for (let round = 0; round < 8; round++) {
        sink.outcome('west', epoch, [1], 'refused', undefined, at);
        at = untilTried(sink, at).at;
      }
      sink.outcome('west', epoch, [1], 'refused', undefined, at);
      for (let look = at + 1; look < at + 5; look++)
        if (sink.wake(look).some(({ do: verb }) => verb === 'probe')) sink.probed(7, look);
      sink.wake(at + 2_000);
      expect(sequences(changed(sink, at + 2_000))).toEqual([1]);
    }
  });

  it('gives back all but the first after half a minute, once, and asks for one when it has none left', () => {
    const { sink } = refusing();
    const given: number[][] = [];
    let now = 2;
    while (now < 80_000) {
      const { at, effects } = untilTried(sink, now);
      given.push(...(frames(effects, 'settle') as unknown as { released: number[] }[]).map(({ released }) => released));
      if (at === Number.POSITIVE_INFINITY) break;
      sink.outcome('west', epoch, [1], 'refused', undefined, at);
      now = at;
    }
    expect(given).toEqual([[2, 5]]);
    sink.stated({ ...state, settledThrough: 0, removedThrough: 0, returned: [1, 5] }, now + 1);
    const credits = () => frames([...sink.mended(now + 2), ...sink.mended(now + 3)], 'credit') as { granted: number }[];
    expect(credits().map(({ granted }) => granted)).toEqual([6]);
    const tried = sink.messages(messages([6]), now + 4);
    expect(sequences(tried)).toEqual([6]);
    sink.outcome('west', epoch, [6], 'confirmed', undefined, now + 5);
    expect(sink.blocked).toBeUndefined();
  });

  it('asks another source for a message when the link to the one that it had asked is lost', () => {
    const sink = new SinkDestination('east', 1, { kind: 'topic', name: 'x' }, { usual: 100, largest: 100 });
    const of = (source: string) => ({ ...address, source, destination: sink.destination });
    sink.brokerUp(true, 0);
    sink.setStatic(0);
    for (const source of ['west', 'north']) sink.opened({ ...open, address: of(source) }, 0);
    sink.messages({ ...messages([1]), address: of('west') }, 1);
    sink.outcome('west', epoch, [1], 'forbidden', undefined, 2);
    // After half a minute its only message goes back; then one is asked for.
    sink.stated({ ...state, address: of('west'), settledThrough: 1, removedThrough: 1, taken: 1 }, 3);
    for (let at = 4; sink.nextWake() < 40_000 && at < 40_000; at = Math.max(at + 1, sink.nextWake())) sink.wake(at);
    const credit = () => [...sink.streams].map(([source, { outstanding }]) => [source, outstanding]);
    expect(credit()).toEqual([
      ['west', 1],
      ['north', 0],
    ]);
    sink.linkLost('west', 40_001);
    expect(sink.streams.get('north')?.outstanding).toBe(1);
  });

  it('holds up nobody when its bridge stops: what is refused goes back', () => {
    const { sink } = refusing();
    expect(frames(sink.drain(3), 'settle')).toMatchObject([{ released: [1, 5] }]);
  });

  it('holds up nobody either when it is refused while its bridge stops', () => {
    const { sink } = flowing(10);
    sink.messages(messages([1, 2, 3, 4, 5]), 1);
    sink.drain(2);
    const effects = sink.outcome('west', epoch, [1, 2, 3, 4, 5], 'refused', undefined, 3);
    expect(frames(effects, 'settle')).toMatchObject([{ released: [1, 5] }]);
    sink.stated({ ...state, settledThrough: 5, removedThrough: 5 }, 4);
    expect(sink.quiet).toBe(true);
  });
});
