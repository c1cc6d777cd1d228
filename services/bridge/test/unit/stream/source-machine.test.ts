import { ManualClock } from '@tombolo/kernel/clock';
import { describe, expect, it } from 'vitest';
import type { SourceEffect, Taken } from '../../../src/stream/effects.ts';
import { Orphans } from '../../../src/stream/orphans.ts';
import { RateLimiter, type Throttle } from '../../../src/stream/rate-limit.ts';
import { SourceStream } from '../../../src/stream/source-machine.ts';

const address = { source: 'west', sink: 'east', destination: { kind: 'queue', name: 'q' } } as const;
const epoch = { incarnation: 7, epoch: 1 };
const channel = {};

function taken(tag: number, redelivered = false): Taken {
  const digest = new Uint8Array(16).fill(tag);
  const properties = new Uint8Array(2);
  const body = new Uint8Array(10);
  return {
    token: { channel, tag },
    redelivered,
    digest,
    hasId: false,
    exchange: '',
    routingKey: 'q',
    original: properties,
    properties,
    body,
    at: 0,
  };
}

function stream(granted = 10, throttle?: Throttle, more: Partial<Parameters<SourceStream['resumed']>[0]> = {}) {
  const orphans = new Orphans<SourceStream>();
  const source = new SourceStream(
    { address, connector: 'c', epoch, queue: {}, largestWindow: 100, prefetchBytes: 1e6, holdMs: 60_000 },
    {
      orphans,
      turns: () => 1,
      bytesFree: () => 1e6,
      barred: () => undefined,
      sawFresh: () => orphans.sawFresh(false, 0),
      throttle: () => throttle,
    },
  );
  opened(source, source.linkUp(0));
  const effects = resume(source, granted, 1, more);
  return { source, orphans, effects };
}

/** The attempt of the newest `open`, by stream. */
const attempts = new WeakMap<SourceStream, number>();

function opened(source: SourceStream, effects: readonly SourceEffect[]): readonly SourceEffect[] {
  for (const effect of effects) {
    if (effect.do === 'send' && effect.frame.kind === 'open') attempts.set(source, effect.frame.attempt);
  }
  return effects;
}

function resume(
  source: SourceStream,
  granted: number,
  creditVersion: number,
  more: Partial<Parameters<SourceStream['resumed']>[0]> = {},
) {
  return source.resumed(
    {
      kind: 'resume',
      address,
      ...epoch,
      attempt: attempts.get(source) ?? 1,
      sinkIncarnation: 1,
      received: [],
      accepted: [],
      rejected: [],
      creditVersion,
      granted,
      ...more,
    },
    0,
  );
}

const settle = { kind: 'settle' as const, address, ...epoch, accepted: [], released: [], rejected: [] };
const tags = (effects: readonly SourceEffect[], verb: 'acknowledge' | 'requeue') =>
  effects.flatMap((effect) => (effect.do === verb ? effect.tokens.map(({ tag }) => tag) : []));
const does = (effects: readonly SourceEffect[], verb: SourceEffect['do']) =>
  effects.some((effect) => effect.do === verb);

