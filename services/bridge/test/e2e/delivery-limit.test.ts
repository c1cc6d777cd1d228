import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { noNodes, type Site, watchFor, westToEast, within } from './network.ts';

const count = 300;
const limit = 3;

/** What waits in the queue, by how often the queue has taken it back. */
async function takenBack(site: Site, queue: string, ready: number): Promise<Record<string, number>> {
  const consumer = await site.consume(queue, { prefetch: 0, acknowledge: false });
  await consumer.wait(ready);
  const times: Record<string, number> = {};
  for (const { message } of consumer.got) {
    const header: unknown = message.properties.headers?.['x-delivery-count'];
    const key = String(header ?? 0);
    times[key] = (times[key] ?? 0) + 1;
  }
  await consumer.close();
  return times;
}

describe.skipIf(noNodes())('a quorum queue with a delivery limit', () => {
  test('is not spent by bridges: what each fault costs of a limit of three', async (context) => {
    const { west, east, network } = await westToEast(
      { holdWhenLinkLost: '2s' },
      { proxied: { link: ['west', 'east'], broker: ['west'] } },
    );
    const links = [...network.linkProxies.values()];
    const bridge = () => network.bridge('west');
    const unsettled = () => bridge().metric('tombolo_messages_unsettled');
    /**
     * By fault: what is done, and how many deliveries it may cost at most, besides the one for what is under way when the last
     * consumer leaves after it: that goes back once.
     */
    const faults: Record<string, { readonly costs: number; readonly act: (queue: string) => Promise<void> }> = {
      none: { costs: 0, act: async () => {} },
      'paused, resumed': {
        costs: 0,
        act: async () => {
          await bridge().post('/api/v1/connectors/west-east/pause');
          await awaitUntil('all is settled', async () => (await unsettled()) === 0, within(60_000));
          await bridge().post('/api/v1/connectors/west-east/resume');
        },
      },
      'source stopped': {
        costs: 0,
        act: async () => {
          expect(await bridge().stop()).toBe(0);
          await (await network.start('west')).ready();
        },
      },
      'sink stopped': {
        costs: 0,
        act: async () => {
          expect(await network.bridge('east').stop()).toBe(0);
          await (await network.start('east')).ready();
        },
      },
      'link cut': {
        costs: 1,
        act: async () => {
          for (const link of links) link.cut();
        },
      },
      'link away, hold over': {
        costs: 1,
        act: async () => {
          for (const link of links) link.down();
          await awaitUntil('what was held is given back', async () => (await unsettled()) === 0, within(60_000));
          for (const link of links) link.up();
        },
      },
      'sink queue deleted': {
        costs: 1,
        act: async (queue) => void (await east.api('DELETE', `/queues/${east.vhost}/${queue}`)),
      },
      'source killed': {
        costs: 1,
        act: async () => {
          await bridge().kill();
          await (await network.start('west')).ready();
        },
      },
      'broker connection broken': {
        costs: 1,
        act: async () => network.brokerProxies.get('west')!.cut(),
      },
    };
    const table: string[] = [];
    for (const [index, [fault, { costs, act }]] of Object.entries(faults).entries()) {
      const queue = `limited-${index}`;
      const quorum = { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': limit } };
      await Promise.all([west.declare(queue, quorum), east.declare(queue)]);
      const consumer = await east.consume(queue, { prefetch: 10, delayMs: 5 });
      await west.publish(queue, count, {
        properties: (number) => ({ persistent: true, messageId: `${queue}.${number}` }),
      });
      await consumer.wait(40);
      await act(queue);
      await network.linked('west', 'east');
      await consumer.close();
      const gone = async () => (await bridge().rows('streams', queue)).length === 0 && (await unsettled()) === 0;
      await awaitUntil(`${fault}: the stream has ended`, gone, within(60_000));
      const seen = await watchFor(300, () => west.ready(queue));
      const ready = seen.at(-1)!;
      const times = await takenBack(west, queue, ready);
      table.push(`${fault}: ${JSON.stringify(times)}`);
      const most = Math.max(0, ...Object.keys(times).map(Number));
      expect(most, `${fault} ${JSON.stringify(times)}`).toBeLessThanOrEqual(costs + 1);
      if (fault !== 'sink queue deleted') {
        const arrived = new Set(consumer.bodies()).size;
        expect(ready + arrived + (await east.ready(queue)), fault).toBeGreaterThanOrEqual(count);
      }
    }
    await context.annotate(table.join(' · '));
  });

  test('whose messages were given back too often already is warned of, as a metric and in the log', async () => {
    const { west, east, network } = await westToEast();
    const quorum = { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': limit } };
    await Promise.all([west.declare('q', quorum), east.declare('q')]);
    await west.publish('q', 5);
    for (let time = 1; time < limit; time++) {
      const consumer = await west.consume('q', { acknowledge: false });
      await consumer.wait(5);
      await consumer.close();
    }
    const consumer = await east.consume('q');
    await consumer.wait(5);
    const near = () => network.bridge('west').metric('tombolo_messages_near_delivery_limit_total', { peer: 'east' });
    expect(await near()).toBe(5);
    const output = await network.bridge('west').output();
    expect(output).toContain('a queue with a low delivery limit is bridged');
    expect(output).toContain('messages are near the delivery limit of their queue');
    // The source's count is not the sink's.
    expect(consumer.got[0]!.message.properties.headers).not.toHaveProperty('x-delivery-count');
  });
});
