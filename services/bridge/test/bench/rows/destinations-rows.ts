import { setTimeout as pause } from 'node:timers/promises';
import { type Ground, place } from '../ground.ts';
import { processorSeconds, residentMemory } from '../processor.ts';
import type { Sample } from '../sample.ts';
import { Federation } from '../ways/federation.ts';
import { Tombolo } from '../ways/tombolo.ts';
import type { Way } from '../ways/way.ts';
import type { Row } from './row.ts';

/** Seconds over which what is idle is watched. */
const idleSeconds = 10;

const named = (count: number): string[] => Array.from({ length: count }, (_, index) => `bench.${index}`);

/** A thousand queues, each with a consumer at the sink. */
export const thousandRow: Row = {
  name: 'destinations-1000',
  setup: 'shared',
  async run(ground, { rounds, scale, log }) {
    const queues = named(Math.ceil(1_000 * scale));
    const samples: Record<string, Sample[]> = {};
    for (let round = 1; round <= rounds; round++) {
      const ways = [
        await Tombolo.prepare(ground, `many-${round}`, { queues }),
        await Federation.prepare(ground, `many-${round}-federation`, { queues }),
      ];
      for (const way of ways) {
        const sample = await many(ground, way);
        log(`${round} ${way.name}: ${JSON.stringify(sample)}`);
        samples[way.name] = [...(samples[way.name] ?? []), sample];
      }
    }
    return samples;
  },
};

/**
 * `up`: seconds from the way's start until it is linked. `ready`: seconds from the consumers' coming until each has the message that
 * waits for it. `rate`: of messages to all queues in turn. `connections`: to both brokers. `idle*`: share of a core in per cent.
 */
async function many(ground: Ground, way: Way): Promise<Sample> {
  const { producer, consumer } = ground;
  const { queues, source, sink } = way;
  const [a, b] = await Promise.all([ground.a.pid(), ground.b.pid()]);
  await producer.call('declare', { ...place(source), queues });
  await consumer.call('declare', { ...place(sink), queues });
  const before = await connections(way);
  let since = performance.now();
  await way.start();
  const up = (performance.now() - since) / 1_000;
  try {
    await producer.call('publish', { ...place(source), keys: queues, count: queues.length, bodyBytes: 1_024 });
    await pause(500);
    since = performance.now();
    const waiting = await consumer.call('consume', { ...place(sink), queues, numbers: queues.length, prefetch: 100 });
    await consumer.call('wait', { id: waiting, distinct: queues.length, withinMs: 120_000 });
    const ready = (performance.now() - since) / 1_000;
    await pause(6_000); // RabbitMQ counts connections every five seconds
    const opened = (await connections(way)) - before - 1;
    const used = () => [way.pids, [a], [b]].map(processorSeconds);
    const beginning = used();
    await pause(idleSeconds * 1_000);
    const idle = used().map((seconds, index) => ((seconds - (beginning[index] as number)) / idleSeconds) * 100);
    await consumer.call('stop', waiting);
    const count = queues.length * 15;
    const id = await consumer.call('consume', { ...place(sink), queues, numbers: count, prefetch: 100 });
    await pause(1_000);
    const cpu = used();
    await producer.call('publish', { ...place(source), keys: queues, count, bodyBytes: 1_024 });
    const { first, last } = await consumer.call('wait', { id, distinct: count, withinMs: 120_000 });
    const perMillion = used().map((seconds, index) => ((seconds - (cpu[index] as number)) / count) * 1e6);
    await consumer.call('stop', id);
    return {
      up,
      ready,
      rate: (count / (last - first)) * 1_000,
      connections: opened,
      idleBridges: idle[0] as number,
      idleSink: idle[1] as number,
      idleSource: idle[2] as number,
      cpuBridges: perMillion[0] as number,
      cpuSink: perMillion[1] as number,
      cpuSource: perMillion[2] as number,
      ...(way.pids.length > 0 && { memory: Math.max(...way.pids.map(residentMemory)) }),
    };
  } finally {
    await way.stop();
  }
}

async function connections({ source, sink }: Way): Promise<number> {
  const lists = await Promise.all(
    [source, sink].map(({ node, vhost }) => node.api('GET', `/vhosts/${vhost}/connections`) as Promise<unknown[]>),
  );
  return lists.reduce((sum, list) => sum + list.length, 0);
}

/** Ten thousand queues, each with a consumer at the sink, and no message: what each costs. */
export const tenThousandRow: Row = {
  name: 'destinations-10000',
  setup: 'shared',
  async run(ground, { scale, log }) {
    const { producer, consumer, line } = ground;
    const queues = named(Math.ceil(10_000 * scale));
    const way = await Tombolo.prepare(ground, 'ten-thousand', { queues: ['bench'], counted: true });
    const { source, sink } = way;
    await way.start();
    try {
      await pause(3_000);
      const empty = way.pids.map(residentMemory);
      await producer.call('declare', { ...place(source), queues });
      await consumer.call('declare', { ...place(sink), queues });
      await producer.call('publish', { ...place(source), keys: queues, count: queues.length, bodyBytes: 1_024 });
      const since = performance.now();
      const id = await consumer.call('consume', { ...place(sink), queues, numbers: queues.length, prefetch: 10 });
      await consumer.call('wait', { id, distinct: queues.length, withinMs: 200_000 });
      const ready = (performance.now() - since) / 1_000;
      await pause(10_000);
      const full = way.pids.map(residentMemory);
      const requests = async () => Promise.all(way.counting.map((port) => line.call('counts', port)));
      const before = await requests();
      const cpu = processorSeconds(way.pids);
      await pause(30_000);
      const after = await requests();
      const sample = {
        ready,
        bytesSource: (((full[0] as number) - (empty[0] as number)) * 1024 * 1024) / queues.length,
        bytesSink: (((full[1] as number) - (empty[1] as number)) * 1024 * 1024) / queues.length,
        amqpRequests: 2 * ((after[0]?.requests ?? 0) - (before[0]?.requests ?? 0)),
        managementRequests: 2 * ((after[1]?.requests ?? 0) - (before[1]?.requests ?? 0)),
        idleBridges: ((processorSeconds(way.pids) - cpu) / 30) * 100,
        memory: Math.max(...full),
      };
      log(`Tombolo: ${JSON.stringify(sample)}`);
      await consumer.call('stop', id);
      return { [way.name]: [sample] };
    } finally {
      await way.stop();
    }
  },
};
