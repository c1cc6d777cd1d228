import type { Clock } from '@tombolo/kernel/clock';
import { Fault } from '@tombolo/kernel/fault';
import { compileWildcard } from '@tombolo/topology/pattern';
import type { Topology } from '@tombolo/topology/topology';
import { type Address, isLoopback } from '@tombolo/topology/units';
import type { FastifyInstance } from 'fastify';
import { renderAddress } from './admin/address.ts';
import { Changes } from './admin/changes.ts';
import type { Trace } from './admin/conclusion.ts';
import type { Survey } from './admin/network.ts';
import type { Operations } from './admin/operations.ts';
import type { AdminOptions } from './admin/routes.ts';
import { createAdminServer, createMetricsServer, listen } from './admin/server.ts';
import type { BridgeView } from './admin/view.ts';
import type { Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import type { Redactor } from './telemetry/redactor.ts';

/** What the process needs of a bridge. */
export interface HostedBridge extends Operations {
  /** Resolves when the bridge works or waits for its broker; a broker that is down is waited for, not a failure. */
  start(): Promise<void>;
  /** Settles what is in flight, within the drain timeout, and lets go of broker and links. May be called at any time. */
  stop(): Promise<void>;
  view(): BridgeView;
  /** Why the messages of a destination move or do not. */
  trace(destination: string): Promise<Trace>;
  /** The network, as far as it can be seen from here. */
  survey(): Promise<Survey>;
}

/** What a bridge is made of, as far as the process gives it. */
export interface BridgeParts {
  readonly topology: Topology;
  readonly cluster: string;
  readonly instance: string;
  readonly version: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** To be called when its broker came or went, and when its role changed, so that no short change goes untold. */
  readonly changed?: () => void;
}

export interface HostOptions extends Omit<BridgeParts, 'cluster' | 'metrics' | 'changed'> {
  /** The clusters whose bridges run in this process. */
  readonly clusters: readonly string[];
  readonly redactor: Redactor;
  readonly createBridge: (parts: BridgeParts) => HostedBridge;
  /** A number made from the topology, and when it was read, in seconds since 1970: for the metrics. */
  readonly config: { readonly hash: number; readonly timestampSeconds: number };
}

/** Where `tombolo status` looks, when nothing else is said. */
const defaultAdmin: Address = { host: '127.0.0.1', port: 7461 };
const noticeEveryMs = 500;

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
  #stopping: Promise<void> | undefined;
  #cancelNotice = (): void => {};

  constructor(options: HostOptions) {
    this.#options = options;
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
    for (const { view, changes, metrics } of this.#hosted) {
      const now = view();
      changes.notice(now, true);
      metrics.look(now, clock.now());
    }
    this.#cancelNotice = clock.wake(clock.now() + noticeEveryMs, () => this.#notice());
  }

  #compose(cluster: string, index: number): Hosted {
    const { topology, createBridge, redactor, clusters, version, instance, clock, config } = this.#options;
    const settings = topology.clusters[cluster]?.bridge;
    if (!settings) throw new Fault('TOMBOLO_USAGE', `The topology has no cluster "${cluster}".`);
    const log = this.#options.log.child({ cluster });
    const chosen = settings.metrics.destinations.map((pattern) => compileWildcard(pattern));
    const metrics = new Metrics({
      network: topology.network,
      cluster,
      version,
      peers: peersOf(topology, cluster),
      destinations: (destination) => chosen.some((matches) => matches(destination)),
      maxDestinations: settings.metrics.maxDestinations,
      inFlightBytes: settings.inFlightBytes,
      leaseMs: settings.election.type === 'redis' ? settings.election.leaseMs : undefined,
    });
    metrics.configApplied(config.hash, config.timestampSeconds, false);
    const changes = new Changes(log);
    const changed = (): void => changes.notice(view(), false);
    const bridge = createBridge({ topology, cluster, instance, version, log, metrics, clock, changed });
    const view = (): BridgeView => (this.#stopping ? { ...bridge.view(), draining: true } : bridge.view());
    const { adminToken } = settings;
    const trace = (destination: string): Promise<Trace> => bridge.trace(destination);
    const survey = (): Promise<Survey> => bridge.survey();
    const options: AdminOptions = { view, trace, survey, metrics, operations: bridge, redactor, log, adminToken };

    const servers: Hosted['servers'] = [];
    const admin = settings.admin ?? (index === 0 ? defaultAdmin : undefined);
    if (admin === undefined) {
      log.warn(
        { clusters },
        'no admin address: bridge.admin is not set, and the default is taken by the first cluster',
      );
    } else {
      if (adminToken === undefined && !isLoopback(admin.host)) {
        const advice = 'anybody who reaches it could pause connectors: set bridge.adminToken, or use 127.0.0.1';
        const text = `The admin address ${renderAddress(admin)} of ${cluster} is not on loopback and needs no token`;
        throw new Fault('TOMBOLO_USAGE', `${text}; ${advice}.`);
      }
      servers.push({ server: createAdminServer(options), address: admin, what: `The admin address of ${cluster}` });
    }
    const scraped = settings.metrics.listen;
    if (scraped) {
      const what = `The metrics address of ${cluster}`;
      servers.push({ server: createMetricsServer(options), address: scraped, what });
    }
    return { cluster, bridge, view, changes, metrics, servers };
  }
}

/** Every cluster that a connector joins with `cluster`. */
export function peersOf({ connectors }: Pick<Topology, 'connectors'>, cluster: string): string[] {
  const touching = connectors.filter(({ from, to }) => from === cluster || to === cluster);
  return [...new Set(touching.map(({ from, to }) => (from === cluster ? to : from)))].filter(
    (peer) => peer !== cluster,
  );
}
