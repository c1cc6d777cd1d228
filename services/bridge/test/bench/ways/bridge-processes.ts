import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { awaitUntil } from '@tombolo/testing/await-until';

const command = 'services/cli/bin/tombolo.js';
/** Of the bridges' Node.js, such as --cpu-prof --cpu-prof-name=%.cpuprofile, where % becomes the run and the cluster. */
const nodeFlags = (process.env['BENCH_NODE_FLAGS'] ?? '').split(' ').filter(Boolean);

export interface BridgeOrder {
  /** The topology file. */
  readonly topology: string;
  /** For the logs. */
  readonly directory: string;
  /** Of the run, for profiles. */
  readonly run: string;
  /** The root of another checkout, built, whose bridges are run. */
  readonly checkout?: string | undefined;
  /** The processors that they have; undefined: all. */
  readonly processors?: string | undefined;
}

/** Starts a bridge that serves these clusters, as users do. */
export async function spawnBridge(order: BridgeOrder, clusters: readonly string[]): Promise<ChildProcess> {
  const { topology, directory, run, checkout = '.', processors } = order;
  const log = await open(logOf(directory, clusters), 'a');
  const file = resolve(checkout, command);
  // As the command's first line says, which users run.
  const [, flags = ''] = /^#!.*?\bnode\b(.*)$/m.exec(await readFile(file, 'utf8')) ?? [];
  const name = `${run}-${clusters.join('-')}`;
  const line = [
    process.execPath,
    ...flags.split(' ').filter(Boolean),
    ...nodeFlags.map((flag) => flag.replace('%', name)),
    ...[file, 'run', '--config', topology],
    ...clusters.flatMap((cluster) => ['--cluster', cluster]),
  ];
  const [first, ...args] = processors === undefined ? line : ['taskset', '-c', processors, ...line];
  const child = spawn(first as string, args, { stdio: ['ignore', log.fd, log.fd] });
  await log.close();
  return child;
}

const logOf = (directory: string, clusters: readonly string[]): string => join(directory, `${clusters[0]}.log`);

/**
 * Resolves once every two neighbours in this list see each other.
 * @param groups the clusters of each process, for the logs in the error
 */
export async function awaitLinks(
  clusters: readonly { readonly name: string; readonly admin: number }[],
  directory: string,
  groups: readonly (readonly string[])[],
): Promise<void> {
  const pairs = clusters.slice(1).map((cluster, index) => [clusters[index] as typeof cluster, cluster] as const);
  const hops = pairs.flatMap(([one, other]) => [sees(one.admin, other.name), sees(other.admin, one.name)]);
  await awaitUntil(
    'the bridges are linked',
    async () => (await Promise.all(hops.map((look) => look()))).every(Boolean),
    { withinMs: 30_000, everyMs: 20 },
  ).catch(async (error) => {
    const logs = await Promise.all(groups.map((group) => readFile(logOf(directory, group), 'utf8')));
    throw new Error(`${error.message}: ${logs.join('\n')}`, { cause: error });
  });
}

function sees(admin: number, peer: string): () => Promise<boolean> {
  return async () => {
    const response = await fetch(`http://127.0.0.1:${admin}/api/v1/status`);
    const { links } = (await response.json()) as { links: { peer: string; up: boolean }[] };
    return links.some((link) => link.peer === peer && link.up);
  };
}

/** Ends a bridge in good order. */
export async function endBridge(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill('SIGTERM');
  await gone;
}
