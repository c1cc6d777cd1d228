import { setTimeout as pause } from 'node:timers/promises';
import type { Ground } from './ground.ts';
import { machine, peakMemory, processorSeconds } from './processor.ts';
import type { Way } from './ways/way.ts';

/** What one run of one way showed, by figure; units are in the names or in `figures.ts`. */
export type Sample = Readonly<Record<string, number>>;

/** A run whose figures are not the software's doing: seconds in ten that were the hypervisor's, or other people's. */
export const mostStolen = 0.3;
export const mostForeign = 0.8;
/** `TRIES=1` takes the machine as it is. */
const tries = Number(process.env['TRIES'] ?? 5);
/** Milliseconds that a run waits for a machine that is busy with something else. */
const patience = tries > 1 ? 15_000 : 0;

let thrownAway = 0;

/** How many runs were thrown away since the measurement began. */
export function runsThrownAway(): number {
  return thrownAway;
}

/**
 * What happens between the calls, of which `begin` is at the start: processor seconds per million messages of both
 * brokers, the way's own processes and the load's.
 */
export interface Watch {
  /** Waits a while for others to leave the processors alone. */
  begin(): Promise<void>;
  /** @param messages how many went through since `begin` */
  end(messages: number): Sample;
}

/**
 * Runs until a run was undisturbed, and adds the processor time that it took. After too many tries the last one counts, and the
 * figure `disturbed` is 1.
 */
export async function undisturbed(
  ground: Ground,
  way: Way,
  run: (watch: Watch) => Promise<Sample>,
  log: (line: string) => void,
): Promise<Sample> {
  for (let attempt = 1; ; attempt++) {
    const watch = await Stopwatch.of(ground, way);
    const sample = { ...(await run(watch)), ...watch.sample };
    const { stolen, foreign } = watch;
    if (stolen <= mostStolen && foreign <= mostForeign) return sample;
    const what = `${way.name}: stolen ${stolen.toFixed(2)} s, others ${foreign.toFixed(2)} s in ten`;
    if (attempt === tries) {
      log(`${what}: counted all the same, there was no better run in ${tries}`);
      return { ...sample, disturbed: 1 };
    }
    thrownAway++;
    log(`${what}: thrown away`);
  }
}

class Stopwatch implements Watch {
  sample: Sample = {};
  stolen = 0;
  foreign = 0;
  readonly #groups: Readonly<Record<string, readonly number[]>>;
  #since = 0;
  #machine = machine();
  #used: Record<string, number> = {};

  private constructor(groups: Readonly<Record<string, readonly number[]>>) {
    this.#groups = groups;
  }

  static async of(ground: Ground, way: Way): Promise<Stopwatch> {
    const [a, b] = await Promise.all([ground.a.pid(), ground.b.pid()]);
    const load = [ground.producer.pid, ground.consumer.pid, ground.line.pid, process.pid];
    return new Stopwatch({ cpuSink: [a], cpuSource: [b], cpuBridges: way.pids, cpuLoad: load });
  }

  async begin(): Promise<void> {
    const deadline = performance.now() + patience;
    do await this.#look();
    while (this.foreign > mostForeign && performance.now() < deadline);
    this.#note();
  }

  /** How busy others are while nothing is measured. */
  async #look(): Promise<void> {
    this.#note();
    await pause(200);
    this.end(1);
  }

  #note(): void {
    this.#since = performance.now();
    this.#machine = machine();
    this.#used = this.#usage();
  }

  end(messages: number): Sample {
    const seconds = (performance.now() - this.#since) / 1_000;
    const { busy, stolen } = machine();
    const used = this.#usage();
    const sample: Record<string, number> = {};
    let ours = 0;
    for (const name of Object.keys(this.#groups)) {
      const spent = (used[name] ?? 0) - (this.#used[name] ?? 0);
      ours += spent;
      sample[name] = (spent / messages) * 1e6;
    }
    sample['cpuAll'] = (sample['cpuSink'] ?? 0) + (sample['cpuSource'] ?? 0) + (sample['cpuBridges'] ?? 0);
    this.stolen = ((stolen - this.#machine.stolen) / seconds) * 10;
    this.foreign = Math.max(0, ((busy - this.#machine.busy - ours) / seconds) * 10);
    const memory = (this.#groups['cpuBridges'] ?? []).map(peakMemory);
    if (memory.length > 0) sample['memory'] = Math.max(...memory);
    this.sample = sample;
    return sample;
  }

  #usage(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.#groups).map(([name, pids]) => [name, processorSeconds(pids)]));
  }
}
