import { describe, expect, it } from 'vitest';
import { ReplyGate } from '../../../src/reply/reply-gate.ts';

describe('the gate before the publishing of requests', () => {
  it('lets pass what awaits nothing', () => {
    expect(new ReplyGate<string, number>().pass('orders', 1, [])).toBe(true);
  });

  it('holds a batch until every queue that it awaits exists, and what follows on its stream behind it', () => {
    const gate = new ReplyGate<string, number>();
    expect(gate.pass('orders', 1, ['a', 'b'])).toBe(false);
    expect(gate.pass('orders', 2, [])).toBe(false);
    expect(gate.pass('billing', 3, [])).toBe(true);
    expect(gate.settled('a', 'declared')).toEqual({ publish: [], refuse: [] });
    expect(gate.settled('b', 'declared')).toEqual({ publish: [1, 2], refuse: [] });
    expect(gate.pass('orders', 4, [])).toBe(true);
  });

  it('lets a later batch out with the one before it, not earlier', () => {
    const gate = new ReplyGate<string, number>();
    gate.pass('orders', 1, ['a']);
    gate.pass('orders', 2, ['b']);
    gate.pass('billing', 3, ['b']);
    expect(gate.settled('b', 'declared').publish).toEqual([3]);
    expect(gate.settled('a', 'declared').publish).toEqual([1, 2]);
  });

  it('refuses what awaits a queue that may be declared later, and nothing else', () => {
    const gate = new ReplyGate<string, number>();
    gate.pass('orders', 1, ['a', 'b']);
    gate.pass('orders', 2, []);
    expect(gate.settled('a', 'retry')).toEqual({ publish: [2], refuse: [1] });
    expect(gate.settled('b', 'declared')).toEqual({ publish: [], refuse: [] });
  });

  it('publishes although a queue cannot be declared: a request is worth more than its reply', () => {
    const gate = new ReplyGate<string, number>();
    gate.pass('orders', 1, ['a']);
    expect(gate.settled('a', 'failed')).toEqual({ publish: [1], refuse: [] });
  });

  it('hands out what waits when a stream ends, and all when the broker has gone', () => {
    const gate = new ReplyGate<string, number>();
    gate.pass('orders', 1, ['a']);
    gate.pass('billing', 2, ['a']);
    gate.pass('audit', 3, ['b']);
    expect(gate.clear('orders')).toEqual([1]);
    expect(gate.clear('orders')).toEqual([]);
    expect(gate.clear()).toEqual([2, 3]);
    expect(gate.settled('a', 'declared')).toEqual({ publish: [], refuse: [] });
  });
});