describe('a stream at the source', () => {
  it('consumes no more than credit allows, and less before it knows how large messages are', () => {
    expect(stream(10).effects).toContainEqual({ do: 'consume', generation: 1, prefetch: 4 });
    expect(stream(2).effects).toContainEqual({ do: 'consume', generation: 1, prefetch: 2 });
    expect(does(stream(0).effects, 'consume')).toBe(false);
  });

  it('withholds acknowledgements that would let the broker hand over more than credit allows', () => {
    const { source } = stream(3);
    source.delivered(1, [taken(1), taken(2), taken(3)], 1);
    source.nextBatch(1e6, 1);
    expect(tags(source.settled({ ...settle, accepted: [1, 3] }, 2), 'acknowledge')).toEqual([]);
    expect(does(source.wake(200), 'cancel')).toBe(false);
    const later = source.wake(300);
    expect(does(later, 'cancel')).toBe(true);
    expect(tags(source.consumerEnded(1, { why: 'cancelled' }, 301), 'acknowledge')).toEqual([1, 2, 3]);
  });

  /** A stream whose second consumer, of 64, was handed all that it may: 68 messages are under way. */
  function filled(granted: number) {
    const { source, effects } = stream(granted);
    expect(effects).toContainEqual({ do: 'consume', generation: 1, prefetch: 4 });
    const batch = (from: number, count: number) => Array.from({ length: count }, (_, index) => taken(from + index));
    // A small one is replaced at once: it has nothing more to hand over.
    expect(does(source.delivered(1, batch(1, 4), 1), 'cancel')).toBe(true);
    expect(source.consumerEnded(1, { why: 'cancelled' }, 1)).toContainEqual({
      do: 'consume',
      generation: 2,
      prefetch: 64,
    });
    const full = source.delivered(2, batch(5, 64), 1);
    source.nextBatch(1e6, 1);
    return { source, full };
  }

  it('lets its consumer hold more when what is held leaves most of the credit unused, and never more than credit', () => {
    const { source, full } = filled(104);
    expect(full).toContainEqual({ do: 'extend', generation: 2, more: 36 });
    expect(does(full, 'cancel')).toBe(false);
    // All 104 may be out now: nothing of this consumer may be acknowledged before more is granted.
    expect(tags(source.settled({ ...settle, accepted: [1, 6] }, 2), 'acknowledge')).toEqual([1, 2, 3, 4]);
    const raised = { kind: 'credit' as const, address, ...epoch, sinkIncarnation: 1, creditVersion: 2, granted: 105 };
    expect(tags(source.credited(raised, 3), 'acknowledge')).toEqual([5]);
  });

  it('is one consumer to the broker again when nothing is under way, so that other sinks get their turns', () => {
    const { source } = filled(104);
    expect(does(source.settled({ ...settle, accepted: [1, 67] }, 2), 'cancel')).toBe(false);
    expect(source.settled({ ...settle, accepted: [68, 68] }, 3)).toContainEqual({ do: 'cancel', generation: 2 });
    const ended = source.consumerEnded(2, { why: 'cancelled' }, 4);
    expect(ended).toContainEqual({ do: 'consume', generation: 3, prefetch: 36 });
  });

  it('holds some times what was under way, so that a trickle is acknowledged without replacing its consumer', () => {
    const { source } = stream(1_000);
    source.delivered(1, [taken(1)], 1);
    source.nextBatch(1e6, 1);
    source.settled({ ...settle, accepted: [1, 1] }, 2);
    source.configure(source.settings, true, 3);
    const ended = source.consumerEnded(1, { why: 'cancelled' }, 4);
    expect(ended).toContainEqual({ do: 'consume', generation: 2, prefetch: 64 });
    for (let sequence = 2; sequence < 900; sequence++) {
      source.delivered(2, [taken(sequence)], sequence);
      source.nextBatch(1e6, sequence);
      const effects = source.settled({ ...settle, accepted: [sequence, sequence] }, sequence);
      expect(tags(effects, 'acknowledge')).toEqual([sequence]);
      expect(does(effects, 'cancel')).toBe(false);
    }
  });

  it('under a limit holds no more than about a second of it, and sends no more than it lets pass', () => {
    const clock = new ManualClock();
    const limiter = new RateLimiter<string>({ messagesPerSecond: 2, bytesPerSecond: undefined }, clock.now());
    const { source, effects } = stream(10, limiter.for('us'));
    expect(effects).toContainEqual({ do: 'consume', generation: 1, prefetch: 2 });
    source.delivered(1, [taken(1), taken(2), taken(3)], 0);
    expect(source.nextBatch(1e6, 0)?.messages).toHaveLength(2);
    expect(source.nextBatch(1e6, 100)).toBeUndefined();
    expect(source.obstacle()?.detail).toBe('rate limit: 2 messages/s');
    expect(limiter.nextAt).toBe(500);
    clock.advance(500);
    let sent = 0;
    limiter.serve(clock.now(), () => {
      sent = source.nextBatch(1e6, clock.now())?.messages.length ?? 0;
    });
    expect(sent).toBe(1);
    expect(source.obstacle()?.detail).toBeUndefined();
    expect(limiter.nextAt).toBe(Number.POSITIVE_INFINITY);
  });

  it('under a limit sends again what was lost before anything else, and it counts as well', () => {
    const limiter = new RateLimiter<string>({ messagesPerSecond: 2, bytesPerSecond: undefined }, 0);
    const { source } = stream(10, limiter.for('us'));
    source.delivered(1, [taken(1), taken(2), taken(3)], 0);
    source.nextBatch(1e6, 0);
    source.missed(epoch, [1, 2], 1);
    expect(source.nextBatch(1e6, 2)).toBeUndefined();
    const resent: number[][] = [];
    for (const now of [500, 1_000, 1_500])
      limiter.serve(now, () => resent.push(source.nextBatch(1e6, now)?.messages.map(({ sequence }) => sequence) ?? []));
    expect(resent).toEqual([[1], [2], [3]]);
  });

  it('gives deliveries back that come from a consumer which is given up, instead of forwarding them twice', () => {
    const { source } = stream(10);
    source.brokerUp(false, 1);
    expect(tags(source.delivered(1, [taken(1)], 2), 'requeue')).toEqual([1]);
    expect(source.taken).toBe(0);
  });

  it('gives back what it holds for a sink that will not return, once, and says before how much of it may be there', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1), taken(2), taken(3)], 1);
    source.nextBatch(1e6, 1);
    source.settled({ ...settle, accepted: [1, 1] }, 2);
    source.settled({ ...settle, released: [3, 3] }, 2);
    source.linkLost(3);
    expect(source.held).toEqual({ messages: 2, sent: 1 });
    const effects = source.giveBack(4);
    expect(tags(effects, 'requeue').sort()).toEqual([2, 3]);
    expect(effects).toContainEqual({ do: 'count', what: 'possible-duplicates', n: 1 });
    expect(source.held).toEqual({ messages: 0, sent: 0 });
    expect([source.giveBack(5), source.nextWake()]).toEqual([[], expect.any(Number)]);
  });

  it('does not give back what was accepted while its copy was queued to be sent again', () => {
    const { source } = stream(2);
    source.delivered(1, [taken(1), taken(2)], 1);
    source.nextBatch(1e6, 1);
    source.missed(epoch, [1, 2], 2);
    source.settled({ ...settle, accepted: [1, 2] }, 3);
    expect(tags(source.withdraw('no consumer', 4), 'requeue')).toEqual([]);
    expect(tags(source.consumerEnded(1, { why: 'cancelled' }, 5), 'acknowledge')).toEqual([1, 2]);
    expect(source.bytes).toBe(0);
  });

  it('cancels its consumer when the queue is deleted, so that a new queue of the same name is not drained for nobody', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 1);
    const effects = source.queueGone(2);
    expect(effects).toContainEqual({ do: 'cancel', generation: 1 });
    expect(tags(effects, 'requeue')).toEqual([1]);
    expect(source.phase).toBe('ended');
  });

  it('says that it has ended when its consumer goes with the queue while the demand is withdrawn', () => {
    const { source } = stream(10);
    source.withdraw('no consumer', 1);
    const effects = source.consumerEnded(1, { why: 'queue-gone' }, 2);
    expect(source.phase).toBe('ended');
    expect(does(effects, 'ended')).toBe(true);
    expect(effects.flatMap((effect) => (effect.do === 'send' ? effect.frame.kind : []))).toContain('closed');
  });

  it('answers a lowered credit at once when its consumer goes with the queue', () => {
    const { source } = stream(10);
    source.credited({ kind: 'credit', address, ...epoch, creditVersion: 2, granted: 0 }, 1);
    const effects = source.consumerEnded(1, { why: 'queue-gone' }, 2);
    expect(
      effects.flatMap((effect) =>
        effect.do === 'send' && effect.frame.kind === 'state' ? effect.frame.creditVersion : [],
      ),
    ).toContain(2);
  });

  it('adopts a redelivered copy of what is under way, and acknowledges it with the verdict', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 1);
    source.nextBatch(1e6, 1);
    source.brokerUp(false, 2);
    source.brokerUp(true, 3);
    source.delivered(2, [{ ...taken(1, true), token: { channel, tag: 9 } }], 4);
    expect(source.last).toBe(1);
    expect(source.hasUnsent).toBe(false);
    expect(tags(source.settled({ ...settle, accepted: [1, 1] }, 5), 'acknowledge')).toEqual([9]);
  });

  it('moves on over a message that was given back after the hold, once the sink does not have it', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 1);
    source.nextBatch(1e6, 1);
    source.linkLost(2);
    source.consumerEnded(1, { why: 'cancelled' }, 3);
    expect(tags(source.wake(70_000), 'requeue')).toEqual([1]);
    opened(source, source.linkUp(70_001));
    resume(source, 10, 2);
    expect(source.unsettled).toBe(0);
    expect(source.withdraw('no consumer', 70_002).some((effect) => effect.do === 'cancel')).toBe(true);
  });

  it('recognises what the sink stored of a message that was given back, when the broker hands it over again', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 1);
    source.nextBatch(1e6, 1);
    source.linkLost(2);
    source.consumerEnded(1, { why: 'cancelled' }, 3);
    source.wake(70_000);
    opened(source, source.linkUp(70_001));
    resume(source, 10, 2, { accepted: [1, 1] });
    expect(tags(source.delivered(2, [taken(1, true)], 70_002), 'acknowledge')).toEqual([1]);
    expect(source.counts.suppressed).toBe(1);
  });

  it('does not send a message twice whose delivery died while the frame with it was overtaken', () => {
    const { source } = stream();
    source.delivered(1, [taken(1), taken(2)], 1);
    source.nextBatch(1e6, 1);
    source.channelLost(channel, 2);
    const missed = source.missed(epoch, [1, 1], 3);
    expect(
      missed.flatMap((effect) => (effect.do === 'send' && effect.frame.kind === 'state' ? [effect.frame] : [])),
    ).toEqual([expect.objectContaining({ returned: [] })]);
    source.settled({ ...settle, accepted: [1, 2] }, 10); // it has arrived after all
    source.consumerEnded(1, { why: 'lost' }, 10);
    source.wake(1_000);
    const copy = { ...taken(1, true), token: { channel: {}, tag: 9 } };
    expect(tags(source.delivered(2, [copy], 1_001), 'acknowledge')).toEqual([9]);
  });

  it('gives up the number of a message whose delivery died when the sink goes on missing it', () => {
    const { source } = stream();
    source.delivered(1, [taken(1), taken(2)], 1);
    source.nextBatch(1e6, 1);
    source.channelLost(channel, 2);
    source.missed(epoch, [1, 1], 3);
    const states = source
      .missed(epoch, [1, 1], 1_100)
      .flatMap((effect) => (effect.do === 'send' && effect.frame.kind === 'state' ? [effect.frame] : []));
    expect(states).toMatchObject([{ settledThrough: 1 }]);
  });

  it('never wants to be woken in the past again and again', () => {
    const { source } = stream(1);
    source.delivered(1, [taken(1)], 1);
    source.nextBatch(1e6, 1);
    source.settled({ ...settle, released: [1, 1] }, 2);
    source.linkLost(3);
    let now = 3;
    for (let i = 0; i < 1_000 && source.nextWake() !== Number.POSITIVE_INFINITY; i++) {
      now = Math.max(now + 0.001, source.nextWake());
      source.wake(now);
    }
    expect(now).toBeGreaterThan(60_000);
  });

  it('is not taken up by the answer to an earlier open: what it sends now would be dropped at the sink for ever', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 1);
    source.nextBatch(1e6, 1);
    source.linkLost(2);
    opened(source, source.linkUp(3));
    const late = attempts.get(source)!;
    opened(source, source.rerouted(4));
    expect(attempts.get(source)).toBe(late + 1);
    resume(source, 10, 2, { attempt: late });
    expect(source.phase).toBe('opening');
    resume(source, 10, 3);
    expect(source.phase).toBe('flowing');
    expect(source.nextBatch(1e6, 5)).toMatchObject({ attempt: late + 1, messages: [{ sequence: 1 }] });
  });

  it('asks again when it is finishing and its question took a way that broke, instead of holding what it sent', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 1);
    source.nextBatch(1e6, 1);
    source.linkLost(2);
    source.consumerEnded(1, { why: 'cancelled' }, 2);
    source.withdraw('no consumer', 3);
    opened(source, source.linkUp(4));
    const lost = attempts.get(source)!;
    expect(source.nextWake()).toBeLessThan(10_000);
    opened(source, source.wake(5_010));
    expect(attempts.get(source)).toBe(lost + 1);
    expect(tags(resume(source, 0, 2), 'requeue')).toEqual([1]);
  });

  it('counts how often the sink was given what it then rejects', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 0);
    source.nextBatch(1e6, 0);
    source.settled({ ...settle, released: [1, 1] }, 1);
    source.wake(1_000);
    expect(source.nextBatch(1e6, 1_000)?.messages).toMatchObject([{ sequence: 1, resent: true }]);
    source.missed(epoch, [1, 1], 1_001);
    source.nextBatch(1e6, 1_001);
    const rejected = source.settled({ ...settle, rejected: [{ sequence: 1, reason: 'too large' }] }, 1_002);
    expect(rejected).toContainEqual(expect.objectContaining({ do: 'park', reason: 'too large', attempts: 3 }));
  });

  it('tries to park again what could not be parked, without asking the sink once more, and others go on', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1), taken(2)], 0);
    source.nextBatch(1e6, 0);
    source.settled({ ...settle, accepted: [2, 2], rejected: [{ sequence: 1, reason: 'too large' }] }, 1);
    const waits: number[] = [];
    let now = 1;
    for (let attempt = 0; attempt < 9; attempt++) {
      source.parked(1, false, now);
      // A verdict is said again until the source has answered it.
      expect(does(source.settled({ ...settle, rejected: [{ sequence: 1, reason: 'again' }] }, now), 'park')).toBe(
        false,
      );
      for (let due = source.nextWake(); ; due = source.nextWake()) {
        const parks = source.wake(due).filter((effect) => effect.do === 'park');
        expect(source.nextBatch(1e6, due)?.messages ?? []).toEqual([]);
        if (parks.length === 0) continue;
        expect(parks).toMatchObject([{ sequence: 1, reason: 'too large', attempts: 1 }]);
        waits.push(due - now);
        now = due;
        break;
      }
    }
    expect(waits.slice(0, 3)).toEqual([500, 1_000, 2_000]);
    expect(waits.at(-1)).toBe(30_000);
    source.parked(1, true, now);
    source.consumerEnded(1, { why: 'cancelled' }, now);
    expect(source.unsettled).toBe(0);
  });

  it('gives back what cannot be parked when that is known only after its end', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 0);
    source.nextBatch(1e6, 0);
    source.settled({ ...settle, rejected: [{ sequence: 1, reason: 'too large' }] }, 1);
    expect(tags(source.abandon('no longer master', 2), 'requeue')).toEqual([]);
    expect(tags(source.parked(1, false, 3), 'requeue')).toEqual([1]);
  });

  it('does not take a replayed dead letter for a copy of what it has parked, though the broker flags it', () => {
    const { source, orphans } = stream(10);
    const named = [1, 2].map((tag) => ({ ...taken(tag), hasId: true }));
    source.delivered(1, named, 0);
    source.nextBatch(1e6, 0);
    source.settled({ ...settle, accepted: [2, 2], rejected: [{ sequence: 1, reason: 'too large' }] }, 1);
    source.parked(1, true, 2);
    const effects = [...source.withdraw('no consumer', 3), ...source.consumerEnded(1, { why: 'cancelled' }, 4)];
    const flush = effects.find((effect) => effect.do === 'flush');
    source.flushed(flush!.id, true, 5);
    expect(source.phase).toBe('ended');
    expect(orphans.take(named[0]!.digest, true, 6)).toBeUndefined();
    expect(orphans.take(named[1]!.digest, true, 6)).toEqual({ is: 'accepted' });
  });

  it('gives back what could not be parked when its stream ends', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1)], 0);
    source.nextBatch(1e6, 0);
    source.settled({ ...settle, rejected: [{ sequence: 1, reason: 'too large' }] }, 1);
    source.parked(1, false, 2);
    expect(tags(source.withdraw('no consumer', 3), 'requeue')).toEqual([1]);
  });

  it('says why the sink’s broker takes nothing, and gives back what the sink gives back meanwhile instead of sending it again', () => {
    const { source } = stream(10);
    source.delivered(1, [taken(1), taken(2), taken(3)], 0);
    source.nextBatch(1e6, 0);
    const credit = { kind: 'credit' as const, address, ...epoch, granted: 3 };
    const blocked = { reason: 'sink_refuses', detail: 'queue q on east takes no more for now' };
    source.credited({ ...credit, creditVersion: 2, blocked }, 1);
    expect([source.blocked, source.obstacle()?.detail]).toEqual([blocked, blocked.detail]);
    expect(tags(source.settled({ ...settle, released: [2, 3] }, 2), 'requeue')).toEqual([2, 3]);
    expect(source.unsettled).toBe(1);
    source.credited({ ...credit, creditVersion: 3 }, 3);
    expect(source.blocked).toBeUndefined();
    expect(tags(source.settled({ ...settle, released: [1, 1] }, 4), 'requeue')).toEqual([]);
    source.wake(1_000);
    expect(source.nextBatch(1e6, 1_000)?.messages).toMatchObject([{ sequence: 1 }]);
  });
});

