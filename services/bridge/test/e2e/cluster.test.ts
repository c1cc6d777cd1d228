import { awaitUntil } from '@tombolo/testing/await-until';
import { freePorts } from '@tombolo/testing/free-port';
import { type RabbitNode, rabbitMissing, startRabbitCluster } from '@tombolo/testing/rabbitmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { declareQuorum, doubledOnTheWay, inSync, leaderOf, longestGap, reaching } from './cluster.ts';
import {
  allArrived,
  exactlyOnce,
  Network,
  Site,
  type TestConsumer,
  tally,
  tombolo,
  watchFor,
  within,
} from './network.ts';

const count = 20_000;
const withIds = { properties: (index: number) => ({ persistent: true, messageId: String(index) }) };
const connector = { name: 'west-east', from: 'west', to: 'east' };

describe.skipIf(rabbitMissing())('a broker of three nodes', { timeout: 300_000 }, () => {
  let nodes: RabbitNode[];
  let n1: RabbitNode;
  let n2: RabbitNode;
  let n3: RabbitNode;

  beforeAll(async () => {
    nodes = await startRabbitCluster(3);
    [n1, n2, n3] = nodes as [RabbitNode, RabbitNode, RabbitNode];
  });
  afterAll(async () => {
    // Their data goes with them: they need not leave in good order.
    await Promise.all(nodes?.map((node) => node.kill()) ?? []);
    await Promise.all(nodes?.map((node) => node.stop()) ?? []);
  });

  /** Kills a node that a bridge is connected to; resolves with the time until it was at work by another one (ms). */
  async function killUnder(network: Network, cluster: string, node: RabbitNode): Promise<number> {
    const address = async () => (await network.bridge(cluster).status()).broker;
    const before = (await address()) as { address?: string; state: string };
    expect(before.address).toContain(`:${node.amqpPort}/`);
    const from = performance.now();
    await node.kill();
    await awaitUntil(
      `the bridge of ${cluster} is at another node`,
      async () => {
        const now = (await address()) as { address?: string; state: string };
        return now.state === 'master' && now.address !== before.address;
      },
      { withinMs: 30_000, everyMs: 10 },
    );
    return Math.round(performance.now() - from);
  }

  /** Resolves when nothing is left in the queues, so that no late copy is missed. */
  async function settled(west: Site, east: Site, consumer: TestConsumer): Promise<void> {
    await allArrived([consumer], count, 90_000);
    let last = -1;
    await awaitUntil(
      'nothing moves any more',
      async () => {
        const still = consumer.got.length === last;
        last = consumer.got.length;
        return still && (await west.ready('q')) === 0 && (await east.ready('q')) === 0;
      },
      { withinMs: 30_000, everyMs: 500 },
    );
  }

  test('a source whose node is killed, and then the leader of its quorum queue, loses and doubles nothing', async (context) => {
    const [home, east] = await Promise.all([Site.open(n2), Site.open(0)]);
    const west = home.at(n3);
    await Promise.all([declareQuorum(west, 'q'), east.declare('q')]);
    await inSync(nodes, home, 'q');
    const network = await Network.open({
      clusters: { west: { site: home, broker: reaching(nodes, home) }, east: { site: east } },
      connectors: [connector],
    });
    expect((await leaderOf(nodes, home, 'q')).name).toBe(n3.name);
    const consumer = await east.consume('q', { prefetch: 300 });
    const published = home.publish('q', count, withIds);
    published.catch(() => {});

    await consumer.wait(4_000);
    const away = await killUnder(network, 'west', n1);
    const back = n1.restart();
    await consumer.wait(8_000);
    await back;
    await inSync(nodes, home, 'q');
    await n3.kill();
    await consumer.wait(12_000);
    expect((await leaderOf([n1, n2], home, 'q')).name).not.toBe(n3.name);
    await n3.restart();
    await published;
    await settled(home, east, consumer);
    const redelivered = consumer.got.filter((each) => each.redelivered).length;
    const suppressed = await network.bridge('west').metric('tombolo_duplicates_suppressed_total');
    await context.annotate(
      `source: at another node after ${away} ms, longest gap ${longestGap(consumer)} ms, ${suppressed} suppressed, ${redelivered} redelivered`,
    );
    expect(tally(consumer.bodies(), count)).toEqual(exactlyOnce);
  });

  test('a sink whose node is killed with its consumers on it, and then the leader of its quorum queue, loses nothing, and its demand stands', async (context) => {
    const [west, home] = await Promise.all([Site.open(0), Site.open(n2)]);
    const east = home.at(n3);
    await Promise.all([west.declare('q'), declareQuorum(east, 'q')]);
    await inSync(nodes, home, 'q');
    const network = await Network.open({
      clusters: { west: { site: west }, east: { site: home, broker: reaching(nodes, home) } },
      connectors: [connector],
    });
    const first = await home.at(n1).consume('q', { prefetch: 300 });
    const standing = () => network.bridge('west').rows('demand', 'q');
    await awaitUntil('the demand is known', async () => (await standing()).length === 1, within(60_000));
    const demand = watchWhile(standing);
    const published = west.publish('q', count, withIds);
    published.catch(() => {});

    await first.wait(4_000);
    const away = killUnder(network, 'east', n1);
    await awaitUntil('the node has gone', () => !first.connected());
    // As clients do: at once, by another node.
    const consumer = await home.consume('q', { prefetch: 300 });
    consumer.got.unshift(...first.got);
    const awayMs = await away;
    const back = n1.restart();
    await consumer.wait(8_000);
    await back;
    await inSync(nodes, home, 'q');
    await (await leaderOf(nodes, home, 'q')).kill();
    await consumer.wait(12_000);
    await n3.restart();
    await published;
    await settled(west, home, consumer);
    const { lost, strange } = tally(consumer.bodies(), count);
    const doubled = doubledOnTheWay(consumer);
    await context.annotate(
      `sink: at another node after ${awayMs} ms, longest gap ${longestGap(consumer)} ms, ${doubled} doubled on the way`,
    );
    expect({ lost, strange }).toEqual({ lost: 0, strange: 0 });
    // What was under way to the node when it was killed.
    expect(doubled).toBeLessThanOrEqual(1000);
    expect(new Set((await demand()).map((rows) => rows[0]?.['consumers']))).toEqual(new Set([1]));
    expect(await network.bridge('west').metric('tombolo_messages_unsettled')).toBe(0);
    await awaitUntil(
      'events are followed again',
      async () => (await network.bridge('east').status()).broker.demandMethod === 'management API + events',
      within(60_000),
    );
  });

  test('a classic queue whose node is down keeps its demand and its place: what waits for it goes on when the node is back', async () => {
    const [home, there] = await Promise.all([Site.open(n2), Site.open(0)]);
    const onDown = home.at(n3);
    const local = { durable: true, arguments: { 'x-queue-master-locator': 'client-local' } };
    await Promise.all(['in', 'out', 'other'].map((queue) => there.declare(queue)));
    await Promise.all([onDown.declare('in', local), onDown.declare('out', local), home.declare('other', local)]);
    const network = await Network.open({
      clusters: { west: { site: home, broker: reaching(nodes, home) }, east: { site: there } },
      connectors: [{ ...connector, duplex: true }],
    });
    const applications = await Promise.all([
      home.consume('in', { prefetch: 20, delayMs: 2 }),
      there.consume('out', { prefetch: 20, delayMs: 2 }),
      home.consume('other', { prefetch: 20 }),
    ]);
    const [incoming, outgoing, other] = applications as [TestConsumer, TestConsumer, TestConsumer];
    const some = 3_000;
    await Promise.all([there.publish('in', some, withIds), home.publish('out', some, withIds)]);
    await Promise.all([incoming.wait(300), outgoing.wait(300)]);
    await n3.kill();
    const reason = async (cluster: string, queue: string) =>
      (await network.bridge(cluster).rows('streams', queue))[0]?.['blockedBy'];
    await awaitUntil(
      'the sink says why',
      async () => /not available: its node .* is down/.test(String(await reason('west', 'in'))),
      within(60_000),
    );
    await awaitUntil(
      'the source says why',
      async () => /has to wait: .* is down or inaccessible/.test(String(await reason('west', 'out'))),
      within(60_000),
    );
    // Longer than a demand outlives its last consumer.
    const seen = await watchFor(4_000, () => network.bridge('east').rows('demand', 'in'));
    expect(new Set(seen.map((rows) => rows[0]?.['consumers']))).toEqual(new Set([1]));
    await there.publish('other', 1_000, withIds);
    await other.wait(1_000);
    expect(other.got.filter(({ redelivered }) => redelivered)).toHaveLength(0);

    await n3.restart();
    const again = await awaitUntil('the queue is back', () => home.consume('in', { prefetch: 100 }), within(60_000));
    again.got.unshift(...incoming.got);
    await allArrived([again], some, 30_000);
    await allArrived([outgoing], some, 30_000);
    expect({ in: tally(again.bodies(), some).lost, out: tally(outgoing.bodies(), some).lost }).toEqual({
      in: 0,
      out: 0,
    });
    // What the node was given and had not confirmed when it was killed may be there twice.
    expect(doubledOnTheWay(again)).toBeLessThanOrEqual(200);
    expect(doubledOnTheWay(outgoing)).toBe(0);
  });

  test('the lock goes with its node: a standby at another node takes over, and never are two the master', async (context) => {
    const [home, east] = await Promise.all([Site.open(n2), Site.open(0)]);
    await Promise.all([declareQuorum(home, 'q'), east.declare('q')]);
    await inSync(nodes, home, 'q');
    const network = await Network.open({
      clusters: { west: { site: home, broker: reaching([n1, n2, n3], home) }, east: { site: east } },
      connectors: [connector],
      start: false,
    });
    const [link, admin] = (await freePorts(2)) as [number, number];
    const { west } = network.topology.clusters as Record<string, { bridge: { uris: string[] } }>;
    west!.bridge.uris.push(`ws://127.0.0.1:${link}`);
    await network.write();
    // The other bridge knows the nodes in another order.
    const turned = structuredClone(network.topology) as typeof network.topology;
    Object.assign(turned.clusters['west']!['broker'] as object, reaching([n3, n2, n1], home));
    const file = await network.writeCopy('other.yaml', turned);
    const one = await network.start('west');
    await network.start('east');
    await one.ready();
    const args = ['--listen', `127.0.0.1:${link}`, '--admin', `127.0.0.1:${admin}`, '--instance', 'other'];
    const two = await network.start('west', { as: 'other', file, args, adminPort: admin });
    await two.ready();
    await network.linked('west', 'east');
    const consumer = await east.consume('q', { prefetch: 100 });
    const some = 6_000;
    const published = home.publish('q', some, withIds);
    // Who has lost its broker for a moment keeps its role, and can do nothing.
    const masters = async () => {
      const said = await Promise.all([one, two].map((bridge) => bridge.status()));
      const reigning = said.filter(({ role, broker }) => role === 'master' && broker.state === 'master');
      return reigning.map(({ incarnation, broker }) => ({ at: Math.round(performance.now()), incarnation, broker }));
    };
    // The two are not asked in one instant: only twice in a row are two masters.
    const twice = watchWhile(async () => [await masters(), await masters()]);
    await consumer.wait(1_000);
    await n1.kill();
    const from = performance.now();
    await published;
    await allArrived([consumer], some);
    const seen = await twice();
    expect(seen.filter((each) => each.every((reigning) => reigning.length > 1))).toEqual([]);
    expect(seen.some((each) => each.some((reigning) => reigning.length === 1))).toBe(true);
    const roles = await Promise.all([one, two].map(async (bridge) => (await bridge.status()).role));
    expect(roles.sort()).toEqual(['master', 'standby']);
    const gap = longestGap(consumer);
    await context.annotate(`lock: longest gap ${gap} ms, all arrived after ${Math.round(performance.now() - from)} ms`);
    expect(tally(consumer.bodies(), some)).toEqual(exactlyOnce);
    await n1.restart();
  });

  test('an alarm at the sink pauses streams with a reason, and one at the source pauses nothing that leaves it', async (context) => {
    const [west, home] = await Promise.all([Site.open(0), Site.open(n2)]);
    await Promise.all([west.declare('q'), home.declare('q'), west.declare('back'), home.declare('back')]);
    const network = await Network.open({
      clusters: { west: { site: west }, east: { site: home, broker: reaching(nodes, home) } },
      connectors: [{ ...connector, duplex: true, prefetchSize: 1_000 }],
    });
    const kilobyte = { ...withIds, body: (index: number) => Buffer.from(String(index).padEnd(1_024)) };
    // Slow, so that there is something to publish whenever the alarm comes.
    const consumer = await home.consume('q', { prefetch: 100, delayMs: 100 });
    await home.publish('back', 3_000, withIds);
    const some = 10_000;
    const published = west.publish('q', some, kilobyte);
    await consumer.wait(1_000);
    await n1.control('set_vm_memory_high_watermark', '0.0001');
    const blocked = () =>
      network.bridge('east').metric('tombolo_link_blocked', { peer: 'west', reason: 'broker_alarm' });
    await awaitUntil('the alarm is seen', async () => (await blocked()) === 1, within(60_000));
    await published;
    const reasons = async () => (await network.bridge('east').rows('streams', 'q')).map((row) => row['blockedBy']);
    expect(await reasons()).toEqual([expect.stringMatching(/its broker takes no messages: low on memory/)]);
    const { output } = await tombolo(['trace', 'q', '--url', network.bridge('west').admin]);
    expect(output).toMatch(/takes no messages: low on memory/);
    // Nothing can be published at the cluster now, and what is there still leaves it.
    const backwards = await west.consume('back');
    await backwards.wait(3_000);
    await awaitUntil('all of it is settled', async () => (await home.ready('back')) === 0, within(60_000));
    const before = await Promise.all([network.bridge('east').memory(), network.bridge('west').memory()]);
    const held = await watchFor(2_000, async () => ({
      unsettled: await network.bridge('west').metric('tombolo_messages_unsettled'),
      demand: (await network.bridge('west').rows('demand', 'q'))[0]?.['consumers'],
      got: consumer.got.length,
    }));
    const after = await Promise.all([network.bridge('east').memory(), network.bridge('west').memory()]);
    expect(Math.max(...held.map(({ unsettled }) => unsettled))).toBeLessThanOrEqual(1_000);
    expect(new Set(held.map(({ demand }) => demand))).toEqual(new Set([1]));
    expect(held.at(-1)!.got).toBe(held[0]!.got);
    await n1.control('set_vm_memory_high_watermark', '0.8');
    await awaitUntil('the alarm is over', async () => (await blocked()) === 0, within(60_000));
    await allArrived([consumer], some);
    await context.annotate(
      `alarm: bridges' memory before ${before} and after ${after} MiB; ${held[0]!.unsettled} unsettled`,
    );
    const numbers = consumer.bodies().map((body) => body.trim());
    expect(tally(numbers, some)).toEqual(exactlyOnce);
    expect(tally(backwards.bodies(), 3_000)).toEqual(exactlyOnce);
  });
});

/** Looks again and again until it is called, then resolves with all that was seen. */
function watchWhile<T>(look: () => Promise<T>): () => Promise<T[]> {
  let going = true;
  const seen: T[] = [];
  const ended = (async () => {
    while (going) {
      seen.push(await look());
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return seen;
  })();
  ended.catch(() => {});
  return () => {
    going = false;
    return ended;
  };
}
