import { awaitUntil } from '@tombolo/testing/await-until';
import { type RedisNode, redisMissing, startRedis } from '@tombolo/testing/redis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { allArrived, noNodes, tally, westToEast, within } from './network.ts';

const count = 10_000;
const kills = 5;
/** The window of the stream: what can be on its way to a sink that is killed. */
const prefetchSize = 1_000;

/** Numbered messages, every other one with an id, while the bridge of the sink is killed again and again; how many came twice. */
async function killedSink(deduplication: object) {
  const { west, east, network } = await westToEast(
    { prefetchSize },
    { east: { bridge: { deduplication, metrics: { destinations: ['q'] } } } },
  );
  await Promise.all([west.declare('q'), east.declare('q')]);
  const consumer = await east.consume('q', { prefetch: 1_000 });
  const published = west.publish('q', count, {
    properties: (index) => ({ persistent: true, ...(index % 2 === 0 && { messageId: String(index) }) }),
  });
  published.catch(() => {});
  let published_again = 0;
  for (let round = 1; round <= kills; round++) {
    await consumer.wait(Math.floor((count * round) / (kills + 1)), 60_000);
    await network.bridge('east').kill();
    await network.start('east');
    await network.bridge('east').ready();
    const want = Math.floor((count * round) / (kills + 1)) + 100;
    await consumer.wait(want, 60_000);
    published_again += await network
      .bridge('east')
      .metric('tombolo_possible_duplicates_total', { reason: 'published_again' });
  }
  await published;
  await allArrived([consumer], count, 60_000);
  await awaitUntil(
    'all is acknowledged and consumed',
    async () =>
      (await network.bridge('west').metric('tombolo_messages_unsettled')) === 0 &&
      (await west.ready('q')) === 0 &&
      (await east.ready('q')) === 0,
    within(30_000),
  );
  const { lost, doubled, strange } = tally(consumer.bodies(), count);
  expect({ lost, strange }).toEqual({ lost: 0, strange: 0 });
  return { west, east, network, consumer, doubled, published_again };
}

describe.skipIf(noNodes() || redisMissing() !== undefined)('duplicates, with the record in Redis', () => {
  let redis: RedisNode;

  test('a sink bridge that is killed five times doubles far fewer messages with Redis than without', async (context) => {
    redis = await startRedis();
    onTestFinished(() => redis.stop());
    const without = await killedSink({ type: 'memory' });
    const withRedis = await killedSink({ type: 'redis', uri: redis.uri });
    const told = { without: without.doubled, with: withRedis.doubled, kills };
    await context.annotate(
      `${count} messages, ${kills} kills: ${without.doubled} doubled without Redis (${without.published_again} counted), ${withRedis.doubled} with (${withRedis.published_again} counted)`,
    );
    process.stdout.write(
      `${JSON.stringify({ ...told, countedWithout: without.published_again, countedWith: withRedis.published_again })}\n`,
    );
    expect(withRedis.doubled).toBeLessThanOrEqual(without.doubled / 2);
  }, 240_000);

  test('without its Redis a bridge forwards on, says so, counts the risk, and records again when it is back', async () => {
    redis = await startRedis();
    onTestFinished(() => redis.stop());
    const deduplication = { type: 'redis', uri: redis.uri };
    const { west, east, network } = await westToEast({}, { east: { bridge: { deduplication } } });
    await Promise.all([west.declare('q'), east.declare('q')]);
    const consumer = await east.consume('q', { prefetch: 100 });
    const bridge = network.bridge('east');
    const recorded = async () => (await bridge.metric('tombolo_deduplication_up')) === 1;
    const notes = async () => ((await bridge.get('/api/v1/status')) as { notes: string[] }).notes.join('\n');
    await west.publish('q', 100);
    await consumer.wait(100);
    await awaitUntil('it is recorded', recorded, within(10_000));
    expect(await bridge.metric('tombolo_possible_duplicates_total')).toBe(0);

    redis.freeze();
    await west.publish('q', 100, { from: 100 });
    await consumer.wait(200);
    await awaitUntil('the silence is noticed', async () => !(await recorded()), within(10_000));
    await west.publish('q', 100, { from: 200 });
    await consumer.wait(300);
    expect(await notes()).toContain('not written');
    expect(await bridge.metric('tombolo_possible_duplicates_total', { reason: 'unrecorded' })).toBeGreaterThanOrEqual(
      100,
    );

    redis.thaw();
    await awaitUntil('it is recorded again', recorded, within(10_000));
    await redis.restart();
    await west.publish('q', 100, { from: 300 });
    await consumer.wait(400);
    await awaitUntil('it is recorded again', async () => (await redis.command('DBSIZE')) !== '0', within(10_000));
    expect(tally(consumer.bodies(), 400)).toEqual({ lost: 0, doubled: 0, strange: 0 });
    const said = (await bridge.output())
      .split('\n')
      .filter((line) => line.includes('what is in doubt is not recorded'));
    expect(said.length).toBeLessThanOrEqual(2);
  }, 90_000);
});
