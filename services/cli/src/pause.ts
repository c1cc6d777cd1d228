import type { Command } from 'commander';
import { type OperationOptions, operate, withOperationOptions } from './operation.ts';

/** `tombolo pause` and `tombolo resume`: whether a connector takes messages, until the bridge restarts. */
export function pauseCommands(program: Command): void {
  const effects = {
    pause: 'take no more messages for a connector, until restart (`paused:` in the file lasts)',
    resume: 'take messages for a connector again',
  };
  for (const [operation, description] of Object.entries(effects)) {
    withOperationOptions(
      program.command(operation).description(description).argument('<connector>', 'its name'),
    ).action(async (connector: string, options: OperationOptions) => {
      const path = `/api/v1/connectors/${encodeURIComponent(connector)}/${operation}`;
      const { state } = await operate<{ state?: string }>(path, options);
      process.stdout.write(`${connector}: ${state ?? 'done'}\n`);
    });
  }
}
