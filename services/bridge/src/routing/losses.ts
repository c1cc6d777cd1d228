import type { HopLostFrame } from '@tombolo/wire/frame';
import { LEASE_MS } from './lease.ts';

/** For how long a loss is told to those who link up (ms): what they hear next may be older than it. */
export const TELL_MS = 30_000;

/** Tells all bridges of lost links, the own ones and those that others have told of: each loss once. Pure. */
export class Losses {
  readonly #cluster: string;
  readonly #incarnation: number;
  readonly #tell: (frame: HopLostFrame, from: string | undefined) => void;
  /** Which losses have been told, and until when to tell them; remembered for a lease longer, since they come again by other links. */
  readonly #told = new Map<string, { readonly frame: HopLostFrame; readonly until: number }>();
  #version = 0;

  /** @param tell to every neighbour but the one that it came from */
  constructor(cluster: string, incarnation: number, tell: (frame: HopLostFrame, from: string | undefined) => void) {
    this.#cluster = cluster;
    this.#incarnation = incarnation;
    this.#tell = tell;
  }

  /** The own link to this peer is gone. */
  lost(peer: string, now: number): void {
    const identity = { cluster: this.#cluster, incarnation: this.#incarnation, version: ++this.#version };
    this.heard({ kind: 'hop-lost', peer, ...identity, leaseMs: TELL_MS }, undefined, now);
  }

  /** True when it is news; then it has been passed on. */
  heard(frame: HopLostFrame, from: string | undefined, now: number): boolean {
    const key = `${frame.cluster}\u0000${frame.incarnation}\u0000${frame.version}`;
    // What a predecessor of this bridge has lost is in nothing that this bridge tells.
    if (this.#told.has(key) || (from !== undefined && frame.cluster === this.#cluster)) return false;
    this.#told.set(key, { frame, until: now + Math.min(TELL_MS, frame.leaseMs) });
    this.#tell(frame, from);
    return true;
  }

  /** What a peer with a new link has to know before it hears of any way that has come since. */
  *recent(now: number): Generator<HopLostFrame> {
    for (const { frame, until } of this.#told.values()) if (until > now) yield { ...frame, leaseMs: until - now };
  }

  /** What is old enough not to be under way any more. */
  forget(now: number): void {
    for (const [key, { until }] of this.#told) if (until + LEASE_MS <= now) this.#told.delete(key);
  }
}
