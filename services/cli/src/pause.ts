import type { DrainScope } from '@tombolo/bridge/admin/operations';
import type { DrainView } from '@tombolo/bridge/admin/view';
import type { Command } from 'commander';
import { type AnswerOptions, withAnswerOptions, writeAnswer } from './answer.ts';
import { ask, type BridgeOptions, withBridgeOptions } from './bridge-client.ts';
import { printable } from './display.ts';

type PauseOptions = BridgeOptions & AnswerOptions;
type ResumeOptions = PauseOptions & { readonly cluster?: boolean; readonly process?: boolean };

/** What a connector is after it was paused or resumed. */
interface Operated {
  readonly connector: string;
  readonly state?: string;
}

/** `tombolo pause` and `tombolo resume`: whether a connector takes messages, until the bridge restarts; `resume` undoes drains too. */
export function pauseCommands(program: Command): void {
  withAnswerOptions(withBridgeOptions(program.command('pause')))
    .summary('stop a connector until restart')
    .description('take no more messages for a connector, until restart (`paused:` in the file lasts)')
    .argument('<connector>', 'its name')
    .addHelpText('after', '\nExit code: 0 paused; 1 refused; 2 bad usage; 3 not reachable.')
    .action((connector: string, options: PauseOptions) => set(connector, 'pause', options));
  withAnswerOptions(withBridgeOptions(program.command('resume')))
    .summary('undo a pause or a drain')
    .description('take messages for a connector again, or undo a drain')
    .argument('[connector]', 'its name')
    .option('--cluster', 'undo `tombolo drain --cluster`')
    .option('--process', 'undo `tombolo drain`: this bridge stands for election again')
    .addHelpText('after', '\nExit code: 0 resumed; 1 refused; 2 bad usage; 3 not reachable.')
    .action(async (connector: string | undefined, options: ResumeOptions, command: Command) => {
      if ([connector, options.cluster, options.process].filter(Boolean).length !== 1)
        command.error('error: name a connector, or --cluster, or --process, and one of them only');
      if (connector !== undefined) return set(connector, 'resume', options);
      const scope: DrainScope = options.cluster ? 'cluster' : 'process';
      const resumed = await ask<{ scope: DrainScope; drains: readonly DrainView[] }>('/api/v1/resume', options, {
        ...{ method: 'POST', body: { scope } },
      });
      writeAnswer(options, resumed, ({ drains }) =>
        [`${scope}: not drained any more`, ...drains.map(({ text }) => printable(text)), ''].join('\n'),
      );
    });
}

async function set(connector: string, operation: 'pause' | 'resume', options: PauseOptions): Promise<void> {
  const path = `/api/v1/connectors/${encodeURIComponent(connector)}/${operation}`;
  const operated = await ask<Operated>(path, options, { method: 'POST' });
  writeAnswer(options, operated, ({ state }) => `${printable(connector)}: ${state ?? 'done'}\n`);
}
