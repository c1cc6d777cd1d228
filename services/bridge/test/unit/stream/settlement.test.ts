import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clip, countOf, eachOf, RangeSet } from '../../../src/stream/settlement.ts';

const small = fc.integer({ min: 1, max: 60 });
const operation = fc.oneof(
  fc.record({ do: fc.constant('add' as const), a: small, b: small }),
  fc.record({ do: fc.constant('delete' as const), a: small, b: small }),
  fc.record({ do: fc.constant('drop' as const), a: small, b: small }),
);

describe('a set of sequence numbers', () => {
  it('holds what a plain set holds, whatever is added, deleted and dropped, as ascending ranges that do not touch', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), small, small, (operations, from, to) => {
        const ranges = new RangeSet();
        const plain = new Set<number>();
        for (const { do: verb, a, b } of operations) {
          const [low, high] = [Math.min(a, b), Math.max(a, b)];
          if (verb === 'add') {
            ranges.add(low, high);
            for (let n = low; n <= high; n++) plain.add(n);
          } else if (verb === 'delete') {
            ranges.delete(a);
            plain.delete(a);
          } else {
            ranges.dropThrough(a);
            for (const n of [...plain]) if (n <= a) plain.delete(n);
          }
        }
        const flat = ranges.toRanges();
        const seen: number[] = [];
        eachOf(flat, (n) => seen.push(n));
        expect(seen).toEqual([...plain].sort((x, y) => x - y));
        for (let i = 2; i < flat.length; i += 2) expect(flat[i]!).toBeGreaterThan(flat[i - 1]! + 1);
        expect(ranges.size).toBe(plain.size);
        expect(countOf(flat)).toBe(plain.size);
        for (let n = 0; n <= 61; n++) expect(ranges.has(n)).toBe(plain.has(n));
        let through = from;
        while (plain.has(through + 1)) through++;
        expect(ranges.contiguousFrom(from)).toBe(through);
        const [low, high] = [Math.min(from, to), Math.max(from, to)];
        const missing: number[] = [];
        eachOf(ranges.missing(low, high), (n) => missing.push(n));
        expect(missing).toEqual(Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((n) => !plain.has(n)));
        const clipped: number[] = [];
        eachOf(clip(flat, low, high), (n) => clipped.push(n));
        expect(clipped).toEqual(seen.filter((n) => n >= low && n <= high));
      }),
      { numRuns: 500 },
    );
  });
});
