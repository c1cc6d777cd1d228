import { awaitUntil } from '@tombolo/testing/await-until';
import { type RedisNode, redisMissing, startRedis } from '@tombolo/testing/redis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { allArrived, noNodes, tally, westToEast, within } from './network.ts';

const count = 400;
/** What is confirmed at the sink is known at the source so much later (ms). */
const oneWayMs = 500;

describe.skipIf(noNodes() || redisMissing() !== undefined)('duplicates, with the record in Redis', () => {
  let redis: RedisNode;

  test('both bridges are killed before the source knows what the sink has stored: nothing is lost, nothing is doubled', async () => {
    redis = await startRedis();
    onTestFinished(() => redis.stop());
    const deduplication = { type: 'redis', uri: redis.uri };
    const { west, east, network } = await westToEast(
      {},
      { proxied: { link: ['west', 'east'] }, east: { bridge: { deduplication } } },
    );
    await Promise.all([west.declare('q'), east.declare('q')]);
    for (const proxy of network.linkProxies.values()) proxy.delay(oneWayMs);
    // A node that was started just now may have been restarted since messages without an id were acknowledged.
    const uptime = async () => ((await west.api('GET', '/nodes')) as { uptime?: number }[])[0]?.uptime ?? 0;
    await awaitUntil('the node has been running for long', async () => (await uptime()) > 40_000, within(60_000));
    const consumer = await east.consume('q', { prefetch: 500 });
    // Half of them without an id: the record tells them apart all the same.
    const properties = (index: number) => ({ persistent: true, ...(index % 2 === 0 && { messageId: String(index) }) });
    await west.publish('q', count, { properties });
    const unsettled = () => network.bridge('west').metric('tombolo_messages_unsettled');
    const record = async () => (await redis.command('HGETALL', await doubtKey())).length;
    const doubtKey = async () => (await redis.command('KEYS', '*:doubt:*queue*')).split(/\s+/).at(-1)!;
    let before = 0;
    await awaitUntil(
      'many are stored and recorded, and not settled',
      async () => {
        const [now, open] = [await record(), await unsettled()];
        const rests = now > 0 && now === before;
        before = now;
        return rests && consumer.got.length === count && open >= 100;
      },
      within(60_000),
    );
    await Promise.all(['west', 'east'].map((name) => network.bridge(name).kill()));
    await Promise.all(['west', 'east'].map((name) => network.start(name)));
    await allArrived([consumer], count, 60_000);
    await awaitUntil(
      'nothing is left',
      async () => (await west.ready('q')) === 0 && (await unsettled()) === 0,
      within(60_000),
    );
    expect(tally(consumer.bodies(), count)).toEqual({ lost: 0, doubled: 0, strange: 0 });
    expect(await network.bridge('west').metric('tombolo_duplicates_suppressed_total')).toBeGreaterThanOrEqual(100);
  });

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
    await awaitUntil('it is recorded', recorded, within(60_000));
    expect(await bridge.metric('tombolo_possible_duplicates_total')).toBe(0);

    redis.freeze();
    await west.publish('q', 100, { from: 100 });
    await consumer.wait(200);
    await awaitUntil('the silence is noticed', async () => !(await recorded()), within(60_000));
    await west.publish('q', 100, { from: 200 });
    await consumer.wait(300);
    expect(await notes()).toContain('not written');
    expect(await bridge.metric('tombolo_possible_duplicates_total', { reason: 'unrecorded' })).toBeGreaterThanOrEqual(
      100,
    );

    redis.thaw();
    await awaitUntil('it is recorded again', recorded, within(60_000));
    await redis.restart();
    await west.publish('q', 100, { from: 300 });
    await consumer.wait(400);
    await awaitUntil('it is recorded again', async () => (await redis.command('DBSIZE')) !== '0', within(60_000));
    expect(tally(consumer.bodies(), 400)).toEqual({ lost: 0, doubled: 0, strange: 0 });
    const said = (await bridge.output())
      .split('\n')
      .filter((line) => line.includes('what is in doubt is not recorded'));
    expect(said.length).toBeLessThanOrEqual(2);
  });
});
