import type { Status } from '@tombolo/bridge/admin/status';
import type { DemandView } from '@tombolo/bridge/admin/view';
import type { Command, Option } from 'commander';
import { ask } from './bridge-client.ts';
import { printable } from './display.ts';

/** A word that may stand where the cursor is. */
export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

/** A bridge that does not answer at once must not make the shell wait. */
const timeoutMs = 1_000;

/**
 * What may replace the last of `words`, those after the program's name. Nothing where the shell should offer files, or where anything
 * may stand. Never rejects.
 */
export async function candidatesFor(program: Command, words: readonly string[]): Promise<Candidate[]> {
  const { command, values, pending, arguments: given } = readWords(program, words.slice(0, -1));
  const word = words.at(-1) ?? '';
  const begun = ({ value }: Candidate): boolean => value.startsWith(word) && value === printable(value);
  if (pending) return (await valuesOf(nameOf(pending), pending.argChoices, values)).filter(begun);
  if (word.startsWith('-')) return command.createHelp().visibleOptions(command).map(optionOf).filter(begun);
  const commands = command.createHelp().visibleCommands(command);
  if (commands.length > 0) {
    return commands
      .map((each) => ({ value: each.name(), description: each.summary() || each.description() }))
      .filter(begun);
  }
  const argument = command.registeredArguments[Math.min(given, command.registeredArguments.length - 1)];
  if (!argument || (given >= command.registeredArguments.length && !argument.variadic)) return [];
  return (await valuesOf(argument.name(), argument.argChoices, values)).filter(begun);
}

interface Read {
  readonly command: Command;
  /** By the option's name, as in `--url`. */
  readonly values: ReadonlyMap<string, string>;
  /** An option that still wants its value. */
  readonly pending: Option | undefined;
  /** How many arguments there are already. */
  readonly arguments: number;
}

/** What complete words say: the subcommand, its options' values, and whether the next word belongs to an option. */
function readWords(program: Command, words: readonly string[]): Read {
  let command = program;
  let pending: Option | undefined;
  let given = 0;
  const values = new Map<string, string>();
  for (const word of words) {
    if (pending) {
      values.set(nameOf(pending), word);
      pending = undefined;
    } else if (word.startsWith('-')) {
      const [flag, value] = word.split('=', 2);
      const option = command.options.find(({ long, short }) => flag === long || flag === short);
      if (option && value !== undefined) values.set(nameOf(option), value);
      else if (option?.required) pending = option;
    } else {
      const below: Command | undefined = command.commands.find((each) => each.name() === word);
      if (below) command = below;
      else given += 1;
    }
  }
  return { command, values, pending, arguments: given };
}

/** What may stand for an argument or an option's value of this name. */
async function valuesOf(
  name: string,
  choices: readonly string[] | undefined,
  values: ReadonlyMap<string, string>,
): Promise<Candidate[]> {
  if (choices) return choices.map((value) => ({ value }));
  const bridge = { url: values.get('url') ?? process.env['TOMBOLO_URL'] ?? 'http://127.0.0.1:7461' };
  try {
    if (name === 'connector') {
      const { connectors } = await ask<Status>('/api/v1/status', bridge, { timeoutMs });
      return connectors.map((connector) => ({ value: connector.name, description: connector.state }));
    }
    if (name === 'peer') {
      const { links } = await ask<Status>('/api/v1/status', bridge, { timeoutMs });
      return links.map(({ peer, state }) => ({ value: peer, description: state }));
    }
    if (name === 'destination') {
      const page = { page: '1', pageSize: '1000' };
      const { items } = await ask<{ items: DemandView[] }>(`/api/v1/demand?${new URLSearchParams(page)}`, bridge, {
        timeoutMs,
      });
      return [...new Set(items.map(({ destination }) => destination))].map((value) => ({ value }));
    }
  } catch {
    // Whoever presses TAB wants words, not the reason why there are none.
  }
  return [];
}

const nameOf = ({ long }: Option): string => long?.replace(/^--/, '') ?? '';

function optionOf({ long, short, description }: Option): Candidate {
  return { value: long ?? short ?? '', description };
}
