import { type Command, Option } from 'commander';

interface RunFlags {
  readonly config: string;
  readonly cluster: readonly string[];
  readonly listen?: string;
  readonly admin?: string;
  readonly instance?: string;
  readonly logLevel?: string;
}

/** `tombolo run`: the bridges of one or several clusters in this process, until SIGTERM or SIGINT. */
export function runCommand(program: Command): void {
  program
    .command('run')
    .description('run the bridge of a cluster')
    .addOption(
      new Option('--config <file>', 'the topology: a file or a directory').env('TOMBOLO_CONFIG').makeOptionMandatory(),
    )
    .addOption(
      new Option('--cluster <name>', 'whose bridge to run; again for several in one process')
        .env('TOMBOLO_CLUSTER')
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .option('--listen <host:port>', 'accept links here instead of at bridge.listen')
    .option('--admin <host:port>', 'serve API and metrics here instead of at bridge.admin')
    .option('--instance <name>', 'tells replicas that share a file apart (default: host name and process id)')
    .addOption(
      new Option('--log-level <level>', 'trace, debug, info, warn, error (default: info)').env('TOMBOLO_LOG_LEVEL'),
    )
    .addHelpText('after', '\nExit code: 0 after a clean stop by SIGTERM or SIGINT; 1 fatal; 2 bad usage or file.')
    .action(async ({ config, cluster, ...flags }: RunFlags) => {
      // Broker and link libraries are loaded for this command alone: the others answer at once.
      const { runBridges } = await import('@tombolo/bridge/main');
      const code = await runBridges({
        configPath: config,
        clusters: [...new Set(cluster)],
        ...flags,
        env: process.env,
      });
      // Whatever a library left open must not hold up a stop that is complete.
      process.exit(code);
    });
}

/** `--cluster a --cluster b`, or TOMBOLO_CLUSTER=a,b. */
function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...value.split(',').map((name) => name.trim())].filter((name) => name !== '');
}
