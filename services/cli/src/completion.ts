import { readFileSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import { type Candidate, candidatesFor } from './candidates.ts';

/** Each has a script in ../completion; it asks `tombolo complete-words` what may stand where the cursor is. */
const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** `tombolo completion SHELL` prints the script that a shell evaluates; `tombolo complete-words` answers it, for every shell alike. */
export function completionCommands(program: Command): void {
  program
    .command('completion')
    .summary('what the TAB key needs')
    .description('print what makes the TAB key complete commands, options, and names that a running bridge knows')
    .addArgument(new Argument('<shell>', 'which one').choices(shells))
    .addHelpText(
      'after',
      '\nbash: source <(tombolo completion bash)\nzsh:  source <(tombolo completion zsh)\nfish: tombolo completion fish | source',
    )
    .action((shell: Shell) => {
      process.stdout.write(readFileSync(new URL(`../completion/tombolo.${shell}`, import.meta.url), 'utf8'));
    });
  program
    .command('complete-words', { hidden: true })
    .argument('[words...]', 'the words after `tombolo`, up to the cursor; the last one may be empty')
    .action(async (words: readonly string[]) => {
      const found = await candidatesFor(program, words);
      process.stdout.write(found.map(lineOf).join(''));
    });
}

function lineOf({ value, description }: Candidate): string {
  return description === undefined ? `${value}\n` : `${value}\t${description}\n`;
}
