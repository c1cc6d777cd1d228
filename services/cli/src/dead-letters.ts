import { createInterface } from 'node:readline/promises';
import type { DropResult, ParkedMessage, ParkedPage, ReplayResult } from '@tombolo/bridge/admin/view';
import { Fault } from '@tombolo/kernel/fault';
import type { Command } from 'commander';
import { type OperationOptions, operate, withOperationOptions } from './operation.ts';
import { coloured, plain, printable, renderBytes, renderTable } from './render.ts';

interface Selection {
  readonly id?: string;
  readonly destination?: string;
  readonly peer?: string;
  readonly reason?: string;
}

type ListOptions = Selection &
  OperationOptions & { readonly page: string; readonly pageSize: string; readonly json?: boolean };
type ChangeOptions = Selection &
  OperationOptions & {
    readonly all?: boolean;
    readonly dryRun?: boolean;
    readonly yes?: boolean;
    readonly json?: boolean;
  };

/** Thousands of messages that are stored one by one take their time. */
const timeoutMs = 600_000;
const path = '/api/v1/dead-letters';

/** `tombolo dead-letters list|replay|drop`: what could not be delivered. */
export function deadLettersCommand(program: Command): void {
  const group = program.command('dead-letters').description('show, replay or drop what could not be delivered');
  withSelection(group.command('list'))
    .description('show what is parked, and why; they stay as they are')
    .option('--page <number>', 'which page', '1')
    .option('--page-size <number>', 'how many on a page', '100')
    .option('--json', 'as JSON, which is what it is anyway when this is no terminal')
    .action(async ({ page, pageSize, json, ...options }: ListOptions) => {
      const query = new URLSearchParams({ ...selectionOf(options), page, pageSize });
      const found = await operate<ParkedPage>(`${path}?${query}`, options, undefined, { method: 'GET', timeoutMs });
      process.stdout.write(json || !process.stdout.isTTY ? `${JSON.stringify(found)}\n` : renderParked(found));
    });
  withChange(group.command('replay'))
    .description('give dead letters back to the queues that they were taken from')
    .action(async (options: ChangeOptions) => {
      const body = { ...checked(options, 'replay'), dryRun: options.dryRun ?? false };
      show(options, await change<ReplayResult>('replay', options, body), renderReplay(body.dryRun));
    });
  withChange(group.command('drop'))
    .description('delete dead letters for good')
    .option('--yes', 'do not ask')
    .action(async (options: ChangeOptions) => {
      const selected = checked(options, 'drop');
      const dry = () => change<DropResult>('drop', options, { ...selected, dryRun: true });
      if (options.dryRun) return show(options, await dry(), renderDrop(true));
      if (!options.yes) {
        if (!process.stdin.isTTY)
          throw new Fault('TOMBOLO_USAGE', 'This is no terminal to ask on: add --yes, or --dry-run.');
        if (!(await confirmed((await dry()).selected))) return;
      }
      show(options, await change<DropResult>('drop', options, { ...selected, dryRun: false }), renderDrop(false));
    });
}

function withSelection(command: Command): Command {
  return withOperationOptions(command)
    .option('--id <id>', 'the one with this id, or with this message id')
    .option('--destination <name>', 'those of this queue or exchange')
    .option('--peer <cluster>', 'those that this cluster could not take')
    .option('--reason <text>', 'those whose reason has this in it');
}

function withChange(command: Command): Command {
  return withSelection(command)
    .option('--all', 'all of them')
    .option('--dry-run', 'only say how many it would be')
    .option('--json', 'as JSON, for scripts');
}

function selectionOf({ id, destination, peer, reason }: Selection): Record<string, string> {
  const given = Object.entries({ id, destination, peer, reason }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as Record<string, string>;
}

function checked(options: ChangeOptions, doing: string): Record<string, string | boolean> {
  const selected = selectionOf(options);
  if (Object.keys(selected).length > 0) return selected;
  if (options.all) return { all: true };
  const which = 'say which ones: --id, --destination, --peer or --reason, or --all';
  throw new Fault('TOMBOLO_USAGE', `Nothing is selected to ${doing}; ${which}.`);
}

function change<Result>(doing: string, options: OperationOptions, body: object): Promise<Result> {
  return operate<Result>(`${path}/${doing}`, options, body, { timeoutMs });
}

async function confirmed(count: number): Promise<boolean> {
  if (count === 0) return true;
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asking.question(`Delete ${messages(count)} for good? [y/N] `);
  asking.close();
  return /^y(es)?$/i.test(answer.trim());
}

function show<Result>(options: ChangeOptions, result: Result, render: (result: Result) => string): void {
  process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : render(result));
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
export function renderParked({ items, total, page, pageSize, queue, complete }: ParkedPage): string {
  const palette = process.stdout.isTTY && !process.env['NO_COLOR'] ? coloured : plain;
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
    palette,
  );
  const first = (page - 1) * pageSize + 1;
  const last = Math.max(first, first + items.length - 1);
  const more = complete ? '' : ' that were read; there are more';
  return `${rows.join('\n')}\n${first}–${last} of ${total}${more} in ${printable(queue)}\n`;
}
