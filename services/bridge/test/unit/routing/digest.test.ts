import type { DemandFrame } from '@tombolo/wire/frame';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Digest, demandLine } from '../../../src/routing/digest.ts';

function digestOf(lines: readonly string[]): Digest {
  const digest = new Digest();
  for (const line of lines) digest.add(line);
  return digest;
}

const lines = fc.array(fc.string({ maxLength: 60 }), { maxLength: 60, size: 'max' });
const frame: DemandFrame = {
  ...{
    kind: 'demand',
    sink: 'k',
    destination: { kind: 'queue', name: 'q' },
    incarnation: 7,
    version: 3,
    leaseMs: 90_000,
  },
  ...{ path: ['k', 'n'], ttl: 4, connector: 'c', consumers: 1, queue: {} },
};

describe('a digest', () => {
  it('is the same in whatever order the lines were added, also when its sums overflow', () => {
    const shuffled = lines.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, ([all, other]) => {
        expect(digestOf(all).toString()).toBe(digestOf(other).toString());
      }),
    );
  });

  it('is as if a line had never been added once it is removed', () => {
    fc.assert(
      fc.property(lines, lines, (kept, gone) => {
        const digest = digestOf([...gone, ...kept]);
        for (const line of gone) digest.remove(line);
        expect([digest.count, digest.toString()]).toEqual([kept.length, digestOf(kept).toString()]);
      }),
    );
  });

  it('differs when one line of 10,000 does', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => `queue\norders.${index}\nk\n1\n${index}`);
    const digest = digestOf(many).toString();
    for (const index of [0, 1, 77, 9_999]) {
      expect(digestOf(many.map((line, i) => (i === index ? `${line}0` : line))).toString()).not.toBe(digest);
    }
  });

  it.each<[string, Partial<DemandFrame>]>([
    ['sink', { sink: 'l' }],
    ['name', { destination: { kind: 'queue', name: 'r' } }],
    ['kind', { destination: { kind: 'topic', name: 'q' } }],
    ['incarnation', { incarnation: 8 }],
    ['version', { version: 4 }],
    ['path', { path: ['k', 'm'] }],
    ['length of path', { path: ['kn'] }],
    ['ttl', { ttl: 5 }],
    ['farther ways', { farther: [{ path: ['k', 'l', 'n'], ttl: 6 }] }],
  ])('sees an advertisement with another %s', (_what, other) => {
    expect(demandLine({ ...frame, ...other })).not.toBe(demandLine(frame));
  });
});
