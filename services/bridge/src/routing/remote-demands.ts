import type { DemandFrame, Destination, WithdrawFrame } from '@tombolo/wire/frame';
import { destinationKey } from './destination-key.ts';
import { advertisementLine, Digest } from './digest.ts';

/** Why a demand is not served: a word for metrics, a sentence for people. */
export interface Unserved {
  readonly reason: string;
  readonly detail: string;
}

/** What a peer's bridge has said of its consumers of one destination. */
export interface RemoteDemand {
  readonly peer: string;
  readonly destination: Destination;
  incarnation: number;
  version: number;
  /** Undefined: withdrawn; kept so that an older advertisement that comes late is not believed. */
  frame: DemandFrame | undefined;
  /** Was known when a snapshot began, and has not been repeated in it yet. */
  swept: boolean;
  unserved: Unserved | undefined;
}

/**
 * The demands that peers have advertised. Versions decide, never the order of arrival; a snapshot replaces what was known of
 * its peer. Pure.
 */
export class RemoteDemands {
  readonly #peers = new Map<string, Map<string, RemoteDemand>>();

  /** Every demand that stands. */
  *standing(): Generator<RemoteDemand> {
    for (const demands of this.#peers.values()) for (const demand of demands.values()) if (demand.frame) yield demand;
  }

  /** The demand of `peer`, when it stands. */
  get(peer: string, destination: Destination): RemoteDemand | undefined {
    const demand = this.#peers.get(peer)?.get(destinationKey(destination));
    return demand?.frame ? demand : undefined;
  }

  /** Returns the demand when it is news, undefined when something newer is known. */
  demanded(peer: string, frame: DemandFrame): RemoteDemand | undefined {
    return this.#set(peer, frame, frame);
  }

  withdrawn(peer: string, frame: WithdrawFrame): RemoteDemand | undefined {
    return this.#set(peer, frame, undefined);
  }

  snapshotBegun(peer: string): void {
    for (const demand of this.#of(peer).values()) demand.swept = demand.frame !== undefined;
  }

  /** Returns the demands that the snapshot did not repeat; they do not stand any more. */
  snapshotEnded(peer: string): RemoteDemand[] {
    const gone = [...this.#of(peer).values()].filter(({ swept }) => swept);
    for (const demand of gone) {
      demand.swept = false;
      demand.frame = undefined;
      demand.unserved = undefined;
    }
    return gone;
  }

  /** Whether this end knows what the peer says it has advertised. */
  agrees(peer: string, count: number, digest: string): boolean {
    const own = new Digest();
    for (const { destination, frame, incarnation, version } of this.#of(peer).values()) {
      if (frame) own.add(advertisementLine(destination.kind, destination.name, incarnation, version));
    }
    return own.count === count && own.toString() === digest;
  }

  #of(peer: string): Map<string, RemoteDemand> {
    let demands = this.#peers.get(peer);
    if (!demands) {
      demands = new Map();
      this.#peers.set(peer, demands);
    }
    return demands;
  }

  #set(
    peer: string,
    { destination, incarnation, version }: DemandFrame | WithdrawFrame,
    frame: DemandFrame | undefined,
  ): RemoteDemand | undefined {
    const demands = this.#of(peer);
    const key = destinationKey(destination);
    const known = demands.get(key);
    if (known && (incarnation - known.incarnation || version - known.version) < 0) return undefined;
    const demand = { peer, destination, incarnation, version, frame, swept: false, unserved: known?.unserved };
    demands.set(key, demand);
    return demand;
  }
}
