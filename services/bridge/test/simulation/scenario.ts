import { it } from 'vitest';
import { drawSchedule, type Frame } from './generate.ts';
import type { Invariant } from './judge.ts';
import { Network, type NetworkOptions, type Verdict } from './network.ts';
import { describeSchedule, type Schedule } from './schedule.ts';
import { shrink } from './shrink.ts';

/** How many runs there are of each scenario, from seed 1 on; `TOMBOLO_SEED=n` runs this one only. */
const seeds = Number(process.env['TOMBOLO_SEEDS'] ?? 50);
const only = process.env['TOMBOLO_SEED'];
/** How many it takes at least to show what is known not to hold. */
const seedsOfBroken = 100;

/** One run; `tolerated` invariants are not looked at. */
export async function judged(
  schedule: Schedule,
  options: NetworkOptions = {},
  tolerated: readonly Invariant[] = [],
): Promise<Verdict> {
  const verdict = await new Network(schedule, options).run();
  return { ...verdict, violations: verdict.violations.filter(({ invariant }) => !tolerated.includes(invariant)) };
}

/** What went wrong, and the smallest schedule with which it still does. */
export async function report(schedule: Schedule, run: (candidate: Schedule) => Promise<Verdict>): Promise<string> {
  const full = await run(schedule);
  const small = await shrink(schedule, run);
  const { violations, tally } = await run(small);
  const lines = (of: Verdict['violations']) =>
    of.map(({ invariant, atMs, text }) => `${Math.round(atMs)} ms: ${invariant}: ${text}`);
  return [
    `seed ${schedule.seed}:`,
    ...lines(full.violations),
    '',
    'the same with the fewest parts:',
    describeSchedule(small),
    ...lines(violations),
    JSON.stringify(tally),
  ].join('\n');
}

/** A sentence that holds for every seed. */
export function scenario(sentence: string, frame: Frame, tolerated: readonly Invariant[] = []): void {
  it(sentence, { timeout: 3_600_000 }, () => everySeed(frame, tolerated, seeds, report));
}

/** A sentence that ought to hold and is known not to: the test says so when it does. */
export function broken(sentence: string, frame: Frame): void {
  it.skipIf(only !== undefined).fails(sentence, { timeout: 3_600_000 }, () =>
    everySeed(frame, [], Math.max(seeds, seedsOfBroken), async (schedule) => `seed ${schedule.seed}`),
  );
}

async function everySeed(
  frame: Frame,
  tolerated: readonly Invariant[],
  count: number,
  explain: typeof report,
): Promise<void> {
  const [first, last] = only === undefined ? [1, count] : [Number(only), Number(only)];
  for (let seed = first; seed <= last; seed++) {
    const schedule = drawSchedule(seed, frame);
    const run = (candidate: Schedule) => judged(candidate, {}, tolerated);
    const { violations } = await run(schedule);
    if (violations.length > 0) throw new Error(await explain(schedule, run));
  }
}
