import type { Results } from './results.ts';
import type { Sample } from './sample.ts';
import { median } from './statistics.ts';
import { memoryTarget, type Target } from './targets.ts';

/** A line of the table, judged. */
export interface Line {
  readonly target: Target;
  readonly value: number;
  readonly peer: number | undefined;
  readonly ratio: number | undefined;
  /** Undefined: there is nothing to judge. */
  readonly met: boolean | undefined;
}

/** The lines whose rows have been measured. */
export function judge(results: Results, targets: readonly Target[]): Line[] {
  const lines: Line[] = [];
  for (const target of targets) {
    const ways = results.rows[target.row]?.ways;
    if (!ways) continue;
    const value = figure(ways[target.of ?? 'Tombolo'], target.figure);
    const peer = target.peer === undefined ? undefined : figure(ways[target.peer], target.figure);
    const ratio = peer === undefined ? undefined : value / peer;
    const judged = ratio ?? value;
    const met =
      Number.isNaN(judged) || (target.atLeast === undefined && target.atMost === undefined)
        ? undefined
        : judged >= (target.atLeast ?? Number.NEGATIVE_INFINITY) &&
          judged <= (target.atMost ?? Number.POSITIVE_INFINITY);
    lines.push({ target, value, peer, ratio, met });
  }
  return lines;
}

/** The table in Markdown. */
export function table(results: Results, targets: readonly Target[]): string {
  const rows = judge(results, targets).map(({ target, value, peer, ratio, met }) => [
    target.measure,
    bound(target),
    Number.isNaN(value) ? 'not yet' : `${number(value)} ${target.unit}`.trim(),
    peer === undefined ? '' : `${target.peer}: ${number(peer)}`,
    ratio === undefined || Number.isNaN(ratio) ? '' : ratio.toFixed(2),
    met === undefined ? '' : met ? 'yes' : '**no**',
  ]);
  const memory = mostMemory(results);
  if (memory !== undefined) {
    const met = memory.mib <= memoryTarget ? 'yes' : '**no**';
    rows.push([
      'memory of a bridge, at most',
      `≤ ${memoryTarget} MiB`,
      `${number(memory.mib)} MiB (${memory.row})`,
      '',
      '',
      met,
    ]);
  }
  const head = ['measure', 'target', 'Tombolo', 'peer', 'ratio', 'met'];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Large bodies are the exception that the target makes; many destinations have a line of their own. */
function mostMemory(results: Results): { readonly mib: number; readonly row: string } | undefined {
  let most: { mib: number; row: string } | undefined;
  for (const [row, { ways }] of Object.entries(results.rows)) {
    if (row === 'backlog-16k' || row === 'destinations-10000') continue;
    for (const samples of Object.values(ways)) {
      for (const { memory } of samples)
        if (memory !== undefined && memory > (most?.mib ?? 0)) most = { mib: memory, row };
    }
  }
  return most;
}

function bound({ peer, atLeast, atMost, words }: Target): string {
  if (words !== undefined) return words;
  if (atLeast === undefined && atMost === undefined) return '';
  const sign = atLeast === undefined ? '≤' : '≥';
  return `${sign} ${atLeast ?? atMost}${peer === undefined ? '' : ' ×'}`;
}

function figure(samples: readonly Sample[] | undefined, name: string): number {
  return median((samples ?? []).map((sample) => sample[name] ?? Number.NaN));
}

function number(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
