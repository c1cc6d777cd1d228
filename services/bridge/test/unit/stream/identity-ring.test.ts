import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdentityRing, RING_LARGEST, RING_MS } from '../../../src/stream/identity-ring.ts';

function digest(n: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, Math.imul(n, 0x9e3779b1));
  new DataView(bytes.buffer).setUint32(12, n);
  return bytes;
}

describe('the ring of identities', () => {
  it('gives each entry out once: two equal messages stay two', () => {
    const ring = new IdentityRing();
    ring.add(digest(1), 0);
    ring.add(digest(1), 1);
    ring.add(digest(2), 2);
    expect([ring.take(digest(1), 3), ring.take(digest(1), 3), ring.take(digest(1), 3)]).toEqual([true, true, false]);
    expect(ring.size).toBe(1);
  });

  it('forgets the oldest beyond 65,536, and everything after ten minutes', () => {
    const ring = new IdentityRing();
    for (let n = 0; n < RING_LARGEST + 10; n++) ring.add(digest(n), n / 1000);
    expect(ring.size).toBe(RING_LARGEST);
    expect(ring.take(digest(9), 100)).toBe(false);
    expect(ring.take(digest(10), 100)).toBe(true);
    expect(ring.take(digest(RING_LARGEST + 9), 100)).toBe(true);
    ring.prune(RING_MS + 66);
    expect(ring.size).toBe(0);
    expect(ring.take(digest(RING_LARGEST), RING_MS + 66)).toBe(false);
  });

  it('does what a plain list of the same entries does', () => {
    const step = fc.record({ n: fc.nat(40), take: fc.boolean(), ms: fc.nat(RING_MS / 20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const ring = new IdentityRing();
        let plain: { n: number; at: number }[] = [];
        let now = 0;
        for (const { n, take, ms } of steps) {
          now += ms;
          plain = plain.filter(({ at }) => now - at < RING_MS);
          if (take) {
            const index = plain.findLastIndex((entry) => entry.n === n);
            expect(ring.take(digest(n), now)).toBe(index >= 0);
            if (index >= 0) plain.splice(index, 1);
          } else {
            ring.add(digest(n), now);
            plain.push({ n, at: now });
          }
        }
        ring.prune(now);
        expect(ring.size).toBe(plain.length);
        const found: number[] = [];
        ring.forEach((bytes) => {
          found.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(12));
        });
        expect(found).toEqual(plain.map(({ n }) => n));
      }),
    );
  });
});
