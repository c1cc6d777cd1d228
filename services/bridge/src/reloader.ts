import { resolve } from 'node:path';
import type { Clock } from '@tombolo/kernel/clock';
import { messageOf } from '@tombolo/kernel/fault';
import { same } from '@tombolo/topology/cluster-settings';
import { FileWatch } from '@tombolo/topology/file-watch';
import { inForce, planFor } from '@tombolo/topology/plan';
import { planLines } from '@tombolo/topology/plan-text';
import { renderProblem } from '@tombolo/topology/problem';
import type { Topology } from '@tombolo/topology/topology';
import type { ConfigView } from './admin/view.ts';
import { secretsOf } from './secrets.ts';
import type { Log } from './telemetry/log.ts';
import type { Redactor } from './telemetry/redactor.ts';
import { readTopology, type TopologySource, topologyHash } from './topology-file.ts';

export interface ReloaderOptions {
  readonly source: TopologySource;
  /** What the process was started with. */
  readonly topology: Topology;
  readonly log: Log;
  readonly redactor: Redactor;
  readonly clock: Clock;
  /** Milliseconds since 1970, for people. */
  readonly wallClock: () => number;
  readonly host: ReloadedHost;
}

/** Whose topology it is. */
export interface ReloadedHost {
  /** Another topology is in force from now on. */
  amend(topology: Topology): void;
  /** What the file says is in force, but for what needs a restart. */
  reloaded(): void;
  /** The file was refused; what was in force before stays. */
  refused(): void;
}

/**
 * Follows the topology file while the process runs: a valid change is in force at once, as far as it can be without a restart; one
 * that is not valid is refused, said, and shown, and the bridges work on as before.
 */
export class Reloader {
  readonly #options: ReloaderOptions;
  readonly #watch: FileWatch;
  #topology: Topology;
  #since: number;
  /** As last read: what is in force, but for what needs a restart. */
  #read: Topology;
  #files: readonly string[];
  #pendingRestart: readonly string[] = [];
  #refusal: ConfigView['refused'];
  #running = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    const { clock, source, topology, wallClock } = options;
    this.#topology = topology;
    this.#read = topology;
    this.#since = wallClock();
    this.#files = [resolve(source.configPath)];
    this.#watch = new FileWatch({ clock, paths: () => this.#files, changed: () => this.reload('the file changed') });
  }

  /** Begins to follow the file. */
  start(): void {
    this.#running = true;
    this.#watch.start();
    // It may have changed since it was read, and what it refers to is not known yet.
    this.reload(atStart);
  }

  stop(): void {
    this.#running = false;
    this.#watch.stop();
  }

  view(): ConfigView {
    return {
      path: resolve(this.#options.source.configPath),
      hash: topologyHash(this.#topology),
      since: new Date(this.#since).toISOString(),
      pendingRestart: this.#pendingRestart,
      refused: this.#refusal,
    };
  }

  /** Reads the file now. @param why for the log */
  reload(why: string): void {
    if (!this.#running) return;
    const { host, log, redactor, source, wallClock } = this.#options;
    let read: Topology;
    try {
      read = readTopology(source, (files) => {
        this.#files = files;
      });
      redactor.learn(secretsOf(read));
    } catch (thrown) {
      const problems = redactor.text(messageOf(thrown)).split('\n');
      this.#refusal = { at: new Date(wallClock()).toISOString(), problems };
      log.error({ why, problems }, 'topology refused: the one before stays in force');
      return host.refused();
    }
    if (this.#refusal === undefined && alike(read, this.#read)) {
      if (why === atStart) return;
      log.info({ why }, 'topology unchanged');
    } else this.#take(read, why);
    host.reloaded();
  }

  #take(read: Topology, why: string): void {
    const { host, log, source, wallClock } = this.#options;
    const { topology, pendingRestart } = inForce(this.#topology, read, source.clusters);
    const changes = source.clusters.flatMap((cluster) => planLines(planFor(cluster, this.#topology, topology)));
    const known = new Set(this.#topology.warnings.map(renderProblem));
    this.#refusal = undefined;
    this.#read = read;
    this.#topology = topology;
    this.#since = wallClock();
    log.info({ why, changes }, 'topology changed');
    for (const problem of topology.warnings.map(renderProblem)) {
      if (!known.has(problem)) log.warn({ problem }, 'topology warning');
    }
    const pending = pendingRestart.filter((path) => !this.#pendingRestart.includes(path));
    this.#pendingRestart = pendingRestart;
    if (pending.length > 0) log.warn({ settings: pending }, 'a restart is needed for these settings');
    host.amend(topology);
  }
}

const atStart = 'the start';

/** Warnings have their lines with them, which move as the file does. */
function alike(a: Topology, b: Topology): boolean {
  return same(
    { ...a, warnings: a.warnings.map(({ message }) => message) },
    { ...b, warnings: b.warnings.map(({ message }) => message) },
  );
}
