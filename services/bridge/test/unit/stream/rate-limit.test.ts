import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RateLimiter } from '../../../src/stream/rate-limit.ts';

const messages = (messagesPerSecond: number) => ({ messagesPerSecond, bytesPerSecond: undefined });
const bytes = (bytesPerSecond: number) => ({ messagesPerSecond: undefined, bytesPerSecond });

/** Takes as often as it is let, and returns how often that was. */
function takeAll(limiter: RateLimiter<string>, who: string, now: number, size = 1): number {
  const { take } = limiter.for(who);
  let taken = 0;
  while (taken < 10_000 && take(size, now)) taken++;
  return taken;
}

describe('a rate limit', () => {
  it('lets a second’s worth pass at once, and then what each moment brings', () => {
    const limiter = new RateLimiter<string>(messages(200), 0);
    expect(takeAll(limiter, 'a', 0)).toBe(200);
    expect(limiter.nextAt).toBe(5);
    const served: number[] = [];
    for (let now = 5; now <= 1_005; now += 100) limiter.serve(now, (who) => served.push(takeAll(limiter, who, now)));
    expect(served).toEqual([1, ...Array.from({ length: 10 }, () => 20)]);
  });

  it('lets one message pass also when it brings less than one in a second', () => {
    const limiter = new RateLimiter<string>(messages(0.1), 0);
    expect(takeAll(limiter, 'a', 0)).toBe(1);
    expect(limiter.nextAt).toBe(10_000);
    expect(limiter.for('a').prefetch(0)).toBe(1);
  });

  it('lets a message pass that is larger than a second’s worth, and pays for it afterwards', () => {
    const limiter = new RateLimiter<string>(bytes(1_000), 0);
    expect(takeAll(limiter, 'a', 0, 5_000)).toBe(1);
    expect(limiter.nextAt).toBe(5_000);
  });

  it('counts messages and bytes, whichever is reached first', () => {
    const limiter = new RateLimiter<string>({ messagesPerSecond: 10, bytesPerSecond: 1_000 }, 0);
    expect(takeAll(limiter, 'a', 0, 500)).toBe(2);
    const other = new RateLimiter<string>({ messagesPerSecond: 10, bytesPerSecond: 1_000 }, 0);
    expect(takeAll(other, 'a', 0, 5)).toBe(10);
    expect(other.for('a').text).toBe('10 messages/s and 1000 bytes/s');
  });

  it('wants about a second’s worth of messages in memory, whatever their size', () => {
    const { prefetch } = new RateLimiter<string>({ messagesPerSecond: 500, bytesPerSecond: 10_000 }, 0).for('a');
    expect([prefetch(0), prefetch(1), prefetch(100), prefetch(1e6)]).toEqual([500, 500, 100, 1]);
  });

  it('is shared in turn: nobody who waits is passed over, however often the others ask', () => {
    const limiter = new RateLimiter<string>(messages(1), 0);
    const order: string[] = [];
    expect(takeAll(limiter, 'a', 0)).toBe(1);
    for (const who of ['b', 'c']) expect(takeAll(limiter, who, 0)).toBe(0);
    for (let now = 1_000; now <= 6_000; now += 1_000) {
      for (const eager of ['c', 'a', 'b']) expect(takeAll(limiter, eager, now)).toBe(0);
      limiter.serve(now, (who) => {
        expect(takeAll(limiter, who === 'a' ? 'c' : 'a', now)).toBe(0);
        if (takeAll(limiter, who, now) > 0) order.push(who);
      });
    }
    expect(order).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('does not wait for somebody who is called and takes nothing', () => {
    const limiter = new RateLimiter<string>(messages(1), 0);
    takeAll(limiter, 'gone', 0);
    takeAll(limiter, 'b', 0);
    const served: string[] = [];
    limiter.serve(1_000, (who) => {
      if (who === 'b' && limiter.for(who).take(1, 1_000)) served.push(who);
    });
    expect(served).toEqual(['b']);
    expect(limiter.nextAt).toBe(Number.POSITIVE_INFINITY);
  });

  it('never lets more pass in any time than the rate brings and one burst, and keeps nobody waiting for good', () => {
    const asks = fc.array(fc.record({ wait: fc.nat(300), who: fc.constantFrom('a', 'b', 'c'), size: fc.nat(3_000) }), {
      maxLength: 200,
    });
    const limits = fc.record({
      messagesPerSecond: fc.double({ min: 0.5, max: 500, noNaN: true }),
      bytesPerSecond: fc.integer({ min: 1, max: 100_000 }),
    });
    fc.assert(
      fc.property(limits, asks, (limit, all) => {
        const limiter = new RateLimiter<string>(limit, 0);
        const passed: { at: number; size: number }[] = [];
        const wanted = new Map<string, number[]>();
        let now = 0;
        const ask = (who: string): void => {
          const sizes = wanted.get(who) ?? [];
          while (sizes.length > 0 && limiter.for(who).take(sizes[0]!, now))
            passed.push({ at: now, size: sizes.shift()! });
        };
        for (const { wait, who, size } of all) {
          now += wait;
          wanted.set(who, [...(wanted.get(who) ?? []), size]);
          ask(who);
          if (now >= limiter.nextAt) limiter.serve(now, ask);
        }
        for (let turn = 0; limiter.nextAt !== Number.POSITIVE_INFINITY; turn++) {
          expect(turn).toBeLessThan(10_000);
          now = Math.max(now, limiter.nextAt);
          limiter.serve(now, ask);
        }
        expect(passed).toHaveLength(all.length);
        const largest = Math.max(0, ...passed.map(({ size }) => size));
        passed.forEach(({ at: from }, first) => {
          let sum = 0;
          passed.slice(first).forEach(({ at, size }, index) => {
            const seconds = (at - from) / 1000;
            sum += size;
            const burst = Math.max(1, limit.messagesPerSecond);
            expect(index + 1).toBeLessThanOrEqual(limit.messagesPerSecond * seconds + burst + 1e-6);
            const room = Math.max(limit.bytesPerSecond, largest);
            expect(sum).toBeLessThanOrEqual(limit.bytesPerSecond * seconds + room + 1e-3);
          });
        });
      }),
      { numRuns: 200 },
    );
  });
});
