import { createInterface } from 'node:readline/promises';
import type { DropResult, ParkedMessage, ParkedPage, ReplayResult } from '@tombolo/bridge/admin/view';
import { Fault } from '@tombolo/kernel/fault';
import { type Command, InvalidArgumentError } from 'commander';
import { type AnswerOptions, withAnswerOptions, writeAnswer } from './answer.ts';
import { ask, type BridgeOptions, withBridgeOptions } from './bridge-client.ts';
import { type Display, paper, printable, renderBytes } from './display.ts';
import { renderTable } from './table.ts';

interface Selection {
  readonly id?: string;
  readonly destination?: string;
  readonly peer?: string;
  readonly reason?: string;
}

type ListOptions = Selection & BridgeOptions & AnswerOptions & { readonly page: number; readonly pageSize: number };
type ChangeOptions = Selection &
  BridgeOptions &
  AnswerOptions & { readonly all?: boolean; readonly dryRun?: boolean; readonly yes?: boolean };

/** Thousands of messages that are stored one by one take their time. */
const timeoutMs = 600_000;
const path = '/api/v1/dead-letters';
const exitCodes = '\nExit code: 0 done; 1 refused; 2 bad usage; 3 not reachable.';

/** `tombolo dead-letters list|replay|drop`: what could not be delivered. */
export function deadLettersCommand(program: Command): void {
  const group = program
    .command('dead-letters')
    .summary('what could not be delivered')
    .description('show, replay or drop what could not be delivered');
  withSelection(group.command('list'))
    .description('show what is parked, and why; they stay as they are')
    .addHelpText('after', exitCodes)
    .option('--page <number>', 'which page', wholeNumber(), 1)
    .option('--page-size <number>', 'how many on a page, at most 1000', wholeNumber(1_000), 100)
    .action(async ({ page, pageSize, ...options }: ListOptions) => {
      const query = new URLSearchParams({ ...selectionOf(options), page: `${page}`, pageSize: `${pageSize}` });
      writeAnswer(options, await ask<ParkedPage>(`${path}?${query}`, options, { timeoutMs }), renderParked);
    });
  withChange(group.command('replay'))
    .description('give dead letters back to the queues that they were taken from')
    .addHelpText('after', exitCodes)
    .action(async (options: ChangeOptions) => {
      const body = { ...checked(options, 'replay'), dryRun: options.dryRun ?? false };
      writeAnswer(options, await change<ReplayResult>('replay', options, body), renderReplay(body.dryRun));
    });
  withChange(group.command('drop'))
    .description('delete dead letters for good')
    .addHelpText('after', exitCodes)
    .option('--yes', 'do not ask')
    .action(async (options: ChangeOptions) => {
      const selected = checked(options, 'drop');
      const dry = () => change<DropResult>('drop', options, { ...selected, dryRun: true });
      if (options.dryRun) return writeAnswer(options, await dry(), renderDrop(true));
      if (!options.yes) {
        if (!process.stdin.isTTY)
          throw new Fault('TOMBOLO_USAGE', 'This is no terminal to ask on: add --yes, or --dry-run.');
        if (!(await confirmed((await dry()).selected))) {
          process.stderr.write('tombolo: nothing was dropped\n');
          process.exitCode = 1;
          return;
        }
      }
      writeAnswer(
        options,
        await change<DropResult>('drop', options, { ...selected, dryRun: false }),
        renderDrop(false),
      );
    });
}

function withSelection(command: Command): Command {
  return withAnswerOptions(withBridgeOptions(command))
    .option('--id <id>', 'the one with this id, or with this message id')
    .option('--destination <name>', 'those of this queue or exchange')
    .option('--peer <cluster>', 'those that this cluster could not take')
    .option('--reason <text>', 'those whose reason has this in it');
}

function withChange(command: Command): Command {
  return withSelection(command).option('--all', 'all of them').option('--dry-run', 'only say how many it would be');
}

function selectionOf({ id, destination, peer, reason }: Selection): Record<string, string> {
  const given = Object.entries({ id, destination, peer, reason }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as Record<string, string>;
}

/** Reads a number from 1 on. */
function wholeNumber(highest = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (Number.isInteger(number) && number >= 1 && number <= highest) return number;
    const range = highest === Number.MAX_SAFE_INTEGER ? 'from 1 on' : `from 1 to ${highest}`;
    throw new InvalidArgumentError(`expected a whole number ${range}.`);
  };
}

function checked(options: ChangeOptions, doing: string): Record<string, string | boolean> {
  const selected = selectionOf(options);
  if (Object.keys(selected).length > 0) return selected;
  if (options.all) return { all: true };
  const which = 'say which ones: --id, --destination, --peer or --reason, or --all';
  throw new Fault('TOMBOLO_USAGE', `Nothing is selected to ${doing}; ${which}.`);
}

function change<Result>(doing: string, options: BridgeOptions, body: object): Promise<Result> {
  return ask<Result>(`${path}/${doing}`, options, { method: 'POST', body, timeoutMs });
}

async function confirmed(count: number): Promise<boolean> {
  if (count === 0) return true;
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asking.question(`Delete ${messages(count)} for good? [y/N] `);
  asking.close();
  return /^y(es)?$/i.test(answer.trim());
}

const messages = (count: number) => `${count} message${count === 1 ? '' : 's'}`;

export function renderReplay(dryRun: boolean): (result: ReplayResult) => string {
  return ({ selected, replayed, kept }) => {
    const verb = dryRun ? 'would replay' : 'replayed';
    const lines = [`${verb} ${replayed} of ${messages(selected)}`];
    for (const { queue, why, messages: count } of kept) {
      lines.push(
        `${messages(count)}${queue === undefined ? '' : ` of ${printable(queue)}`} stay parked: ${printable(why)}`,
      );
    }
    return `${lines.join('\n')}\n`;
  };
}

export function renderDrop(dryRun: boolean): (result: DropResult) => string {
  return ({ selected, dropped }) => (dryRun ? `would drop ${messages(selected)}\n` : `dropped ${messages(dropped)}\n`);
}

/** A table of dead letters, the reason last, and how many there are. */
export function renderParked(parked: ParkedPage, display: Display = paper): string {
  const { items, total, page, pageSize, queue, complete } = parked;
  if (total === 0) return `nothing${complete ? '' : ' among those that were read'} in ${printable(queue)}\n`;
  const rows = renderTable<ParkedMessage>(
    items,
    [
      { title: 'ID', cell: ({ id, messageId }) => id ?? messageId },
      { title: 'PARKED', cell: ({ time }) => time },
      { title: 'DESTINATION', cell: ({ destination }) => destination },
      { title: 'PEER', cell: ({ peer }) => peer },
      { title: 'ATTEMPTS', align: 'right', cell: ({ attempts }) => attempts },
      { title: 'SIZE', align: 'right', cell: ({ bytes }) => renderBytes(bytes) },
      { title: 'TYPE', cell: ({ contentType }) => contentType },
      { title: 'REASON', cell: ({ reason }) => reason },
    ],
    display,
  );
  const first = (page - 1) * pageSize + 1;
  const last = Math.max(first, first + items.length - 1);
  const more = complete ? '' : ' that were read; there are more';
  return `${rows.join('\n')}\n${first}–${last} of ${total}${more} in ${printable(queue)}\n`;
}
