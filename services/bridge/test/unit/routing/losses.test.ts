import { describe, expect, it } from 'vitest';
import { LEASE_MS } from '../../../src/routing/lease.ts';
import { Losses, TELL_MS } from '../../../src/routing/losses.ts';

describe('the loss of a link', () => {
  it('is told to all, each time with a higher version', () => {
    const told: unknown[] = [];
    const losses = new Losses('a', 5, ({ peer, version }, from) => told.push([peer, version, from]));
    losses.lost('b', 0);
    losses.lost('b', 0);
    expect(told).toEqual([
      ['b', 1, undefined],
      ['b', 2, undefined],
    ]);
  });

  it('is passed on once, whichever links it comes by, and remembered for a lease', () => {
    const told: unknown[] = [];
    const losses = new Losses('a', 5, (_frame, from) => told.push(from));
    const frame = { kind: 'hop-lost', cluster: 'x', peer: 'y', incarnation: 1, version: 7, leaseMs: TELL_MS } as const;
    expect([losses.heard(frame, 'b', 0), losses.heard(frame, 'c', 0)]).toEqual([true, false]);
    expect(losses.heard({ ...frame, incarnation: 2 }, 'c', 0)).toBe(true);
    expect(told).toEqual(['b', 'c']);
    losses.forget(TELL_MS + LEASE_MS - 1);
    expect(losses.heard(frame, 'c', TELL_MS + LEASE_MS - 1)).toBe(false);
    losses.forget(TELL_MS + LEASE_MS);
    expect(losses.heard(frame, 'c', TELL_MS + LEASE_MS)).toBe(true);
  });

  it('is told to those who link up within 30 s, however often it is passed on', () => {
    const losses = new Losses('a', 5, () => {});
    losses.lost('b', 0);
    const [after] = [...losses.recent(20_000)];
    expect(after).toMatchObject({ cluster: 'a', peer: 'b', leaseMs: 10_000 });
    const next = new Losses('c', 5, () => {});
    next.heard(after!, 'a', 20_000);
    expect([...next.recent(29_999)]).toHaveLength(1);
    expect([...next.recent(30_000)]).toEqual([]);
  });

  it('of the own links does not come back, nor what a predecessor lost', () => {
    const losses = new Losses('a', 5, () => {});
    losses.lost('b', 0);
    const own = { kind: 'hop-lost', cluster: 'a', peer: 'b', version: 1, leaseMs: TELL_MS } as const;
    for (const incarnation of [4, 5]) expect(losses.heard({ ...own, incarnation }, 'c', 0)).toBe(false);
  });
});
