import type { Ground } from '../ground.ts';
import { type Sample, undisturbed, type Watch } from '../sample.ts';
import type { Way } from '../ways/way.ts';
import type { RowOptions } from './row.ts';

/** A way and what is run of it; `name` is the way's unless it says otherwise. */
export interface Contender {
  readonly way: Way;
  readonly name?: string;
  readonly run: (watch: Watch) => Promise<Sample>;
}

/** `WAYS=Tombolo,shovel` leaves out the others, while something is tried. */
const wanted = (process.env['WAYS'] ?? '').split(',').filter(Boolean);

/** Starts the ways, lets them take turns (A B C A B C …), and stops them. */
export async function inTurns(
  ground: Ground,
  all: readonly Contender[],
  { rounds, log }: RowOptions,
): Promise<Record<string, Sample[]>> {
  const contenders = all.filter(
    ({ way, name = way.name }) =>
      wanted.length === 0 || wanted.some((each) => name === each || name.startsWith(`${each} of `)),
  );
  const samples: Record<string, Sample[]> = {};
  const ways = [...new Set(contenders.map(({ way }) => way))];
  try {
    for (const way of ways) await way.start();
    for (const { way, name = way.name, run } of contenders) {
      await warmUp(way, run).catch((error) => {
        throw new Error(`${name}: ${error.message}`, { cause: error });
      });
    }
    for (let round = 1; round <= rounds; round++) {
      for (const { way, name = way.name, run } of contenders) {
        const sample = await undisturbed(ground, way, run, log);
        log(`${round} ${name}: ${shown(sample)}`);
        samples[name] = [...(samples[name] ?? []), sample];
      }
    }
  } finally {
    for (const way of ways) await way.stop();
  }
  return samples;
}

/**
 * Bridges run for months: they are measured when Node.js has compiled them, which takes it some 75,000 messages (47 s of processor
 * time per million in the first run, 20 from the fourth on). RabbitMQ's code is compiled when it is loaded.
 */
async function warmUp(way: Way, run: Contender['run']): Promise<void> {
  const runs = way.pids.length > 0 ? 3 : 1;
  for (let done = 0; done < runs; done++) await run({ begin: async () => {}, end: () => ({}) });
}

function shown(sample: Sample): string {
  return Object.entries(sample)
    .map(([name, value]) => `${name} ${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))}`)
    .join(', ');
}
