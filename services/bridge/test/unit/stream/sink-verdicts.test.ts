import { ManualClock } from '@tombolo/kernel/clock';
import type { SettleFrame, StreamControlFrame } from '@tombolo/wire/frame';
import { describe, expect, it } from 'vitest';
import { SinkVerdicts } from '../../../src/stream/sink-verdicts.ts';

const addressOf = (name: string) => ({ source: 'west', sink: 'east', destination: { kind: 'queue', name } }) as const;
const orders = addressOf('orders');
const bills = addressOf('bills');

function settle(accepted: number[], more: Partial<SettleFrame> = {}): SettleFrame {
  const verdicts = { accepted, released: [], rejected: [], countedSince: 1 };
  return { kind: 'settle', address: orders, incarnation: 7, epoch: 1, ...verdicts, ...more };
}

function verdicts() {
  const clock = new ManualClock();
  const told: StreamControlFrame[] = [];
  return { clock, told, sink: new SinkVerdicts(clock, (frame) => told.push(frame)) };
}

describe('verdicts on their way to the source', () => {
  it('wait for each other, and are told as one', () => {
    const { clock, told, sink } = verdicts();
    for (const accepted of [
      [1, 3],
      [4, 4],
      [6, 7, 9, 9],
      [10, 12],
    ])
      sink.send(settle(accepted));
    expect(told).toEqual([]);
    clock.advance(10);
    expect(told).toEqual([settle([1, 4, 6, 7, 9, 12])]);
    clock.advance(100);
    expect(told).toHaveLength(1);
  });

  it('go before whatever else is said of their stream, and leave other streams alone', () => {
    const { clock, told, sink } = verdicts();
    const credit = { kind: 'credit', address: orders, incarnation: 7, epoch: 1, creditVersion: 2, granted: 9 } as const;
    sink.send(settle([1, 3]));
    sink.send(settle([1, 1], { address: bills }));
    sink.send(credit);
    expect(told).toEqual([settle([1, 3]), credit]);
    clock.advance(10);
    expect(told.slice(2)).toEqual([settle([1, 1], { address: bills })]);
  });

  it.each([
    ['what was released', settle([], { released: [4, 4] })],
    ['what was rejected', settle([], { rejected: [{ sequence: 4, reason: 'too large' }] })],
    ['a comparison', settle([4, 4], { comparison: { through: 4, lost: 0, doubled: 0 } })],
  ])('are told at once, and before it, when they have %s', (_, frame) => {
    const { told, sink } = verdicts();
    sink.send(settle([1, 3]));
    sink.send(frame);
    expect(told).toEqual([settle([1, 3]), frame]);
  });

  it.each([
    ['another epoch', settle([1, 1], { epoch: 2 })],
    ['another count', settle([4, 4], { countedSince: 2 })],
    ['numbers that come before', settle([2, 2])],
  ])('are not put together with those of %s', (_, frame) => {
    const { clock, told, sink } = verdicts();
    sink.send(settle([1, 3]));
    sink.send(frame);
    clock.advance(10);
    expect(told).toEqual([settle([1, 3]), frame]);
  });

  it('are told when the sink says that nothing more comes', () => {
    const { clock, told, sink } = verdicts();
    sink.send(settle([1, 3]));
    sink.flush();
    expect(told).toEqual([settle([1, 3])]);
    clock.advance(10);
    expect(told).toHaveLength(1);
  });
});
