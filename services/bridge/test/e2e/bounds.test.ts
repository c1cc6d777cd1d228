import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { noNodes, watchFor, westToEast, within } from './network.ts';

const mebibyte = 1024 * 1024;

describe.skipIf(noNodes())('bounds', () => {
  test.for([1, 10])(
    'large messages for a slow consumer with prefetch %i stay out of memory',
    async (prefetch, context) => {
      const { west, east, network } = await westToEast();
      await Promise.all([west.declare('large'), east.declare('large')]);
      const body = Buffer.alloc(8 * mebibyte, 'x');
      const published = west.publish('large', 60, { body: () => body, window: 4 });
      const consumer = await east.consume('large', { prefetch, delayMs: 20 * prefetch, forget: true });
      await published;
      await consumer.wait(60, 50_000);
      const peaks = [await network.bridge('west').peakMemory(), await network.bridge('east').peakMemory()];
      await context.annotate(`peaks: ${peaks.map((peak) => `${peak.toFixed(0)} MiB`).join(' and ')}`);
      for (const peak of peaks) expect(peak).toBeLessThan(600);
    },
  );

  test('a thousand queues are all served, and cost next to nothing once they are empty', async (context) => {
    const { west, east, network } = await westToEast();
    const queues = Array.from({ length: 1_000 }, (_, index) => `q.${index}`);
    for (const site of [west, east]) {
      const channel = await (await site.connect()).createChannel();
      await Promise.all(queues.map((queue) => channel.assertQueue(queue, { durable: true })));
    }
    const publishing = await (await west.connect()).createConfirmChannel();
    for (const queue of queues) publishing.sendToQueue(queue, Buffer.from(queue), { persistent: true });
    await publishing.waitForConfirms();
    const served = new Set<string>();
    const consuming = await (await east.connect()).createChannel();
    await consuming.prefetch(10);
    const before = performance.now();
    for (const queue of queues) {
      await consuming.consume(queue, (message) => {
        if (!message) return;
        served.add(message.content.toString());
        consuming.ack(message);
      });
    }
    await awaitUntil('all are served', () => served.size === 1_000, within(60_000));
    const took = (performance.now() - before) / 1000;
    await awaitUntil(
      'all is settled',
      async () => (await network.bridge('west').metric('tombolo_messages_unsettled')) === 0,
      within(60_000),
    );
    // Idle from here on, once the lists of consumers have caught up with the events.
    const bridges = [network.bridge('west'), network.bridge('east')];
    const busy = () => Promise.all(bridges.map((bridge) => bridge.processorSeconds()));
    await watchFor(12_000, () => {}, 1_000);
    const [start, since] = [await busy(), performance.now()];
    await watchFor(10_000, () => {}, 1_000);
    const end = await busy();
    const shares = end.map((seconds, index) => (seconds - start[index]!) / ((performance.now() - since) / 1000));
    await context.annotate(
      `1000 queues served in ${took.toFixed(1)} s; idle: ${shares.map((share) => `${(share * 100).toFixed(1)} %`).join(' and ')} of a core`,
    );
    for (const share of shares) expect(share).toBeLessThan(0.1);
  });
});
