import { ManualClock } from '@tombolo/kernel/clock';
import { describe, expect, it } from 'vitest';
import type { Broker } from '../../../src/broker/port.ts';
import { BrokerRestarts } from '../../../src/stream/broker-restarts.ts';
import type { Taken } from '../../../src/stream/effects.ts';
import { RING_MS } from '../../../src/stream/identity-ring.ts';
import { Orphans } from '../../../src/stream/orphans.ts';
import { Removal } from '../../../src/stream/removal.ts';
import { SourceQueues } from '../../../src/stream/source-queues.ts';

type Owner = string;
const destination = { kind: 'queue', name: 'q' } as const;

function digest(n: number): Uint8Array {
  return new Uint8Array(16).fill(n);
}

/** How many copies of message 1 (without an id), then of message 2 (with one), are recognised. */
function recognised(orphans: Orphans<Owner>, now = 0): [number, number] {
  const count = (n: number, hasId: boolean) => {
    let copies = 0;
    while (orphans.take(digest(n), hasId, now)?.is === 'accepted') copies++;
    return copies;
  };
  return [count(1, false), count(2, true)];
}

/** Both messages are stored at a sink; their acknowledgements may have been written since `written`. */
function inDoubt(written?: number): Orphans<Owner> {
  const orphans = new Orphans<Owner>();
  orphans.accepted(digest(1), false, 0, written);
  orphans.accepted(digest(2), true, 0, written);
  return orphans;
}

describe('what is in doubt at the source', () => {
  it('is a multiset: two equal messages stay two', () => {
    const orphans = inDoubt();
    orphans.accepted(digest(1), false, 0);
    expect(recognised(orphans)).toEqual([2, 1]);
    expect(recognised(orphans)).toEqual([0, 0]);
  });

  it('keeps those with an id only, once a message comes that was never handed out before', () => {
    const orphans = inDoubt();
    expect(orphans.transient).toBe(true);
    expect(orphans.sawFresh(false, 1)).toBe(true);
    expect(orphans.transient).toBe(false);
    expect(recognised(orphans)).toEqual([0, 1]);
  });

  it('in a queue with priorities keeps those without an id for ninety seconds more, since a fresh message overtakes', () => {
    const orphans = inDoubt();
    expect(orphans.sawFresh(true, 1_000)).toBe(false);
    expect(orphans.sawFresh(true, 90_999)).toBe(false);
    expect(recognised(orphans)).toEqual([1, 1]);
    orphans.accepted(digest(1), false, 91_000);
    expect(orphans.sawFresh(true, 91_000)).toBe(false);
    expect(orphans.sawFresh(true, 181_000)).toBe(true);
    expect(recognised(orphans)).toEqual([0, 0]);
  });

  it('keeps those with an id only, when the broker was restarted since they may have been acknowledged', () => {
    const orphans = inDoubt(100_000);
    expect(orphans.mindsRestart).toBe(true);
    orphans.judged(45_000, 150_000);
    expect(recognised(orphans)).toEqual([0, 1]);
    expect(orphans.mindsRestart).toBe(false);
  });

  it('keeps those with an id only, when nobody knows whether the broker was restarted', () => {
    const orphans = inDoubt(100_000);
    orphans.judged(undefined, 150_000);
    expect(recognised(orphans)).toEqual([0, 1]);
  });

  it('keeps all when the broker has been running since before', () => {
    const orphans = inDoubt(100_000);
    orphans.judged(56_000, 150_000);
    expect(recognised(orphans)).toEqual([1, 1]);
  });

  it('keeps what was never acknowledged whatever becomes of the broker: it must come back', () => {
    const orphans = inDoubt();
    orphans.accepted(digest(1), false, 0, 100);
    orphans.judged(undefined, 1_000);
    expect(recognised(orphans)).toEqual([1, 1]);
  });

  it('keeps those with an id only, when the queue was deleted', () => {
    const queues = new SourceQueues();
    const { orphans } = queues.drawn('east', destination);
    orphans.accepted(digest(1), false, 0);
    orphans.accepted(digest(2), true, 0);
    queues.deleted('q');
    expect(orphans.take(digest(1), false, 0)).toBeUndefined();
    expect(orphans.take(digest(2), true, 0)).toEqual({ is: 'accepted' });
    expect(queues.drawn('east', destination).fresh).toBe(true);
  });

  it('recognises a removed message with an id for ten minutes, after those that wait for a verdict', () => {
    const orphans = new Orphans<Owner>();
    orphans.removed(digest(2), 0);
    orphans.lost(digest(2), 'stream', 7);
    expect(orphans.take(digest(2), true, 1)).toEqual({ is: 'pending', owner: 'stream', sequence: 7 });
    expect(orphans.take(digest(2), true, 1)).toEqual({ is: 'accepted' });
    expect(orphans.take(digest(2), true, 1)).toBeUndefined();
    orphans.removed(digest(2), 0);
    expect(orphans.take(digest(2), true, RING_MS)).toBeUndefined();
  });
});

