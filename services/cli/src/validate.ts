import { loadTopology } from '@tombolo/topology/load';
import { renderProblem } from '@tombolo/topology/problem';
import type { Command } from 'commander';

/**
 * Adds `tombolo validate FILE`: judges the whole topology. Every problem goes to standard error, a line each; one line that
 * sums up to standard output. Exit code 0, also with warnings, or 2.
 */
export function validateCommand(program: Command): void {
  program
    .command('validate')
    .description('check a topology: every error and warning, with file, line and column')
    .argument('<file>', 'a topology file, or a directory of them')
    .action((file: string) => {
      const { topology, problems } = loadTopology(file, { env: process.env });
      for (const problem of problems) process.stderr.write(`${renderProblem(problem)}\n`);
      const warnings = problems.filter(({ severity }) => severity === 'warning').length;
      if (topology) {
        const clusters = counted(Object.keys(topology.clusters).length, 'cluster');
        const connectors = counted(topology.connectors.length, 'networkConnector');
        process.stdout.write(
          `${file}: valid: network ${topology.network}, ${clusters}, ${connectors}, ${counted(warnings, 'warning')}\n`,
        );
        return;
      }
      const errors = counted(problems.length - warnings, 'error');
      process.stdout.write(`${file}: not valid: ${errors}, ${counted(warnings, 'warning')}\n`);
      process.exitCode = 2;
    });
}

function counted(count: number, noun: string): string {
  return `${count === 0 ? 'no' : count} ${noun}${count === 1 ? '' : 's'}`;
}
