import stringWidth from 'string-width';
import { type Display, paper, printable, wrapped } from './display.ts';

export interface Column<T> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly cell: (row: T) => string | number | undefined;
}

const gap = '  ';
/** A last column that would get less than this goes below its row. */
const narrowest = 24;

/**
 * Rows under their titles, each column as wide as its widest cell. Where the display is too narrow, the last column's text goes over
 * several lines, beside the others or, if they leave too little room, below them; nothing is cut off: names are copied from here.
 */
export function renderTable<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  { palette, columns: room }: Display = paper,
): string[] {
  const cells = rows.map((row) => columns.map(({ cell }) => printable(String(cell(row) ?? '–'))));
  const titles = columns.map(({ title }) => title);
  const widths = titles.map((title, i) => Math.max(title.length, ...cells.map((row) => stringWidth(row[i] ?? ''))));
  const last = columns.length - 1;
  const padded = (text: string, i: number): string => {
    const space = ' '.repeat(Math.max(0, (widths[i] ?? 0) - stringWidth(text)));
    return columns[i]?.align === 'right' ? space + text : i === last ? text : text + space;
  };
  const line = (texts: readonly string[]): string => texts.map(padded).join(gap).trimEnd();
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + gap.length, 0);
  const fits = before + (widths[last] ?? 0) <= room || columns[last]?.align === 'right';
  const beside = room - before >= narrowest;

  const rowLines = (row: readonly string[]): string[] => {
    if (fits) return [line(row)];
    const text = row[last] ?? '';
    if (text === '') return [line(row)];
    if (!beside) return [line(row.slice(0, last)), ...wrapped(text, room - 4).map((part) => `    ${part}`)];
    const [first = '', ...more] = wrapped(text, room - before);
    return [line([...row.slice(0, last), first]), ...more.map((part) => ' '.repeat(before) + part)];
  };
  const heading = fits || beside ? titles : titles.slice(0, last);
  return [palette.quiet(line(heading)), ...cells.flatMap(rowLines)];
}
