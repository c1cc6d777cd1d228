import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { coloured, plain, renderStatus } from './render.ts';
import { takeSnapshot, Unreachable } from './snapshot.ts';
import { complaintsAbout } from './verdict.ts';

interface StatusOptions {
  readonly url: string;
  readonly json?: boolean;
  readonly watch?: boolean;
}

const watchEveryMs = 2_000;

/** `tombolo status`: what a running bridge does and why something does not move. */
export function statusCommand(program: Command): void {
  program
    .command('status')
    .description('show role, broker, links, demand and streams of a running bridge, and why something does not move')
    .option('--url <url>', 'its admin address', 'http://127.0.0.1:7461')
    .option('--json', 'as JSON, for scripts')
    .option('--watch', 'again every two seconds, until interrupted')
    .addHelpText('after', '\nExit code: 0 all is well; 1 degraded; 3 not reachable.')
    .action(async (options: StatusOptions) => {
      process.exitCode = await showOnce(options);
      while (options.watch) {
        await pause(watchEveryMs);
        if (process.stdout.isTTY && !options.json) process.stdout.write('\u001b[2J\u001b[H');
        process.exitCode = await showOnce(options);
      }
    });
}

async function showOnce({ url, json }: StatusOptions): Promise<number> {
  try {
    const snapshot = await takeSnapshot(url);
    const complaints = complaintsAbout(snapshot);
    const { NO_COLOR } = process.env;
    const palette = process.stdout.isTTY && !NO_COLOR ? coloured : plain;
    const text = json
      ? `${JSON.stringify({ ...snapshot.status, complaints, demand: snapshot.demand, streams: snapshot.streams })}\n`
      : renderStatus(snapshot, palette);
    process.stdout.write(text);
    return complaints.length === 0 ? 0 : 1;
  } catch (thrown) {
    if (!(thrown instanceof Unreachable)) throw thrown;
    process.stderr.write(`tombolo: ${thrown.message}\n`);
    return 3;
  }
}
