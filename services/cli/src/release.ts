import type { GivenBack } from '@tombolo/bridge/admin/view';
import type { Command } from 'commander';
import { type AnswerOptions, withAnswerOptions, writeAnswer } from './answer.ts';
import { ask, type BridgeOptions, withBridgeOptions } from './bridge-client.ts';
import { type Display, paper } from './display.ts';
import { noteUnknownPeer } from './peer.ts';
import { renderTable } from './table.ts';

interface ReleaseOptions extends BridgeOptions, AnswerOptions {
  readonly peer: string;
  readonly dryRun?: boolean;
}

/** `tombolo release`: what is held for a peer that will not return goes back to its queues. */
export function releaseCommand(program: Command): void {
  withAnswerOptions(withBridgeOptions(program.command('release')))
    .summary('give back what is held for a lost peer')
    .description('give back what is held for a peer that will not return; refused while the peer is linked')
    .requiredOption('--peer <cluster>', 'the peer')
    .option('--dry-run', 'only say what would be given back, and how much of it may be doubled')
    .addHelpText('after', '\nExit code: 0 given back, or nothing was held; 1 refused; 2 bad usage; 3 not reachable.')
    .action(async ({ peer, dryRun = false, ...options }: ReleaseOptions) => {
      const body = { peer, dryRun };
      const released = await ask<{ items: readonly GivenBack[] }>('/api/v1/release', options, { method: 'POST', body });
      if (released.items.length === 0) await noteUnknownPeer(peer, options);
      writeAnswer(options, released, ({ items }, display) => renderReleased(peer, items, dryRun, display));
    });
}

/** By destination, what went back, and what may come twice because of it. */
export function renderReleased(
  peer: string,
  items: readonly GivenBack[],
  dryRun: boolean,
  display: Display = paper,
): string {
  if (items.length === 0) return `nothing is held for ${peer}\n`;
  const table = renderTable(
    items,
    [
      { title: 'DESTINATION', cell: ({ destination }) => destination },
      { title: dryRun ? 'WOULD GO BACK' : 'GIVEN BACK', align: 'right', cell: ({ messages }) => messages },
      { title: 'MAY BE DOUBLED', align: 'right', cell: ({ mayBeDoubled }) => mayBeDoubled },
    ],
    display,
  );
  return `${table.join('\n')}\n`;
}
