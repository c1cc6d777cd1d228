import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';

/** How a mood is shown: in colour on a terminal, as it is elsewhere. */
export interface Palette {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly quiet: (text: string) => string;
  readonly strong: (text: string) => string;
}

/** What text is written on: its colours, and how many columns a line may have. */
export interface Display {
  readonly palette: Palette;
  readonly columns: number;
}

const asItIs = (text: string): string => text;
const ansi = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`;

/** No colours: for files and pipes. */
export const plain: Palette = { good: asItIs, bad: asItIs, quiet: asItIs, strong: asItIs };

/** ANSI colours, for terminals. */
export const coloured: Palette = { good: ansi(32), bad: ansi(31), quiet: ansi(2), strong: ansi(1) };

/** A file, or a pipe: no colours, and lines as long as they come. */
export const paper: Display = { palette: plain, columns: Number.POSITIVE_INFINITY };

/** Standard output: coloured where it is a terminal and the user wants that (https://no-color.org), as wide as the terminal. */
export function outputDisplay({ stdout, env } = { stdout: process.stdout, env: process.env }): Display {
  if (!stdout.isTTY) return paper;
  const colours = !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return { palette: colours ? coloured : plain, columns: stdout.columns || paper.columns };
}

/** Control characters could move the cursor of the operator's terminal: names of queues are anybody's. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** `1.5 MiB`: bytes for people. */
export function renderBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A sentence over as many lines as it needs, the first behind `lead`, the others below its first word. */
export function renderSentence(lead: string, text: string, { columns }: Display = paper): string[] {
  const indent = stringWidth(lead);
  return wrapped(text, columns - indent).map((line, i) => (i === 0 ? lead : ' '.repeat(indent)) + line);
}

/** Lines of at most so many columns, broken between words where that is possible. */
export function wrapped(text: string, columns: number): string[] {
  return Number.isFinite(columns) ? wrapAnsi(text, Math.max(columns, 20), { hard: true }).split('\n') : [text];
}