describe('the last word of a source stream', () => {
  /** Two messages are settled and removed; when states are told, until nothing is due. */
  function settledStream() {
    const { source } = stream(10, undefined, { countedSince: 1 });
    source.wake(0);
    source.delivered(1, [taken(1), taken(2)], 1);
    source.nextBatch(1e6, 1);
    source.settled({ ...settle, accepted: [1, 2], countedSince: 1 }, 2);
    const told: { at: number; settledThrough: number; removedThrough: number }[] = [];
    const wake = () => {
      const at = source.nextWake();
      for (const effect of source.wake(at)) {
        if (effect.do === 'flush') source.flushed(effect.id, true, at);
        if (effect.do !== 'send' || effect.frame.kind !== 'state') continue;
        const { settledThrough, removedThrough } = effect.frame;
        told.push({ at, settledThrough, removedThrough });
      }
    };
    return { source, told, wake };
  }

  it('is said a few times, since it may be lost on the way', () => {
    const { source, told, wake } = settledStream();
    for (let turn = 0; turn < 20 && source.nextWake() < 100_000; turn++) wake();
    expect(told.filter(({ settledThrough }) => settledThrough === 2)).toHaveLength(4);
    expect(source.nextWake()).toBe(Number.POSITIVE_INFINITY);
  });

  it('is said once when the sink has heard it', () => {
    const { source, told, wake } = settledStream();
    while (told.at(-1)?.settledThrough !== 2) wake();
    expect(told.at(-1)).toMatchObject({ removedThrough: 2 });
    source.settled({ ...settle, countedSince: 1, comparison: { through: 2, lost: 0, doubled: 0 } }, 3_000);
    expect(source.nextWake()).toBe(Number.POSITIVE_INFINITY);
  });

  it('is not over when something has happened since', () => {
    const { source, told, wake } = settledStream();
    while (told.at(-1)?.settledThrough !== 2) wake();
    const credit = { kind: 'credit' as const, address, ...epoch, sinkIncarnation: 1, creditVersion: 2, granted: 20 };
    source.credited(credit, 2_000);
    source.settled({ ...settle, countedSince: 1, comparison: { through: 2, lost: 0, doubled: 0 } }, 2_001);
    expect(source.nextWake()).toBeLessThanOrEqual(3_000);
  });
});

