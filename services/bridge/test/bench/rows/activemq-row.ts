import type { ChildProcess } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ActiveMqNode, activemqMissing } from '@tombolo/testing/activemq';
import { freePorts } from '@tombolo/testing/free-port';
import type { Ground } from '../ground.ts';
import { processorSeconds } from '../processor.ts';
import type { Sample } from '../sample.ts';
import { awaitLinks, endBridge, spawnBridge } from '../ways/bridge-processes.ts';
import type { Row } from './row.ts';

/** What the queues of each way begin with, so that ActiveMQ's networkConnector leaves Tombolo's alone. */
const ways = [
  ['Tombolo', 'tombolo-bench'],
  ['networkConnector', 'own'],
  ['one ActiveMQ broker', 'one'],
] as const;

/** Tombolo and ActiveMQ's own networkConnector between the same two nodes, with STOMP clients. */
export const activemqRow: Row = {
  name: 'activemq',
  setup: 'shared',
  missing: activemqMissing,
  async run(ground, { rounds, scale, log }) {
    const count = Math.ceil(15_000 * scale);
    const sink = await ActiveMqNode.start({ name: 'sink' });
    const own = `<networkConnector name="own" uri="static:(tcp://127.0.0.1:${sink.openwirePort})">
      <dynamicallyIncludedDestinations><queue physicalName="own.>"/></dynamicallyIncludedDestinations></networkConnector>`;
    const source = await ActiveMqNode.start({ name: 'source', elements: { networkConnectors: own } });
    const samples: Record<string, Sample[]> = {};
    let bridges: readonly ChildProcess[] = [];
    try {
      bridges = await startBridges({ source, sink });
      for (let round = 0; round <= rounds; round++) {
        for (const [name, prefix] of ways) {
          const from = prefix === 'one' ? sink : source;
          const works = name === 'Tombolo' ? bridges : [];
          const sample = await backlog(ground, { from, sink, source, bridges: works }, `${prefix}.${round}`, count);
          log(`${round} ${name}: ${JSON.stringify(sample)}`);
          // The first round warms up the brokers' compilers.
          if (round > 0) samples[name] = [...(samples[name] ?? []), sample];
        }
      }
    } finally {
      await Promise.all(bridges.map(endBridge));
      await source.stop();
      await sink.stop();
    }
    return samples;
  },
};

interface Sites {
  readonly from: ActiveMqNode;
  readonly sink: ActiveMqNode;
  readonly source: ActiveMqNode;
  readonly bridges: readonly ChildProcess[];
}

async function backlog(
  { producer, consumer }: Ground,
  { from, sink, source, bridges }: Sites,
  queue: string,
  count: number,
): Promise<Sample> {
  await producer.call('stompPublish', { port: from.stompPort, queue, count, bodyBytes: 1_024 });
  await pause(500);
  const pids = [[sink.pid], [source.pid], bridges.map(({ pid }) => pid as number)];
  const used = () => pids.map((each) => processorSeconds(each));
  const before = used();
  const id = await consumer.call('stompConsume', { port: sink.stompPort, queue, numbers: count });
  const { first, last } = await consumer.call('wait', { id, distinct: count, withinMs: 120_000 });
  const [cpuSink, cpuSource, cpuBridges] = used().map(
    (seconds, index) => ((seconds - (before[index] as number)) / count) * 1e6,
  ) as [number, number, number];
  await consumer.call('stop', id);
  const rate = (count / (last - first)) * 1_000;
  return { rate, cpuSink, cpuSource, ...(bridges.length > 0 && { cpuBridges }) };
}

/** Two bridges with the defaults of a topology file. */
async function startBridges(nodes: Readonly<Record<'source' | 'sink', ActiveMqNode>>): Promise<ChildProcess[]> {
  const [link, ...admins] = (await freePorts(3)) as [number, number, number];
  const clusters = (['source', 'sink'] as const).map((name, index) => ({ name, admin: admins[index] as number }));
  const described = clusters.map(({ name, admin }) => [
    name,
    {
      broker: { type: 'activemq', uris: [`stomp://127.0.0.1:${nodes[name].stompPort}`] },
      bridge: {
        ...(name === 'sink' && { listen: `127.0.0.1:${link}`, uris: [`ws://127.0.0.1:${link}`] }),
        admin: `127.0.0.1:${admin}`,
        secret: 'the-secret-of-the-measurement',
      },
    },
  ]);
  const topology = {
    version: 1,
    network: 'bench',
    clusters: Object.fromEntries(described),
    networkConnectors: [
      { name: 'bench', from: 'source', to: 'sink', dynamicallyIncludedDestinations: [{ queue: 'tombolo-bench.>' }] },
    ],
  };
  const directory = await mkdtemp(join(process.env['BENCH_LOGS'] ?? tmpdir(), 'activemq-'));
  const file = join(directory, 'tombolo.yaml');
  await writeFile(file, JSON.stringify(topology, null, 2));
  const groups = clusters.map(({ name }) => [name]);
  const order = { topology: file, directory, run: 'activemq' };
  const children = await Promise.all(groups.map((group) => spawnBridge(order, group)));
  await awaitLinks(clusters, directory, groups);
  return children;
}
