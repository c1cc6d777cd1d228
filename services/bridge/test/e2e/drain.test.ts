import { awaitUntil } from '@tombolo/testing/await-until';
import { freePorts } from '@tombolo/testing/free-port';
import { describe, expect, test } from 'vitest';
import {
  allArrived,
  type BridgeProcess,
  exactlyOnce,
  Network,
  noNodes,
  Site,
  type TestConsumer,
  tally,
  tombolo,
  watchFor,
  westToEast,
  within,
} from './network.ts';

describe.skipIf(noNodes())('draining', () => {
  test('pairs of bridges are restarted one after the other under load: nothing is lost, doubled or delivered again', async () => {
    const { west, east, replicas } = await pairs();
    const flows = [await load('there', west, east), await load('back', east, west)];
    for (const cluster of ['west', 'east'] as const) {
      for (let round = 0; round < 2; round++) {
        const { master, standby } = await roles(replicas[cluster]);
        expect(await master.bridge.stop()).toBe(0);
        await isMaster(standby.bridge);
        await Promise.all(flows.map((flow) => flow.goesOn()));
        master.bridge = await master.start();
        await master.bridge.ready();
      }
    }
    for (const flow of flows) {
      const { published, consumer, longestGapMs } = await flow.stop();
      process.stdout.write(`${flow.queue}: ${published} messages, longest gap in delivery ${longestGapMs} ms\n`);
      expect(tally(consumer.bodies(), published)).toEqual(exactlyOnce);
      expect(consumer.got.filter(({ redelivered }) => redelivered)).toEqual([]);
    }
  });

  test('a drained bridge hands over to its standby at once, and takes over again only when that is undone', async () => {
    const { west, east, replicas } = await pairs();
    const flow = await load('q', west, east);
    const { master, standby } = await roles(replicas.west);
    const drained = await tombolo(['drain', '--url', master.bridge.admin]);
    expect([drained.code, JSON.parse(drained.output)]).toEqual([
      0,
      { scope: 'process', left: [], drains: [{ scope: 'process', text: expect.stringContaining('--process') }] },
    ]);
    await isMaster(standby.bridge);
    await flow.goesOn();
    expect(await master.bridge.status()).toMatchObject({ role: 'standby', draining: false });
    expect(await master.bridge.metric('tombolo_draining')).toBe(1);
    expect(await masterOn(master)).toBe(503);
    expect(await masterOn(standby)).toBe(200);
    expect(await standby.bridge.stop()).toBe(0);
    expect(await watchFor(2_000, async () => (await master.bridge.status()).role)).not.toContain('master');
    expect((await tombolo(['resume', '--process', '--url', master.bridge.admin])).code).toBe(0);
    await isMaster(master.bridge);
    await flow.goesOn();
    const { published, consumer } = await flow.stop();
    expect(tally(consumer.bodies(), published)).toEqual(exactlyOnce);
    expect(consumer.got.filter(({ redelivered }) => redelivered)).toEqual([]);
  });

  test('a drained cluster takes nothing in and still gives, whoever is master and after restarts, until that is undone', async () => {
    const dynamicallyIncludedDestinations = [{ queue: 'in' }, { queue: 'out' }];
    const { west, east, network } = await westToEast({ duplex: true, dynamicallyIncludedDestinations });
    for (const site of [west, east]) for (const queue of ['in', 'out']) await site.declare(queue);
    const taker = await west.consume('in');
    await east.publish('in', 100);
    await taker.wait(100);
    await west.publish('out', 50);
    await west.declare('alone');
    await west.publish('alone', 3);
    const admin = network.bridge('west').admin;

    expect((await tombolo(['drain', '--cluster', '--url', admin])).code).toBe(0);
    await awaitUntil('the demand is withdrawn', async () => await unwanted(network, 'in'), within(60_000));
    await east.publish('in', 10, { from: 100 });
    expect(await network.bridge('west').metric('tombolo_draining')).toBe(1);
    await network.bridge('west').kill();
    await network.start('west');
    await network.linked('west', 'east');
    expect((await network.bridge('west').get('/api/v1/status')) as object).toMatchObject({
      drains: [{ scope: 'cluster', text: expect.stringContaining('tombolo resume --cluster') }],
    });
    const asked = await tombolo(['drain', '--check', '--url', admin], 40_000);
    expect(asked.code).toBe(1);
    expect(JSON.parse(asked.output)).toMatchObject({
      left: true,
      items: [
        { destination: 'alone', ready: 3, stays: 'no connector bridges it' },
        { destination: 'out', ready: 50, stays: 'no other cluster consumes it' },
      ],
    });
    await (await west.consume('alone')).wait(3);

    const away = await east.consume('out');
    await away.wait(50);
    expect(await watchFor(1_000, () => taker.got.length)).not.toContain(101);
    const emptied = await tombolo(['drain', '--check', '--url', admin], 60_000);
    expect([emptied.code, JSON.parse(emptied.output)]).toMatchObject([0, { left: false, items: [], draining: true }]);

    expect((await tombolo(['resume', '--cluster', '--url', admin])).code).toBe(0);
    await taker.wait(110);
    expect(tally(taker.bodies(), 110)).toEqual(exactlyOnce);
  });

  test('what is held for a peer that is gone is given back when an operator says so, and not while it is linked', async () => {
    const { west, east, network } = await westToEast({ holdWhenLinkLost: '10m' });
    await Promise.all([west.declare('q'), east.declare('q')]);
    const consumer = await east.consume('q', { prefetch: 1_000 });
    await west.publish('q', 10);
    await consumer.wait(10);
    const { admin } = network.bridge('west');
    const refused = await tombolo(['release', '--peer', 'east', '--url', admin]);
    expect([refused.code, refused.errors]).toEqual([1, expect.stringMatching(/east is linked/)]);
    // In flight when the peer dies: taken at west, and no verdict heard.
    process.kill(network.bridge('east').pid, 'SIGSTOP');
    await west.publish('q', 20, { from: 10 });
    await awaitUntil('they are on their way', async () => (await west.ready('q')) === 0, within(60_000));
    await network.bridge('east').kill();
    const held = async () => {
      const { output } = await tombolo(['release', '--peer', 'east', '--dry-run', '--url', admin]);
      return output === '' ? [] : (JSON.parse(output).items as { messages: number }[]);
    };
    await awaitUntil(
      'the link is down',
      async () => !(await network.bridge('west').status()).links[0]!.up,
      within(60_000),
    );
    const items = [{ destination: 'q', messages: 20, mayBeDoubled: 20 }];
    expect(await held()).toEqual(items);
    const released = await tombolo(['release', '--peer', 'east', '--url', admin]);
    expect([released.code, JSON.parse(released.output).items]).toEqual([0, items]);
    await awaitUntil('all is back', async () => (await west.ready('q')) === 20, within(5_000));
    expect(await held()).toEqual([]);
  });
});

