import { describe, expect, it } from 'vitest';
import { Differences, type StreamEnd } from '../../../src/stream/differences.ts';

const end: StreamEnd = {
  ...{ role: 'sink', connector: 'west-to-east', peer: 'west' },
  destination: { kind: 'queue', name: 'orders' },
};
const shown = { role: 'sink', connector: 'west-to-east', peer: 'west', kind: 'queue', destination: 'orders' };

describe('differences between the two ends of streams', () => {
  it('are not mentioned where there are none', () => {
    const differences = new Differences();
    expect(differences.compared(end, '1.1/1', { lost: 0, doubled: 0 })).toBe(false);
    expect(differences.views()).toEqual([]);
    expect(differences.of(end)).toEqual({ lost: 0, doubled: 0 });
  });

  it('are carried on when the epoch ends in which they were found, so that no alarm goes out by itself', () => {
    const differences = new Differences();
    differences.compared(end, '1.1/1', { lost: 1, doubled: 0 });
    differences.compared(end, '1.2/1', { lost: 0, doubled: 0 });
    expect(differences.of(end)).toEqual({ lost: 1, doubled: 0 });
    differences.compared(end, '2.1/1', { lost: 2, doubled: 1 });
    expect(differences.views()).toEqual([{ ...shown, lost: 3, doubled: 1 }]);
  });

  it('of one epoch are not added up: a later comparison of it takes the place of an earlier one', () => {
    const differences = new Differences();
    expect(differences.compared(end, '1.1/1', { lost: 1, doubled: 0 })).toBe(true);
    expect(differences.compared(end, '1.1/1', { lost: 1, doubled: 0 })).toBe(false);
    expect(differences.compared(end, '1.1/1', { lost: 2, doubled: 0 })).toBe(true);
    expect(differences.of(end)).toEqual({ lost: 2, doubled: 0 });
  });

  it('are kept apart by end, connector, peer and destination', () => {
    const differences = new Differences();
    differences.compared(end, '1.1/1', { lost: 1, doubled: 0 });
    for (const other of [
      { ...end, role: 'source' as const },
      { ...end, connector: 'c' },
      { ...end, peer: 'north' },
      { ...end, destination: { kind: 'topic' as const, name: 'orders' } },
    ])
      expect(differences.of(other)).toEqual({ lost: 0, doubled: 0 });
  });
});
