import type { Command } from 'commander';

/**
 * Adds `tombolo validate FILE`: judges the whole topology. Every problem goes to standard error, a line each; one line that
 * sums up to standard output. Exit code 0, also with warnings, or 2.
 */
export function validateCommand(program: Command): void {
  program
    .command('validate')
    .summary('check a topology file')
    .description('check a topology: every error and warning, with file, line and column')
    .argument('<file>', 'a topology file, or a directory of them')
    .addHelpText('after', '\nExit code: 0 valid, perhaps with warnings; 2 not valid, with every error.')
    .action(async (file: string) => {
      // Loaded for this command alone: the others answer at once, and shells wait for completion.
      const [{ loadTopology }, { renderProblem }] = await Promise.all([
        import('@tombolo/topology/load'),
        import('@tombolo/topology/problem'),
      ]);
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