// ---- two clusters with two bridges each --------------------------------------------------------------------------------

interface Replica {
  readonly link: number;
  readonly start: () => Promise<BridgeProcess>;
  bridge: BridgeProcess;
}

/** West and east, each of them with a pair of bridges, that peers may dial at either address. */
async function pairs(): Promise<{
  west: Site;
  east: Site;
  network: Network;
  replicas: Readonly<Record<'west' | 'east', readonly Replica[]>>;
}> {
  const [west, east] = await Promise.all([Site.open(0), Site.open(1)]);
  const network = await Network.open({
    clusters: { west: { site: west }, east: { site: east } },
    connectors: [{ name: 'both', from: 'west', to: 'east', duplex: true }],
    start: false,
  });
  const more = await freePorts(4);
  const replicas: Record<'west' | 'east', Replica[]> = { west: [], east: [] };
  for (const [index, cluster] of (['west', 'east'] as const).entries()) {
    const own = network.ports.get(cluster)!;
    const both = [own, { link: more[index * 2]!, admin: more[index * 2 + 1]! }];
    const { bridge } = network.topology.clusters[cluster] as { bridge: { uris: string[] } };
    bridge.uris = both.map(({ link }) => `ws://127.0.0.1:${link}`);
    await network.write();
    for (const [number, { link, admin }] of both.entries()) {
      const as = `${cluster}-${number}`;
      const args = ['--listen', `127.0.0.1:${link}`, '--admin', `127.0.0.1:${admin}`, '--instance', as];
      const start = () => network.start(cluster, { as, args, adminPort: admin });
      replicas[cluster].push({ link, start, bridge: undefined as unknown as BridgeProcess });
    }
  }
  for (const replica of [...replicas.west, ...replicas.east]) {
    replica.bridge = await replica.start();
    await replica.bridge.ready();
  }
  return { west, east, network, replicas };
}

async function roles([a, b]: readonly Replica[]): Promise<{ master: Replica; standby: Replica }> {
  const first = (await a!.bridge.status()).role === 'master';
  return first ? { master: a!, standby: b! } : { master: b!, standby: a! };
}

async function isMaster(bridge: BridgeProcess): Promise<void> {
  const role = async () => (await bridge.status().catch(() => undefined))?.role;
  await awaitUntil(`${bridge.name} is master`, async () => (await role()) === 'master', within(60_000));
}

/** What a load balancer sees. */
async function masterOn({ link }: Replica): Promise<number> {
  return (await fetch(`http://127.0.0.1:${link}/master`)).status;
}

async function unwanted(network: Network, queue: string): Promise<boolean> {
  return (await network.bridge('east').rows('demand', queue)).every(({ cluster }) => cluster !== 'west');
}

interface Load {
  readonly queue: string;
  /** Resolves when something has arrived that was published after this call. */
  goesOn(): Promise<void>;
  /** Publishes no more, and resolves when all has arrived. */
  stop(): Promise<{ readonly published: number; readonly consumer: TestConsumer; readonly longestGapMs: number }>;
}

/** A producer at one site and a consumer at the other, a few hundred messages a second. */
async function load(queue: string, from: Site, to: Site): Promise<Load> {
  await Promise.all([from.declare(queue), to.declare(queue)]);
  const consumer = await to.consume(queue);
  let published = 0;
  let wanted = true;
  const producing = (async () => {
    const model = await from.connect();
    const channel = await model.createConfirmChannel();
    while (wanted) {
      for (let each = 0; each < 10; each++)
        channel.sendToQueue(queue, Buffer.from(String(published++)), { persistent: true });
      await channel.waitForConfirms();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await model.close();
  })();
  await consumer.wait(1);
  let longestGapMs = 0;
  let [seen, since] = [0, performance.now()];
  const look = setInterval(() => {
    const now = performance.now();
    if (consumer.got.length > seen) [seen, since] = [consumer.got.length, now];
    else longestGapMs = Math.max(longestGapMs, Math.round(now - since));
  }, 10);
  return {
    queue,
    goesOn: () => consumer.wait(published + 1, 30_000),
    async stop() {
      wanted = false;
      await producing;
      await allArrived([consumer], published, 60_000);
      clearInterval(look);
      return { published, consumer, longestGapMs };
    },
  };
}
