import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import type { BrokersAnswer, NetworkAnswer } from '../../src/admin/network.ts';
import { Description } from '../unit/admin/described.ts';
import { type BridgeProcess, noNodes, secret, westToEast, within } from './network.ts';

/** What of the answers of a running bridge is not as the document says that it serves. */
async function complaintsOf(bridge: BridgeProcess): Promise<string[]> {
  const description = new Description(await bridge.get('/documentation/json'));
  const complaints: string[] = [];
  for (const { method, path } of description.operations) {
    if (method !== 'GET' || path.startsWith('/metrics')) continue;
    const response = await fetch(`${bridge.admin}${path}${path.endsWith('/trace') ? '?destination=orders' : ''}`);
    complaints.push(...description.complaints('get', path, response.status, await response.json()));
  }
  return complaints;
}

describe.skipIf(noNodes())('the admin API', () => {
  test('shows the network with live rates and brokers, and answers as its OpenAPI document says, also on a standby', async () => {
    const { west, east, network } = await westToEast({ duplex: true }, { west: { standby: true } });
    const [master, other, standby] = ['west', 'east', 'west-standby'].map((name) => network.bridge(name));
    await Promise.all([west.declare('orders'), east.declare('orders')]);
    const consumer = await east.consume('orders', { acknowledge: true });
    await west.publish('orders', 5_000);
    const seen = await awaitUntil(
      'west sees what flows, and what east says of itself',
      async () => {
        const answer = (await master!.get('/api/v1/network')) as NetworkAnswer;
        return answer.flows.length > 0 && answer.clusters.every(({ site }) => site?.broker.up) ? answer : undefined;
      },
      within(60_000),
    );
    expect(seen.clusters.map(({ name, seen: how }) => [name, how])).toEqual([
      ['west', 'own'],
      ['east', 'told'],
    ]);
    expect(seen.links).toMatchObject([{ between: ['west', 'east'], state: 'up' }]);
    expect(seen.connectors).toMatchObject([{ name: 'west-east', duplex: true, state: 'up' }]);
    expect(seen.flows[0]).toMatchObject({ from: 'west', to: 'east', relayed: 0 });
    await consumer.wait(5_000);
    // The consumer's connection stays: there is demand, and there are streams.
    for (const bridge of [master!, other!, standby!])
      expect([bridge.name, await complaintsOf(bridge)]).toEqual([bridge.name, []]);

    const brokers = (await master!.get('/api/v1/brokers')) as BrokersAnswer;
    expect(brokers.items).toMatchObject(
      [west, east].map(({ node, vhost }, index) => ({
        cluster: ['west', 'east'][index],
        up: true,
        uris: [{ uri: `amqp://127.0.0.1:${node.amqpPort}/${vhost}`, inUse: true }],
      })),
    );
    const page = await (await fetch(`${master!.admin}/`)).text();
    expect(page).toContain('<title>Tombolo</title>');
    const told = JSON.stringify([seen, brokers]);
    for (const word of [secret, 'guest']) expect(told).not.toContain(word);

    const refused = await fetch(`${standby!.admin}/api/v1/connectors/west-east/pause`, { method: 'POST' });
    expect([refused.status, refused.headers.get('content-type')]).toEqual([
      409,
      expect.stringContaining('problem+json'),
    ]);
    expect(await refused.json()).toMatchObject({
      error: 'not_master',
      detail: expect.stringContaining('is the master'),
    });
  }, 180_000);
});
