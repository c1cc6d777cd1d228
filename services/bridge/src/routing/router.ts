import type { Clock } from '@tombolo/kernel/clock';
import { weightOf } from '@tombolo/wire/codec';
import type {
  ControlFrame,
  Destination,
  Frame,
  HopLostFrame,
  MessagesFrame,
  RelayableFrame,
  SnapshotFrame,
  WithdrawFrame,
} from '@tombolo/wire/frame';
import { Advertiser, type OwnDemand } from './advertiser.ts';
import type { Agreement } from './agreement.ts';
import { Losses } from './losses.ts';
import { RelayWindow } from './relay-window.ts';
import { type Route, type RouteChange, RouteTable } from './route-table.ts';
import { partiesOf, Testimony } from './testimony.ts';
import { Transit } from './transit.ts';

/** The links as the layers above see them. */
export interface LinkPort {
  /** False when there is no link. */
  send(peer: string, frame: ControlFrame): boolean;
  /** False when it was not taken: wait until the link is writable. */
  sendData(peer: string, frame: MessagesFrame): boolean;
}

/** What the router tells the two halves. */
export interface RouterListener {
  /** Another cluster's demand came, has another way or none, or was withdrawn. */
  routeChanged(route: Route): void;
  /** Frames to this cluster can, or cannot any more, be sent, or take another way. */
  reachChanged(cluster: string): void;
  /** A frame for this cluster, by this neighbour. `consumed` is to be called once the data counts elsewhere. */
  received(via: string, frame: RelayableFrame, consumed: () => void): void;
  /** Data towards this neighbour may be taken again. */
  writable(neighbour: string): void;
}

export interface RouterOptions {
  readonly cluster: string;
  readonly incarnation: number;
  readonly agreement: Agreement;
  readonly links: LinkPort;
  readonly clock: Clock;
  /** Most bytes that may be held on their way to other clusters. */
  readonly inFlightBytes: number;
  readonly relayed: (neighbour: string, messages: number) => void;
  /** A frame was dropped that the neighbour had no permission to send. */
  readonly refused: (neighbour: string, kind: Frame['kind']) => void;
  readonly listener: RouterListener;
}

/** More relays than any path has: a frame that was relayed so often goes in circles. */
const HOPS_LARGEST = 64;

/**
 * Where frames go: hears what neighbours advertise and tells it on, finds the next hop for each frame, and relays what is for other
 * clusters without the own broker having a part in it.
 */
export class Router {
  readonly #options: RouterOptions;
  readonly #linked = new Set<string>();
  readonly #table: RouteTable;
  readonly #advertiser: Advertiser;
  readonly #window = new RelayWindow();
  readonly #transit: Transit;
  readonly #losses: Losses;
  readonly #testimony: Testimony;

