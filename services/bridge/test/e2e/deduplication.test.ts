import { awaitUntil } from '@tombolo/testing/await-until';
import { type RedisNode, redisMissing, startRedis } from '@tombolo/testing/redis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { allArrived, type Network, noNodes, tally, westToEast, within } from './network.ts';

const count = 10_000;
const kills = 5;
/** What is confirmed at the sink is known at the source so much later (ms). */
const oneWayMs = 100;

type Kill = (network: Network) => Promise<void>;

const killAndStart = async (network: Network, cluster: string) => {
  await network.bridge(cluster).kill();
  await network.start(cluster);
};

/** Numbered messages, every other one with an id, over a long way; bridges are killed again and again. How many came twice. */
async function doubledBy(kill: Kill, deduplication: object) {
  const { west, east, network } = await westToEast(
    { prefetchSize: 1_000 },
    { proxied: { link: ['west', 'east'] }, east: { bridge: { deduplication } } },
  );
  for (const proxy of network.linkProxies.values()) proxy.delay(oneWayMs);
  await Promise.all([west.declare('q'), east.declare('q')]);
  const consumer = await east.consume('q', { prefetch: 1_000 });
  const published = west.publish('q', count, {
    properties: (index) => ({ persistent: true, ...(index % 2 === 0 && { messageId: String(index) }) }),
  });
  published.catch(() => {});
  let counted = 0;
  const countAgain = async () => {
    const labels = { reason: 'published_again' };
    counted += await network.bridge('east').metric('tombolo_possible_duplicates_total', labels);
  };
  for (let round = 1; round <= kills; round++) {
    await awaitUntil(
      'so many different messages',
      () => new Set(consumer.bodies()).size >= (count * round) / (kills + 1),
      within(60_000),
    );
    await countAgain();
    // Each time at another moment of the round trip, which the window is as large as.
    await new Promise((resolve) => setTimeout(resolve, (round * 2 * oneWayMs) / kills));
    await kill(network);
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
  await countAgain();
  const { lost, doubled, strange } = tally(consumer.bodies(), count);
  expect({ lost, strange }).toEqual({ lost: 0, strange: 0 });
  await Promise.all([...network.bridges.values()].map((bridge) => bridge.stop()));
  return { doubled, counted };
}

describe.skipIf(noNodes() || redisMissing() !== undefined)('duplicates, with the record in Redis', () => {
  let redis: RedisNode;

  const killed: [string, Kill][] = [
    ['a sink bridge that is killed', (network) => killAndStart(network, 'east')],
    [
      'a pair of bridges that is killed at once',
      async (network) => {
        await Promise.all(['west', 'east'].map((cluster) => killAndStart(network, cluster)));
      },
    ],
  ];
  test.each(killed)(
    '%s five times in mid-stream doubles far fewer messages with Redis than without',
    async (what, kill) => {
      redis = await startRedis();
      onTestFinished(() => redis.stop());
      const without = await doubledBy(kill, { type: 'memory' });
      const withIt = await doubledBy(kill, { type: 'redis', uri: redis.uri });
      const figures = (run: typeof without) => `${run.doubled} doubled (${run.counted} counted)`;
      process.stdout.write(
        `${count} messages, ${kills} times ${what}: ${figures(without)} without Redis, ${figures(withIt)} with\n`,
      );
      expect(withIt.doubled).toBeLessThanOrEqual(without.doubled / 2);
    },
    240_000,
  );

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
