import { readFileSync } from 'node:fs';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { Command } from 'commander';

/** Adds `tombolo import FORMAT FILE`: writes a topology that does what another configuration did to standard output. */
export function importCommand(program: Command): void {
  const group = program
    .command('import')
    .summary("write a topology from another product's configuration")
    .description("write a topology from another product's configuration to standard output");
  group
    .command('rabbitmq')
    .summary('from the federation and shovels of a RabbitMQ cluster')
    .description('from federation upstreams, policies and shovels of a RabbitMQ cluster')
    .argument('<file>', 'exported definitions: rabbitmqctl export_definitions, or GET /api/definitions')
    .option('--cluster <name>', 'what to call the cluster that the definitions are of (default: its cluster_name)')
    .addHelpText(
      'after',
      '\nExit code: 0 written, perhaps with comments on what has no equivalent; 2 bad usage or file.',
    )
    .action(async (file: string, { cluster }: { cluster?: string }) => {
      const [{ topologyFromDefinitions }, { renderImport }] = await Promise.all([
        import('./import-rabbitmq.ts'),
        import('./import-yaml.ts'),
      ]);
      process.stdout.write(renderImport(topologyFromDefinitions(readJson(file), { file, cluster })));
    });
  group
    .command('activemq')
    .summary('from the networkConnectors of an ActiveMQ broker')
    .description('from the networkConnectors of an ActiveMQ Classic broker')
    .argument('<file>', 'its activemq.xml')
    .addHelpText(
      'after',
      '\nExit code: 0 written, perhaps with comments on what has no equivalent; 2 bad usage or file, with every error.',
    )
    .action(async (file: string) => {
      const [{ importActiveMq }, { renderImport }, { renderProblem }] = await Promise.all([
        import('./import/activemq.ts'),
        import('./import-yaml.ts'),
        import('@tombolo/topology/problem'),
      ]);
      const result = importActiveMq(readText(file), file);
      if ('topology' in result) {
        process.stdout.write(renderImport(result.topology));
        return;
      }
      for (const problem of result.problems) process.stderr.write(`${renderProblem(problem)}\n`);
      process.exitCode = 2;
    });
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (thrown) {
    throw new Fault('TOMBOLO_USAGE', `${file} cannot be read (${(thrown as NodeJS.ErrnoException).code ?? 'error'}).`);
  }
}

function readJson(file: string): unknown {
  const text = readText(file);
  try {
    return JSON.parse(text);
  } catch (thrown) {
    const place = /line (\d+) column (\d+)/.exec(messageOf(thrown)) ?? placeOf(text, messageOf(thrown));
    throw new Fault(
      'TOMBOLO_USAGE',
      `${file}:${place?.[1] ?? 1}:${place?.[2] ?? 1}: it is not JSON (${messageOf(thrown)}).`,
    );
  }
}

/** Older Node.js versions tell an offset only. */
function placeOf(text: string, message: string): readonly [string, number, number] | undefined {
  const offset = /position (\d+)/.exec(message)?.[1];
  if (offset === undefined) return undefined;
  const before = text.slice(0, Number(offset)).split('\n');
  return ['', before.length, (before.at(-1)?.length ?? 0) + 1];
}
