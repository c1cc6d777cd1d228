import type { GivenBack } from '@tombolo/bridge/admin/view';
import type { Command } from 'commander';
import { type OperationOptions, operate, withOperationOptions } from './operation.ts';
import { type Palette, plain, renderTable, terminalPalette } from './render.ts';

interface ReleaseOptions extends OperationOptions {
  readonly peer: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `tombolo release`: what is held for a peer that will not return goes back to its queues. */
export function releaseCommand(program: Command): void {
  withOperationOptions(program.command('release'))
    .description('give back what is held for a peer that will not return; refused while the peer is linked')
    .requiredOption('--peer <cluster>', 'the peer')
    .option('--dry-run', 'only say what would be given back, and how much of it may be doubled')
    .option('--json', 'as JSON; so it is too where standard output is no terminal')
    .action(async ({ peer, dryRun = false, json, ...options }: ReleaseOptions) => {
      const answer = await operate<{ items: readonly GivenBack[] }>('/api/v1/release', options, { peer, dryRun });
      const asJson = json || !process.stdout.isTTY;
      process.stdout.write(
        asJson ? `${JSON.stringify(answer)}\n` : renderReleased(peer, answer.items, dryRun, terminalPalette()),
      );
    });
}

/** By destination, what went back, and what may come twice because of it. */
export function renderReleased(
  peer: string,
  items: readonly GivenBack[],
  dryRun: boolean,
  colours: Palette = plain,
): string {
  if (items.length === 0) return `nothing is held for ${peer}\n`;
  const table = renderTable(
    items,
    [
      { title: 'DESTINATION', cell: ({ destination }) => destination },
      { title: dryRun ? 'WOULD GO BACK' : 'GIVEN BACK', align: 'right', cell: ({ messages }) => messages },
      { title: 'MAY BE DOUBLED', align: 'right', cell: ({ mayBeDoubled }) => mayBeDoubled },
    ],
    colours,
  );
  return `${table.join('\n')}\n`;
}
