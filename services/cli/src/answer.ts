import { type Command, Option } from 'commander';
import { type Display, outputDisplay } from './display.ts';

export interface AnswerOptions {
  readonly json?: boolean;
  readonly table?: boolean;
}

/** The options of every command that has an answer: people at a terminal get text, programs JSON, unless they say otherwise. */
export function withAnswerOptions(command: Command): Command {
  return command
    .addOption(new Option('--json', 'as JSON; so it is too where standard output is no terminal').conflicts('table'))
    .option('--table', 'as text for people, also where standard output is no terminal');
}

/** True when the answer is to be JSON. */
export function wantsJson({ json, table }: AnswerOptions): boolean {
  return json === true || (table !== true && !process.stdout.isTTY);
}

/** Writes the answer to standard output: a line of JSON, or what `render` makes of it for people. */
export function writeAnswer<T>(
  options: AnswerOptions,
  answer: T,
  render: (answer: T, display: Display) => string,
): void {
  process.stdout.write(wantsJson(options) ? `${JSON.stringify(answer)}\n` : render(answer, outputDisplay()));
}
