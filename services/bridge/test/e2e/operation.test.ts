import { createServer } from 'node:net';
import { awaitUntil } from '@tombolo/testing/await-until';
import { freePorts } from '@tombolo/testing/free-port';
import { describe, expect, test } from 'vitest';
import {
  allArrived,
  exactlyOnce,
  Network,
  noNodes,
  Site,
  secret,
  tally,
  tombolo,
  watchFor,
  westToEast,
  within,
} from './network.ts';

const wrongPassword = 'not-the-password-of-guest';

describe.skipIf(noNodes())('replicas and processes', () => {
  test('two clusters in one process exchange messages without a socket between them', async () => {
    const [west, east] = await Promise.all([Site.open(0), Site.open(1)]);
    const network = await Network.open({
      clusters: { west: { site: west }, east: { site: east } },
      connectors: [{ name: 'both', from: 'west', to: 'east', duplex: true }],
      start: false,
    });
    const both = await network.start('west', { args: ['--cluster', 'east'] });
    await both.ready();
    await Promise.all([west.declare('q'), east.declare('q')]);
    const consumer = await east.consume('q');
    await west.publish('q', 2_000);
    await consumer.wait(2_000);
    expect(tally(consumer.bodies(), 2_000)).toEqual(exactlyOnce);
    expect(await both.stop()).toBe(0);
  });

  test('a second bridge of a cluster stands by and takes over when the first is killed: nothing lost, nothing doubled', async () => {
    const { west, east, network } = await westToEast({}, { start: false });
    await Promise.all([west.declare('q'), east.declare('q')]);
    await network.start('east');
    await (await network.start('west', { args: ['--instance', 'first'] })).ready();
    const [adminPort] = (await freePorts(1)) as [number];
    const args = ['--listen', '127.0.0.1:0', '--admin', `127.0.0.1:${adminPort}`, '--instance', 'second'];
    const second = await network.start('west', { as: 'second', args, adminPort });
    await second.ready();
    expect(await second.status()).toMatchObject({ role: 'standby', readiness: { ready: true } });
    await awaitUntil(
      'the standby names the master',
      async () => /, first, is the master/.test((await second.status()).roleReason ?? ''),
      within(60_000),
    );
    const consumer = await east.consume('q');
    const published = west.publish('q', 10_000, {
      properties: (index) => ({ messageId: String(index), persistent: true }),
    });
    await consumer.wait(3_000);
    await network.bridge('west').kill();
    await published;
    await allArrived([consumer], 10_000, 40_000);
    expect(tally(consumer.bodies(), 10_000)).toEqual(exactlyOnce);
    expect((await second.status()).role).toBe('master');
  });
});

