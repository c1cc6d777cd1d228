import type { Clock } from '@tombolo/kernel/clock';
import { Fault } from '@tombolo/kernel/fault';
import { compileWildcard } from '@tombolo/topology/pattern';
import type { Topology } from '@tombolo/topology/topology';
import type { Address } from '@tombolo/topology/units';
import type { FastifyInstance } from 'fastify';
import { Changes } from './admin/changes.ts';
import type { Trace } from './admin/conclusion.ts';
import type { Survey } from './admin/network.ts';
import type { Operations } from './admin/operations.ts';
import type { AdminOptions } from './admin/routes.ts';
import { createAdminServer, createMetricsServer, listen } from './admin/server.ts';
import type { BridgeView, ConfigView } from './admin/view.ts';
import type { Log } from './telemetry/log.ts';
import { Metrics, type MetricsOptions } from './telemetry/metrics.ts';
import type { Redactor } from './telemetry/redactor.ts';
import { refuseOpenAdmin, topologyHash } from './topology-file.ts';

/** What the process needs of a bridge. */
export interface HostedBridge extends Operations {
  /** Resolves when the bridge works or waits for its broker; a broker that is down is waited for, not a failure. */
  start(): Promise<void>;
  /** Settles what is in flight, within the drain timeout, and lets go of broker and links. May be called at any time. */
  stop(): Promise<void>;
  view(): BridgeView;
  /** Another topology is in force from now on. */
  amend(topology: Topology): void;
  /** Why the messages of a destination move or do not. */
  trace(destination: string): Promise<Trace>;
  /** The network, as far as it can be seen from here. */
  survey(): Promise<Survey>;
}

/** What a bridge is made of, as far as the process gives it. */
export interface BridgeParts {
  /** That it is made with. */
  readonly topology: Topology;
  /** That is in force now. */
  readonly inForce: () => Topology;
  readonly cluster: string;
  readonly instance: string;
  readonly version: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** To be called when its broker came or went, and when its role changed, so that no short change goes untold. */
  readonly changed?: () => void;
}

export interface HostOptions extends Omit<BridgeParts, 'inForce' | 'cluster' | 'metrics' | 'changed'> {
  /** The clusters whose bridges run in this process. */
  readonly clusters: readonly string[];
  readonly redactor: Redactor;
  readonly createBridge: (parts: BridgeParts) => HostedBridge;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** What is shown of the topology file; undefined: nobody follows it. */
  readonly configView?: () => ConfigView;
}

/** Where `tombolo status` looks, when nothing else is said. */
const defaultAdmin: Address = { host: '127.0.0.1', port: 7461 };
/**
 * How often the bridges are looked at for what has changed and what metrics show (ms); seldom enough that it takes no more than one part
 * in so many.
 */
const noticeMs = { least: 500, most: 10_000, share: 1_000 };

interface Hosted {
  readonly cluster: string;
  readonly bridge: HostedBridge;
  readonly view: () => BridgeView;
  readonly changes: Changes;
  readonly metrics: Metrics;
  readonly servers: { readonly server: FastifyInstance; readonly address: Address; readonly what: string }[];
}

/** The bridges of one process with their addresses: opened before the bridges start, closed after they have stopped. */
export class Host {
  readonly #options: HostOptions;
  readonly #hosted: readonly Hosted[];
  #topology: Topology;
  #stopping: Promise<void> | undefined;
  #cancelNotice = (): void => {};

  constructor(options: HostOptions) {
    this.#options = options;
    this.#topology = options.topology;
    this.#hosted = options.clusters.map((cluster, index) => this.#compose(cluster, index));
  }

