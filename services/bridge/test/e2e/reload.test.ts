import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { longestGap } from './cluster.ts';
import {
  type BridgeProcess,
  exactlyOnce,
  type Network,
  noNodes,
  secret,
  tally,
  tombolo,
  watchFor,
  westToEast,
  within,
} from './network.ts';

/** The topology of a network, as tests change it. */
interface Editable {
  networkConnectors: Record<string, unknown>[];
  clusters: Record<string, { broker: Record<string, unknown>; bridge: Record<string, unknown> }>;
}

interface Config {
  readonly hash: number;
  readonly pendingRestart: readonly string[];
  readonly refused?: { readonly at: string; readonly problems: readonly string[] };
}

const queueConnector = (name: string, queue: string, more: object = {}) => {
  return { name, from: 'west', to: 'east', dynamicallyIncludedDestinations: [{ queue }], ...more };
};

describe.skipIf(noNodes())('a changed topology file', () => {
  test('leaves connectors that it does not touch alone, while others are added, altered and removed: same epoch, no gap, nothing lost or doubled', async () => {
    const { west, east, network } = await westToEast({ dynamicallyIncludedDestinations: [{ queue: 'steady' }] });
    await Promise.all(
      ['steady', 'added', 'removed'].flatMap((queue) => [west, east].map((site) => site.declare(queue))),
    );
    const steady = await east.consume('steady');
    const total = 1_500;
    const flow = (async () => {
      for (let from = 0; from < total; from += 50) {
        await west.publish('steady', 50, { from });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();
    await steady.wait(100);
    const before = await epochs(network, 'steady');
    expect(before).toHaveLength(2);

    await edit(network, ({ networkConnectors }) => {
      networkConnectors.push(queueConnector('more', 'removed'), queueConnector('new', 'added'));
    });
    await connectorsAre(network, { 'west-east': 'up', more: 'up', new: 'up' });
    const [added, removed] = [await east.consume('added'), await east.consume('removed')];
    await Promise.all([west.publish('added', 100), west.publish('removed', 100)]);
    await Promise.all([added.wait(100), removed.wait(100)]);

    await edit(network, ({ networkConnectors }) => {
      networkConnectors.splice(1, 2, queueConnector('new', 'added', { prefetchSize: 7 }));
    });
    await connectorsAre(network, { 'west-east': 'up', new: 'up' });
    await awaitUntil(
      'the altered window is in force',
      async () => (await network.bridge('west').rows('streams', 'added'))[0]?.['window'] === 7,
      within(60_000),
    );
    await awaitUntil('the other stream has ended', async () => (await epochs(network, 'removed')).length === 0);
    await west.publish('removed', 5);
    await west.publish('added', 5, { from: 100 });
    await added.wait(105);

    await flow;
    await steady.wait(total);
    expect(tally(steady.bodies(), total)).toEqual(exactlyOnce);
    expect(steady.bodies()).toEqual(Array.from({ length: total }, (_, index) => String(index)));
    expect(await epochs(network, 'steady')).toEqual(before);
    expect(longestGap(steady)).toBeLessThan(1_500);
    expect(tally(removed.bodies(), 100)).toEqual(exactlyOnce);
    expect(await west.ready('removed')).toBe(5);
    const source = network.bridge('west');
    expect(await source.metric('tombolo_config_reloads_total', { result: 'success' })).toBe(2);
    expect(await source.metric('tombolo_messages_forwarded_total', { connector: 'more' })).toBe(0);
    expect(await source.metric('tombolo_connector_up', { connector: 'new' })).toBe(1);
    expect(await source.metric('tombolo_link_reconnects_total')).toBe(0);
    expect(await source.metric('tombolo_messages_returned_total', { connector: 'west-east' })).toBe(0);
  });

  test('that is not valid is refused with line and column, shown and counted, and all works as before; SIGHUP reads it too', async () => {
    const { west, east, network } = await westToEast();
    const bridge = network.bridge('west');
    const { hash } = await configOf(bridge);
    await network.write(JSON.stringify(network.topology, null, 2).replace('"networkConnectors"', '"networkConectors"'));
    await awaitUntil('it is refused', async () => (await configOf(bridge)).refused !== undefined, within(60_000));
    const { refused, hash: still } = await configOf(bridge);
    expect(refused?.problems.join('\n')).toMatch(
      new RegExp(`^${network.file}:\\d+:\\d+: error: .*did you mean "networkConnectors"`, 'm'),
    );
    expect(still).toBe(hash);
    expect(await bridge.metric('tombolo_config_reloads_total', { result: 'failure' })).toBe(1);
    expect(await bridge.output()).toContain('topology refused');
    const { code, output } = await tombolo(['status', '--url', bridge.admin]);
    expect(code).toBe(1);
    expect(output).toMatch(/topology.*refused/i);
    await Promise.all([west.declare('q'), east.declare('q')]);
    const consumer = await east.consume('q');
    await west.publish('q', 100);
    await consumer.wait(100);

    await network.write();
    process.kill(bridge.pid, 'SIGHUP');
    await awaitUntil('it is taken up', async () => (await configOf(bridge)).refused === undefined, within(60_000));
    expect((await tombolo(['status', '--url', bridge.admin])).code).toBe(0);
  });

  test('rotates the secret of the links without dropping one, and says what needs a restart', async () => {
    const { west, east, network } = await westToEast({}, { proxied: { link: ['west', 'east'] } });
    const rotated = 'the-rotated-secret-of-the-tests';
    const sites = ['west', 'east'].map((name) => network.bridge(name));
    const rotate = async (secrets: string | string[]) => {
      const reloads = await Promise.all(sites.map(reloadsOf));
      await edit(network, ({ clusters }) => {
        for (const { bridge } of Object.values(clusters)) bridge['secret'] = secrets;
        clusters['west']!.bridge['admin'] = '127.0.0.1:1';
      });
      for (const [index, site] of sites.entries()) {
        await awaitUntil('it is in force', async () => (await reloadsOf(site)) > reloads[index]!, within(60_000));
      }
    };
    const reconnects = () => network.bridge('west').metric('tombolo_link_reconnects_total');
    await rotate([rotated, secret]);
    expect(await reconnects()).toBe(0);
    await rotate(rotated);
    expect(await reconnects()).toBe(0);
    for (const proxy of network.linkProxies.values()) proxy.cut();
    await awaitUntil('they are linked again', async () => (await reconnects()) === 1, within(60_000));
    await network.linked('west', 'east');
    await Promise.all([west.declare('q'), east.declare('q')]);
    const consumer = await east.consume('q');
    await west.publish('q', 10);
    await consumer.wait(10);
    expect((await configOf(network.bridge('west'))).pendingRestart).toEqual(['clusters.west.bridge.admin']);
    expect(await network.bridge('west').output()).toContain('a restart is needed for these settings');
    const outputs = await network.outputs();
    expect(outputs).not.toContain(rotated);
    expect(outputs).not.toContain(secret);
  });

  test('is looked at beforehand on the live brokers: which queues match, with counts, and what would be refused', async () => {
    const { west, east, network } = await westToEast({}, { start: false });
    await Promise.all([west.declare('here'), west.declare('both'), east.declare('both')]);
    const model = await west.connect();
    await (await model.createChannel()).assertQueue('mine', { exclusive: true });
    await west.publish('both', 3);
    const consumer = await east.consume('both');
    interface Row {
      readonly queue: string;
      readonly ready?: number;
      readonly consumers?: number;
      readonly refused?: string;
    }
    const rows = await awaitUntil(
      'the statistics of both sites are there',
      async () => {
        const { code, output } = await tombolo(['plan', '--live', network.file]);
        expect(code).toBe(0);
        const { clusters, connectors } = JSON.parse(output);
        // A user with the least permissions may not ask for shovels or what it may do; that is said, and all else is told.
        const notes = ['shovels', 'permissions'].map((what) =>
          expect.stringContaining(`${what} could not be looked at`),
        );
        expect(clusters).toEqual(['west', 'east'].map((cluster) => ({ cluster, notes })));
        const found = connectors[0].queues as Row[];
        const both = found.find(({ queue }) => queue === 'both');
        return both?.ready === 3 && both.consumers === 1 ? found : undefined;
      },
      within(60_000),
    );
    const refusals = Object.fromEntries(rows.map(({ queue, refused }) => [queue, refused ?? 'none']));
    expect(refusals).toEqual({
      both: 'none',
      here: 'it does not exist at east',
      mine: 'at west: it is exclusive to one connection',
    });
    await consumer.close();
  });

  test('is what a standby begins with when it becomes the master; a connector that is halted in it waits for a resume', async () => {
    const { west, east, network } = await westToEast({}, { west: { standby: true } });
    await Promise.all([west.declare('q'), east.declare('q')]);
    const consumer = await east.consume('q');
    await edit(network, ({ networkConnectors }) => {
      networkConnectors[0] = { ...networkConnectors[0], autoStart: false };
    });
    const standby = network.bridge('west-standby');
    await awaitUntil('the standby has it too', async () => (await reloadsOf(standby)) === 1, within(60_000));
    await connectorsAre(network, { 'west-east': 'paused' });
    await network.bridge('west').kill();
    await west.publish('q', 20);
    await awaitUntil('it took over', async () => (await standby.status()).role === 'master', within(60_000));
    await awaitUntil(
      'the demand is known, and not served',
      async () => (await standby.rows('demand', 'q')).some(({ unserved }) => unserved === 'paused'),
      within(60_000),
    );
    expect(new Set(await watchFor(500, () => west.ready('q')))).toEqual(new Set([20]));
    await standby.post('/api/v1/connectors/west-east/resume');
    await network.bridge('east').post('/api/v1/connectors/west-east/resume');
    await consumer.wait(20);
    expect(tally(consumer.bodies(), 20)).toEqual(exactlyOnce);
  });
});

/** Changes the file as `change` says. */
async function edit(network: Network, change: (topology: Editable) => void): Promise<void> {
  change(network.topology as unknown as Editable);
  await network.write();
}

/** Resolves when both ends show these connectors, and no others, in these states. */
async function connectorsAre(network: Network, wanted: Readonly<Record<string, string>>): Promise<void> {
  const text = Object.entries(wanted).sort().join();
  for (const name of ['west', 'east']) {
    await awaitUntil(
      `${name} has ${text}`,
      async () => {
        const { connectors } = await network.bridge(name).status();
        return (
          connectors
            .map((each) => [each.name, each.state])
            .sort()
            .join() === text
        );
      },
      within(60_000),
    );
  }
}

/** The epochs of a queue's stream, at its source and at its sink; of streams that have ended nothing. */
async function epochs(network: Network, queue: string): Promise<unknown[]> {
  const rows = await Promise.all(['west', 'east'].map((name) => network.bridge(name).rows('streams', queue)));
  return rows
    .flat()
    .filter(({ epoch }) => epoch !== '')
    .map(({ role, epoch }) => [role, epoch]);
}

async function configOf(bridge: BridgeProcess): Promise<Config> {
  return ((await bridge.status()) as unknown as { config: Config }).config;
}

function reloadsOf(bridge: BridgeProcess): Promise<number> {
  return bridge.metric('tombolo_config_reloads_total', { result: 'success' });
}
