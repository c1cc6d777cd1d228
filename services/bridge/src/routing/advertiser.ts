import type { ControlFrame, DemandFrame, Destination, QueueProperties, WithdrawFrame } from '@tombolo/wire/frame';
import { limits } from '@tombolo/wire/limits';
import type { Agreement } from './agreement.ts';
import { destinationKey } from './destination-key.ts';
import { Digest, demandLine } from './digest.ts';
import { LEASE_MS } from './lease.ts';
import type { RouteChange, RouteTable } from './route-table.ts';
import type { Way } from './way.ts';

/** A demand of the own cluster, as peers are to hear of it. */
export interface OwnDemand {
  readonly destination: Destination;
  readonly consumers: number;
  readonly queue: QueueProperties;
}

export interface AdvertiserOptions {
  readonly cluster: string;
  readonly incarnation: number;
  readonly agreement: Agreement;
  readonly table: RouteTable;
  readonly send: (peer: string, frame: ControlFrame) => void;
  readonly now: () => number;
}

type Versioned = OwnDemand & { readonly version: number };

/**
 * Tells linked peers of demand: the own cluster's, and what others have told that may pass through. A snapshot when a link begins,
 * changes after it, a digest from time to time.
 */
export class Advertiser {
  readonly #options: AdvertiserOptions;
  readonly #own = new Map<string, Versioned>();
  /** What each peer with a link has been told, in short; kept up to date, so that a digest costs nothing. */
  readonly #told = new Map<string, Digest>();
  /** One counter for all: a demand that goes and comes back still gets a higher version. */
  #version = 0;
  /** False: the own broker's consumers are not known; what was told stands, and nothing new is said. */
  #sighted = false;
  /** True: the own cluster's demand is known here, and told to nobody. */
  #hushed = false;

  constructor(options: AdvertiserOptions) {
    this.#options = options;
    this.#refresh();
  }

  get sighted(): boolean {
    return this.#sighted;
  }

  setSighted(sighted: boolean): void {
    const news = sighted && !this.#sighted;
    this.#sighted = sighted;
    if (news) this.snapshots();
  }