  /** Opens the addresses, then starts the bridges. A fault here is fatal: waiting does not cure it. */
  async start(): Promise<void> {
    const { log } = this.#options;
    for (const { cluster, servers } of this.#hosted) {
      for (const { server, address, what } of servers) {
        log.info({ cluster, url: await listen(server, address, what), what }, 'listening');
      }
    }
    this.#notice();
    await Promise.all(this.#hosted.map(({ bridge }) => bridge.start()));
  }

  /** Another topology is in force from now on. */
  amend(topology: Topology): void {
    const before = this.#topology;
    this.#topology = topology;
    const names = new Set(topology.connectors.map(({ name }) => name));
    const gone = new Set(before.connectors.map(({ name }) => name).filter((name) => !names.has(name)));
    for (const { bridge, cluster, metrics } of this.#hosted) {
      metrics.amend(shownBy(topology, cluster), gone);
      bridge.amend(topology);
    }
  }

  /** What the topology's file says is in force. */
  reloaded(): void {
    for (const { metrics } of this.#hosted) this.#applied(metrics, true);
  }

  /** A change of the topology's file was refused. */
  refused(): void {
    for (const { metrics } of this.#hosted) metrics.configRefused();
  }

  #applied(metrics: Metrics, reload: boolean): void {
    metrics.configApplied(topologyHash(this.#topology), this.#options.wallClock() / 1000, reload);
  }

  /** The longest of its bridges' drain timeouts. */
  get drainTimeoutMs(): number {
    const { clusters } = this.#topology;
    return Math.max(...this.#hosted.map(({ cluster }) => clusters[cluster]!.bridge.drainTimeoutMs));
  }

  /** Stops every bridge, then closes the addresses: `/readyz` says 503 and metrics go on while they drain. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const stops = await Promise.allSettled(this.#hosted.map(({ bridge }) => bridge.stop()));
    this.#cancelNotice();
    await Promise.allSettled(this.#hosted.flatMap(({ servers }) => servers.map(({ server }) => server.close())));
    const failure = stops.find((stop) => stop.status === 'rejected');
    if (failure) throw failure.reason;
  }

  #notice(): void {
    const { clock } = this.#options;
    const begun = clock.now();
    for (const { view, changes, metrics } of this.#hosted) {
      const now = view();
      changes.notice(now, true);
      metrics.look(now, clock.now());
    }
    // All streams are looked at: of thousands this took two thirds of the time of a bridge that had nothing else to do.
    const pause = Math.min(noticeMs.most, Math.max(noticeMs.least, (clock.now() - begun) * noticeMs.share));
    this.#cancelNotice = clock.wake(clock.now() + pause, () => this.#notice());
  }

  #compose(cluster: string, index: number): Hosted {
    const { topology, createBridge, redactor, clusters, version, instance, clock, configView } = this.#options;
    const settings = topology.clusters[cluster]?.bridge;
    if (!settings) throw new Fault('TOMBOLO_USAGE', `The topology has no cluster "${cluster}".`);
    const log = this.#options.log.child({ cluster });
    const metrics = new Metrics({
      ...{ network: topology.network, cluster, version },
      ...shownBy(topology, cluster),
      inFlightBytes: settings.inFlightBytes,
      leaseMs: settings.election.type === 'redis' ? settings.election.leaseMs : undefined,
    });
    this.#applied(metrics, false);
    const changes = new Changes(log);
    const changed = (): void => changes.notice(view(), false);
    const bridge = createBridge({
      topology,
      inForce: () => this.#topology,
      cluster,
      instance,
      version,
      log,
      metrics,
      clock,
      changed,
    });
    const view = (): BridgeView => {
      const shown = bridge.view();
      const config = configView?.();
      const waiting = config?.pendingRestart ?? [];
      const notes = waiting.map((path) => `${path} has changed in the file, and needs a restart of this bridge.`);
      return { ...shown, config, notes: [...shown.notes, ...notes], draining: shown.draining || !!this.#stopping };
    };
    const inForce = () => this.#topology.clusters[cluster]!.bridge;
    const trace = (destination: string): Promise<Trace> => bridge.trace(destination);
    const survey = (): Promise<Survey> => bridge.survey();
    const options: AdminOptions = {
      ...{ view, trace, survey, metrics, operations: bridge, redactor, log },
      get adminToken() {
        return inForce().adminToken;
      },
    };

    const servers: Hosted['servers'] = [];
    const admin = settings.admin ?? (index === 0 ? defaultAdmin : undefined);
    if (admin === undefined) {
      log.warn(
        { clusters },
        'no admin address: bridge.admin is not set, and the default is taken by the first cluster',
      );
    } else {
      refuseOpenAdmin(topology, cluster, admin);
      servers.push({ server: createAdminServer(options), address: admin, what: `The admin address of ${cluster}` });
    }
    const scraped = settings.metrics.listen;
    if (scraped) {
      const what = `The metrics address of ${cluster}`;
      servers.push({ server: createMetricsServer(options), address: scraped, what });
    }
    return { cluster, bridge, metrics, view, changes, servers };
  }
}

/** What the metrics of a cluster's bridge go by. */
function shownBy(
  topology: Topology,
  cluster: string,
): Pick<MetricsOptions, 'peers' | 'destinations' | 'maxDestinations'> {
  const { destinations, maxDestinations } = topology.clusters[cluster]!.bridge.metrics;
  const chosen = destinations.map((pattern) => compileWildcard(pattern));
  return {
    peers: peersOf(topology, cluster),
    destinations: (destination) => chosen.some((matches) => matches(destination)),
    maxDestinations,
  };
}

/** Every cluster that a connector joins with `cluster`. */
export function peersOf({ connectors }: Pick<Topology, 'connectors'>, cluster: string): string[] {
  const touching = connectors.filter(({ from, to }) => from === cluster || to === cluster);
  return [...new Set(touching.map(({ from, to }) => (from === cluster ? to : from)))].filter(
    (peer) => peer !== cluster,
  );
}
