import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { awaitUntil } from '@tombolo/testing/await-until';
import { prometheusMissing, startPrometheus } from '@tombolo/testing/prometheus';
import { redisMissing, startRedis } from '@tombolo/testing/redis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { infra, queriesOf, readDashboard } from '../dashboard.ts';
import { noNodes, westToEast, within } from './network.ts';

const ruleFiles = readdirSync(new URL('prometheus/', infra))
  .filter((name) => name.endsWith('.yml'))
  .map((name) => fileURLToPath(new URL(`prometheus/${name}`, infra)));
/** Shown only where there is TLS, of which this network has none. */
const needsTls = 'Certificates run out in';

describe.skipIf(noNodes() || prometheusMissing() || redisMissing())('what Prometheus sees of two bridges', () => {
  test('every panel shows something and no alert is near while all is well; what waits is told with its age and reason, a lost link is an alert', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const bridge = (cluster: string) => ({
      metrics: { destinations: ['orders'] },
      election: { type: 'redis', uri: redis.uri, prefix: cluster },
      deduplication: { type: 'redis', uri: redis.uri },
    });
    const { west, east, network } = await westToEast(
      { dynamicallyIncludedDestinations: [{ queue: 'orders' }, { exchange: 'events' }] },
      { west: { bridge: bridge('west') }, east: { bridge: bridge('east') } },
    );
    const targets = ['west', 'east'].map((name) => network.bridge(name).admin.slice('http://'.length));
    const prometheus = await startPrometheus(targets, ruleFiles);
    onTestFinished(() => prometheus.stop());
    const total = async (expression: string) =>
      (await prometheus.query(`sum(${expression})`)).reduce((sum, { value }) => sum + value, 0);

    for (const site of [west, east]) {
      await site.declare('orders');
      await site.api('PUT', `/exchanges/${site.vhost}/events`, { type: 'topic', durable: true });
    }
    await east.declare('subscriber');
    await east.api('POST', `/bindings/${east.vhost}/e/events/q/subscriber`, { routing_key: '#' });
    const consumer = await east.consume('orders', { forget: true });
    const made = Math.floor(Date.now() / 1000) - 30;
    const publish = (count: number) =>
      west.publish('orders', count, { properties: () => ({ persistent: true, timestamp: made }) });
    await publish(500);
    await consumer.wait(500);
    const producer = await (await west.connect()).createChannel();

    const empty = new Set(queriesOf(readDashboard()).map(({ panel }) => panel));
    await awaitUntil(
      'every panel but one has data',
      async () => {
        await publish(20);
        producer.publish('events', 'price', Buffer.from('1'), { persistent: true });
        for (const { panel, expression } of queriesOf(readDashboard())) {
          if (!empty.has(panel)) continue;
          const samples = await prometheus.query(expression);
          if (samples.some(({ value }) => Number.isFinite(value))) empty.delete(panel);
        }
        return empty.size <= 1;
      },
      { withinMs: 60_000, everyMs: 1_000 },
    ).catch((error: unknown) => {
      throw new Error(`nothing in ${[...empty].join(', ')}`, { cause: error });
    });
    expect([...empty]).toEqual([needsTls]);
    expect(await prometheus.query('ALERTS')).toEqual([]);

    const delays = {
      count: await total('tombolo_end_to_end_delay_seconds_count'),
      sum: await total('tombolo_end_to_end_delay_seconds_sum'),
    };
    expect(delays.count).toBeGreaterThanOrEqual(500);
    expect(delays.sum / delays.count).toBeGreaterThan(29);
    expect(delays.sum / delays.count).toBeLessThan(120);
    await awaitUntil(
      'all is compared',
      async () =>
        (await total('tombolo_messages_reconciled_total')) === (await total('tombolo_messages_forwarded_total')),
      within(60_000),
    );
    expect(await total('tombolo_reconciliation_difference')).toBe(0);

    await network.bridge('west').post('/api/v1/connectors/west-east/pause');
    await publish(3);
    for (let i = 0; i < 10; i++) producer.publish('events', 'price', Buffer.alloc(100), { persistent: true });
    const paused = { reason: 'paused', peer: 'east', destination: 'orders' };
    await awaitUntil(
      'it is told for how long the messages wait, and why',
      async () =>
        (await network.bridge('west').metric('tombolo_oldest_unforwarded_message_age_seconds', paused)) > 1 &&
        (await network.bridge('west').metric('tombolo_stream_blocked_seconds_total', paused)) > 1,
      within(60_000),
    );

    await awaitUntil(
      'it is told what the topic buffer holds',
      async () => (await network.bridge('west').metric('tombolo_topic_buffer_bytes')) >= 1_000,
      within(60_000),
    );

    await network.bridge('east').kill();
    await awaitUntil(
      'the alert is on its way',
      async () => (await prometheus.query('ALERTS{alertname="TomboloLinkDown", broker_cluster="west"}')).length === 1,
      within(60_000),
    );
  });
});
