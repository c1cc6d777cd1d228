import { Fault } from '@tombolo/kernel/fault';
import type { Frame, QueueProperties } from '@tombolo/wire/frame';
import { standbyTrace, type Trace } from './admin/conclusion.ts';
import type { DrainCheck } from './admin/drain-check.ts';
import type { Sightings, Survey } from './admin/network.ts';
import type { DrainScope } from './admin/operations.ts';
import type { BridgeView, BrokerView, CertificateView, ConnectorView, GivenBack, LeftOver } from './admin/view.ts';
import { fenced } from './broker/fence.ts';
import type { Broker, BrokerListener, BrokerState, QueueDemand } from './broker/port.ts';
import { Candidacy } from './candidacy.ts';
import { ClusterDrain, drainMarker } from './drain/cluster-drain.ts';
import { Drains } from './drain/drains.ts';
import { leavings } from './drain/leavings.ts';
import type { Election } from './election/election.ts';
import type { BridgeParts, HostedBridge } from './host.ts';
import { limitations } from './limitations.ts';
import type { Links, LinksOptions } from './link/links.ts';
import { Mastership } from './mastership.ts';
import { isReplyName, ReplyOrigin } from './reply/reply-origin.ts';
import { Agreement } from './routing/agreement.ts';
import { Differences } from './stream/differences.ts';
import type { ParkedMessages } from './stream/parked-messages.ts';
import type { RecordStore } from './stream/record-store.ts';
import { ownSite } from './surveyor.ts';
import { SeenExchanges } from './topic/seen-exchanges.ts';

/** What a bridge does with its links. */
export type BridgeLinks = Pick<Links, 'start' | 'stop' | 'send' | 'sendData' | 'roleChanged' | 'views' | 'counters'>;

/** What links want to know of their bridge; where peers are is known to whoever makes the links. */
export type LinksHost = Pick<
  LinksOptions,
  'incarnation' | 'seenIncarnation' | 'onPeerSawIncarnation' | 'accepting' | 'listener'
>;

export interface BridgeOptions extends BridgeParts {
  /** Milliseconds since 1970: they order the incarnations of a cluster's masters. */
  readonly wallClock: () => number;
  readonly createBroker: (listener: BrokerListener) => Broker;
  readonly election: Election;
  /** See Candidacy. */
  readonly graceMs: number;
  readonly createLinks: (host: LinksHost, peers: readonly string[]) => BridgeLinks;
  /** Where the record of what is in doubt outlives the process; absent: nowhere. */
  readonly createRecordStore?: () => RecordStore;
  /** The certificates in use; absent: there is no TLS. */
  readonly certificates?: () => readonly CertificateView[];
  /** How long addresses of replies are valid and their queues are kept; for tests. */
  readonly replies?: { readonly validMs?: number; readonly expiresMs?: number };
}

const DIGEST_MS = 30_000;
/** How long a bridge that is not elected any more goes on to settle what is under way, while its successor waits for the lock. */
const WIND_DOWN_MS = 1_000;

/**
 * The bridge of one cluster: broker, links and the two halves of its streams, put together. It works while it is the master,
 * and stands by otherwise.
 */
export class Bridge implements HostedBridge {
  readonly #options: BridgeOptions;
  readonly #agreement: Agreement;
  readonly #limitations: readonly string[];
  /** Outlives masterships: what was asked under one may be answered under another. */
  readonly #replyOrigin: ReplyOrigin;
  readonly #candidacy: Candidacy;
  readonly #broker: Broker;
  readonly #links: BridgeLinks;
  #brokerState: BrokerState = { is: 'down', attempt: 0 };
  #blocked: string | undefined;
  #mastership: Mastership | undefined;
  /** What the broker has, as far as it was told: it is watched before this bridge is the master. */
  readonly #demands = new Map<string, QueueDemand>();
  readonly #queues = new Map<string, QueueProperties>();
  readonly #exchanges = new SeenExchanges();
  readonly #clusterDrain: ClusterDrain;
  readonly #drains: Drains;
  readonly #differences = new Differences();
  #linked = new Set<string>();
  readonly #refusals = new Map<string, number>();
  #stopping: Promise<void> | undefined;
  #started = false;
  #cancelDigest: () => void = () => {};

