import { Fault } from '@tombolo/kernel/fault';
import type { Cluster, Topology } from '@tombolo/topology/topology';
import type { Frame } from '@tombolo/wire/frame';
import { standbyTrace, type Trace } from './admin/conclusion.ts';
import type { DrainCheck } from './admin/drain-check.ts';
import type { Sightings, Survey } from './admin/network.ts';
import type { DrainScope } from './admin/operations.ts';
import type { BridgeView, CertificateView, GivenBack, LeftOver } from './admin/view.ts';
import { bridgeView } from './bridge-view.ts';
import { fenced } from './broker/fence.ts';
import type { Broker, BrokerListener, BrokerState } from './broker/port.ts';
import { BrokerWatch } from './broker-watch.ts';
import { Candidacy } from './candidacy.ts';
import { ClusterDrain } from './drain/cluster-drain.ts';
import { Drains } from './drain/drains.ts';
import { leavings } from './drain/leavings.ts';
import type { Election } from './election/election.ts';
import type { BridgeParts, HostedBridge } from './host.ts';
import { limitations } from './limitations.ts';
import type { Links, LinksOptions } from './link/links.ts';
import type { PeerOptions } from './link/peer-link.ts';
import { Mastership } from './mastership.ts';
import { Partings } from './partings.ts';
import { linkPeers } from './parts.ts';
import { ReplyOrigin } from './reply/reply-origin.ts';
import { Agreement } from './routing/agreement.ts';
import { Differences } from './stream/differences.ts';
import type { ParkedMessages } from './stream/parked-messages.ts';
import type { RecordStore } from './stream/record-store.ts';
import { ownSite } from './surveyor.ts';

/** What a bridge does with its links. */
export type BridgeLinks = Pick<
  Links,
  'start' | 'stop' | 'send' | 'sendData' | 'roleChanged' | 'setPeers' | 'views' | 'counters'
