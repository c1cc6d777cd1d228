import type { Trace } from '@tombolo/bridge/admin/conclusion';
import type { Command } from 'commander';
import { type AnswerOptions, withAnswerOptions, writeAnswer } from './answer.ts';
import { ask, type BridgeOptions, withBridgeOptions } from './bridge-client.ts';
import { type Display, paper, printable, renderSentence } from './display.ts';

/** `tombolo trace DESTINATION`: why its messages move or do not, cluster by cluster. */
export function traceCommand(program: Command): void {
  withAnswerOptions(withBridgeOptions(program.command('trace')))
    .summary('why messages of a queue move or do not')
    .description('explain why the messages of a queue move or do not: what each cluster that can be reached says')
    .argument('<destination>', 'the name of a queue')
    .addHelpText('after', '\nExit code: 0 explained; 1 refused; 2 bad usage; 3 not reachable.')
    .action(async (destination: string, options: BridgeOptions & AnswerOptions) => {
      const trace = await ask<Trace>(`/api/v1/trace?destination=${encodeURIComponent(destination)}`, options);
      writeAnswer(options, trace, renderTrace);
    });
}

/** A section for each cluster with a line for each finding, and what follows from all of them. */
export function renderTrace({ destination, items, conclusion }: Trace, display: Display = paper): string {
  const { palette } = display;
  const lines = [palette.strong(printable(destination))];
  for (const { cluster, findings } of items) {
    lines.push('', palette.strong(printable(cluster)));
    for (const { state, text } of findings) {
      const mark = state === 'stops' ? palette.bad('!') : state === 'ok' ? palette.good('+') : ' ';
      lines.push(...renderSentence(`  ${mark} `, printable(text), display));
    }
    if (findings.length === 0) lines.push(palette.quiet('    nothing is known of it here'));
  }
  lines.push('', ...renderSentence('', palette.strong(printable(conclusion)), display));
  return `${lines.join('\n')}\n`;
}
