import { setTimeout as pause } from 'node:timers/promises';
import { type Ground, place } from '../ground.ts';
import type { Sample } from '../sample.ts';
import { Federation } from '../ways/federation.ts';
import { Tombolo } from '../ways/tombolo.ts';
import type { Row } from './row.ts';

/** At 1,000 messages a second the connection between the sites is reset: the longest time without a message, and copies. */
export const linkKilledRow: Row = {
  name: 'link-killed',
  setup: 'shared',
  async run(ground, { rounds, scale, log }) {
    const { producer, consumer, line } = ground;
    const ways = [
      await Tombolo.prepare(ground, 'cut', { lined: true }),
      await Federation.prepare(ground, 'cut-federation', { lined: true }),
    ];
    const samples: Record<string, Sample[]> = {};
    try {
      for (const way of ways) await way.start();
      for (let round = 1; round <= rounds; round++) {
        for (const way of ways) {
          const messages = Math.ceil(8_000 * scale);
          const { queues } = way;
          const id = await consumer.call('consume', { ...place(way.sink), queues, numbers: messages });
          await pause(500);
          const order = {
            ...place(way.source),
            keys: queues,
            count: messages,
            bodyBytes: 1_024,
            rate: 1_000,
            ids: true,
          };
          const published = producer.call('publish', order);
          await pause(3_000 * scale);
          await line.call('cut', way.line as number);
          await published;
          await consumer.call('wait', { id, distinct: messages, withinMs: 60_000 });
          await pause(1_000);
          const { longestGap, count } = await consumer.call('stop', id);
          const sample = { pause: longestGap, duplicates: count - messages };
          log(`${round} ${way.name}: ${JSON.stringify(sample)}`);
          samples[way.name] = [...(samples[way.name] ?? []), sample];
        }
      }
    } finally {
      for (const way of ways) await way.stop();
    }
    return samples;
  },
};

/** The source's broker is killed (-9) in the midst of a backlog and started again: what comes twice. */
export const brokerKilledRow: Row = {
  name: 'broker-killed',
  setup: 'shared',
  async run(ground, { rounds, scale, log }) {
    const samples: Record<string, Sample[]> = {};
    const messages = Math.ceil(60_000 * scale);
    for (let round = 1; round <= rounds; round++) {
      for (const [name, ids] of [
        ['Tombolo, message ids', true],
        ['Tombolo', false],
        ['queue federation', false],
      ] as const) {
        const vhost = `killed-${round}-${name.replace(/\W+/g, '-')}`;
        const way =
          name === 'queue federation' ? await Federation.prepare(ground, vhost) : await Tombolo.prepare(ground, vhost);
        await way.start();
        try {
          const sample = await kill(ground, way, messages, ids);
          log(`${round} ${name}: ${JSON.stringify(sample)}`);
          samples[name] = [...(samples[name] ?? []), sample];
        } finally {
          await way.stop();
        }
      }
    }
    return samples;
  },
};

async function kill(ground: Ground, way: Tombolo | Federation, messages: number, ids: boolean): Promise<Sample> {
  const { producer, consumer } = ground;
  const { queues, source, sink } = way;
  await producer.call('publish', { ...place(source), keys: queues, count: messages, bodyBytes: 1_024, ids });
  await pause(500);
  const id = await consumer.call('consume', { ...place(sink), queues, numbers: messages });
  await consumer.call('wait', { id, distinct: Math.floor(messages / 3), withinMs: 60_000 });
  await source.node.kill();
  await source.node.restart();
  await consumer.call('wait', { id, distinct: messages, withinMs: 120_000 });
  await pause(2_000);
  const { count, distinct } = await consumer.call('stop', id);
  return { lost: messages - distinct, duplicates: count - distinct };
}
