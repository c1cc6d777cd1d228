import type { Command } from 'commander';
import { type AnswerOptions, withAnswerOptions, writeAnswer } from './answer.ts';
import { ask, type BridgeOptions, withBridgeOptions } from './bridge-client.ts';
import { printable } from './display.ts';
import { noteUnknownPeer } from './peer.ts';

interface CleanupOptions extends BridgeOptions, AnswerOptions {
  readonly peer: string;
  readonly dryRun?: boolean;
}

interface Cleaned {
  readonly items: readonly { readonly queue: string; readonly messages: number }[];
}

/** `tombolo cleanup`: deletes what the bridge created on its broker for a peer. */
export function cleanupCommand(program: Command): void {
  withAnswerOptions(withBridgeOptions(program.command('cleanup')))
    .summary('delete what was created for a lost peer')
    .description('delete what the bridge created for a peer that will not return: its topic buffers')
    .requiredOption('--peer <cluster>', 'the peer')
    .option('--dry-run', 'only say what would be deleted, and how many messages are in it')
    .addHelpText('after', '\nExit code: 0 deleted, or nothing was there; 1 refused; 2 bad usage; 3 not reachable.')
    .action(async ({ peer, dryRun = false, ...options }: CleanupOptions) => {
      const cleaned = await ask<Cleaned>('/api/v1/cleanup', options, { method: 'POST', body: { peer, dryRun } });
      if (cleaned.items.length === 0) await noteUnknownPeer(peer, options);
      writeAnswer(options, cleaned, (answer) => renderCleaned(peer, answer, dryRun));
    });
}

/** A line for each queue, with what was in it. */
export function renderCleaned(peer: string, { items }: Cleaned, dryRun: boolean): string {
  if (items.length === 0) return `nothing here was created for ${peer}\n`;
  const verb = dryRun ? 'would delete' : 'deleted';
  return items
    .map(({ queue, messages }) => `${verb} ${printable(queue)} with ${messages} message${messages === 1 ? '' : 's'}\n`)
    .join('');
}
