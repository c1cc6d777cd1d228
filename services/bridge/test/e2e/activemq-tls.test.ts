import { readFileSync } from 'node:fs';
import { TestAuthority } from '@tombolo/testing/certificates';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { ActiveMqBrokerConfig } from '../../src/broker/activemq/config.ts';
import { StompConnection } from '../../src/broker/activemq/connection.ts';
import { ActiveMqSite, noActiveMq } from './activemq-site.ts';
import { exactlyOnce, Network, tally } from './network.ts';

describe.skipIf(noActiveMq())('an ActiveMQ behind TLS', () => {
  let other: TestAuthority;
  beforeAll(() => {
    other = new TestAuthority('Another authority');
  });
  afterAll(() => other?.close());

  test('forwards by stomp+ssl, where the broker and the bridge prove who they are', async () => {
    const { stompsPort, ca, cert, key } = inject('secureActiveMq')!;
    const [west, east, queue] = [ActiveMqSite.open(0), ActiveMqSite.open(1), `tls.${process.pid}`];
    const tls = { ca, cert, key, serverName: 'broker.test' };
    const network = await Network.open({
      clusters: {
        west: { site: west, broker: { uris: [`stomp+ssl://127.0.0.1:${stompsPort}`], tls } },
        east: { site: east },
      },
      connectors: [{ name: 'west-east', from: 'west', to: 'east' }],
    });
    const consumer = await east.consume(queue);
    await west.publish(queue, 200);
    await consumer.wait(200);
    expect(tally(consumer.bodies(), 200)).toEqual(exactlyOnce);
    const bridge = network.bridge('west');
    expect((await bridge.get('/api/v1/status')) as object).toMatchObject({
      broker: { up: true, address: expect.stringContaining(`stomp+ssl://127.0.0.1:${stompsPort}`) },
    });
    for (const use of ['broker', 'broker_ca'])
      expect(await bridge.metric('tombolo_certificate_expiry_timestamp_seconds', { use }), use).toBeGreaterThan(
        Date.now() / 1_000,
      );
  });

  test('that cannot be trusted, or does not trust the bridge, is named with what to do', async () => {
    const secure = inject('secureActiveMq')!;
    const [ca, cert, key] = [secure.ca, secure.cert, secure.key].map((file) => readFileSync(file, 'utf8')) as [
      string,
      string,
      string,
    ];
    const all = { ca, cert, key, servername: 'broker.test' };
    const reach = async (given: Partial<typeof all>, { port = secure.stompsPort, tls = true } = {}) => {
      const config: ActiveMqBrokerConfig = {
        ...{ cluster: 'here', uris: [], username: '', password: '', connectTimeoutMs: 2_000 },
        tls: () => given,
      };
      const connection = await StompConnection.open(config, { host: '127.0.0.1', port, tls }, undefined, () => {});
      await connection.close();
    };
    await reach(all);
    await expect(reach({ ...all, ca: other.ca })).rejects.toThrow(
      /TLS with stomp\+ssl:.+ failed: .*certificate.*Check ca, cert, key and serverName/,
    );
    await expect(reach({ ...all, servername: 'elsewhere.test' })).rejects.toThrow(
      /TLS with .+ failed: .*elsewhere\.test/,
    );
    const untrusted = /stomp\+ssl:.+ failed: .+certificate of the bridge/;
    await expect(reach({ ca, servername: 'broker.test' })).rejects.toThrow(untrusted);
    const { cert: strange, key: its } = other.issue(['DNS:a-bridge']);
    await expect(reach({ ...all, cert: strange, key: its })).rejects.toThrow(untrusted);
    await expect(reach({}, { tls: false })).rejects.toThrow(/stomp:.+ failed: .+stomp\+ssl:\/\//);
    const { stompPort: port } = inject('activeMqNodes')[0]!;
    await expect(reach(all, { port })).rejects.toThrow(/stomp\+ssl:.+ failed: .+connector with TLS/);
  });
});
