import type { OpenFrame, StateFrame, StreamMessage } from '@tombolo/wire/frame';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SinkEffect } from '../../../src/stream/effects.ts';
import { SinkReconciliation, SourceReconciliation } from '../../../src/stream/reconciliation.ts';
import { SinkStream } from '../../../src/stream/sink-machine.ts';
import { Tally } from '../../../src/stream/tally.ts';

const agreed = { lost: 0, doubled: 0 };

/** Both ends of one epoch, and a sink that began to count with the `open` of attempt `since`. */
function ends(since = 1) {
  const source = new SourceReconciliation();
  source.resumed(since, []);
  let sink = new SinkReconciliation(since, []);
  return {
    source,
    /** The sink's broker confirms these, and the source hears of it. */
    stored: (...sequences: number[]) => {
      for (const sequence of sequences) {
        sink.confirmed(sequence);
        source.accepted([sequence, sequence], sink.since);
      }
    },
    confirmed: (sequence: number) => sink.confirmed(sequence),
    acknowledged: (...sequences: number[]) => {
      for (const sequence of sequences) source.acknowledged(sequence);
    },
    /** @param accepted what it has read of its predecessor's record */
    restartSink: (attempt: number, accepted: readonly number[] = []) => {
      sink = new SinkReconciliation(attempt, accepted);
      source.resumed(attempt, accepted);
    },
    compare: (settledThrough: number) => sink.compare(source.through(settledThrough)!, settledThrough),
  };
}

describe('a tally', () => {
  it('counts what a plain set counts, up to any number, whatever is added in whatever order', () => {
    const number = fc.integer({ min: 1, max: 80 });
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), a: number, b: number }),
      fc.record({ do: fc.constant('count' as const), a: number, b: number }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const tally = new Tally();
        const plain = new Set<number>();
        let through = 0;
        for (const { do: verb, a, b } of steps) {
          if (verb === 'add') {
            tally.add(Math.min(a, b), Math.max(a, b));
            for (let n = Math.max(Math.min(a, b), through + 1); n <= Math.max(a, b); n++) plain.add(n);
          } else if (a < through) expect(tally.through(a)).toBeUndefined();
          else {
            through = a;
            const counted = [...plain].filter((n) => n <= a);
            const sum = counted.reduce((total, n) => total + n, 0);
            expect(tally.through(a)).toEqual({ count: counted.length, sum });
          }
        }
      }),
    );
  });

  it('sums numbers of a stream that has run for years, exactly', () => {
    const from = 2 ** 45 + 7;
    const tally = new Tally([from, from + 2 ** 33]);
    const expected = ((2n * BigInt(from) + 2n ** 33n) * (2n ** 33n + 1n)) / 2n;
    expect(tally.through(from + 2 ** 33)).toEqual({ count: 2 ** 33 + 1, sum: Number(expected % 2n ** 32n) });
  });
});

describe('the counts of both ends of a stream', () => {
  it('agree on what is settled, whatever is still under way', () => {
    const { stored, acknowledged, confirmed, compare } = ends();
    stored(1, 2, 3, 5);
    confirmed(6); // its verdict is on its way
    acknowledged(1, 2, 3);
    expect(compare(3)).toEqual({ through: 3, ...agreed });
  });

  it('differ by a message that the source acknowledged and the sink never confirmed: it is lost', () => {
    const { stored, acknowledged, compare } = ends();
    stored(1, 2, 4);
    acknowledged(1, 2, 3, 4);
    expect(compare(4)).toEqual({ through: 4, lost: 1, doubled: 0 });
  });

  it('differ by a message of which the source was told that it is stored, and it is not', () => {
    const { source, stored, acknowledged, compare } = ends();
    stored(1, 2);
    source.accepted([3, 3], 1);
    acknowledged(1, 2, 3);
    expect(compare(3)).toEqual({ through: 3, lost: 1, doubled: 0 });
  });

  it('differ by a message that the sink confirmed after the source had given it back: it is doubled', () => {
    const { stored, confirmed, acknowledged, compare } = ends();
    stored(1, 3);
    acknowledged(1, 3);
    expect(compare(3)).toEqual({ through: 3, ...agreed });
    confirmed(2);
    expect(compare(3)).toEqual({ through: 3, lost: 0, doubled: 1 });
  });

  it('differ when one message is lost and another is doubled, although they are as many', () => {
    const { stored, confirmed, acknowledged, compare } = ends();
    stored(1);
    confirmed(2);
    acknowledged(1, 3);
    expect(compare(3)).toEqual({ through: 3, lost: 1, doubled: 1 });
  });

  it('agree when the delivery of a stored message died, so that it cannot be acknowledged', () => {
    const { stored, acknowledged, compare } = ends();
    stored(1, 2);
    acknowledged(2);
    expect(compare(2)).toEqual({ through: 2, ...agreed });
  });

  it('agree on a message that is in the dead-letter queue', () => {
    const { source, stored, acknowledged, compare } = ends();
    stored(1, 3);
    source.parked(2);
    acknowledged(1, 2, 3);
    expect(compare(3)).toEqual({ through: 3, ...agreed });
  });

  it('begin anew with a sink that was restarted: what its predecessor confirmed makes no difference', () => {
    const { source, stored, confirmed, acknowledged, restartSink, compare } = ends();
    stored(1, 2, 4); // 3 is under way, 4 cannot be acknowledged yet
    acknowledged(1, 2);
    restartSink(2);
    acknowledged(4);
    confirmed(3); // sent again, although the predecessor may have published it: the window that stays open
    source.accepted([3, 3], 2);
    acknowledged(3);
    expect(compare(4)).toEqual({ through: 4, ...agreed });
  });

  it('go on with what a sink has read of its predecessor’s record', () => {
    const { stored, acknowledged, restartSink, compare } = ends();
    stored(1, 2, 4);
    acknowledged(1, 2);
    restartSink(2, [2, 2, 4, 5]); // of 5 the source has not heard yet; 1 is no longer kept
    stored(3);
    acknowledged(3, 4, 5);
    expect(compare(5)).toEqual({ through: 5, ...agreed });
  });

  it('ignore the last words of a sink that was restarted', () => {
    const { source, stored, acknowledged, restartSink, compare } = ends();
    restartSink(2);
    source.accepted([1, 1], 1);
    stored(2);
    acknowledged(1, 2);
    expect(compare(2)).toEqual({ through: 2, ...agreed });
  });

  it('still show a loss after the sink was restarted', () => {
    const { stored, acknowledged, restartSink, compare } = ends();
    stored(1);
    acknowledged(1);
    restartSink(2);
    stored(2);
    acknowledged(2, 3);
    expect(compare(3)).toEqual({ through: 3, lost: 1, doubled: 0 });
  });

  it('are not compared when the queue was deleted, with what was under way', () => {
    const { source, stored } = ends();
    stored(1);
    source.voided();
    expect(source.through(5)).toBeUndefined();
  });

  it('are not compared when the sink is of a version that does not count', () => {
    const source = new SourceReconciliation();
    source.resumed(undefined, []);
    source.accepted([1, 9], undefined);
    expect(source.through(9)).toBeUndefined();
  });

  it('are not compared when what the source tells is meant for a predecessor of the sink, or is overtaken', () => {
    const sink = new SinkReconciliation(2, []);
    expect(sink.compare({ since: 1, count: 3, sum: 6 }, 3)).toBeUndefined();
    expect(sink.compare({ since: 2, count: 0, sum: 0 }, 3)).toEqual({ through: 3, ...agreed });
    expect(sink.compare({ since: 2, count: 9, sum: 9 }, 2)).toBeUndefined();
  });
});

