import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadTopology } from '@tombolo/topology/load';
import { describe, expect, it } from 'vitest';
import { limitations } from '../../../src/limitations.ts';

function topologyOf(connector: object, bridge: object = {}) {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'tombolo-limits-')), 'tombolo.yaml');
  const site = (name: string) => ({
    broker: { type: 'rabbitmq', uris: [`amqp://${name}/%2F`] },
    bridge: { listen: '127.0.0.1:7460', uris: [`wss://${name}:7460`], secret: 's', ...bridge },
  });
  const connectors = [
    { name: 'w-e', from: 'west', to: 'east', dynamicallyIncludedDestinations: [{ queue: 'q' }], ...connector },
  ];
  const clusters = { west: site('west'), east: site('east') };
  writeFileSync(file, JSON.stringify({ version: 1, network: 'n', clusters, networkConnectors: connectors }));
  const { topology, problems } = loadTopology(file, { env: {} });
  if (!topology) throw new Error(JSON.stringify(problems));
  return topology;
}

describe('what this version does not do', () => {
  it('is nothing for a plain topology', () => {
    expect(limitations(topologyOf({}), 'west')).toEqual([]);
  });

  it('is said of each option that is read and not obeyed', () => {
    const connector = {
      rateLimit: { messages: '10/s' },
      staticallyIncludedDestinations: [{ exchange: 'events' }],
    };
    const election = { type: 'redis', uri: 'redis://127.0.0.1' };
    const said = limitations(topologyOf(connector, { election }), 'west').join('\n');
    for (const word of ['exchanges']) expect(said).toContain(word);
    for (const word of ['election', 'networkTTL', 'conduitSubscriptions', 'rateLimit'])
      expect(said).not.toContain(word);
  });

  it('is that ActiveMQ has no exchanges, and not that it has no topics', () => {
    const connector = { dynamicallyIncludedDestinations: [{ topic: 'prices.>' }, { exchange: 'events' }] };
    const broker = { type: 'activemq', uris: ['stomp://broker:61613'] };
    // Two clusters may not be one broker; of the own one the type counts.
    const topology = topologyOf(connector);
    const west = {
      ...topology.clusters['west']!,
      broker: { ...topology.clusters['west']!.broker!, ...broker } as const,
    };
    const mixed = { ...topology, clusters: { ...topology.clusters, west } } as typeof topology;
    expect(limitations(mixed, 'west')).toEqual([expect.stringContaining('no exchange events')]);
    expect(limitations(topology, 'west')).toEqual([]);
    const topics = { dynamicallyIncludedDestinations: [{ topic: 'prices.>' }] };
    const { connectors } = topologyOf(topics);
    expect(limitations({ ...mixed, connectors }, 'west')).toEqual([]);
  });
});