describe('messages that were acknowledged', () => {
  const channel = {};
  const taken = (n: number, hasId: boolean): Taken => {
    const [properties, body] = [new Uint8Array(2), new Uint8Array(1)];
    const token = { channel, tag: n };
    const rest = { redelivered: false, exchange: '', routingKey: 'q', original: properties, properties, body, at: 0 };
    return { ...rest, token, digest: digest(n), hasId };
  };

  /** Both are acknowledged at 50. */
  function acknowledged() {
    const orphans = new Orphans<Owner>();
    const removal = new Removal((bytes, now) => orphans.removed(bytes, now));
    removal.numbered(1, taken(1, false));
    removal.numbered(2, taken(2, true));
    removal.acknowledged([taken(1, false).token, taken(2, true).token], 50);
    return { orphans, removal };
  }

  it('are in doubt when their channel dies before the broker has answered the barrier, as of when they were acknowledged', () => {
    const { orphans, removal } = acknowledged();
    removal.lost(channel, 2, () => false, orphans, 100_000);
    orphans.judged(99_955 - 5_000, 100_000); // it was started at 5,045, after the acknowledgement
    expect(recognised(orphans, 100_000)).toEqual([0, 1]);
  });

  it('are remembered by their ids once the barrier is answered: a killed broker brings them back', () => {
    const { orphans, removal } = acknowledged();
    const [barrier] = removal.flush(2);
    expect(removal.flushed(barrier!.do === 'flush' ? barrier!.id : 0, true)).toBe(true);
    expect(removal.removedThrough).toBe(2);
    expect(recognised(orphans, 100)).toEqual([0, 1]);
  });

  it('are remembered again when their copies were recognised and removed: the broker may be killed twice', () => {
    const { orphans, removal } = acknowledged();
    const [barrier] = removal.flush(2);
    removal.flushed(barrier!.do === 'flush' ? barrier!.id : 0, true);
    expect(orphans.take(digest(2), true, 100)).toEqual({ is: 'accepted' });
    removal.recognised([taken(2, true)]);
    removal.acknowledged([taken(2, true).token], 100);
    const [next] = removal.flush(2);
    removal.flushed(next!.do === 'flush' ? next!.id : 0, true);
    expect(recognised(orphans, 200)).toEqual([0, 1]);
  });
});

describe('a restart of the broker', () => {
  function asked(answer: () => Promise<number | undefined>) {
    const clock = new ManualClock();
    clock.advance(200_000);
    const queues = new SourceQueues();
    let questions = 0;
    let changes = 0;
    const runningFor = () => {
      questions++;
      return answer();
    };
    const restarts = new BrokerRestarts({ runningFor } as unknown as Broker, queues, clock, () => changes++);
    const { orphans } = queues.drawn('east', destination);
    const outcome = () => ({ questions, changes, judging: restarts.judging });
    return { clock, restarts, orphans, outcome };
  }
  const turns = async () => {
    for (let turn = 0; turn < 5; turn++) await undefined;
  };

  it('is asked for only when something without an id may have been acknowledged', async () => {
    const t = asked(async () => 1_000_000);
    t.orphans.accepted(digest(1), false, 199_000);
    t.restarts.brokerUp(true);
    expect(t.outcome()).toEqual({ questions: 0, changes: 0, judging: false });
  });

  it('is found out before anything is consumed', async () => {
    const t = asked(async () => 150_000);
    t.orphans.accepted(digest(1), false, 199_000, 199_000);
    t.restarts.brokerUp(true);
    expect(t.outcome()).toEqual({ questions: 1, changes: 0, judging: true });
    await turns();
    expect(t.outcome()).toEqual({ questions: 1, changes: 1, judging: false });
    expect(t.orphans.take(digest(1), false, 200_000)).toEqual({ is: 'accepted' });
  });

  it.each([
    ['answers too late', () => new Promise<undefined>(() => {})],
    ['cannot be asked', () => Promise.reject(new Error('no management API'))],
  ])('counts as possible when the broker %s', async (_, answer) => {
    const t = asked(answer);
    t.orphans.accepted(digest(1), false, 199_000, 199_000);
    t.restarts.brokerUp(true);
    await turns();
    t.clock.advance(2_000);
    await turns();
    expect(t.outcome()).toEqual({ questions: 1, changes: 1, judging: false });
    expect(t.orphans.take(digest(1), false, 202_000)).toBeUndefined();
  });

  it('is asked for anew when the connection broke again before an answer came', async () => {
    const answers: ((ms: number) => void)[] = [];
    const t = asked(() => new Promise((resolve) => answers.push(resolve)));
    t.orphans.accepted(digest(1), false, 199_000, 199_000);
    t.restarts.brokerUp(true);
    t.restarts.brokerUp(false);
    answers[0]!(150_000);
    await turns();
    t.restarts.brokerUp(true);
    answers[1]!(10);
    await turns();
    expect(t.outcome()).toEqual({ questions: 2, changes: 1, judging: false });
    expect(t.orphans.take(digest(1), false, 200_000)).toBeUndefined();
  });
});