  constructor(options: RouterOptions) {
    this.#options = options;
    const { cluster, incarnation, agreement, links, clock, inFlightBytes } = options;
    const send = (peer: string, frame: ControlFrame): void => {
      if (this.#linked.has(peer)) links.send(peer, frame);
    };
    this.#table = new RouteTable(cluster, (neighbour, destination) => this.#limit(neighbour, destination));
    const now = (): number => clock.now();
    this.#advertiser = new Advertiser({ cluster, incarnation, agreement, table: this.#table, send, now });
    this.#losses = new Losses(cluster, incarnation, (frame, from) => {
      for (const peer of this.#linked) if (peer !== from) links.send(peer, frame);
    });
    this.#testimony = new Testimony({
      cluster,
      farthest: (neighbour) => agreement.farthest(neighbour),
      between: (neighbour, of) => this.#table.leadsThrough(neighbour, of),
    });
    this.#transit = new Transit({
      forward: (from, frame, bytes) => this.#pass(from, frame, bytes),
      report: (neighbour, sink, bytes) => send(neighbour, { kind: 'relayed', sink, bytes }),
      largest: inFlightBytes,
    });
  }

  // ---- the own cluster's demand --------------------------------------------------------------------------------------------

  get sighted(): boolean {
    return this.#advertiser.sighted;
  }

  /** Whether the own broker's consumers are known. */
  setSighted(sighted: boolean): void {
    this.#advertiser.setSighted(sighted);
  }

  /** Whether the own cluster's demand for queues is kept from everybody. */
  setHushed(hushed: boolean): void {
    this.#advertiser.setHushed(hushed);
  }

  advertise(demand: OwnDemand): void {
    this.#advertiser.advertise(demand);
  }

  withdraw(destination: Destination): void {
    this.#advertiser.withdraw(destination);
  }

  // ---- routes --------------------------------------------------------------------------------------------------------------

  /** Why networkTTL keeps this demand of another cluster from a neighbour, as a sentence; undefined when it does not. */
  tooFar(peer: string, route: Pick<Route, 'sink' | 'destination'>): string | undefined {
    return this.#advertiser.tooFar(peer, route);
  }

  get table(): Pick<RouteTable, 'standing' | 'demandsOf' | 'get'> {
    return this.#table;
  }

  /** The neighbour that messages for this demand are handed to: on the best way, or straight to a neighbour that is the sink. */
  dataHop(sink: string, destination: Destination): string | undefined {
    if (destination.kind === 'reply') return this.hop(sink);
    return this.#table.get(sink, destination)?.best?.neighbour ?? (this.#linked.has(sink) ? sink : undefined);
  }

  /** The neighbour that everything else about this demand is handed to. */
  controlHop(sink: string, destination: Destination): string | undefined {
    return this.dataHop(sink, destination) ?? this.hop(sink);
  }

  /** The neighbour on the way to a cluster. */
  hop(cluster: string): string | undefined {
    if (this.#linked.has(cluster)) return cluster;
    return this.#table.get(cluster, { kind: 'cluster', name: cluster })?.best?.neighbour;
  }

  /** The clusters between the own one and the sink, in the order in which a message crosses them. */
  transits(sink: string, destination: Destination): string[] {
    if (destination.kind === 'reply' && this.#linked.has(sink)) return [];
    const led: Destination = destination.kind === 'reply' ? { kind: 'cluster', name: sink } : destination;
    const path = this.#table.get(sink, led)?.best?.path ?? [sink];
    return path.slice(1).reverse();
  }

  isLinked(peer: string): boolean {
    return this.#linked.has(peer);
  }

  // ---- sending -------------------------------------------------------------------------------------------------------------

  /** A frame of the own halves. False: there is no way, it is lost. */
  send(frame: Exclude<RelayableFrame, MessagesFrame>): boolean {
    const neighbour = this.#controlHopOf(frame);
    return neighbour !== undefined && this.#options.links.send(neighbour, frame);
  }

  /** Messages of the own source half by this neighbour. False: not taken, `writable` follows. */
  sendData(neighbour: string, frame: MessagesFrame): boolean {
    return this.#hand(neighbour, frame, weightOf(frame));
  }

  // ---- links ---------------------------------------------------------------------------------------------------------------

  linkUp(peer: string): void {
    this.#linked.add(peer);
    for (const loss of this.#losses.recent(this.#options.clock.now())) this.#options.links.send(peer, loss);
    this.#advertiser.snapshot(peer);
    this.#options.listener.reachChanged(peer);
    this.#transit.pump();
  }

  linkLost(peer: string): void {
    if (!this.#linked.delete(peer)) return;
    this.#window.lost(peer);
    this.#transit.lost(peer);
    this.#advertiser.lost(peer);
    this.#losses.lost(peer, this.#options.clock.now());
    this.#changed(this.#table.lost(peer, this.#options.clock.now()));
    this.#options.listener.reachChanged(peer);
    this.#transit.pump();
  }

  writable(peer: string): void {
    this.#transit.pump();
    this.#options.listener.writable(peer);
  }

  /** What the connectors permit has changed: routes are judged again, and every peer is told anew. */
  reconsider(): void {
    this.#changed(this.#table.reconsider());
    this.#advertiser.snapshots();
  }

  /** To be called from time to time: refreshes what was said, forgets what nobody refreshes. */
  tick(): void {
    const now = this.#options.clock.now();
    this.#losses.forget(now);
    this.#changed(this.#table.expire(now));
    this.#advertiser.tick();
  }

  close(): void {
    this.#transit.clear();
  }

  /** @throws Fault TOMBOLO_FRAME_INVALID when the peer breaks the rules in a way that no honest bridge does: its link is to end */
  frame(peer: string, frame: Frame, consumed: () => void): void {
    const verdict = this.#testimony.judge(peer, frame);
    if (verdict !== 'taken') {
      if (verdict === 'refused') this.#options.refused(peer, frame.kind);
      return consumed();
    }
    switch (frame.kind) {
      case 'connectors':
        break;
      case 'demand':
        if (this.#table.isFull(peer, frame)) {
          this.#options.refused(peer, frame.kind);
          break;
        }
        this.#changed(this.#table.advertised(peer, frame, this.#options.clock.now()));
        break;
      case 'withdraw':
        this.#withdrawn(peer, frame);
        break;
      case 'unreachable':
        this.#changed(this.#table.unreachable(peer, frame.sink, frame.destination, this.#options.clock.now()));
        break;
      case 'hop-lost':
        this.#hopLost(peer, frame);
        break;
      case 'digest':
        if (!this.#table.agrees(peer, frame.count, frame.digest))
          this.#options.links.send(peer, { kind: 'snapshot-request' });
        break;
      case 'snapshot-request':
        this.#advertiser.snapshot(peer);
        break;
      case 'snapshot-begin':
        this.#table.snapshotBegun(peer, frame.sighted);
        break;
      case 'snapshot-end':
        this.#snapshotEnded(peer, frame);
        break;
      case 'relayed':
        this.#window.relayed(peer, frame.sink, frame.bytes);
        this.writable(peer);
        break;
      default:
        return this.#relay(peer, frame, consumed);
    }
    consumed();
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  /** The networkTTL of the connector by which frames may go to this neighbour now; 0: there is none. */
  #limit(neighbour: string, destination: Destination): number {
    if (!this.#linked.has(neighbour)) return 0;
    const { agreement } = this.#options;
    if (destination.kind === 'cluster') return agreement.farthest(neighbour);
    const passage = agreement.outbound(neighbour, destination);
    return passage.open ? passage.connector.networkTTL : 0;
  }

  #changed(changes: readonly RouteChange[]): void {
    for (const change of changes) {
      this.#advertiser.passOn(change);
      this.#tell(change);
    }
    if (changes.length > 0) this.#transit.pump();
  }

  #tell({ route, before }: RouteChange): void {
    const { listener } = this.#options;
    if (route.destination.kind !== 'cluster') listener.routeChanged(route);
    else if (before[0]?.neighbour !== route.best?.neighbour) listener.reachChanged(route.sink);
  }

  #withdrawn(peer: string, frame: WithdrawFrame): void {
    const changes = this.#table.withdrawn(frame, this.#options.clock.now());
    for (const change of changes ?? []) {
      this.#advertiser.passOnWithdrawal(frame, peer, change.before);
      this.#tell(change);
    }
    if (changes) this.#transit.pump();
  }

  #hopLost(from: string, frame: HopLostFrame): void {
    const now = this.#options.clock.now();
    // Passed on before what follows from it, so that nobody hears of the one without the other.
    if (this.#losses.heard(frame, from, now)) this.#changed(this.#table.hopLost(frame.cluster, frame.peer, now));
  }

  #snapshotEnded(peer: string, frame: SnapshotFrame): void {
    const { withdrawals, changes } = this.#table.snapshotEnded(peer, frame, this.#options.clock.now());
    for (const withdrawal of withdrawals) this.#withdrawn(peer, withdrawal);
    this.#changed(changes);
  }

  #controlHopOf(frame: Exclude<RelayableFrame, MessagesFrame>): string | undefined {
    switch (frame.kind) {
      case 'open':
      case 'state':
      case 'closed':
        return this.controlHop(frame.address.sink, frame.address.destination);
      default:
        return this.hop(partiesOf(frame).target);
    }
  }

  #relay(peer: string, frame: RelayableFrame, consumed: () => void): void {
    const { cluster, listener, links } = this.#options;
    if (partiesOf(frame).target === cluster) return listener.received(peer, frame, consumed);
    if ((frame.hops ?? 0) >= HOPS_LARGEST) return consumed();
    const relayed = { ...frame, hops: (frame.hops ?? 0) + 1 };
    if (relayed.kind === 'messages') return this.#transit.relay(peer, relayed, consumed);
    const neighbour = this.#controlHopOf(relayed);
    if (neighbour !== undefined && neighbour !== peer) links.send(neighbour, relayed);
    consumed();
  }

  /** Data of others: where both connectors, the one that it came by and the one that it would leave by, permit it. */
  #pass(from: string, frame: MessagesFrame, bytes: number): 'gone' | 'wait' | 'drop' {
    const neighbour = this.#onward(from, frame);
    if (neighbour === undefined) return 'drop';
    if (!this.#hand(neighbour, frame, bytes)) return 'wait';
    this.#options.relayed(neighbour, frame.messages.length);
    return 'gone';
  }

  /**
   * The next hop of data that has come by `from`: on the shortest way whose connectors permit all of its path, what lies behind
   * included. A shorter way is not enough, if it is one that only nearer sources may use. Undefined: there is none.
   */
  #onward(from: string, { address, hops = 0 }: MessagesFrame): string | undefined {
    const { sink, destination } = address;
    if (destination.kind === 'reply') return this.#unless(from, this.hop(sink));
    const { agreement } = this.#options;
    const arrival = agreement.inbound(from, destination);
    if (!arrival.open) return undefined;
    const { networkTTL } = arrival.connector;
    const route = this.#table.get(sink, destination);
    for (const { neighbour, path, ttl } of route?.front ?? []) {
      if (hops + path.length <= Math.min(ttl, networkTTL)) return this.#unless(from, neighbour);
    }
    // Without demand, or before it is heard of: straight to a neighbour that is the sink.
    const ttl = route?.best ? 0 : this.#limit(sink, destination);
    return hops + 1 <= Math.min(ttl, networkTTL) ? this.#unless(from, sink) : undefined;
  }

  #unless(from: string, neighbour: string | undefined): string | undefined {
    return neighbour === from ? undefined : neighbour;
  }

  #hand(neighbour: string, frame: MessagesFrame, bytes: number): boolean {
    const { sink } = frame.address;
    if (neighbour === sink) return this.#options.links.sendData(neighbour, frame);
    if (!this.#window.fits(neighbour, sink, bytes) || !this.#options.links.sendData(neighbour, frame)) return false;
    this.#window.sent(neighbour, sink, bytes);
    return true;
  }
}
