import type { SinkStream } from './sink-machine.ts';
import { outstandingOf, type SinkStreams } from './sink-streams.ts';

/** Sources that have a standing credit at a time, and for how long when there are more. */
const STANDING_LARGEST = 32;
const TURN_MS = 500;
/**
 * The largest rise that is saved up. The source acknowledges at its broker as credit rises: where a quarter of a large window was saved
 * up, its consumer stood without acknowledgements for so long that it was replaced, several times a second.
 */
const LARGEST_RISE = 64;

/**
 * Shares what a destination allows among its sources: those that have messages first, the nearest of them before the others, and one
 * for each of the rest as long as there is any. Pure.
 */
export class CreditSharing {
  readonly #streams: SinkStreams;
  #turnAt = 0;

  constructor(streams: SinkStreams) {
    this.#streams = streams;
  }

  /** When others have their turn (monotonic ms); Infinity: no more sources than may have a standing credit at a time. */
  get turnAt(): number {
    const turning = this.#streams.bySource.size > STANDING_LARGEST && this.#streams.open.length > STANDING_LARGEST;
    return turning ? this.#turnAt : Number.POSITIVE_INFINITY;
  }

  wake(now: number): void {
    if (now >= this.#turnAt) this.#turnAt = (Math.floor(now / TURN_MS) + 1) * TURN_MS;
  }

  /** @param allowed messages that may be under way, all sources together. Small rises are saved up: a credit frame serves many. */
  share(allowed: number, now: number): void {
    const { open } = this.#streams;
    if (open.length === 0 || allowed === 0) return;
    const { first, rest } = this.#ranked(open, now);
    const alone = first.length === 1;
    const share = Math.max(1, Math.floor((allowed - rest.length) / first.length));
    let outstanding = outstandingOf(open);
    // What others do not need beyond their one is taken back for those that come first.
    if (rest.length > 0 && outstanding >= allowed && first.some((stream) => stream.outstanding < share)) {
      for (const stream of rest) {
        if (stream.outstanding <= 1) continue;
        outstanding -= stream.outstanding - 1;
        this.#streams.run(stream.address.source, (of) => [...of.revoke(now), ...of.grant(1, now)]);
      }
    }
    const raise = (stream: SinkStream, most: number): void => {
      const own = stream.outstanding;
      const target = Math.max(own, most, 1);
      const rise = target - own;
      if (rise <= 0 || (own > 0 && rise < Math.max(1, Math.min(LARGEST_RISE, target >> 2)))) return;
      outstanding += rise;
      this.#streams.run(stream.address.source, (of) => of.grant(target, now));
    };
    const reserved = rest.filter((stream) => stream.outstanding === 0).length;
    for (const stream of first) {
      const free = Math.max(0, allowed - outstanding - reserved);
      raise(stream, alone ? stream.outstanding + free : Math.min(stream.outstanding + free, share));
    }
    for (const stream of rest) raise(stream, 1);
  }

  /**
   * The sources that the window is for, and those that have a standing credit each. When nobody is known to have messages, all
   * come first. Of many only some stand, in turns.
   */
  #ranked(open: readonly SinkStream[], now: number): { first: SinkStream[]; rest: SinkStream[] } {
    const having = open.filter(({ empty }) => !empty);
    const nearest = having.reduce((least, { distance }) => Math.min(least, distance), Number.POSITIVE_INFINITY);
    const first = having.length > 0 ? having.filter(({ distance }) => distance === nearest) : [...open];
    const standing = open.length <= STANDING_LARGEST ? open : this.#standing(open, now);
    const byName = (a: SinkStream, b: SinkStream): number => (a.address.source < b.address.source ? -1 : 1);
    const chosen = having.length > 0 ? first : first.filter((stream) => standing.includes(stream));
    return {
      first: chosen.sort(byName),
      rest: standing.filter((stream) => !chosen.includes(stream)).sort(byName),
    };
  }

  /** The sources whose turn it is to have a standing credit; the others' is taken back. */
  #standing(open: readonly SinkStream[], now: number): SinkStream[] {
    const turn = Math.floor(now / TURN_MS) * STANDING_LARGEST;
    const standing = Array.from({ length: STANDING_LARGEST }, (_, i) => open[(turn + i) % open.length]!);
    for (const stream of open) {
      if (!standing.includes(stream) && stream.empty && stream.outstanding > 0)
        this.#streams.run(stream.address.source, (of) => of.revoke(now));
    }
    return standing;
  }
}
