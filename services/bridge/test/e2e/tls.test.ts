import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from '@tombolo/testing/await-until';
import { leaksIn, secretOf } from '@tombolo/testing/canary';
import { type Issued, TestAuthority } from '@tombolo/testing/certificates';
import { freePorts } from '@tombolo/testing/free-port';
import { redisMissing, startRedis } from '@tombolo/testing/redis';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import type { RabbitBrokerConfig } from '../../src/broker/rabbitmq/config.ts';
import { Connection } from '../../src/broker/rabbitmq/connection.ts';
import { Management } from '../../src/broker/rabbitmq/management.ts';
import { allArrived, exactlyOnce, noNodes, tally, westToEast, within } from './network.ts';

let authority: TestAuthority;
let other: TestAuthority;
beforeAll(() => {
  authority = new TestAuthority('Authority of the network');
  other = new TestAuthority('Another authority');
});
afterAll(() => {
  authority.close();
  other.close();
});

/** A directory with the files of a bridge, which may be replaced. */
function filesOf(issued: Issued, caFile = authority.caFile) {
  const directory = mkdtempSync(join(tmpdir(), 'tombolo-tls-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  const replace = (next: Issued) => {
    copyFileSync(next.certFile, cert);
    copyFileSync(next.keyFile, key);
  };
  replace(issued);
  copyFileSync(caFile, ca);
  return { tls: { ca, cert, key }, replace };
}

/** A Redis that speaks TLS on one port, and wants a certificate of its clients there. */
async function secureRedis() {
  const { certFile, keyFile } = authority.issue(['DNS:redis.test']);
  const [port] = (await freePorts(1)) as [number];
  const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', authority.caFile];
  const redis = await startRedis(['--tls-port', String(port), '--tls-auth-clients', 'yes', ...files]);
  onTestFinished(() => redis.stop());
  const password = secretOf('of-redis');
  await redis.command('ACL', 'SETUSER', 'bridge', 'on', `>${password}`, '~*', '+@all');
  return { uri: `rediss://bridge:${password}@127.0.0.1:${port}/0`, redis };
}

describe.skipIf(noNodes() || redisMissing() !== undefined)('a network of which everything speaks TLS', () => {
  test('forwards; certificates are replaced while messages flow, without a restart and without a lost link', async () => {
    const node = inject('secureNode')!;
    const { uri, redis } = await secureRedis();
    const own = {
      west: filesOf(authority.issue(['DNS:west'])),
      east: filesOf(authority.issue(['URI:spiffe://e2e/east'])),
    };
    const client = { ca: authority.caFile, cert: own.east.tls.cert, key: own.east.tls.key, serverName: 'redis.test' };
    const { west, east, network } = await westToEast(
      {},
      {
        west: {
          broker: {
            uris: [`amqps://127.0.0.1:${node.amqpsPort}/placeholder`],
            management: { uris: [`https://127.0.0.1:${node.httpsPort}`] },
            tls: { ca: node.ca, cert: node.cert, key: node.key, serverName: 'broker.test' },
          },
          bridge: { tls: own.west.tls },
        },
        east: {
          bridge: {
            tls: { ...own.east.tls, identity: 'spiffe://e2e/east' },
            deduplication: { type: 'redis', uri, tls: client },
            election: { type: 'redis', uri, tls: client },
          },
        },
        start: false,
      },
    );
    const written = network.topology.clusters['west'] as { broker: { uris: string[] } };
    written.broker.uris = [`amqps://127.0.0.1:${node.amqpsPort}/${west.vhost}`];
    await network.write();
    await Promise.all([west.declare('q'), east.declare('q')]);
    const bridges = await Promise.all(['west', 'east'].map((name) => network.start(name)));
    await Promise.all(bridges.map((bridge) => bridge.ready()));
    await network.linked('west', 'east');

    const consumer = await east.consume('q');
    await west.publish('q', 300);
    await allArrived([consumer], 300);
    const [westBridge, eastBridge] = bridges as [(typeof bridges)[0], (typeof bridges)[0]];
    expect((await westBridge.status()).broker).toMatchObject({ up: true, demandMethod: 'management API + events' });
    await awaitUntil('the record is written', async () => (await eastBridge.metric('tombolo_deduplication_up')) === 1);
    expect(await redis.command('KEYS', '*')).toMatch(/doubt/);
    const expiry = (use: string) => eastBridge.metric('tombolo_certificate_expiry_timestamp_seconds', { use });
    const now = Date.now() / 1_000;
    for (const use of ['link', 'link_ca', 'election', 'election_ca', 'deduplication', 'deduplication_ca']) {
      expect(await expiry(use), use).toBeGreaterThan(now + 86_400);
    }
    for (const use of ['broker', 'broker_ca', 'link'])
      expect(await westBridge.metric('tombolo_certificate_expiry_timestamp_seconds', { use }), use).toBeGreaterThan(
        now,
      );
    expect(await westBridge.metric('tombolo_certificate_expiry_timestamp_seconds', { use: 'election' })).toBe(0);

    const publishing = west.publish('q', 500, { from: 300, window: 20 });
    own.east.replace(authority.issue(['URI:spiffe://e2e/east'], { until: 20 }));
    await awaitUntil('the new one is read', async () => (await expiry('link')) > now + 10 * 86_400, within(60_000));
    await publishing;
    await allArrived([consumer], 800);
    expect(tally(consumer.bodies(), 800)).toEqual(exactlyOnce);
    expect(await westBridge.metric('tombolo_link_reconnects_total')).toBe(0);

    // The next handshake is made with it; with one that west does not know there is none, and both say why.
    own.east.replace(other.issue(['URI:spiffe://e2e/east'], { until: 30 }));
    await awaitUntil('it is read', async () => (await expiry('link')) > now + 25 * 86_400, within(60_000));
    await westBridge.stop();
    const again = await network.start('west');
    const says = /of an authority that cluster 'west' does not trust \(issuer Another authority\)/;
    for (const bridge of [again, eastBridge]) {
      await awaitUntil(
        `${bridge.name} says why`,
        async () => says.test((await bridge.status()).links[0]?.reason ?? ''),
        within(60_000),
      );
      expect(await bridge.metric('tombolo_link_refused_total', { reason: 'certificate' })).toBeGreaterThan(0);
      expect(await bridge.output()).toMatch(says);
    }
    own.east.replace(authority.issue(['URI:spiffe://e2e/east']));
    await network.linked('west', 'east');

    for (const path of ['/api/v1/status', '/api/v1/streams', '/api/v1/demand', '/metrics', '/readyz']) {
      expect(leaksIn(await (await fetch(eastBridge.admin + path)).text()), path).toEqual([]);
    }
  });
});

describe.skipIf(noNodes())(
  'a broker behind TLS that cannot be trusted, or does not trust the bridge, is named with what to do',
  () => {
    const reach = (tls: Partial<{ ca: string; cert: string; key: string; servername: string }>, secure = true) => {
      const { amqpsPort } = inject('secureNode')!;
      const config: RabbitBrokerConfig = {
        ...{ cluster: 'here', instance: 'here', username: 'guest', password: 'guest', events: false, uris: [] },
        tls: () => tls,
        connectTimeoutMs: 3_000,
      };
      return Connection.open(config, { host: '127.0.0.1', port: amqpsPort, vhost: '/', tls: secure }, 'test', () => {});
    };
    const files = async () => {
      const { readFileSync } = await import('node:fs');
      const { ca, cert, key } = inject('secureNode')!;
      return { ca: readFileSync(ca, 'utf8'), cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
    };

    test('in AMQP', async () => {
      const all = await files();
      const connection = await reach(all);
      expect(connection.isOpen).toBe(true);
      await connection.close();
      await expect(reach({ ...all, ca: other.ca })).rejects.toThrow(
        /TLS with amqps:.+ failed: .*certificate.*Check ca, cert, key and serverName/,
      );
      await expect(reach({ ...all, servername: 'elsewhere.test' })).rejects.toThrow(
        /TLS with .+ failed: .*elsewhere\.test/,
      );
      await expect(reach({ ca: all.ca })).rejects.toThrow(/TLS with .+ failed: .*(certificate|alert)/i);
      await expect(reach({}, false)).rejects.toThrow(/closed the connection before it answered.+amqps:\/\//);
    });

    test('in the management API', async () => {
      const { httpsPort } = inject('secureNode')!;
      const all = await files();
      const ask = async (uri: string, ca: string) => {
        const management = new Management({ uris: [uri], username: 'guest', password: 'guest', tls: () => ({ ca }) });
        try {
          return await management.exchanges('/');
        } finally {
          await management.close();
        }
      };
      expect(await ask(`https://127.0.0.1:${httpsPort}`, all.ca)).not.toEqual([]);
      await expect(ask(`https://127.0.0.1:${httpsPort}`, other.ca)).rejects.toThrow(/certificate.*Check broker\.tls/);
      await expect(ask(`http://127.0.0.1:${httpsPort}`, all.ca)).rejects.toThrow(
        /Is the management plugin enabled, and the port right\?/,
      );
    });
  },
);
