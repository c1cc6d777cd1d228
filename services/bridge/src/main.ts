import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { systemClock } from '@tombolo/kernel/clock';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import { loadTopology, topologyFault } from '@tombolo/topology/load';
import { renderProblem } from '@tombolo/topology/problem';
import type { Cluster, Topology } from '@tombolo/topology/topology';
import { type Address, parseAddress } from '@tombolo/topology/units';
import { deployedBridge } from './deployed-bridge.ts';
import { type BridgeParts, Host, type HostedBridge } from './host.ts';
import { LoopbackHub } from './link/loopback-link.ts';
import { secretsOf } from './secrets.ts';
import { createLog, type Log, logLevel } from './telemetry/log.ts';
import { Redactor } from './telemetry/redactor.ts';

export interface RunOptions {
  /** The topology: a file, or a directory of files. */
  readonly configPath: string;
  /** The clusters whose bridges run in this process; at least one. */
  readonly clusters: readonly string[];
  /** Instead of `bridge.listen`, `host:port`; for one cluster. */
  readonly listen?: string | undefined;
  /** Instead of `bridge.admin`, `host:port`; for one cluster. */
  readonly admin?: string | undefined;
  /** Tells replicas of one cluster apart; default: host name and process id. */
  readonly instance?: string | undefined;
  readonly logLevel?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How long after its drain timeout a bridge may take to let go of broker and links. */
const stopGraceMs = 5_000;

/**
 * Runs bridges until SIGTERM or SIGINT and resolves with the exit code: 0 after a clean stop, 1 after a failure that
 * waiting does not cure, 2 for bad usage or a bad file. What went wrong is on standard error, in a line of its own.
 */
export async function runBridges(options: RunOptions): Promise<number> {
  let redactor = new Redactor([]);
  try {
    const level = logLevel(options.logLevel);
    const topology = readTopology(options);
    redactor = new Redactor(secretsOf(topology));
    const log = createLog({ level, redactor });
    return await runUntilSignal(hostOf(options, topology, redactor, log), log, redactor, drainMs(options, topology));
  } catch (thrown) {
    const text = redactor.text(messageOf(thrown));
    const code = thrown instanceof Fault ? thrown.code : undefined;
    // Editors and terminals find `file:line:column` at the beginning of a line only.
    if (code === 'TOMBOLO_TOPOLOGY_INVALID') process.stderr.write(`${text}\n`);
    else complain(text);
    return code === 'TOMBOLO_TOPOLOGY_INVALID' || code === 'TOMBOLO_USAGE' ? 2 : 1;
  }
}

async function runUntilSignal(host: Host, log: Log, redactor: Redactor, drainTimeoutMs: number): Promise<number> {
  const crash = (thrown: unknown): void => {
    log.fatal({ err: thrown instanceof Error ? thrown : new Error(String(thrown)) }, 'crashed');
    complain(`crashed: ${redactor.text(messageOf(thrown))}`);
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);

  return new Promise<number>((resolve) => {
    let stopping = false;
    const end = (code: number, failure?: unknown): void => {
      if (failure !== undefined) {
        log.fatal({ err: failure }, 'stopped by a failure');
        complain(redactor.text(messageOf(failure)));
      }
      resolve(code);
    };
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping) {
        log.warn({ signal }, 'second signal, leaving at once');
        process.exit(1);
      }
      stopping = true;
      log.info({ signal, drainTimeoutMs }, 'draining');
      systemClock.wake(systemClock.now() + drainTimeoutMs + stopGraceMs, () => {
        end(1, new Error(`The stop took longer than ${(drainTimeoutMs + stopGraceMs) / 1000} s; leaving as it is.`));
      });
      host.stop().then(
        () => {
          log.info('stopped');
          end(0);
        },
        (thrown: unknown) => end(1, thrown),
      );
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    host.start().catch(async (thrown: unknown) => {
      if (stopping) return;
      stopping = true;
      await host.stop().catch((err: unknown) => log.debug({ err }, 'stop after a failure failed too'));
      end(1, thrown);
    });
  });
}

function hostOf(options: RunOptions, topology: Topology, redactor: Redactor, log: Log): Host {
  const { clusters, instance = `${hostname()}-${process.pid}` } = options;
  const version = ownVersion();
  log.info({ version, node: process.version, clusters, instance, config: options.configPath }, 'starting');
  for (const problem of topology.warnings) log.warn({ problem: renderProblem(problem) }, 'topology warning');
  const config = { hash: numberFrom(topology), timestampSeconds: Date.now() / 1000 };
  const loopback = new LoopbackHub();
  const createBridge = (parts: BridgeParts): HostedBridge => deployedBridge(parts, Math.random, loopback);
  return new Host({ topology, clusters, instance, version, log, redactor, clock: systemClock, config, createBridge });
}

function readTopology(options: RunOptions): Topology {
  const { configPath, clusters, env } = options;
  if (clusters.length > 1 && (options.listen !== undefined || options.admin !== undefined)) {
    const advice = 'with several clusters in one process, set bridge.listen and bridge.admin in the file';
    throw new Fault('TOMBOLO_USAGE', `--listen and --admin are for one cluster; ${advice}.`);
  }
  const { topology, problems } = loadTopology(configPath, { env, cluster: clusters });
  if (!topology) throw topologyFault(problems);
  for (const name of clusters) {
    if (topology.clusters[name]?.broker) continue;
    const advice = `add clusters.${name}.broker with its uris`;
    throw new Fault('TOMBOLO_USAGE', `${configPath} does not say where the broker of ${name} is; ${advice}.`);
  }
  const [only = ''] = clusters;
  const listen = addressFrom(options.listen, '--listen');
  const admin = addressFrom(options.admin, '--admin');
  return listen || admin ? withAddresses(topology, only, listen, admin) : topology;
}

function withAddresses(
  topology: Topology,
  name: string,
  listen: Address | undefined,
  admin: Address | undefined,
): Topology {
  const cluster = topology.clusters[name] as Cluster;
  const bridge = { ...cluster.bridge, listen: listen ?? cluster.bridge.listen, admin: admin ?? cluster.bridge.admin };
  return { ...topology, clusters: { ...topology.clusters, [name]: { ...cluster, bridge } } };
}

function addressFrom(text: string | undefined, flag: string): Address | undefined {
  if (text === undefined) return undefined;
  const address = parseAddress(text);
  if (address) return address;
  throw new Fault('TOMBOLO_USAGE', `${flag} is "${text}"; expected host:port, for example 127.0.0.1:7461.`);
}

function drainMs({ clusters }: RunOptions, topology: Topology): number {
  return Math.max(...clusters.map((name) => topology.clusters[name]?.bridge.drainTimeoutMs ?? 0));
}

/** Equal for bridges that read equal connectors; secrets, which differ from site to site, have no part in it. */
function numberFrom({ network, clusters, connectors }: Topology): number {
  const text = JSON.stringify([network, Object.keys(clusters).sort(), connectors]);
  return createHash('sha256').update(text).digest().readUIntBE(0, 6);
}

/** The version of this package. */
export function ownVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return String(version);
}

function complain(text: string): void {
  process.stderr.write(`tombolo: ${text}\n`);
}