>;

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
  readonly createLinks: (host: LinksHost, peers: readonly PeerOptions[]) => BridgeLinks;
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
  /** In force: the one that it was made with, until `amend`. */
  #topology: Topology;
  #limitations: readonly string[];
  /** Outlives masterships: what was asked under one may be answered under another. */
  readonly #replyOrigin: ReplyOrigin;
  readonly #candidacy: Candidacy;
  readonly #broker: Broker;
  readonly #links: BridgeLinks;
  #brokerState: BrokerState = { is: 'down', attempt: 0 };
  #blocked: string | undefined;
  #mastership: Mastership | undefined;
  readonly #watch: BrokerWatch;
  readonly #clusterDrain: ClusterDrain;
  readonly #partings: Partings;
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
    this.#topology = topology;
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
      deadline: () => this.#drainDeadline(),
    });
    this.#watch = new BrokerWatch({
      ...{ broker: this.#broker, agreement: this.#agreement, clusterDrain: this.#clusterDrain },
    });
    this.#partings = new Partings({
      clock,
      deadline: () => this.#drainDeadline(),
      settled: (peer) => this.#mastership?.nothingBy(peer) ?? true,
      parted: () => this.#links.setPeers(this.#peers()),
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
      this.#peers(),
    );
  }

  get #settings(): Cluster['bridge'] {
    return this.#topology.clusters[this.#options.cluster]!.bridge;
  }

  /** Those that connectors join with the own cluster, and those that are not let go of yet. */
  #peers(): PeerOptions[] {
    const names = [...this.#agreement.peers, ...this.#partings.leaving];
    return linkPeers(this.#topology, this.#options.cluster, names);
  }

  async start(): Promise<void> {
    this.#started = true;
    this.#warnOf(this.#limitations);
    await this.#links.start();
    this.#watch.watch();
    this.#candidacy.start();
    this.#broker.start();
    this.#digestLater();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /**
   * Another topology is in force from now on, at once: connectors and peers as it has them, and of the own cluster's section what can
   * be changed live. Streams that are permitted as before go on as they are; those that are not are ended in good order.
   */
  amend(topology: Topology): void {
    const { cluster } = this.#options;
    const before = this.#agreement.peers;
    this.#topology = topology;
    const known = this.#limitations;
    this.#limitations = limitations(topology, cluster);
    this.#warnOf(this.#limitations.filter((limitation) => !known.includes(limitation)));
    this.#agreement.amended(topology);
    this.#replyOrigin.setSecrets(this.#settings.secrets);
    this.#mastership?.amended(topology);
    if (!this.#started || this.#stopping) return;
    this.#partings.amended(before, this.#agreement.peers);
    this.#links.setPeers(this.#peers());
    this.#watch.watch();
    this.#permissionsChanged();
    this.#options.changed?.();
  }

  #warnOf(found: readonly string[]): void {
    for (const limitation of found) this.#options.log.warn({ limitation }, 'not in this version');
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
    const { clock, cluster } = this.#options;
    const mastership = this.#mastership;
    if (!mastership) throw new Fault('TOMBOLO_NOT_MASTER', 'This bridge is not the master any more.');
    return leavings({
      ...{ cluster, clock, broker: this.#broker, agreement: this.#agreement },
      ...{ router: mastership.router, sink: mastership.sink },
      deadLetters: this.#settings.deadLetters.queue,
      draining: () => this.#clusterDrain.on,
      view: () => this.view(),
    });
  }

  release(peer: string, dryRun: boolean): readonly GivenBack[] | 'reachable' {
    if (this.#mastership?.router.hop(peer) !== undefined) return 'reachable';
    return this.#mastership?.source.giveBack(peer, dryRun) ?? [];
  }

  #drainDeadline(): number {
    return this.#options.clock.now() + this.#settings.drainTimeoutMs;
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
      topology: this.#topology,
      incarnation,
      agreement: this.#agreement,
      broker: this.#broker,
      links: {
        send: (peer, frame) => this.#links.send(peer, frame),
        sendData: (peer, frame) => this.#links.sendData(peer, frame),
      },
      exchanges: this.#watch.exchanges,
      differences: this.#differences,
      replyOrigin: this.#replyOrigin,
      view: () => this.view(),
    });
    this.#watch.serve(this.#mastership);
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
    this.#watch.serve(undefined);
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
    this.#watch.serve(undefined);
    this.#clusterDrain.serve(undefined);
    this.#cancelDigest();
    this.#partings.close();
    // Nothing is written any more: the lock is free for a successor while peers still hear of it.
    const handedOver = this.#broker.stop().then(() => this.#candidacy.leave());
    await Promise.all([this.#links.stop('goodbye'), handedOver]);
  }

  // ---- view --------------------------------------------------------------------------------------------------------------------

  view(): BridgeView {
    this.#countRefusals();
    return bridgeView({
      ...this.#options,
      topology: this.#topology,
      candidacy: this.#candidacy,
      mastership: this.#mastership,
      agreement: this.#agreement,
      broker: { state: this.#brokerState, blocked: this.#blocked, demandMethod: this.#broker.demand.method },
      links: this.#links.views(),
      linked: this.#linked,
      drains: this.#drains.views(),
      draining: this.#stopping !== undefined || this.#drains.draining,
      differences: this.#differences,
      certificates: this.#options.certificates?.() ?? [],
      limitations: this.#limitations,
      started: this.#started,
      stopping: this.#stopping !== undefined,
    });
  }

  /** Why the messages of this destination move or do not, as this bridge and those that it can reach see it. */
  async trace(destination: string): Promise<Trace> {
    const { tracer } = this.#mastership ?? {};
    return tracer ? tracer.trace(destination) : standbyTrace(destination, this.view());
  }

  /** The network, as this bridge and those that it can reach see it; a standby hears nobody. */
  async survey(): Promise<Survey> {
    const { cluster, metrics } = this.#options;
    const file = this.#topology;
    const { surveyor } = this.#mastership ?? {};
    const alone = (): Sightings =>
      new Map([[cluster, { seen: 'own', ageMs: 0, site: ownSite({ topology: file, cluster, metrics }, this.view()) }]]);
    return { file, cluster, sightings: surveyor ? await surveyor.survey() : alone() };
  }
}

function alarm(reason: string | undefined): string | undefined {
  return reason && `its broker takes no messages: ${reason}`;
}
