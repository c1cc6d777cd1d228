import type { DrainCheck, DrainRow } from '@tombolo/bridge/admin/drain-check';
import type { DrainScope } from '@tombolo/bridge/admin/operations';
import type { DrainView, LeftOver } from '@tombolo/bridge/admin/view';
import type { Command } from 'commander';
import { type OperationOptions, operate, withOperationOptions } from './operation.ts';
import { type Palette, plain, printable, renderTable, terminalPalette } from './render.ts';

interface DrainOptions extends OperationOptions {
  readonly cluster?: boolean;
  readonly check?: boolean;
  readonly json?: boolean;
}

/** What `POST /api/v1/drain` answers. */
export interface Drained {
  readonly scope: DrainScope;
  readonly left: readonly LeftOver[];
  readonly drains: readonly DrainView[];
}

/** A drain takes as long as `drainTimeout` allows it, and a look at what is left waits for the broker's statistics. */
const patient = { timeoutMs: 600_000 };

/** `tombolo drain`: this process, the cluster, or the question whether anything is left. */
export function drainCommand(program: Command): void {
  withOperationOptions(program.command('drain'))
    .description('settle what is in flight and hand over to a standby; or empty a cluster, and ask what is left of it')
    .option('--cluster', 'bring nothing in any more, until `tombolo resume --cluster`, also after restarts')
    .option('--check', 'change nothing: is it safe to switch this site off, and if not, what is left')
    .option('--json', 'as JSON; so it is too where standard output is no terminal')
    .addHelpText('after', '\nExit code: 0 only when nothing is left; 1.')
    .action(async ({ cluster, check, json, ...options }: DrainOptions, command: Command) => {
      if (cluster && check) command.error('error: --cluster drains, --check only looks: choose one');
      const asJson = json || !process.stdout.isTTY;
      if (check) {
        const found = await operate<DrainCheck>('/api/v1/drain', options, undefined, { ...patient, method: 'GET' });
        process.stdout.write(asJson ? `${JSON.stringify(found)}\n` : renderDrainCheck(found, terminalPalette()));
        if (found.left) process.exitCode = 1;
        return;
      }
      const scope: DrainScope = cluster ? 'cluster' : 'process';
      const drained = await operate<Drained>('/api/v1/drain', options, { scope }, patient);
      process.stdout.write(asJson ? `${JSON.stringify(drained)}\n` : renderDrained(drained, terminalPalette()));
      if (drained.left.length > 0) process.exitCode = 1;
    });
}

/** What is drained now, how to undo it, and what was not settled in time. */
export function renderDrained({ left, drains }: Drained, colours: Palette = plain): string {
  const lines = drains.map(({ text }) => printable(text));
  if (left.length > 0) {
    lines.push('', colours.bad('Not settled in time, and given back to its queue:'));
    lines.push(
      ...renderTable(
        left,
        [
          { title: 'DESTINATION', cell: ({ destination }) => destination },
          { title: 'PEER', cell: ({ peer }) => peer },
          { title: 'MESSAGES', align: 'right', cell: ({ messages }) => messages },
        ],
        colours,
      ),
    );
  }
  return `${lines.join('\n')}\n`;
}

/** A table of what is left, what the numbers are worth, and the answer to the question. */
export function renderDrainCheck(check: DrainCheck, colours: Palette = plain): string {
  const { cluster, items, ageMs, notes, left, complete } = check;
  const lines: string[] = [];
  if (items.length > 0) {
    lines.push(
      ...renderTable<DrainRow>(
        items,
        [
          { title: 'DESTINATION', cell: nameOf },
          { title: 'READY', align: 'right', cell: ({ ready }) => ready },
          { title: 'UNACKNOWLEDGED', align: 'right', cell: ({ unacknowledged }) => unacknowledged ?? 'not known' },
          { title: 'UNSETTLED', align: 'right', cell: ({ unsettled }) => unsettled },
          { title: 'IN DOUBT', align: 'right', cell: ({ inDoubt }) => inDoubt },
          { title: 'DEAD-LETTERED', align: 'right', cell: ({ deadLettered }) => deadLettered },
          { title: 'BUFFERED', align: 'right', cell: ({ buffered }) => buffered },
          { title: 'WHY IT WILL NOT LEAVE', cell: ({ stays }) => stays ?? '' },
        ],
        colours,
      ),
      '',
    );
  }
  for (const note of notes) lines.push(printable(note));
  lines.push(`Ready: ${ageOf(ageMs.ready)}. Unacknowledged: ${ageOf(ageMs.unacknowledged)}.`);
  if (!left) lines.push(colours.good(`Nothing is left at ${cluster}.`));
  else if (items.length > 0) lines.push(colours.bad(`Messages are left at ${cluster}: do not switch it off.`));
  else if (!complete) lines.push(colours.bad(`Whether anything is left at ${cluster} is not known.`));
  return `${lines.join('\n')}\n`;
}

function nameOf({ kind, destination, peer }: DrainRow): string {
  if (kind !== 'topic') return destination;
  return peer === undefined ? `${destination} (topic)` : `${destination} (topic, for ${peer})`;
}

function ageOf(ms: number): string {
  return ms === 0 ? 'as counted now' : `at most ${Math.ceil(ms / 1000)} s old`;
}
