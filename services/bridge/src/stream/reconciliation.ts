import type { CountComparison, RemovedCount, SequenceRanges, StreamEpoch } from '@tombolo/wire/frame';
import { RangeSet } from './settlement.ts';
import { Tally } from './tally.ts';

/*
 * What must hold between the two ends of a stream, for every number n of an epoch that the source is done with
 * (n ≤ settledThrough):
 *
 *   the source has removed n from its queue, or will, because the sink has it   ⇔   the sink's broker has confirmed n
 *
 * The left side alone: n was acknowledged and never stored, it is lost. The right side alone: n is with the sink and went back to
 * its queue, it is doubled. Each end counts by what it did itself: the source by its acknowledgements, the sink by its broker's
 * answers; so a verdict that was made up on the way, or by either of them, shows. Numbers above settledThrough are under way and
 * are not compared: nothing that is only late makes a difference.
 *
 * A sink that knows nothing of an epoch (it was restarted, or another master took over) begins to count anew, and says so by
 * the attempt of the `open` with which it began: what the source heard from its predecessors is not counted with it. That is the one
 * window that documented duplicates come through, so they raise no alarm. A new incarnation of the source has new epochs.
 */

/** Messages that the two ends count differently. */
export interface Difference {
  /** Removed at the source, never confirmed at the sink. */
  readonly lost: number;
  /** Confirmed at the sink, and back in their queue at the source. */
  readonly doubled: number;
}

/** The result of comparing all numbers up to one. */
export type Comparison = CountComparison;

/** Names one count of one epoch: what a sink counts anew is another. */
export function countName({ incarnation, epoch }: StreamEpoch, since: number | undefined): string {
  return `${incarnation}.${epoch}/${since}`;
}

/** The source's count of one epoch. Pure. */
export class SourceReconciliation {
  /** The attempt with which the sink began to count; undefined: it does not. */
  #since: number | undefined;
  #tally = new Tally();
  /** Whose acknowledgement is no claim that this sink has them: a predecessor of it does, or the dead-letter queue. */
  #elsewhere = new RangeSet();
  #void = false;
  #comparison: Comparison | undefined;

  /** The latest that the sink has told. */
  get comparison(): Comparison | undefined {
    return this.#comparison;
  }

  /**
   * The sink has answered an `open`.
   * @param since undefined: it does not count
   * @param accepted what it says there that its broker has: both ends begin to count with these
   */
  resumed(since: number | undefined, accepted: SequenceRanges): void {
    if (since === this.#since) return;
    const { above } = this.#tally;
    for (let i = 0; i + 1 < above.length; i += 2) this.#elsewhere.add(above[i]!, above[i + 1]!);
    this.#since = since;
    this.#tally = new Tally(accepted);
    this.#comparison = undefined;
  }

  /** The sink says that its broker has these. @param since of the frame that says so; a relay of an older version leaves it out */
  accepted(ranges: SequenceRanges, since: number | undefined): void {
    const known = since === undefined || since === this.#since;
    for (let i = 0; i + 1 < ranges.length; i += 2) {
      if (known) this.#tally.add(ranges[i]!, ranges[i + 1]!);
      else this.#elsewhere.add(ranges[i]!, ranges[i + 1]!);
    }
  }

  /** The dead-letter queue has it. */
  parked(sequence: number): void {
    this.#elsewhere.add(sequence);
  }

  /** It is acknowledged, whatever the reason was. */
  acknowledged(sequence: number): void {
    if (!this.#elsewhere.has(sequence)) this.#tally.add(sequence);
  }

  /** The queue is gone: what was under way has no end that could be compared. */
  voided(): void {
    this.#void = true;
  }

  /** What is to be told with this `settledThrough`; undefined: the sink does not count. */
  through(settledThrough: number): RemovedCount | undefined {
    this.#elsewhere.dropThrough(settledThrough);
    if (this.#since === undefined || this.#void) return undefined;
    const count = this.#tally.through(settledThrough);
    return count && { since: this.#since, ...count };
  }

  /** The sink has compared. True when that is news. */
  compared(comparison: Comparison, since: number | undefined): boolean {
    if (since !== this.#since) return false;
    if (this.#comparison && comparison.through < this.#comparison.through) return false;
    this.#comparison = comparison;
    return true;
  }
}

/** The sink's count of one epoch. Pure. */
export class SinkReconciliation {
  /** The attempt of the `open` with which it began. */
  readonly since: number;
  readonly #tally: Tally;
  #comparison: Comparison | undefined;
  #differed = false;

  /** @param accepted what a predecessor's record says is with the broker: it is told in the answer to that `open` */
  constructor(since: number, accepted: SequenceRanges) {
    this.since = since;
    this.#tally = new Tally(accepted);
  }

  /** The latest; undefined: nothing was compared yet. */
  get comparison(): Comparison | undefined {
    return this.#comparison;
  }
  /** There was a difference: the source is told of every comparison from then on. */
  get differed(): boolean {
    return this.#differed;
  }

  /** The own broker has confirmed it, or is known to have it. */
  confirmed(sequence: number): void {
    this.#tally.addLate(sequence);
  }

  /** The source tells what it removed. Undefined when that cannot be compared: it is meant for another sink, or old. */
  compare(removed: RemovedCount, settledThrough: number): Comparison | undefined {
    if (removed.since !== this.since) return undefined;
    const own = this.#tally.through(settledThrough);
    if (!own) return undefined;
    const more = removed.count - own.count;
    // As many, but not the same: at least one of each kind.
    const other = more === 0 && removed.sum !== own.sum ? 1 : 0;
    this.#comparison = {
      through: settledThrough,
      lost: Math.max(0, more) + other,
      doubled: Math.max(0, -more) + other,
    };
    this.#differed ||= this.#comparison.lost + this.#comparison.doubled > 0;
    return this.#comparison;
  }
}