  /** Takes the own cluster's demand for queues back from everybody, or tells it again; what comes meanwhile is told then. */
  setHushed(hushed: boolean): void {
    if (hushed === this.#hushed) return;
    const own = [...this.#own.values()].filter(({ destination }) => destination.kind === 'queue');
    if (hushed) for (const demand of own) this.#untell(demand);
    this.#hushed = hushed;
    if (hushed) return;
    for (const demand of own) {
      this.#own.delete(destinationKey(demand.destination));
      this.#advertise(demand, this.#sighted);
    }
  }

  /** The own cluster has this demand (now with these consumers). */
  advertise(demand: OwnDemand): void {
    this.#advertise(demand, this.#sighted);
  }

  /** The own cluster has this demand no more. */
  withdraw(destination: Destination): void {
    const key = destinationKey(destination);
    const before = this.#own.get(key);
    if (!before) return;
    this.#own.delete(key);
    this.#untell(before);
  }

  /** Another cluster's demand has other ways, or none. */
  passOn({ route, before }: RouteChange): void {
    const { sink, destination, front, state } = route;
    const ways = state === 'standing' ? this.#onward(front) : noWays;
    const waysBefore = this.#onward(before);
    for (const [peer, told] of this.#told) {
      const frame = this.#transit(peer, destination, ways);
      const frameBefore = this.#transit(peer, destination, waysBefore);
      const line = frame && demandLine(frame);
      const lineBefore = frameBefore && demandLine(frameBefore);
      if (line === lineBefore) continue;
      if (lineBefore !== undefined) told.remove(lineBefore);
      if (line !== undefined) told.add(line);
      this.#options.send(peer, frame ?? { kind: 'unreachable', sink, destination });
    }
  }

  /** A sink has withdrawn its demand, to which the ways were these. */
  passOnWithdrawal(frame: WithdrawFrame, from: string, before: readonly Way[]): void {
    const { destination, sink } = frame;
    const waysBefore = this.#onward(before);
    for (const [peer, told] of this.#told) {
      const frameBefore = this.#transit(peer, destination, waysBefore);
      if (frameBefore) told.remove(demandLine(frameBefore));
      if (peer !== from && peer !== sink && this.#permits(peer, destination)) this.#options.send(peer, frame);
    }
  }

  snapshots(): void {
    for (const peer of [...this.#told.keys()]) this.snapshot(peer);
  }

  /** Everything that this peer should know, in one go; from now on it is told what changes. */
  snapshot(peer: string): void {
    const { incarnation, send } = this.#options;
    const head = { incarnation, version: this.#version, sighted: this.#sighted };
    const told = new Digest();
    this.#told.set(peer, told);
    send(peer, { kind: 'snapshot-begin', ...head });
    for (const frame of this.#all(peer)) {
      told.add(demandLine(frame));
      send(peer, frame);
    }
    send(peer, { kind: 'snapshot-end', ...head });
  }

  /** The peer's link is gone: it is told nothing until the next snapshot. */
  lost(peer: string): void {
    this.#told.delete(peer);
  }

  /** Refreshes the lease of all that was said, and repeats it in short, so that a peer that missed something asks again. */
  tick(): void {
    this.#refresh();
    if (!this.#sighted) return;
    const { incarnation, send } = this.#options;
    for (const [peer, told] of this.#told) {
      send(peer, { kind: 'digest', incarnation, count: told.count, digest: told.toString() });
    }
  }

  /** Why networkTTL keeps another cluster's demand from `peer`, as a sentence; undefined when it does not. */
  tooFar(peer: string, { sink, destination }: Pick<DemandFrame, 'sink' | 'destination'>): string | undefined {
    const { agreement, cluster, table } = this.#options;
    const route = table.get(sink, destination);
    const passage = agreement.inbound(peer, destination);
    if (!route?.best || !passage.open || this.#transit(peer, destination, this.#onward(route.front))) return undefined;
    const { path, ttl } = route.best;
    if (path.includes(peer)) return undefined;
    const { name, networkTTL } = passage.connector;
    const crossed = `a message from ${peer} would cross ${path.length + 1} connectors`;
    if (networkTTL <= ttl) return `${crossed}, connector ${name} has networkTTL ${networkTTL}`;
    return `${crossed}, one between ${cluster} and ${sink} has networkTTL ${ttl}`;
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  /** The cluster itself is advertised like a demand: it refreshes the lease of the others, and leads frames to it. */
  #refresh(): void {
    const destination: Destination = { kind: 'cluster', name: this.#options.cluster };
    this.#advertise({ destination, consumers: 0, queue: {} }, true);
  }

  /** Withdraws a demand from all who were told of it. */
  #untell(before: Versioned): void {
    const { destination } = before;
    const { cluster, incarnation, send } = this.#options;
    const frame: WithdrawFrame = {
      ...{ kind: 'withdraw', sink: cluster, destination, incarnation, version: ++this.#version },
    };
    for (const [peer, told] of this.#told) {
      const line = this.#ownFrame(peer, before);
      if (!line) continue;
      told.remove(demandLine(line));
      send(peer, frame);
    }
  }

  #advertise(demand: OwnDemand, tell: boolean): void {
    const key = destinationKey(demand.destination);
    const before = this.#own.get(key);
    const now = { ...demand, version: ++this.#version };
    this.#own.set(key, now);
    if (!tell) return;
    for (const [peer, told] of this.#told) {
      const frame = this.#ownFrame(peer, now);
      if (!frame) continue;
      if (before) told.remove(demandLine(this.#ownFrame(peer, before)!));
      told.add(demandLine(frame));
      this.#options.send(peer, frame);
    }
  }

  *#all(peer: string): Generator<DemandFrame> {
    for (const demand of this.#own.values()) {
      const frame = this.#sighted || demand.destination.kind === 'cluster' ? this.#ownFrame(peer, demand) : undefined;
      if (frame) yield frame;
    }
    for (const { destination, front } of this.#options.table.standing()) {
      const frame = this.#transit(peer, destination, this.#onward(front));
      if (frame) yield frame;
    }
  }

  #ownFrame(peer: string, { destination, version, consumers, queue }: Versioned): DemandFrame | undefined {
    if (this.#hushed && destination.kind === 'queue') return undefined;
    const permitted = this.#permits(peer, destination);
    if (!permitted) return undefined;
    const { cluster, incarnation } = this.#options;
    const base = { kind: 'demand', sink: cluster, destination, incarnation, version, consumers, queue } as const;
    return { ...base, path: [cluster], ttl: permitted.ttl, connector: permitted.connector, leaseMs: LEASE_MS };
  }

  /** The ways with the own cluster at their end. */
  #onward(front: readonly Way[]): readonly Way[] {
    if (front.length === 0) return noWays;
    return front.map((way) => ({ ...way, path: [...way.path, this.#options.cluster] }));
  }

  /** The ways to this destination as they are told to `peer`; undefined when none may be passed on to it. */
  #transit(peer: string, destination: Destination, onward: readonly Way[]): DemandFrame | undefined {
    if (onward.length === 0) return undefined;
    const permitted = this.#permits(peer, destination);
    if (!permitted) return undefined;
    let frame: DemandFrame | undefined;
    let farther: { readonly path: readonly string[]; readonly ttl: number }[] | undefined;
    let highest = 0;
    for (const way of onward) {
      const ttl = Math.min(way.ttl, permitted.ttl);
      // A peer on the path has the rest of it already, and that is a better way than this one would be.
      if (way.path.length > Math.min(ttl, limits.pathClusters) || ttl <= highest || way.path.includes(peer)) continue;
      highest = ttl;
      const { path } = way;
      if (frame) {
        farther ??= [];
        farther.push({ path, ttl });
      } else {
        const { farther: _, ...told } = way.frame;
        frame = { ...told, path, ttl, connector: permitted.connector, leaseMs: this.#leaseMs(told.sink) };
      }
    }
    return frame && farther ? { ...frame, farther } : frame;
  }

  #leaseMs(sink: string): number {
    const { table, now } = this.#options;
    return Math.min(LEASE_MS, Math.round(table.leaseLeft(sink, now())));
  }

  #permits(peer: string, destination: Destination): { readonly ttl: number; readonly connector: string } | undefined {
    const { agreement } = this.#options;
    if (destination.kind === 'cluster') {
      const ttl = agreement.farthest(peer);
      return ttl > 0 ? { ttl, connector: '' } : undefined;
    }
    const passage = agreement.inbound(peer, destination);
    if (passage.open) return { ttl: passage.connector.networkTTL, connector: passage.connector.name };
    // What a paused connector would serve is known at the other end, which a ttl of 0 keeps from serving it.
    return passage.reason === 'paused' && passage.connector ? { ttl: 0, connector: passage.connector.name } : undefined;
  }
}

const noWays: readonly Way[] = [];
