import type { ControlFrame, DemandFrame, Destination, QueueProperties, WithdrawFrame } from '@tombolo/wire/frame';
import type { Agreement } from './agreement.ts';
import { destinationKey } from './destination-key.ts';
import { Digest, demandLine } from './digest.ts';
import { LEASE_MS, type RouteChange, type RouteTable } from './route-table.ts';

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

/**
 * Tells peers of demand: the own cluster's, and what others have told that may pass through. A snapshot when a link begins,
 * changes after it, a digest from time to time.
 */
export class Advertiser {
  readonly #options: AdvertiserOptions;
  readonly #own = new Map<string, OwnDemand & { readonly version: number }>();
  /** One counter for all: a demand that goes and comes back still gets a higher version. */
  #version = 0;
  /** False: the own broker's consumers are not known; what was told stands, and nothing new is said. */
  #sighted = false;

  constructor(options: AdvertiserOptions) {
    this.#options = options;
    this.#announce();
  }

  get sighted(): boolean {
    return this.#sighted;
  }

  setSighted(sighted: boolean): void {
    const news = sighted && !this.#sighted;
    this.#sighted = sighted;
    if (news) this.snapshots();
  }

  /** The own cluster has this demand (now with these consumers). */
  advertise(demand: OwnDemand): void {
    this.#own.set(destinationKey(demand.destination), { ...demand, version: ++this.#version });
    if (this.#sighted) this.#tellOwn(demand.destination);
  }

  /** The own cluster has this demand no more. */
  withdraw(destination: Destination): void {
    if (!this.#own.delete(destinationKey(destination))) return;
    const { cluster, incarnation } = this.#options;
    this.passOnWithdrawal(
      { kind: 'withdraw', sink: cluster, destination, incarnation, version: ++this.#version },
      cluster,
    );
  }

  /** Another cluster's demand has another way, or none. */
  passOn({ route, before }: RouteChange): void {
    if (route.state !== 'standing') return;
    const { agreement, send } = this.#options;
    const { sink, destination, best } = route;
    for (const peer of agreement.peers) {
      const frame = best && this.#transit(peer, best.neighbour, best.frame);
      if (frame) send(peer, frame);
      else if (before && this.#transit(peer, before.neighbour, before.frame))
        send(peer, { kind: 'unreachable', sink, destination });
    }
  }

  passOnWithdrawal(frame: WithdrawFrame, from: string): void {
    const { agreement, send } = this.#options;
    for (const peer of agreement.peers) {
      if (peer !== from && peer !== frame.sink && this.#permits(peer, frame.destination)) send(peer, frame);
    }
  }

  snapshots(): void {
    // What a snapshot leaves out (its connector is paused) counts as withdrawn by its version: told again, it must be newer.
    for (const [key, demand] of this.#own) this.#own.set(key, { ...demand, version: ++this.#version });
    for (const peer of this.#options.agreement.peers) this.snapshot(peer);
  }

  /** Everything that this peer should know, in one go. */
  snapshot(peer: string): void {
    const { incarnation, send } = this.#options;
    const head = { incarnation, version: this.#version, sighted: this.#sighted };
    send(peer, { kind: 'snapshot-begin', ...head });
    for (const frame of this.#said(peer)) send(peer, frame);
    send(peer, { kind: 'snapshot-end', ...head });
  }

  /** Refreshes the lease of all that was said, and repeats it in short, so that a peer that missed something asks again. */
  tick(): void {
    this.#announce();
    const { agreement, cluster, incarnation, send } = this.#options;
    this.#tellOwn({ kind: 'cluster', name: cluster });
    if (!this.#sighted) return;
    for (const peer of agreement.peers) {
      const digest = new Digest();
      for (const frame of this.#said(peer)) digest.add(demandLine(frame));
      send(peer, { kind: 'digest', incarnation, count: digest.count, digest: digest.toString() });
    }
  }

  /** Why networkTTL keeps another cluster's demand from `peer`, as a sentence; undefined when it does not. */
  tooFar(peer: string, { sink, destination }: Pick<DemandFrame, 'sink' | 'destination'>): string | undefined {
    const { agreement, cluster, table } = this.#options;
    const frame = table.get(sink, destination)?.best?.frame;
    if (!frame || frame.path.includes(peer)) return undefined;
    const passage = agreement.inbound(peer, destination);
    if (!passage.open || !isTooFar(frame, passage.connector.networkTTL)) return undefined;
    const { name, networkTTL } = passage.connector;
    const crossed = `a message from ${peer} would cross ${frame.path.length + 1} connectors`;
    if (networkTTL <= frame.ttl) return `${crossed}, connector ${name} has networkTTL ${networkTTL}`;
    return `${crossed}, one between ${cluster} and ${sink} has networkTTL ${frame.ttl}`;
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  /** The cluster itself is advertised like a demand: it refreshes the lease of the others, and leads frames to it. */
  #announce(): void {
    const destination: Destination = { kind: 'cluster', name: this.#options.cluster };
    this.#own.set(destinationKey(destination), { destination, consumers: 0, queue: {}, version: ++this.#version });
  }

  #tellOwn(destination: Destination): void {
    for (const peer of this.#options.agreement.peers) {
      const frame = this.#ownFrame(peer, destinationKey(destination));
      if (frame) this.#options.send(peer, frame);
    }
  }

  *#said(peer: string): Generator<DemandFrame> {
    for (const [key, { destination }] of this.#own) {
      const frame = this.#sighted || destination.kind === 'cluster' ? this.#ownFrame(peer, key) : undefined;
      if (frame) yield frame;
    }
    for (const { best } of this.#options.table.standing()) {
      const frame = best && this.#transit(peer, best.neighbour, best.frame);
      if (frame) yield frame;
    }
  }

  #ownFrame(peer: string, key: string): DemandFrame | undefined {
    const demand = this.#own.get(key);
    const permitted = demand && this.#permits(peer, demand.destination);
    if (!demand || !permitted) return undefined;
    const { cluster, incarnation } = this.#options;
    const { destination, version, consumers, queue } = demand;
    const base = { kind: 'demand', sink: cluster, destination, incarnation, version, consumers, queue } as const;
    return { ...base, path: [cluster], ttl: permitted.ttl, connector: permitted.connector, leaseMs: LEASE_MS };
  }

  /** What a neighbour advertised, as it is passed on to `peer`; undefined when it may not be. */
  #transit(peer: string, neighbour: string, frame: DemandFrame): DemandFrame | undefined {
    if (frame.path.includes(peer)) return undefined;
    const permitted = this.#permits(peer, frame.destination);
    if (!permitted || isTooFar(frame, permitted.ttl)) return undefined;
    const path = [...frame.path, this.#options.cluster];
    const ttl = Math.min(frame.ttl, permitted.ttl);
    const leaseMs = Math.max(0, this.#options.table.leaseUntil(neighbour, frame.sink) - this.#options.now());
    return { ...frame, path, ttl, connector: permitted.connector, leaseMs: Math.min(LEASE_MS, Math.round(leaseMs)) };
  }

  #permits(peer: string, destination: Destination): { readonly ttl: number; readonly connector: string } | undefined {
    const { agreement } = this.#options;
    if (destination.kind === 'cluster') {
      const ttl = agreement.farthest(peer);
      return ttl > 0 ? { ttl, connector: '' } : undefined;
    }
    const passage = agreement.inbound(peer, destination);
    return passage.open ? { ttl: passage.connector.networkTTL, connector: passage.connector.name } : undefined;
  }
}

/** The own cluster would be one more on the path than the connectors let pass. */
function isTooFar({ path, ttl }: DemandFrame, networkTTL: number): boolean {
  return path.length + 1 > Math.min(ttl, networkTTL);
}