const address = { source: 'west', sink: 'east', destination: { kind: 'queue', name: 'q' } } as const;
const epoch = { incarnation: 7, epoch: 1 };
const open: OpenFrame = {
  ...{ kind: 'open', address, ...epoch, connector: 'c', attempt: 4 },
  ...{ last: 0, settledThrough: 0, gone: [], queue: {} },
};
const state = (settledThrough: number, more: Partial<StateFrame> = {}): StateFrame => ({
  ...{ kind: 'state', address, ...epoch, settledThrough, removedThrough: settledThrough, creditVersion: 9 },
  ...{ taken: settledThrough, returned: [], empty: false, ...more },
});
const message = (sequence: number): StreamMessage => ({
  ...{ sequence, redelivered: false, resent: false, hasId: false, exchange: '', routingKey: 'q' },
  ...{ digest: new Uint8Array(16), properties: new Uint8Array(2), body: new Uint8Array(1) },
});

/** A sink to which `numbers` came, and whose broker has confirmed them. */
function confirmedAt(numbers: readonly number[]): SinkStream {
  const sink = new SinkStream(address, 1);
  sink.opened(open, 0);
  sink.grant(100, 0);
  sink.setMayPublish(true);
  const last = Math.max(...numbers);
  sink.messages({ kind: 'messages', address, ...epoch, attempt: 4, last, messages: numbers.map(message) }, 0);
  sink.outcome(epoch, numbers, 'confirmed', undefined);
  return sink;
}

const told = (effects: readonly SinkEffect[]) =>
  effects.flatMap((effect) =>
    effect.do === 'send' && effect.frame.kind === 'settle' ? [effect.frame.comparison] : [],
  );

describe('a stream at the sink', () => {
  it('tells the source that the counts agree only when nothing is under way: an alarm is what is worth a frame', () => {
    const sink = confirmedAt([1, 2, 3]);
    const removed = { since: 4, count: 3, sum: 6 };
    expect(told(sink.stated(state(3, { removed }), 1))).toEqual([]);
    expect(told(sink.stated(state(3, { removed, empty: true }), 1))).toEqual([{ through: 3, ...agreed }]);
    expect(sink.comparison).toEqual({ through: 3, ...agreed });
  });

  it('tells the source of a difference each time, since one word may be lost, and raises the alarm itself', () => {
    const sink = confirmedAt([1, 2]);
    const lost = { through: 3, lost: 1, doubled: 0 };
    for (let again = 0; again < 2; again++) {
      const effects = sink.stated(state(3, { removed: { since: 4, count: 3, sum: 6 } }), 1);
      expect(told(effects)).toEqual([lost]);
      expect(effects).toContainEqual({ do: 'compared', count: '7.1/4', difference: lost });
    }
  });

  it('compares nothing with a source that does not tell what it removed, or that lies about how far it is', () => {
    const sink = confirmedAt([1]);
    expect(told(sink.stated(state(1, { empty: true }), 1))).toEqual([]);
    expect(told(sink.stated(state(5_000, { empty: true, removed: { since: 4, count: 9, sum: 9 } }), 1))).toEqual([]);
  });
});
