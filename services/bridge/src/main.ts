import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { systemClock } from '@tombolo/kernel/clock';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import { renderProblem } from '@tombolo/topology/problem';
import type { Topology } from '@tombolo/topology/topology';
import { deployedBridge } from './deployed-bridge.ts';
import { type BridgeParts, Host, type HostedBridge } from './host.ts';
import { LoopbackHub } from './link/loopback-link.ts';
import { Reloader } from './reloader.ts';
import { secretsOf } from './secrets.ts';
import { createLog, type Log, logLevel } from './telemetry/log.ts';
import { Redactor } from './telemetry/redactor.ts';
import { readTopology, type TopologySource } from './topology-file.ts';

export interface RunOptions extends TopologySource {
  /** Tells replicas of one cluster apart; default: host name and process id. */
  readonly instance?: string | undefined;
  readonly logLevel?: string | undefined;
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
    return await runUntilSignal(...hostOf(options, topology, redactor, log), log, redactor);
  } catch (thrown) {
    const text = redactor.text(messageOf(thrown));
    const code = thrown instanceof Fault ? thrown.code : undefined;
    // Editors and terminals find `file:line:column` at the beginning of a line only.
    if (code === 'TOMBOLO_TOPOLOGY_INVALID') process.stderr.write(`${text}\n`);
    else complain(text);
    return code === 'TOMBOLO_TOPOLOGY_INVALID' || code === 'TOMBOLO_USAGE' ? 2 : 1;
  }
}

async function runUntilSignal(host: Host, reloader: Reloader, log: Log, redactor: Redactor): Promise<number> {
  const crash = (thrown: unknown): void => {
    log.fatal({ err: thrown instanceof Error ? thrown : new Error(String(thrown)) }, 'crashed');
    complain(`crashed: ${redactor.text(messageOf(thrown))}`);
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  process.on('SIGHUP', () => reloader.reload('SIGHUP'));

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
      reloader.stop();
      const { drainTimeoutMs } = host;
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
    host.start().then(
      () => {
        if (!stopping) reloader.start();
      },
      async (thrown: unknown) => {
        if (stopping) return;
        stopping = true;
        await host.stop().catch((err: unknown) => log.debug({ err }, 'stop after a failure failed too'));
        end(1, thrown);
      },
    );
  });
}

function hostOf(options: RunOptions, topology: Topology, redactor: Redactor, log: Log): [Host, Reloader] {
  const { clusters, instance = `${hostname()}-${process.pid}` } = options;
  const version = ownVersion();
  log.info({ version, node: process.version, clusters, instance, config: options.configPath }, 'starting');
  for (const problem of topology.warnings) log.warn({ problem: renderProblem(problem) }, 'topology warning');
  const loopback = new LoopbackHub();
  const around = { topology, log, redactor, clock: systemClock, wallClock: () => Date.now() };
  const host: Host = new Host({
    ...{ ...around, clusters, instance, version },
    createBridge: (parts: BridgeParts): HostedBridge => deployedBridge(parts, Math.random, loopback),
    configView: () => reloader.view(),
  });
  const reloader = new Reloader({ ...around, source: options, host });
  return [host, reloader];
}

/** The version of this package. */
export function ownVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return String(version);
}

function complain(text: string): void {
  process.stderr.write(`tombolo: ${text}\n`);
}