  constructor(options: BridgeOptions) {
    this.#options = options;
    const { topology, cluster, clock, election, graceMs, wallClock } = options;
    this.#agreement = new Agreement(topology, cluster);
    this.#limitations = limitations(topology, cluster);
    const { secrets } = topology.clusters[cluster]!.bridge;
    this.#replyOrigin = new ReplyOrigin({ network: topology.network, cluster, secrets, ...options.replies });
    const broker = options.createBroker({
      stateChanged: (state) => this.#brokerChanged(state),
      blocked: (reason) => this.#blockedChanged(reason),
    });
    this.#broker = fenced(broker, () => election.mayWrite(clock.now()));
    this.#candidacy = new Candidacy({
      ...{ election, clock, wallClock, graceMs },
      claim: (wanted) => broker.claim(wanted),
      begin: (incarnation) => this.#begin(incarnation),
      end: (reason, orderly) => this.#end(reason, orderly),
    });
    this.#clusterDrain = new ClusterDrain({
      broker: this.#broker,
      log: options.log,
      drainTimeoutMs: topology.clusters[cluster]!.bridge.drainTimeoutMs,
      now: () => clock.now(),
    });
    this.#drains = new Drains({
      ...{ cluster, clusterDrain: this.#clusterDrain, candidacy: this.#candidacy },
      mastership: () => this.#mastership,
      deadline: () => this.#drainDeadline(),
    });
    this.#links = options.createLinks(
      {
        incarnation: () => this.#candidacy.incarnation,
        seenIncarnation: () => 0, // the links remember whom they met, which is all that this process knows
        onPeerSawIncarnation: (_peer, incarnation) => this.#candidacy.peersSaw(incarnation),
        // A bridge that stops is linked until it has settled what is under way.
        accepting: () => (this.#mastership && (this.#candidacy.reigns || this.#stopping) ? 'master' : 'standby'),
        listener: {
          up: (peer) => this.#linkUp(peer),
          down: (peer) => this.#linkDown(peer),
          frame: (peer, frame, _bytes, consumed) => this.#frame(peer, frame, consumed),
          writable: (peer) => this.#mastership?.router.writable(peer),
        },
      },
      this.#agreement.peers,
    );
  }

  async start(): Promise<void> {
    this.#started = true;
    for (const limitation of this.#limitations) this.#options.log.warn({ limitation }, 'not in this version');
    await this.#links.start();
    this.#broker.demand.watch(
      {
        matches: (queue) => this.#agreement.concerns(queue) || isReplyName(queue) || queue === drainMarker,
        exact: [...this.#agreement.exactQueues(), drainMarker],
      },
      {
        changed: (demand) => {
          if (isReplyName(demand.queue) || demand.queue === drainMarker) return;
          if (demand.consumers === 0) this.#demands.delete(demand.queue);
          else this.#demands.set(demand.queue, demand);
          this.#mastership?.sink.demand(demand);
          this.#mastership?.source.localConsumers(demand.queue, demand.consumers);
        },
        deleted: (queue) => {
          if (queue === drainMarker) return this.#clusterDrain.seen(false);
          this.#demands.delete(queue);
          this.#queues.delete(queue);
          this.#mastership?.sink.queueDeleted(queue);
          this.#mastership?.source.queueDeleted(queue);
          if (isReplyName(queue)) this.#mastership?.replies.gone(queue);
        },
        created: (queue, properties) => {
          if (queue === drainMarker) return this.#clusterDrain.seen(true);
          this.#queues.set(queue, properties);
          this.#mastership?.queueFound(queue, properties);
        },
        visible: (visible) => this.#clusterDrain.visible(visible),
      },
    );
    this.#broker.bindings.watch((exchange) => this.#agreement.concernsExchange(exchange), this.#exchanges);
    this.#candidacy.start();
    this.#broker.start();
    this.#digestLater();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  pause(connector: string): void {
    this.#agreement.setPaused(connector, true);
    this.#permissionsChanged();
  }

  resume(connector: string): void {
    this.#agreement.setPaused(connector, false);
    this.#permissionsChanged();
  }

  async cleanup(
    peer: string,
    dryRun: boolean,
  ): Promise<readonly { readonly queue: string; readonly messages: number }[]> {
    return (await this.#mastership?.topicSource.cleanup(peer, dryRun)) ?? [];
  }

  get deadLetters(): ParkedMessages | undefined {
    return this.#mastership?.parkedMessages;
  }

  // ---- drain ---------------------------------------------------------------------------------------------------------------

  drain(scope: DrainScope): Promise<readonly LeftOver[]> {
    return this.#drains.drain(scope);
  }

  undrain(scope: DrainScope): Promise<void> {
    return this.#drains.undrain(scope);
  }

  async checkDrain(): Promise<DrainCheck> {
    const { clock, cluster, topology } = this.#options;
    const mastership = this.#mastership;
    if (!mastership) throw new Fault('TOMBOLO_NOT_MASTER', 'This bridge is not the master any more.');
    return leavings({
      ...{ cluster, clock, broker: this.#broker, agreement: this.#agreement },
      ...{ router: mastership.router, sink: mastership.sink },
      deadLetters: topology.clusters[cluster]!.bridge.deadLetters.queue,
      draining: () => this.#clusterDrain.on,
      view: () => this.view(),
    });
  }

  release(peer: string, dryRun: boolean): readonly GivenBack[] | 'reachable' {
    if (this.#mastership?.router.hop(peer) !== undefined) return 'reachable';
    return this.#mastership?.source.giveBack(peer, dryRun) ?? [];
  }

  #drainDeadline(): number {
    const { clock, cluster, topology } = this.#options;
    return clock.now() + topology.clusters[cluster]!.bridge.drainTimeoutMs;
  }

  // ---- the broker ----------------------------------------------------------------------------------------------------------

  #brokerChanged(state: BrokerState): void {
    this.#brokerState = state;
    const known = this.#mastership;
    this.#candidacy.brokerChanged(state);
    // One that has only begun knows already.
    if (!known || known !== this.#mastership) return;
    this.#tellBroker(known);
    // What was done while the broker was away is in no event.
    if (state.is === 'master') void this.#clusterDrain.look();
    this.#options.changed?.();
  }

  #tellBroker({ sink, source, topicSource }: Mastership): void {
    const up = this.#brokerState.is === 'master';
    sink.brokerUp(up && this.#blocked === undefined, up ? alarm(this.#blocked) : undefined);
    source.brokerUp(up);
    topicSource.brokerUp(up);
  }

  /** An alarm: the broker does not read what we publish. Nothing more is published, so memory does not fill; credit runs out. */
  #blockedChanged(reason: string | undefined): void {
    this.#blocked = reason;
    for (const peer of this.#agreement.peers)
      this.#options.metrics.linkBlocked(peer, 'broker_alarm', reason !== undefined);
    if (this.#brokerState.is === 'master') this.#mastership?.sink.brokerUp(reason === undefined, alarm(reason));
  }

  #begin(incarnation: number): void {
    this.#mastership = new Mastership({
      ...this.#options,
      incarnation,
      agreement: this.#agreement,
      broker: this.#broker,
      links: {
        send: (peer, frame) => this.#links.send(peer, frame),
        sendData: (peer, frame) => this.#links.sendData(peer, frame),
      },
      exchanges: this.#exchanges,
      differences: this.#differences,
      replyOrigin: this.#replyOrigin,
      view: () => this.view(),
    });
    const { sink, source } = this.#mastership;
    for (const [queue, properties] of this.#queues) this.#mastership.queueFound(queue, properties);
    for (const demand of this.#demands.values()) {
      sink.demand(demand);
      source.localConsumers(demand.queue, demand.consumers);
    }
    this.#clusterDrain.serve(this.#mastership);
    this.#options.log.debug({ incarnation }, 'master');
    this.#links.roleChanged();
    this.#tellBroker(this.#mastership);
    this.#options.changed?.();
  }

  async #end(reason: string, orderly: boolean): Promise<void> {
    const mastership = this.#mastership;
    if (!mastership) return;
    const { clock, log } = this.#options;
    log.warn({ reason }, 'no longer master');
    try {
      if (orderly) await mastership.drain(clock.now() + WIND_DOWN_MS);
    } catch (thrown) {
      log.error({ err: thrown }, 'settling what was under way failed');
    }
    // A stop that came meanwhile sees to it.
    if (this.#mastership !== mastership) return;
    this.#mastership = undefined;
    this.#clusterDrain.serve(undefined);
    mastership.close();
    this.#linked.clear();
    this.#links.roleChanged();
    this.#options.changed?.();
  }

  // ---- links -----------------------------------------------------------------------------------------------------------------

  #linkUp(peer: string): void {
    this.#linked.add(peer);
    this.#links.send(peer, this.#agreement.frameFor(peer));
    this.#mastership?.router.linkUp(peer);
  }

  #linkDown(peer: string): void {
    if (!this.#linked.delete(peer)) return;
    this.#agreement.linkLost(peer);
    this.#mastership?.source.linkLost(peer);
    this.#mastership?.router.linkLost(peer);
  }

  #frame(peer: string, frame: Frame, consumed: () => void): void {
    if (frame.kind === 'connectors') {
      if (this.#agreement.heard(peer, frame)) this.#reconsider();
    } else if (this.#mastership) return this.#mastership.router.frame(peer, frame, consumed);
    consumed();
  }

  #permissionsChanged(): void {
    for (const peer of this.#linked) this.#links.send(peer, this.#agreement.frameFor(peer));
    this.#reconsider();
  }

  #reconsider(): void {
    this.#mastership?.router.reconsider();
    this.#mastership?.sink.reconsider();
    this.#mastership?.source.reconsider();
  }

  #digestLater(): void {
    const { clock } = this.#options;
    this.#cancelDigest = clock.wake(clock.now() + DIGEST_MS, () => {
      this.#mastership?.sink.tick();
      this.#mastership?.source.tick();
      this.#mastership?.router.tick();
      this.#digestLater();
    });
  }

  /** Refusals since the last time go into the metrics; those of strangers are counted under the peer they claimed to be, or none. */
  #countRefusals(): void {
    for (const { peer, refused } of this.#links.counters()) {
      for (const [reason, count] of refused) {
        const key = `${peer}\u0000${reason}`;
        const told = this.#refusals.get(key) ?? 0;
        if (count > told) this.#options.metrics.linkRefused(peer, reason, count - told);
        this.#refusals.set(key, count);
      }
    }
  }

  // ---- stop --------------------------------------------------------------------------------------------------------------------

  async #stop(): Promise<void> {
    const deadline = this.#drainDeadline();
    this.#candidacy.stop();
    const mastership = this.#mastership;
    if (mastership) {
      const left = await mastership.drain(deadline);
      if (left.length > 0) this.#options.log.warn({ left }, 'given back: not settled in time');
      mastership.close();
    }
    this.#mastership = undefined;
    this.#clusterDrain.serve(undefined);
    this.#cancelDigest();
    // Nothing is written any more: the lock is free for a successor while peers still hear of it.
    const handedOver = this.#broker.stop().then(() => this.#candidacy.leave());
    await Promise.all([this.#links.stop('goodbye'), handedOver]);
  }

  // ---- view --------------------------------------------------------------------------------------------------------------------

  view(): BridgeView {
    const { topology, cluster, clock, election, instance, version } = this.#options;
    const mastership = this.#mastership;
    const { incarnation, reigns } = this.#candidacy;
    const works = mastership !== undefined && (reigns || this.#stopping !== undefined);
    const { holder, type } = election.view;
    this.#countRefusals();
    const certificates = this.#options.certificates?.() ?? [];
    const streams = mastership ? [...mastership.source.streamViews(), ...mastership.sink.streamViews()] : [];
    return {
      network: topology.network,
      cluster,
      instance,
      version,
      role: works ? 'master' : 'standby',
      roleReason: works ? undefined : this.#standbyReason(),
      election: { type, holder, leaseRemainingMs: election.remainingMs(clock.now()) },
      draining: this.#stopping !== undefined || this.#drains.draining,
      drains: this.#drains.views(),
      incarnation,
      broker: this.#brokerView(),
      links: this.#links.views(),
      connectors: this.#connectorViews(),
      demand: mastership ? [...mastership.sink.demandViews(), ...mastership.source.demandViews()] : [],
      topicBuffers: mastership ? mastership.topicSource.views() : [],
      waiting: mastership?.waiting(streams) ?? [],
      deadLetters: mastership?.deadLetters.view(),
      streams,
      differences: this.#differences.views(),
      certificates,
      notes: [
        ...topology.warnings.map(({ message }) => message),
        ...this.#limitations,
        ...certificates.flatMap(({ note }) => note ?? []),
        ...(mastership?.troubles ?? []),
      ],
    };
  }

  /** Why this bridge is not the master: it is not elected, or waits for the lock of a predecessor. */
  #standbyReason(): string | undefined {
    const { holder, reason } = this.#options.election.view;
    if (reason !== undefined) return holder === undefined ? reason : `${reason} (${holder})`;
    return this.#brokerState.is === 'standby' ? this.#brokerState.reason : undefined;
  }

  /** Why the messages of this destination move or do not, as this bridge and those that it can reach see it. */
  async trace(destination: string): Promise<Trace> {
    const { tracer } = this.#mastership ?? {};
    return tracer ? tracer.trace(destination) : standbyTrace(destination, this.view());
  }

  /** The network, as this bridge and those that it can reach see it; a standby hears nobody. */
  async survey(): Promise<Survey> {
    const { topology, cluster } = this.#options;
    const { surveyor } = this.#mastership ?? {};
    const alone = (): Sightings =>
      new Map([[cluster, { seen: 'own', ageMs: 0, site: ownSite(this.#options, this.view()) }]]);
    return { file: topology, cluster, sightings: surveyor ? await surveyor.survey() : alone() };
  }

  #brokerView(): BrokerView {
    const state = this.#brokerState;
    const up = state.is === 'master' || state.is === 'standby';
    const fault = state.is === 'down' ? state.fault : undefined;
    return {
      type: this.#options.topology.clusters[this.#options.cluster]?.broker?.type ?? 'rabbitmq',
      up,
      state: state.is,
      address: state.is === 'down' ? undefined : state.uri,
      product: state.is === 'master' ? state.product : undefined,
      reason: fault?.message ?? (state.is === 'down' && this.#started ? 'not connected yet' : undefined),
      blocked: this.#blocked,
      demandMethod: this.#broker.demand.method,
    };
  }

  #connectorViews(): ConnectorView[] {
    const { cluster, topology } = this.#options;
    return topology.connectors
      .filter(({ from, to }) => from === cluster || to === cluster)
      .map((connector) => {
        const { name, from, to, duplex } = connector;
        const peer = from === cluster ? to : from;
        const base = { name, from, to, duplex, peer };
        if (this.#agreement.paused(connector))
          return { ...base, state: 'paused' as const, reason: 'paused by an operator or the file' };
        if (!this.#linked.has(peer)) return { ...base, state: 'down' as const, reason: `no link to ${peer}` };
        if (!this.#agreement.agreed({ connector, from, to })) {
          return { ...base, state: 'pending' as const, reason: `not in the file of ${peer} yet` };
        }
        return { ...base, state: 'up' as const, reason: undefined };
      });
  }
}

function alarm(reason: string | undefined): string | undefined {
  return reason && `its broker takes no messages: ${reason}`;
}