describe.skipIf(noNodes())('what goes wrong at a site', () => {
  test('a typo in the file: exit code 2, with line, column and the name that was meant', async () => {
    const { network } = await unstarted();
    await network.write(JSON.stringify(network.topology, null, 2).replace('"networkConnectors"', '"networkConectors"'));
    const { code, errors } = await tombolo(['run', '--config', network.file, '--cluster', 'west']);
    expect(code).toBe(2);
    expect(errors).toMatch(new RegExp(`^${network.file}:\\d+:\\d+: .*networkConectors.*networkConnectors`, 'm'));
    expect((await tombolo(['run', '--config', network.file, '--cluster', 'wset'])).code).toBe(2);
  });

  test('an admin or link port that is taken: exit code 1, one line that names it', async () => {
    const { network } = await unstarted();
    for (const [which, port] of Object.entries(network.ports.get('west')!)) {
      const squatter = createServer();
      await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve));
      const { code, errors } = await tombolo(['run', '--config', network.file, '--cluster', 'west']);
      squatter.close();
      expect(code, which).toBe(1);
      expect(errors.trim().split('\n'), which).toHaveLength(1);
      expect(errors, which).toContain(String(port));
    }
  });

  test('a broker that is down is waited for, and everything works once it is there', async () => {
    const { west, east, network } = await unstarted({ broker: ['west'] });
    const proxy = network.brokerProxies.get('west')!;
    proxy.down();
    await network.start('west');
    await network.start('east');
    await awaitUntil('it says that it waits', async () => {
      const { readiness, broker } = await network.bridge('west').status();
      return !readiness.ready && !broker.up && (broker.reason ?? '').includes('127.0.0.1');
    });
    const { code, output } = await tombolo(['status', '--url', network.bridge('west').admin]);
    expect(code).toBe(1);
    expect(output).toMatch(/broker of west is not connected/i);
    proxy.up();
    await network.bridge('west').ready();
    await moves(west, east);
  });

  test('a wrong password of the broker is told once, and not shown', async () => {
    const { network } = await unstarted({}, { broker: { password: wrongPassword } });
    const west = await network.start('west');
    await awaitUntil(
      'it says so',
      async () => /password|refused.*login|ACCESS_REFUSED/i.test((await west.status()).broker.reason ?? ''),
      within(60_000),
    );
    const told = (await west.output()).split('\n').filter((line) => line.includes('broker not connected'));
    expect(told.length).toBeLessThanOrEqual(2);
    expect(await west.output()).not.toContain(wrongPassword);
    expect(JSON.stringify(await west.status())).not.toContain(wrongPassword);
    expect(await west.stop()).toBe(0);
  });

  test('a peer with another secret is kept out and told why; with the right one it is let in', async () => {
    const { west, east, network } = await unstarted();
    const other = structuredClone(network.topology);
    const stranger = { ...(other.clusters['east'] as { bridge: object }).bridge, secret: 'another-secret' };
    other.clusters['east'] = { ...other.clusters['east'], bridge: stranger };
    const file = await network.writeCopy('other.yaml', other);
    await network.start('west');
    await network.start('east', { file });
    await Promise.all([network.bridge('west').ready(), network.bridge('east').ready()]);
    for (const side of ['west', 'east']) {
      await awaitUntil(
        `${side} says why`,
        async () => /secret/i.test((await network.bridge(side).status()).links[0]?.reason ?? ''),
        within(60_000),
      );
    }
    await Promise.all([west.declare('q'), east.declare('q')]);
    await west.publish('q', 3);
    const consumer = await east.consume('q');
    const seen = await watchFor(2_000, () => west.ready('q'));
    expect(new Set(seen)).toEqual(new Set([3]));
    await consumer.close();
    const outputs = await network.outputs();
    expect(outputs).not.toContain(secret);
    expect(outputs).not.toContain('another-secret');
    await network.bridge('east').stop();
    await network.start('east');
    await network.linked('west', 'east');
    await moves(west, east);
  });

  test('tombolo status: 0 when all is well, 1 when a peer is away, 3 when nobody answers', async () => {
    const { network } = await westToEast();
    const { admin } = network.bridge('west');
    const status = () => tombolo(['status', '--url', admin]);
    const well = await status();
    expect(well.output).toContain('east');
    expect(well.code).toBe(0);
    await network.bridge('east').stop();
    await awaitUntil('the link is down', async () => (await status()).code === 1, within(60_000));
    expect((await status()).output).toMatch(/link to east is down/i);
    await network.bridge('west').stop();
    const gone = await status();
    expect(gone.code).toBe(3);
    expect(gone.errors.trim().split('\n')).toHaveLength(1);
  });
});

/** West and east with their file; no bridge runs yet. */
async function unstarted(proxied: { broker?: string[] } = {}, west: { broker?: Record<string, unknown> } = {}) {
  return westToEast({}, { start: false, proxied, west });
}

async function moves(west: Site, east: Site): Promise<void> {
  await Promise.all([west.declare('moves'), east.declare('moves')]);
  const consumer = await east.consume('moves');
  await west.publish('moves', 10);
  await consumer.wait(10, 20_000);
}
