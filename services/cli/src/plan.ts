import { Fault } from '@tombolo/kernel/fault';
import type { Forecast } from '@tombolo/topology/forecast';
import type { BridgePlan, Plan } from '@tombolo/topology/plan';
import { alterationText, planLines } from '@tombolo/topology/plan-text';
import type { Topology } from '@tombolo/topology/topology';
import type { Command } from 'commander';
import { type AnswerOptions, withAnswerOptions, writeAnswer } from './answer.ts';
import { type Display, paper, printable, renderSentence } from './display.ts';
import { renderSurvey } from './plan-live.ts';

interface PlanOptions extends AnswerOptions {
  readonly live?: boolean;
  readonly cluster?: readonly string[];
}

/** What `tombolo plan OLD NEW` answers. */
export interface PlanAnswer extends Plan {
  readonly name: string;
  /** What to beware of. */
  readonly warnings: readonly Forecast[];
}

/**
 * Adds `tombolo plan OLD NEW` and `tombolo plan --live NEW`: what a change of the topology would do, before it is made. Errors of
 * either file go to standard error, a line each. Exit code 0, or 2 when a file is not valid.
 */
export function planCommand(program: Command): void {
  withAnswerOptions(program.command('plan'))
    .summary('what a change of the topology would do')
    .description('what a change of the topology would start, stop and change, bridge by bridge, and what to beware of')
    .argument('<files...>', 'OLD and NEW; with --live only NEW')
    .option('--live', 'ask the brokers which queues match, what is in them, and what would be refused; changes nothing')
    .option('--cluster <name...>', 'with --live: only the brokers of these clusters (default: all that the file has)')
    .addHelpText('after', '\nExit code: 0 told; 2 bad usage, or a file that is not valid.')
    .action(async (files: readonly string[], options: PlanOptions) => {
      const { live = false } = options;
      if (files.length !== (live ? 1 : 2)) {
        const usage = live ? 'tombolo plan --live NEW' : 'tombolo plan OLD NEW';
        throw new Fault('TOMBOLO_USAGE', `The number of files is ${files.length}; expected: ${usage}.`);
      }
      if (live) return planLive(files[0]!, options);
      const [before, after] = await Promise.all(files.map((file) => read(file)));
      if (!before || !after) return;
      const [{ planBetween }, { forecast }] = await Promise.all([
        import('@tombolo/topology/plan'),
        import('@tombolo/topology/forecast'),
      ]);
      const answer = { name: after.network, ...planBetween(before, after), warnings: forecast(after, before) };
      writeAnswer(options, answer, renderPlan);
    });
}

async function planLive(file: string, options: PlanOptions): Promise<void> {
  const judged = await read(file);
  if (!judged) return;
  const wanted = options.cluster ?? Object.values(judged.clusters).flatMap(({ name, broker }) => (broker ? name : []));
  if (wanted.length === 0) {
    const advice = 'add clusters.NAME.broker with its uris';
    throw new Fault('TOMBOLO_USAGE', `${file} does not say where any broker is; ${advice}.`);
  }
  // Once more as `tombolo run` reads it, with the credentials of these clusters.
  const topology = await read(file, wanted);
  if (!topology) return;
  const { surveyTopology } = await import('@tombolo/bridge/survey/survey-topology');
  writeAnswer(options, await surveyTopology(topology, wanted), renderSurvey);
}

/**
 * The topology; undefined when it is not valid, which makes the exit code 2. Its problems are told; when it is read for some
 * clusters, only what stops them.
 */
async function read(file: string, clusters?: readonly string[]): Promise<Topology | undefined> {
  const [{ loadTopology }, { renderProblem }] = await Promise.all([
    import('@tombolo/topology/load'),
    import('@tombolo/topology/problem'),
  ]);
  const { topology, problems } = loadTopology(file, { env: process.env, ...(clusters && { cluster: clusters }) });
  for (const problem of problems) {
    if (problem.severity === 'error' || !clusters) process.stderr.write(`${renderProblem(problem)}\n`);
  }
  if (!topology) process.exitCode = 2;
  return topology;
}

const verbs = { start: 'starts', stop: 'stops', alter: 'changes', stay: 'stays as it is' } as const;

/** For people: a line for each bridge and each of its changes, and what to beware of. */
export function renderPlan({ name, network, bridges, warnings }: PlanAnswer, display: Display = paper): string {
  const { palette } = display;
  const lines = [palette.strong(`network ${name}`)];
  if (network) lines.push(palette.bad(`  ${alterationText(network)}: every bridge has to be restarted`));
  for (const bridge of bridges) {
    const inked = { start: palette.good, stop: palette.bad, alter: palette.strong, stay: palette.quiet }[bridge.does];
    lines.push(inked(`bridge ${bridge.cluster} ${verbs[bridge.does]}${remainder(bridge)}`));
    for (const line of planLines(bridge)) lines.push(...renderSentence('  ', printable(line), display));
  }
  if (warnings.length === 0) lines.push(palette.quiet('nothing to beware of, as far as the file tells'));
  else lines.push(palette.strong('beware:'));
  for (const { text } of warnings) lines.push(...renderSentence('  ', printable(text), display));
  return `${lines.join('\n')}\n`;
}

function remainder({ does, settings }: BridgePlan): string {
  return does === 'alter' && settings.some(({ needsRestart }) => needsRestart)
    ? ', and needs a restart for some of it'
    : '';
}
