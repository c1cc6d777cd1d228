import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './outcome.ts';

/** One line of the table. */
export interface Measured extends Outcome {
  readonly row: string;
  readonly times: number;
  readonly bound: { readonly most: number; readonly because: string };
  readonly takeOversMs: readonly number[];
  readonly outagesMs: readonly number[];
  readonly date: string;
}

const root = new URL('../../../../', import.meta.url);
/** All that was measured last, by row. */
export const jsonFile = fileURLToPath(new URL('.cache/faults.json', root));
const readme = fileURLToPath(new URL('services/bridge/README.md', root));
const begin = '<!-- begin of the table that `make faults` writes -->';
const end = '<!-- end of the table that `make faults` writes -->';

const count = (value: number): string => value.toLocaleString('en');

/** Rows as a table in Markdown. */
export function tableOf(measured: readonly Measured[]): string {
  const columns = [
    'fault',
    'messages',
    'lost',
    'duplicated',
    'at most',
    'redelivered',
    'outage',
    'longest gap',
    'take-over',
  ];
  const lines = measured.map(({ row, times: often, published, bound, takeOversMs, outagesMs, ...outcome }) => {
    const brought = outcome.duplicated - outcome.doubledOnTheWay;
    const duplicated =
      brought > 0 ? `${count(outcome.doubledOnTheWay)} + ${count(brought)}¹` : count(outcome.duplicated);
    const most = bound.most === 0 ? '0' : `${count(bound.most)}: ${bound.because}`;
    const lost = `${count(outcome.lost)}${outcome.destroyed > 0 ? `; ${count(outcome.destroyed)} were in it` : ''}`;
    const times = (all: readonly number[]) => all.map((ms) => `${count(ms)} ms`).join(', ') || '–';
    const cells = [often > 1 ? `${row}, ${often} times` : row, count(published), lost, duplicated, most];
    const spans = [times(outagesMs), times([outcome.longestGapMs]), times(takeOversMs)];
    return `| ${[...cells, count(outcome.redelivered), ...spans].join(' | ')} |`;
  });
  return [`| ${columns.join(' | ')} |`, `|${' --- |'.repeat(columns.length)}`, ...lines].join('\n');
}

/** Puts these in the place of what was measured of their rows before; rows come in this order. */
export async function remember(fresh: readonly Measured[], order: readonly string[]): Promise<readonly Measured[]> {
  const before: Measured[] = JSON.parse(await readFile(jsonFile, 'utf8').catch(() => '[]'));
  const byRow = new Map([...before, ...fresh].map((each) => [each.row, each]));
  const all = order.flatMap((row) => byRow.get(row) ?? []);
  await mkdir(dirname(jsonFile), { recursive: true });
  await writeFile(jsonFile, `${JSON.stringify(all, null, 2)}\n`);
  return all;
}

/** Writes the table into the README. @throws Error when it has no place for it */
export async function publish(measured: readonly Measured[]): Promise<void> {
  const text = await readFile(readme, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${readme} has no lines ${begin} and ${end}`);
  await writeFile(readme, `${text.slice(0, from + begin.length)}\n${tableOf(measured)}\n${text.slice(to)}`);
}
