import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { exactlyOnce, noNodes, tally, watchFor, westToEast, within } from './network.ts';

/** Takes milliseconds from `since` on. */
const elapsed = (since: number): number => performance.now() - since;

describe.skipIf(noNodes())('a rate limit', () => {
  test('of 200 messages a second lets 1,000 messages arrive, each once, in no less than four seconds', async (context) => {
    const { west, east, network } = await westToEast({ rateLimit: { messages: '200/s' } });
    await Promise.all([west.declare('q'), east.declare('q')]);
    await west.publish('q', 1_000);
    const since = performance.now();
    const consumer = await east.consume('q');
    await awaitUntil(
      'west says why',
      async () =>
        String((await network.bridge('west').rows('streams', 'q'))[0]?.['blockedBy']).startsWith('rate limit'),
      within(60_000),
    );
    // A second's worth is on its way at most: the rest waits in west's queue.
    const held = await watchFor(1_000, async () => 1_000 - (await west.ready('q')) - consumer.got.length);
    await consumer.wait(1_000);
    const ms = elapsed(since);
    await context.annotate(`${Math.round(ms)} ms, at most ${Math.max(...held)} on their way`);
    expect(ms).toBeGreaterThan(4_000);
    expect(ms).toBeLessThan(15_000);
    expect(Math.max(...held)).toBeLessThanOrEqual(2 * 200);
    expect(tally(consumer.bodies(), 1_000)).toEqual(exactlyOnce);
  });

  test('of a connector is shared by its queues in turn, and an entry with its own is not part of it', async () => {
    const { west, east } = await westToEast({
      rateLimit: { messages: '100/s' },
      dynamicallyIncludedDestinations: [{ queue: 'own', rateLimit: { messages: '100000/s' } }, { queue: '>' }],
    });
    const queues = ['a', 'b', 'own'];
    for (const queue of queues) {
      await Promise.all([west.declare(queue), east.declare(queue)]);
      await west.publish(queue, 300);
    }
    const since = performance.now();
    const [a, b, own] = await Promise.all(queues.map((queue) => east.consume(queue)));
    await own!.wait(300, 10_000);
    const freed = elapsed(since);
    await a!.wait(150);
    // Neither is far ahead of the other while both have messages.
    expect(Math.abs(a!.got.length - b!.got.length)).toBeLessThanOrEqual(120);
    await Promise.all([a!.wait(300), b!.wait(300)]);
    expect(elapsed(since)).toBeGreaterThan(5_000);
    expect(freed).toBeLessThan(4_000);
    for (const consumer of [a!, b!, own!]) expect(tally(consumer.bodies(), 300)).toEqual(exactlyOnce);
  });

  test('in bytes holds for large messages, also for one that is larger than a second brings', async () => {
    const { west, east } = await westToEast({ rateLimit: { bytes: '100kB/s' } });
    await Promise.all([west.declare('q'), east.declare('q')]);
    await west.publish('q', 5, { body: () => Buffer.alloc(150_000) });
    const since = performance.now();
    const consumer = await east.consume('q', { forget: true });
    await consumer.wait(5);
    // The first is paid for afterwards: 750 kB less the burst and the last, which may be larger than it.
    expect(elapsed(since)).toBeGreaterThan(5_500);
  });

  test('ends with the demand: what waited for its turn is in its queue again', async () => {
    const { west, east } = await westToEast({ rateLimit: { messages: '20/s' } });
    await Promise.all([west.declare('q'), east.declare('q')]);
    await west.publish('q', 500);
    const consumer = await east.consume('q');
    await consumer.wait(50);
    await consumer.close();
    await awaitUntil(
      'all are in a queue',
      async () => (await west.ready('q')) + (await east.ready('q')) + consumer.got.length === 500,
      within(60_000),
    );
    expect(await east.ready('q')).toBeLessThanOrEqual(100);
  });
});
