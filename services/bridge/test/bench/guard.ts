import type { Results } from './results.ts';
import { judge, type Line } from './table.ts';
import type { Target } from './targets.ts';

/**
 * What `make bench-quick` looks at: ratios of one run that hardly depend on the machine, few messages, and how far they may
 * be from those that are committed, as a factor either way. Better than the band fails, too: then either the measurement is
 * broken or the committed figures are out of date.
 */
export const guarded: readonly (Target & { readonly band: number })[] = [
  {
    row: 'quick',
    measure: 'backlog, 1 KiB, shared',
    figure: 'rate',
    unit: 'msg/s',
    peer: 'queue federation',
    band: 1.35,
  },
  {
    row: 'quick',
    measure: "processor time of the sink's broker",
    figure: 'cpuSink',
    unit: 's/M',
    peer: 'queue federation',
    band: 1.3,
  },
  {
    row: 'quick',
    measure: 'processor time of brokers and bridges',
    figure: 'cpuAll',
    unit: 's/M',
    peer: 'queue federation',
    band: 1.3,
  },
];

/** What is outside its band, as sentences; also what could not be compared. */
export function outside(now: Results, committed: Results): string[] {
  const before = judge(committed, guarded);
  return judge(now, guarded).flatMap((line, index) => complaint(line, before[index], guarded[index]?.band ?? 1));
}

function complaint({ target, ratio }: Line, before: Line | undefined, band: number): string[] {
  if (ratio === undefined || Number.isNaN(ratio)) return [`${target.measure}: not measured`];
  if (before?.ratio === undefined) return [`${target.measure}: nothing is committed to compare with`];
  const [least, most] = [before.ratio / band, before.ratio * band];
  if (ratio >= least && ratio <= most) return [];
  const shown = `${ratio.toFixed(2)} × ${target.peer}, outside ${least.toFixed(2)} … ${most.toFixed(2)}`;
  return [`${target.measure}: ${shown} (committed: ${before.ratio.toFixed(2)})`];
}
