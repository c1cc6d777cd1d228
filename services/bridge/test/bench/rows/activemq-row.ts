import { setTimeout as pause } from 'node:timers/promises';
import { ActiveMqNode, activemqMissing } from '@tombolo/testing/activemq';
import type { Ground } from '../ground.ts';
import { processorSeconds } from '../processor.ts';
import type { Sample } from '../sample.ts';
import type { Row } from './row.ts';

/** ActiveMQ's own networkConnector, between two nodes with STOMP clients; Tombolo has no adapter for ActiveMQ yet. */
export const activemqRow: Row = {
  name: 'activemq',
  setup: 'shared',
  missing: activemqMissing,
  async run(ground, { rounds, scale, log }) {
    const count = Math.ceil(15_000 * scale);
    const sink = await ActiveMqNode.start({ name: 'sink' });
    const source = await ActiveMqNode.start({ name: 'source', networkTo: sink });
    const samples: Record<string, Sample[]> = {};
    try {
      for (let round = 0; round <= rounds; round++) {
        for (const [name, from] of [
          ['networkConnector', source],
          ['one ActiveMQ broker', sink],
        ] as const) {
          const sample = await backlog(ground, from, sink, source, `bench-${round}-${from === sink}`, count);
          log(`${round} ${name}: ${JSON.stringify(sample)}`);
          // The first round warms up the brokers' compilers.
          if (round > 0) samples[name] = [...(samples[name] ?? []), sample];
        }
      }
    } finally {
      await source.stop();
      await sink.stop();
    }
    return samples;
  },
};

async function backlog(
  { producer, consumer }: Ground,
  from: ActiveMqNode,
  sink: ActiveMqNode,
  source: ActiveMqNode,
  queue: string,
  count: number,
): Promise<Sample> {
  await producer.call('stompPublish', { port: from.stompPort, queue, count, bodyBytes: 1_024 });
  await pause(500);
  const used = () => [sink, source].map(({ pid }) => processorSeconds([pid]));
  const before = used();
  const id = await consumer.call('stompConsume', { port: sink.stompPort, queue, numbers: count });
  const { first, last } = await consumer.call('wait', { id, distinct: count, withinMs: 120_000 });
  const [cpuSink, cpuSource] = used().map((seconds, index) => ((seconds - (before[index] as number)) / count) * 1e6);
  await consumer.call('stop', id);
  return { rate: (count / (last - first)) * 1_000, cpuSink: cpuSink as number, cpuSource: cpuSource as number };
}
