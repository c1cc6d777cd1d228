import { describe, expect, it } from 'vitest';
import { statusOf } from '../../../src/admin/status.ts';
import { viewOf } from './views.ts';

const end = { connector: 'west-to-east', kind: 'queue' as const, destination: 'orders' };

describe('the status of a bridge', () => {
  it('says nothing of counts that agree', () => {
    expect(statusOf(viewOf()).differences).toEqual([]);
  });

  it('says which messages the two ends count differently, from where to where, and what to do about it', () => {
    const differences = [
      { ...end, role: 'source' as const, peer: 'east', lost: 2, doubled: 0 },
      { ...end, role: 'sink' as const, peer: 'north', lost: 0, doubled: 1 },
    ];
    const [lost, doubled] = statusOf(viewOf({ cluster: 'west', differences })).differences;
    expect(lost).toContain('The two ends of orders from west to east (connector west-to-east) count differently');
    expect(lost).toContain('2 messages removed from west and never confirmed by east');
    expect(lost).toContain('compare what producers and consumers have logged');
    expect(doubled).toContain('orders from north to west');
    expect(doubled).toContain('1 message confirmed by west and back in the queue of north');
    expect(doubled).toContain('consumers may see duplicates');
  });
});
