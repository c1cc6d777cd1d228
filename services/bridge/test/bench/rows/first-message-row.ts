import { setTimeout as pause } from 'node:timers/promises';
import { type Ground, place } from '../ground.ts';
import type { Sample } from '../sample.ts';
import { median } from '../statistics.ts';
import { Federation } from '../ways/federation.ts';
import { Tombolo } from '../ways/tombolo.ts';
import type { Way } from '../ways/way.ts';
import type { Row } from './row.ts';

const roundTripMs = 100;
/** Samples of one figure; each is the median of as many. */
const tries = 7;

/**
 * How long after a consumer's `basic.consume` it has the message that waits at the source: on a queue whose last consumer
 * has left, on a queue that nobody ever consumed, and over a link with a round trip.
 */
export const firstMessageRow: Row = {
  name: 'first-message',
  setup: 'shared',
  async run(ground, { rounds, log }) {
    const samples: Record<string, Sample[]> = {};
    const fresh = Array.from({ length: rounds * tries }, (_, index) => `bench.fresh-${index}`);
    const queues = ['bench', ...fresh];
    const near: Way[] = [
      await Tombolo.prepare(ground, 'first', { queues }),
      await Federation.prepare(ground, 'first-federation', { queues }),
    ];
    const far: Way[] = [
      await Tombolo.prepare(ground, 'first-far', { roundTripMs }),
      await Federation.prepare(ground, 'first-far-federation', { roundTripMs }),
    ];
    const ways = [...near, ...far];
    try {
      for (const way of ways) await way.start();
      for (let round = 0; round < rounds; round++) {
        for (const [index, way] of near.entries()) {
          const sample = {
            known: await often(() => first(ground, way, 'bench')),
            fresh: await often((attempt) => first(ground, way, fresh[round * tries + attempt] as string)),
            far: await often(() => first(ground, far[index] as Way, 'bench')),
          };
          log(`${round + 1} ${way.name}: ${JSON.stringify(sample)}`);
          samples[way.name] = [...(samples[way.name] ?? []), sample];
        }
      }
    } finally {
      for (const way of ways) await way.stop();
    }
    return samples;
  },
};

async function often(once: (attempt: number) => Promise<number>): Promise<number> {
  const all: number[] = [];
  for (let attempt = 0; attempt < tries; attempt++) all.push(await once(attempt));
  return median(all);
}

async function first({ producer, consumer }: Ground, { source, sink }: Way, queue: string): Promise<number> {
  // Nobody wants the message any more when it is sent, at the other end of a slow link too; then it is at rest.
  await pause(5 * roundTripMs);
  await producer.call('publish', { ...place(source), keys: [queue], count: 1, bodyBytes: 1_024 });
  await pause(roundTripMs);
  return consumer.call('firstMessage', { ...place(sink), queue });
}
