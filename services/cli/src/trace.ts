import type { Trace } from '@tombolo/bridge/admin/conclusion';
import type { Command } from 'commander';
import { coloured, type Palette, plain, printable } from './render.ts';
import { ask, Unreachable } from './snapshot.ts';

interface TraceOptions {
  readonly url: string;
  readonly json?: boolean;
}

/** `tombolo trace DESTINATION`: why its messages move or do not, cluster by cluster. */
export function traceCommand(program: Command): void {
  program
    .command('trace')
    .description('explain why the messages of a queue move or do not: what each cluster that can be reached says')
    .argument('<destination>', 'the name of a queue')
    .option('--url <url>', 'the admin address of a running bridge', 'http://127.0.0.1:7461')
    .option('--json', 'as JSON, for scripts')
    .addHelpText('after', '\nExit code: 0 explained; 3 not reachable.')
    .action(async (destination: string, { url, json }: TraceOptions) => {
      try {
        const trace = await ask<Trace>(url, `/api/v1/trace?destination=${encodeURIComponent(destination)}`);
        const palette = process.stdout.isTTY && !process.env['NO_COLOR'] ? coloured : plain;
        process.stdout.write(json ? `${JSON.stringify(trace)}\n` : renderTrace(trace, palette));
      } catch (thrown) {
        if (!(thrown instanceof Unreachable)) throw thrown;
        process.stderr.write(`tombolo: ${thrown.message}\n`);
        process.exitCode = 3;
      }
    });
}

/** A section for each cluster with a line for each finding, and what follows from all of them. */
export function renderTrace({ destination, items, conclusion }: Trace, palette: Palette = plain): string {
  const lines = [palette.strong(printable(destination))];
  for (const { cluster, findings } of items) {
    lines.push('', palette.strong(printable(cluster)));
    for (const { state, text } of findings) {
      const mark = state === 'stops' ? palette.bad('!') : state === 'ok' ? palette.good('+') : ' ';
      lines.push(`  ${mark} ${printable(text)}`);
    }
    if (findings.length === 0) lines.push(palette.quiet('    nothing is known of it here'));
  }
  lines.push('', palette.strong(printable(conclusion)));
  return `${lines.join('\n')}\n`;
}
