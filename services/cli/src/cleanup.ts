import type { Command } from 'commander';
import { type OperationOptions, operate, withOperationOptions } from './operation.ts';

interface CleanupOptions extends OperationOptions {
  readonly peer: string;
  readonly dryRun?: boolean;
}

interface Cleaned {
  readonly items: readonly { readonly queue: string; readonly messages: number }[];
}

/** `tombolo cleanup`: deletes what the bridge created on its broker for a peer. */
export function cleanupCommand(program: Command): void {
  withOperationOptions(program.command('cleanup'))
    .description('delete what the bridge created for a peer that will not return: its topic buffers')
    .requiredOption('--peer <cluster>', 'the peer')
    .option('--dry-run', 'only say what would be deleted, and how many messages are in it')
    .action(async ({ peer, dryRun = false, ...options }: CleanupOptions) => {
      const { items } = await operate<Cleaned>('/api/v1/cleanup', options, { peer, dryRun });
      const verb = dryRun ? 'would delete' : 'deleted';
      if (items.length === 0) process.stdout.write(`nothing here was created for ${peer}\n`);
      for (const { queue, messages } of items) {
        process.stdout.write(`${verb} ${queue} with ${messages} message${messages === 1 ? '' : 's'}\n`);
      }
    });
}
