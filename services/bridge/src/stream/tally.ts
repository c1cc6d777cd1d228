import type { SequenceRanges } from '@tombolo/wire/frame';
import { clip, RangeSet } from './settlement.ts';

/** How many numbers up to one, and a checksum of which (their sum modulo 2³²). */
export interface Count {
  readonly count: number;
  readonly sum: number;
}

/** Counts sequence numbers, each once; those above the last `through` are kept one by one, so that counts can be had of any. Pure. */
export class Tally {
  readonly #above = new RangeSet();
  #through = 0;
  #count = 0;
  #sum = 0;

  /** @param counted where the count begins with */
  constructor(counted: SequenceRanges = []) {
    for (let i = 0; i + 1 < counted.length; i += 2) this.add(counted[i]!, counted[i + 1]!);
  }

  /** All numbers from `from` to `to`; those that were counted, or are not above the last `through`, change nothing. */
  add(from: number, to = from): void {
    const first = Math.max(from, this.#through + 1);
    if (first <= to) this.#above.add(first, to);
  }

  /** A number that comes late: not above the last `through`, and not counted before. */
  addLate(sequence: number): void {
    if (sequence > this.#through) this.add(sequence);
    else this.#fold(sequence, sequence);
  }

  /** The counted numbers up to `through`. Undefined when that is less than was asked for before. */
  through(through: number): Count | undefined {
    if (through < this.#through) return undefined;
    const ranges = clip(this.#above.toRanges(), this.#through + 1, through);
    for (let i = 0; i + 1 < ranges.length; i += 2) this.#fold(ranges[i]!, ranges[i + 1]!);
    this.#above.dropThrough(through);
    this.#through = through;
    return { count: this.#count, sum: this.#sum };
  }

  /** The counted numbers above the last `through`, as ranges. */
  get above(): readonly number[] {
    return this.#above.toRanges();
  }

  #fold(from: number, to: number): void {
    this.#count += to - from + 1;
    this.#sum = (this.#sum + sumOf(from, to)) >>> 0;
  }
}

/** The sum of all numbers from `from` to `to`, modulo 2³². */
function sumOf(from: number, to: number): number {
  const count = to - from + 1;
  const ends = from + to;
  // One of the two is even.
  const [a, b] = count % 2 === 0 ? [count / 2, ends] : [count, ends / 2];
  return Math.imul(a % 2 ** 32, b % 2 ** 32) >>> 0;
}
