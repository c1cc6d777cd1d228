import type { SequenceRanges } from '@tombolo/wire/frame';

/**
 * A set of sequence numbers kept as inclusive, ascending, disjoint, non-adjacent ranges [from, to, from, to, …].
 * Sequence numbers come almost in order, so additions at the end are the fast path.
 */
export class RangeSet {
  #ranges: number[];

  constructor(ranges: SequenceRanges = []) {
    this.#ranges = [];
    for (let i = 0; i + 1 < ranges.length; i += 2) this.add(ranges[i]!, ranges[i + 1]!);
  }

  /** True when nothing is in the set. */
  get empty(): boolean {
    return this.#ranges.length === 0;
  }

  /** How many numbers are in the set. */
  get size(): number {
    let size = 0;
    for (let i = 0; i < this.#ranges.length; i += 2) size += this.#ranges[i + 1]! - this.#ranges[i]! + 1;
    return size;
  }

  /** The flattened ranges; a copy. */
  toRanges(): number[] {
    return this.#ranges.slice();
  }

  has(sequence: number): boolean {
    const i = this.#indexOf(sequence);
    return i < this.#ranges.length && this.#ranges[i]! <= sequence;
  }

  /** Adds all numbers from `from` to `to`, both included. */
  add(from: number, to: number = from): void {
    const ranges = this.#ranges;
    const n = ranges.length;
    if (n === 0 || from > ranges[n - 1]! + 1) {
      ranges.push(from, to);
      return;
    }
    if (from === ranges[n - 1]! + 1) {
      ranges[n - 1] = to;
      return;
    }
    // The first range that touches or follows [from, to], then all that touch it.
    const first = this.#indexOf(from - 1);
    let last = first;
    let low = from;
    let high = to;
    while (last < n && ranges[last]! <= to + 1) {
      low = Math.min(low, ranges[last]!);
      high = Math.max(high, ranges[last + 1]!);
      last += 2;
    }
    ranges.splice(first, last - first, low, high);
  }

  /** Removes all numbers up to and including `through`. */
  dropThrough(through: number): void {
    const ranges = this.#ranges;
    let i = 0;
    while (i < ranges.length && ranges[i + 1]! <= through) i += 2;
    if (i > 0) ranges.splice(0, i);
    if (ranges.length > 0 && ranges[0]! <= through) ranges[0] = through + 1;
  }

  /** Removes one number. */
  delete(sequence: number): void {
    const i = this.#indexOf(sequence);
    if (i >= this.#ranges.length || this.#ranges[i]! > sequence) return;
    const from = this.#ranges[i]!;
    const to = this.#ranges[i + 1]!;
    const rest: number[] = [];
    if (from < sequence) rest.push(from, sequence - 1);
    if (sequence < to) rest.push(sequence + 1, to);
    this.#ranges.splice(i, 2, ...rest);
  }

  /** The highest number n such that all of after+1 … n are in the set; `after` when after+1 is not. */
  contiguousFrom(after: number): number {
    const i = this.#indexOf(after + 1);
    return i < this.#ranges.length && this.#ranges[i]! <= after + 1 ? this.#ranges[i + 1]! : after;
  }

  /** The numbers of [from, to] that are not in the set, as ranges; at most `limit` ranges. */
  missing(from: number, to: number, limit = 64): number[] {
    const gaps: number[] = [];
    let next = from;
    for (let i = this.#indexOf(from); next <= to && gaps.length < limit * 2; i += 2) {
      const start = i < this.#ranges.length ? this.#ranges[i]! : to + 1;
      if (start > next) gaps.push(next, Math.min(to, start - 1));
      if (i >= this.#ranges.length) break;
      next = Math.max(next, this.#ranges[i + 1]! + 1);
    }
    return gaps;
  }

  /** Index of the first range whose end is not below `sequence` (even; may be the length). */
  #indexOf(sequence: number): number {
    let low = 0;
    let high = this.#ranges.length / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ranges[middle * 2 + 1]! < sequence) low = middle + 1;
      else high = middle;
    }
    return low * 2;
  }
}

/** Calls `each` for every number of the ranges, in order. */
export function eachOf(ranges: SequenceRanges, each: (sequence: number) => void): void {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    for (let sequence = ranges[i]!; sequence <= ranges[i + 1]!; sequence++) each(sequence);
  }
}

/** How many numbers the ranges hold. */
export function countOf(ranges: SequenceRanges): number {
  let count = 0;
  for (let i = 0; i + 1 < ranges.length; i += 2) count += ranges[i + 1]! - ranges[i]! + 1;
  return count;
}

/** A peer may lie: ranges must not make us loop for ever. Returns the part of `ranges` within [low, high]. */
export function clip(ranges: SequenceRanges, low: number, high: number): number[] {
  const clipped: number[] = [];
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    const from = Math.max(low, ranges[i]!);
    const to = Math.min(high, ranges[i + 1]!);
    if (from <= to) clipped.push(from, to);
  }
  return clipped;
}
