import { readFileSync } from 'node:fs';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import { Command, CommanderError } from 'commander';
import { Unreachable } from './bridge-client.ts';
import { cleanupCommand } from './cleanup.ts';
import { completionCommands } from './completion.ts';
import { deadLettersCommand } from './dead-letters.ts';
import { drainCommand } from './drain.ts';
import { importCommand } from './import.ts';
import { pauseCommands } from './pause.ts';
import { planCommand } from './plan.ts';
import { releaseCommand } from './release.ts';
import { runCommand } from './run.ts';
import { schemaCommand } from './schema.ts';
import { statusCommand } from './status.ts';
import { traceCommand } from './trace.ts';
import { validateCommand } from './validate.ts';

/** The command with all that it understands; nothing is done until it is told to parse. */
export function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  // Commands inherit these settings when they are added, so they come first.
  const program = new Command('tombolo')
    .description('Joins message-broker clusters into one network of brokers.')
    .version(String(version), '-V, --version')
    .addHelpText(
      'after',
      '\nWhen something is wrong: tombolo status, then tombolo trace QUEUE. COMMAND --help has its exit codes.',
    )
    .showHelpAfterError('Run it with --help for what it takes.')
    .showSuggestionAfterError()
    .exitOverride();
  const groups: readonly [heading: string, commands: readonly ((program: Command) => void)[]][] = [
    ['Run a bridge, and judge its file:', [runCommand, validateCommand, planCommand, importCommand, schemaCommand]],
    ['Ask a running bridge:', [statusCommand, traceCommand]],
    ['Operate a running bridge:', [pauseCommands, drainCommand, releaseCommand, cleanupCommand, deadLettersCommand]],
    ['For the shell:', [completionCommands]],
  ];
  for (const [heading, commands] of groups) {
    program.commandsGroup(heading);
    for (const add of commands) add(program);
  }
  program.helpCommand('help [command]', 'what a command takes');
  return program;
}

/**
 * Runs the command with these arguments (without node and script). Usage that is not understood is explained on
 * standard error and makes exit code 2; a command that has a code of its own sets `process.exitCode`.
 */
export async function runProgram(args: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(args, { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode === 0 ? 0 : 2;
    } else {
      process.stderr.write(`tombolo: ${messageOf(thrown)}\n`);
      const isUsage = thrown instanceof Fault && thrown.code === 'TOMBOLO_USAGE';
      process.exitCode = isUsage ? 2 : thrown instanceof Unreachable ? 3 : 1;
    }
  }
}