describe('a source stream whose connector was altered', () => {
  it('goes on under its epoch with the new bounds, and gives nothing back', () => {
    const { source, effects } = stream();
    const consumed = effects.find((effect) => effect.do === 'consume');
    expect(consumed).toMatchObject({ do: 'consume', generation: 1 });
    source.delivered(1, [taken(1), taken(2)], 0);
    const said = source.configure({ largestWindow: 50, prefetchBytes: 1e6, holdMs: 1_000 }, false, 0);
    expect(said.filter((effect) => effect.do === 'requeue' || effect.do === 'send')).toEqual([]);
    expect(source.settings).toMatchObject({ epoch, largestWindow: 50, holdMs: 1_000 });
    expect([source.phase, source.unsettled]).toEqual(['flowing', 2]);
  });

  it('holds for as long as the connector says now when its link is lost', () => {
    const { source } = stream();
    source.delivered(1, [taken(1)], 0);
    source.nextBatch(1e6, 0);
    source.configure({ largestWindow: 50, prefetchBytes: 1e6, holdMs: 1_000 }, false, 0);
    source.linkLost(0);
    source.consumerEnded(1, { why: 'cancelled' }, 0);
    const givenBack = (now: number) => source.wake(now).some((effect) => effect.do === 'requeue');
    expect([givenBack(999), givenBack(1_000)]).toEqual([false, true]);
  });

  it('replaces its consumer when that was asked for with another priority', () => {
    const { source } = stream();
    const bounds = { largestWindow: 100, prefetchBytes: 1e6, holdMs: 60_000 };
    expect(source.configure(bounds, true, 0)).toContainEqual({ do: 'cancel', generation: 1 });
    const next = source.consumerEnded(1, { why: 'cancelled' }, 0);
    expect(next).toContainEqual(expect.objectContaining({ do: 'consume', generation: 2 }));
  });
});
