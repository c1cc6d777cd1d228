import type { DrainCheck, DrainRow } from '@tombolo/bridge/admin/drain-check';
import type { DrainScope } from '@tombolo/bridge/admin/operations';
import type { DrainView, LeftOver } from '@tombolo/bridge/admin/view';
import type { Command } from 'commander';
import { type AnswerOptions, withAnswerOptions, writeAnswer } from './answer.ts';
import { ask, type BridgeOptions, withBridgeOptions } from './bridge-client.ts';
import { type Display, paper, printable, renderSentence } from './display.ts';
import { renderTable } from './table.ts';

interface DrainOptions extends BridgeOptions, AnswerOptions {
  readonly cluster?: boolean;
  readonly check?: boolean;
}

/** What `POST /api/v1/drain` answers. */
export interface Drained {
  readonly scope: DrainScope;
  readonly left: readonly LeftOver[];
  readonly drains: readonly DrainView[];
}

/** A drain takes as long as `drainTimeout` allows it, and a look at what is left waits for the broker's statistics. */
const timeoutMs = 600_000;

/** `tombolo drain`: this process, the cluster, or the question whether anything is left. */
export function drainCommand(program: Command): void {
  withAnswerOptions(withBridgeOptions(program.command('drain')))
    .summary('hand over to a standby, or empty a cluster')
    .description('settle what is in flight and hand over to a standby; or empty a cluster, and ask what is left of it')
    .option('--cluster', 'bring nothing in any more, until `tombolo resume --cluster`, also after restarts')
    .option('--check', 'change nothing: is it safe to switch this site off, and if not, what is left')
    .addHelpText(
      'after',
      '\nExit code: 0 only when nothing is left; 1 something is, or refused; 2 bad usage; 3 not reachable.',
    )
    .action(async ({ cluster, check, ...options }: DrainOptions, command: Command) => {
      if (cluster && check) command.error('error: --cluster drains, --check only looks: choose one');
      if (check) {
        // Silence would look like a hang.
        if (process.stderr.isTTY)
          process.stderr.write('Counting; the broker tells what is unacknowledged every few seconds ...\n');
        const found = await ask<DrainCheck>('/api/v1/drain', options, { timeoutMs });
        writeAnswer(options, found, renderDrainCheck);
        if (found.left) process.exitCode = 1;
        return;
      }
      const scope: DrainScope = cluster ? 'cluster' : 'process';
      const drained = await ask<Drained>('/api/v1/drain', options, { method: 'POST', body: { scope }, timeoutMs });
      writeAnswer(options, drained, renderDrained);
      if (drained.left.length > 0) process.exitCode = 1;
    });
}

/** What is drained now, how to undo it, and what was not settled in time. */
export function renderDrained({ left, drains }: Drained, display: Display = paper): string {
  const lines = drains.flatMap(({ text }) => renderSentence('', printable(text), display));
  if (left.length > 0) {
    lines.push('', display.palette.bad('Not settled in time, and given back to its queue:'));
    lines.push(
      ...renderTable(
        left,
        [
          { title: 'DESTINATION', cell: ({ destination }) => destination },
          { title: 'PEER', cell: ({ peer }) => peer },
          { title: 'MESSAGES', align: 'right', cell: ({ messages }) => messages },
        ],
        display,
      ),
    );
  }
  return `${lines.join('\n')}\n`;
}

/** A table of what is left, what the numbers are worth, and the answer to the question. */
export function renderDrainCheck(check: DrainCheck, display: Display = paper): string {
  const { palette } = display;
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
        display,
      ),
      '',
    );
  }
  for (const note of notes) lines.push(...renderSentence('', printable(note), display));
  lines.push(`Ready: ${ageOf(ageMs.ready)}. Unacknowledged: ${ageOf(ageMs.unacknowledged)}.`);
  if (!left) lines.push(palette.good(`Nothing is left at ${cluster}.`));
  else if (items.length > 0) lines.push(palette.bad(`Messages are left at ${cluster}: do not switch it off.`));
  else if (!complete) lines.push(palette.bad(`Whether anything is left at ${cluster} is not known.`));
  return `${lines.join('\n')}\n`;
}

function nameOf({ kind, destination, peer }: DrainRow): string {
  if (kind !== 'topic') return destination;
  return peer === undefined ? `${destination} (topic)` : `${destination} (topic, for ${peer})`;
}

function ageOf(ms: number): string {
  return ms === 0 ? 'as counted now' : `at most ${Math.ceil(ms / 1000)} s old`;
}
