import { describe, expect, it } from 'vitest';
import { LEASE_MS, Leases } from '../../../src/routing/lease.ts';

const word = (version: number, incarnation = 1) => ({ incarnation, version });

describe('the lease of a sink', () => {
  it('stands for 90 s after the sink’s last word, and not longer', () => {
    const leases = new Leases();
    leases.heard('k', word(1), LEASE_MS, 0);
    leases.heard('k', word(2), LEASE_MS, 30_000);
    expect(leases.left('k', 119_999)).toBe(1);
    expect([...leases.ended(119_999)]).toEqual([]);
    expect([...leases.ended(120_000)]).toEqual(['k']);
  });

  it('is not refreshed by what transits repeat, in however many circles', () => {
    const leases = new Leases();
    leases.heard('k', word(5), LEASE_MS, 0);
    for (let now = 0; now < LEASE_MS; now += 10_000) leases.heard('k', word(5), LEASE_MS, now);
    leases.heard('k', word(4), LEASE_MS, 80_000);
    expect(leases.left('k', LEASE_MS)).toBe(0);
  });

  it('is as long as what the neighbour that told it has left', () => {
    const leases = new Leases();
    leases.heard('k', word(1), 1_000, 0);
    expect(leases.left('k', 0)).toBe(1_000);
    leases.heard('l', word(1), 10 * LEASE_MS, 0);
    expect(leases.left('l', 0)).toBe(LEASE_MS);
  });

  it('is never cut short by a newer word that was long under way', () => {
    const leases = new Leases();
    leases.heard('k', word(1), LEASE_MS, 0);
    leases.heard('k', word(2), 10, 0);
    expect(leases.left('k', 0)).toBe(LEASE_MS);
  });

  it('begins anew with the next incarnation, whose versions count from 1 again', () => {
    const leases = new Leases();
    leases.heard('k', word(500), LEASE_MS, 0);
    leases.heard('k', word(1, 2), LEASE_MS, 60_000);
    expect(leases.left('k', 60_000)).toBe(LEASE_MS);
  });

  it('is forgotten a lease after its end, and does not grow the table for ever', () => {
    const leases = new Leases();
    leases.heard('k', word(9), LEASE_MS, 0);
    expect([...leases.ended(2 * LEASE_MS)]).toEqual(['k']);
    expect([...leases.ended(2 * LEASE_MS)]).toEqual([]);
  });
});
