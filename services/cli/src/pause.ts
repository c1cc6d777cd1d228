import type { DrainScope } from '@tombolo/bridge/admin/operations';
import type { Command } from 'commander';
import { type OperationOptions, operate, withOperationOptions } from './operation.ts';

interface ResumeOptions extends OperationOptions {
  readonly cluster?: boolean;
  readonly process?: boolean;
}

/** `tombolo pause` and `tombolo resume`: whether a connector takes messages, until the bridge restarts; `resume` undoes drains too. */
export function pauseCommands(program: Command): void {
  withOperationOptions(program.command('pause'))
    .description('take no more messages for a connector, until restart (`paused:` in the file lasts)')
    .argument('<connector>', 'its name')
    .action((connector: string, options: OperationOptions) => set(connector, 'pause', options));
  withOperationOptions(program.command('resume'))
    .description('take messages for a connector again, or undo a drain')
    .argument('[connector]', 'its name')
    .option('--cluster', 'undo `tombolo drain --cluster`')
    .option('--process', 'undo `tombolo drain`: this bridge stands for election again')
    .action(async (connector: string | undefined, { cluster, process: own, ...options }: ResumeOptions, command) => {
      if ([connector, cluster, own].filter(Boolean).length !== 1)
        command.error('error: name a connector, or --cluster, or --process, and one of them only');
      if (connector !== undefined) return set(connector, 'resume', options);
      const scope: DrainScope = cluster ? 'cluster' : 'process';
      await operate('/api/v1/resume', options, { scope });
      process.stdout.write(`${scope}: not drained any more\n`);
    });
}

async function set(connector: string, operation: 'pause' | 'resume', options: OperationOptions): Promise<void> {
  const path = `/api/v1/connectors/${encodeURIComponent(connector)}/${operation}`;
  const { state } = await operate<{ state?: string }>(path, options);
  process.stdout.write(`${connector}: ${state ?? 'done'}\n`);
}
