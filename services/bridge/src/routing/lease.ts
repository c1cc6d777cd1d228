/** How long an advertisement stands without a refresh by its sink (ms). */
export const LEASE_MS = 90_000;

/** Which of a sink's words it is: its incarnation, and a version within it that grows with all that it says. */
export interface Word {
  readonly incarnation: number;
  readonly version: number;
}

/** True when `a` was said later than `b`. */
export function newer(a: Word, b: Word): boolean {
  return (a.incarnation - b.incarnation || a.version - b.version) > 0;
}

/**
 * Until when what a sink has said stands. Only a word of the sink that was not heard before moves it, whichever way that comes: what
 * transits repeat does not, however often and however late. One lease for all demands of a sink; a way that broke is told by its
 * neighbour, a lease ends what nobody could tell. Pure.
 */
export class Leases {
  readonly #sinks = new Map<string, Word & { readonly until: number }>();

  heard(sink: string, { incarnation, version }: Word, leaseMs: number, now: number): void {
    const held = this.#sinks.get(sink);
    const word = { incarnation, version };
    if (held && !newer(word, held)) return;
    const until = now + Math.min(LEASE_MS, leaseMs);
    this.#sinks.set(sink, { ...word, until: Math.max(until, held?.until ?? until) });
  }

  /** How much is left of it (ms). */
  left(sink: string, now: number): number {
    return Math.max(0, (this.#sinks.get(sink)?.until ?? now) - now);
  }

  /** The sinks that have not been heard for a lease. What they said last is remembered for as long again. */
  ended(now: number): ReadonlySet<string> {
    const ended = new Set<string>();
    for (const [sink, { until }] of this.#sinks) {
      if (until <= now) ended.add(sink);
      if (until + LEASE_MS <= now) this.#sinks.delete(sink);
    }
    return ended;
  }
}
