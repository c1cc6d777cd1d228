import { describe, expect, it } from 'vitest';
import { guarded, outside } from '../../bench/guard.ts';
import type { Results } from '../../bench/results.ts';
import type { Sample } from '../../bench/sample.ts';
import { median, quantile } from '../../bench/statistics.ts';
import { judge, table } from '../../bench/table.ts';
import type { Target } from '../../bench/targets.ts';

const faster: Target = {
  row: 'backlog',
  measure: 'backlog',
  figure: 'rate',
  unit: 'msg/s',
  peer: 'federation',
  atLeast: 1.5,
};

function results(row: string, ways: Record<string, Sample[]>): Results {
  const measured = { measuredAt: '2026-11-22T12:00Z', rounds: 3, thrownAway: 0, ways };
  return { machine: 'a machine', software: 'a broker', rows: { [row]: measured } };
}

const rates = (...values: number[]) => values.map((rate) => ({ rate }));

describe('the table of a measurement', () => {
  it('compares medians: one slow run changes nothing', () => {
    const [line] = judge(results('backlog', { Tombolo: rates(300, 10, 310), federation: rates(200, 190, 900) }), [
      faster,
    ]);
    expect(line).toMatchObject({ value: 300, peer: 200, ratio: 1.5, met: true });
  });

  it('says that a target is missed, below the bound as above it', () => {
    const ways = { Tombolo: rates(290, 290, 290), federation: rates(200, 200, 200) };
    expect(judge(results('backlog', ways), [faster])[0]?.met).toBe(false);
    const { atLeast: _, ...slower } = faster;
    expect(judge(results('backlog', ways), [{ ...slower, atMost: 1 }])[0]?.met).toBe(false);
  });

  it('judges nothing that was not measured', () => {
    expect(judge(results('backlog', { federation: rates(200) }), [faster])[0]?.met).toBeUndefined();
    expect(table(results('backlog', { federation: rates(200) }), [faster])).toContain('not yet');
    expect(judge(results('live', {}), [faster])).toEqual([]);
  });

  it('names the row in which a bridge had the most memory', () => {
    const ways = { Tombolo: [{ rate: 1, memory: 120 }], 'Tombolo, one process': [{ rate: 1, memory: 151 }] };
    expect(table(results('backlog', ways), [])).toMatch(/151 MiB \(backlog\).*\*\*no\*\*/);
  });
});

describe('the guard of the committed ratios', () => {
  const all = (tombolo: number, peer: number): Results => {
    const sample = (value: number): Sample[] => [
      Object.fromEntries(guarded.map(({ figure }) => [figure, value])) as Sample,
    ];
    return results('quick', { Tombolo: sample(tombolo), 'queue federation': sample(peer) });
  };

  it('is content with the committed ratios, whatever the figures are', () => {
    expect(outside(all(300, 200), all(3_000, 2_000))).toEqual([]);
  });

  it('complains of ratios outside their bands in either direction, and of those it has nothing to compare with', () => {
    expect(outside(all(100, 200), all(200, 200))).toHaveLength(guarded.length);
    expect(outside(all(400, 200), all(200, 200))).toHaveLength(guarded.length);
    expect(outside(all(400, 200), results('other', {}))).toHaveLength(guarded.length);
  });
});

describe('statistics', () => {
  it('finds the middle and the hundredth', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
    expect(
      quantile(
        Array.from({ length: 200 }, (_, index) => index + 1),
        0.99,
      ),
    ).toBe(198);
  });
});
