import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { type AnswerOptions, wantsJson, withAnswerOptions, writeAnswer } from './answer.ts';
import { type BridgeOptions, Unreachable, withBridgeOptions } from './bridge-client.ts';
import { outputDisplay, renderSentence } from './display.ts';
import type { Snapshot } from './snapshot.ts';
import { takeSnapshot } from './snapshot.ts';
import { renderStatus } from './status-page.ts';
import { complaintsAbout } from './verdict.ts';

interface StatusOptions extends BridgeOptions, AnswerOptions {
  readonly watch?: boolean;
}

const watchEveryMs = 2_000;

/** `tombolo status`: what a running bridge does and why something does not move. */
export function statusCommand(program: Command): void {
  withAnswerOptions(withBridgeOptions(program.command('status')))
    .summary('is all well, and if not, why')
    .description('show role, broker, links, demand and streams of a running bridge, and why something does not move')
    .option('--watch', 'again every two seconds, until interrupted; as JSON, a line each time')
    .addHelpText('after', '\nExit code: 0 all is well; 1 degraded; 2 bad usage; 3 not reachable.')
    .action(async (options: StatusOptions) => {
      if (!options.watch) {
        const snapshot = await takeSnapshot(options);
        writeAnswer(options, answerOf(snapshot), (_, display) => renderStatus(snapshot, display));
        process.exitCode = complaintsAbout(snapshot).length === 0 ? 0 : 1;
        return;
      }
      for (;;) {
        await (wantsJson(options) ? watchAsJson(options) : watchOnTerminal(options));
        await pause(watchEveryMs);
      }
    });
}

/** What `--json` shows: the status, what is wrong with it, and the tables. */
function answerOf(snapshot: Snapshot): object {
  const { status, demand, streams } = snapshot;
  return { ...status, complaints: complaintsAbout(snapshot), demand, streams };
}

async function watchAsJson(options: StatusOptions): Promise<void> {
  try {
    process.stdout.write(`${JSON.stringify(answerOf(await takeSnapshot(options)))}\n`);
  } catch (thrown) {
    if (!(thrown instanceof Unreachable)) throw thrown;
    process.stderr.write(`tombolo: ${thrown.message}\n`);
  }
}

/** One screen: what is more than fits on it is left out at the end, where the least urgent is. */
async function watchOnTerminal(options: StatusOptions): Promise<void> {
  const display = outputDisplay();
  let text: string;
  try {
    text = renderStatus(await takeSnapshot(options), display);
  } catch (thrown) {
    if (!(thrown instanceof Unreachable)) throw thrown;
    // A bridge that restarts is what one watches.
    text = renderSentence('', display.palette.bad(thrown.message), display).join('\n');
  }
  const { isTTY, rows } = process.stdout;
  process.stdout.write(isTTY ? `\u001b[H\u001b[2J\u001b[3J${screenOf(text, rows)}` : `${text}\n`);
}

/** The first lines of a text, below a line that says when it was taken and what is left out. */
export function screenOf(text: string, rows: number, now = new Date()): string {
  const lines = text.trimEnd().split('\n');
  const room = Math.max(rows - 2, 1);
  const more = lines.length > room ? `; ${lines.length - room} more lines without --watch` : '';
  return `${[`${now.toLocaleTimeString('en-GB')}, every 2 s, Ctrl-C ends${more}`, ...lines.slice(0, room)].join('\n')}\n`;
}
