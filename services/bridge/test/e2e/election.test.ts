import { awaitUntil } from '@tombolo/testing/await-until';
import { freePorts } from '@tombolo/testing/free-port';
import { type RedisNode, redisMissing, startRedis } from '@tombolo/testing/redis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { allArrived, type BridgeProcess, exactlyOnce, Network, noNodes, Site, tally, within } from './network.ts';

const leaseMs = 1_000;
const messages = 12_000;

describe.skipIf(noNodes() || redisMissing())('bridges that a lease in Redis elects', () => {
  test('when the master is killed the standby takes over, and its peer finds it among the addresses: nothing lost, nothing doubled', async () => {
    const { west, east, first, second, network } = await replicated();
    const consumer = await loaded(west, east);
    await consumer.wait(3_000);
    expect(await second.status()).toMatchObject({ role: 'standby', election: { type: 'redis', holder: 'first' } });
    await first.kill();
    await isMaster(second);
    await allArrived([consumer], messages, 40_000);
    expect(tally(consumer.bodies(), messages)).toEqual(exactlyOnce);
    expect(await second.metric('tombolo_lease_remaining_seconds')).toBeGreaterThan(0);
    expect((await network.bridge('east').status()).links).toMatchObject([{ peer: 'west', up: true }]);
  });

  test('a master that is paused for longer than its lease and wakes up does no harm', async () => {
    const { west, east, first, second } = await replicated();
    const consumer = await loaded(west, east);
    await consumer.wait(2_000);
    process.kill(first.pid, 'SIGSTOP');
    onTestFinished(() => {
      if (first.running) process.kill(first.pid, 'SIGCONT');
    });
    await isMaster(second);
    await consumer.wait(4_000);
    process.kill(first.pid, 'SIGCONT');
    await awaitUntil('the first knows', async () => (await first.status()).role === 'standby', within(60_000));
    await allArrived([consumer], messages, 40_000);
    expect(tally(consumer.bodies(), messages)).toEqual(exactlyOnce);
    expect(await rolesOf(first, second)).toEqual(['standby', 'master']);
  });

  test('without Redis nobody works, and with it one goes on: nothing lost, nothing doubled', async () => {
    const { west, east, first, second, redis } = await replicated();
    const consumer = await loaded(west, east);
    await consumer.wait(2_000);
    await redis.kill();
    await awaitUntil('nobody works', async () => !(await rolesOf(first, second)).includes('master'), within(60_000));
    expect((await first.status()).roleReason).toMatch(/Redis/);
    await redis.restart();
    await awaitUntil('one works', async () => (await rolesOf(first, second)).includes('master'), within(60_000));
    await allArrived([consumer], messages, 40_000);
    expect(tally(consumer.bodies(), messages)).toEqual(exactlyOnce);
    expect((await rolesOf(first, second)).filter((role) => role === 'master')).toHaveLength(1);
  });

  test('a master that is stopped hands over at once', async () => {
    const { west, east, first, second } = await replicated();
    const consumer = await loaded(west, east);
    await consumer.wait(2_000);
    expect(await first.stop()).toBe(0);
    await isMaster(second);
    await allArrived([consumer], messages, 40_000);
    expect(tally(consumer.bodies(), messages)).toEqual(exactlyOnce);
    expect(consumer.got.filter(({ redelivered }) => redelivered)).toEqual([]);
  });
});

/** Two bridges beside west, which do not dial: east finds the master among their addresses. */
async function replicated(): Promise<{
  west: Site;
  east: Site;
  network: Network;
  redis: RedisNode;
  first: BridgeProcess;
  second: BridgeProcess;
}> {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const [west, east] = await Promise.all([Site.open(0), Site.open(1)]);
  const [link, admin] = (await freePorts(2)) as [number, number];
  const election = { type: 'redis', uri: redis.uri, lease: `${leaseMs}ms` };
  const network = await Network.open({
    clusters: { west: { site: west, bridge: { election, dial: [] } }, east: { site: east } },
    connectors: [{ name: 'west-east', from: 'west', to: 'east' }],
    start: false,
  });
  const { bridge } = network.topology.clusters['west'] as { bridge: { uris: string[] } };
  bridge.uris.push(`ws://127.0.0.1:${link}`);
  await network.write();
  const first = await network.start('west', { args: ['--instance', 'first'] });
  await network.start('east');
  await isMaster(first);
  const args = ['--listen', `127.0.0.1:${link}`, '--admin', `127.0.0.1:${admin}`, '--instance', 'second'];
  const second = await network.start('west', { as: 'second', args, adminPort: admin });
  await second.ready();
  await network.linked('west', 'east');
  return { west, east, network, redis, first, second };
}

/** A queue on both, a consumer on east, and a producer on west that goes on for a few seconds. */
async function loaded(west: Site, east: Site) {
  await Promise.all([west.declare('q'), east.declare('q')]);
  const consumer = await east.consume('q');
  const properties = (index: number) => ({ messageId: String(index), persistent: true });
  const published = west.publish('q', messages, { properties, window: 50 });
  onTestFinished(() => published);
  return consumer;
}

async function isMaster(bridge: BridgeProcess): Promise<void> {
  await awaitUntil(
    `${bridge.name} is master`,
    async () => (await bridge.status().catch(() => undefined))?.role === 'master',
    within(60_000),
  );
}

async function rolesOf(...bridges: readonly BridgeProcess[]): Promise<string[]> {
  return Promise.all(bridges.map(async (bridge) => (await bridge.status()).role));
}
