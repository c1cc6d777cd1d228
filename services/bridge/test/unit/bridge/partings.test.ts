import { ManualClock } from '@tombolo/kernel/clock';
import { beforeEach, describe, expect, it } from 'vitest';
import { Partings } from '../../../src/partings.ts';

describe('a peer with which no connector is left', () => {
  let clock: ManualClock;
  let busy: Set<string>;
  let parted: string[];
  let partings: Partings;

  beforeEach(() => {
    clock = new ManualClock();
    busy = new Set();
    parted = [];
    partings = new Partings({
      clock,
      deadline: () => clock.now() + 20_000,
      settled: (peer) => !busy.has(peer),
      parted: (peer) => parted.push(peer),
    });
  });

  it('keeps its link until what was under way is settled', () => {
    busy.add('east');
    partings.amended(['east', 'north'], ['north']);
    expect(partings.leaving).toEqual(['east']);
    clock.advance(5_000);
    expect(parted).toEqual([]);
    busy.clear();
    clock.advance(100);
    expect(parted).toEqual(['east']);
    expect(partings.leaving).toEqual([]);
  });

  it('is parted from in the end, also when something is never settled', () => {
    busy.add('east');
    partings.amended(['east'], []);
    clock.advance(19_000);
    expect(parted).toEqual([]);
    clock.advance(2_000);
    expect(parted).toEqual(['east']);
  });

  it('stays when it has a connector again before, and is not waited for after a stop', () => {
    busy.add('east');
    partings.amended(['east', 'north'], []);
    partings.amended([], ['east']);
    expect(partings.leaving).toEqual(['north']);
    partings.close();
    busy.clear();
    clock.advance(60_000);
    expect(parted).toEqual([]);
  });
});
