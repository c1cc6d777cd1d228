import type { SequenceRanges } from '@tombolo/wire/frame';
import { countOf, eachOf } from './settlement.ts';

/** Bytes of an identity's digest (see wire/envelope). */
export const DIGEST_BYTES = 16;

/** A digest as a map key: one character per byte. */
export function digestKey(digest: Uint8Array): string {
  return String.fromCharCode(...digest);
}

/**
 * Identities of consecutive sequence numbers, packed: 17 bytes each. The sink keeps one log per stream epoch, from the moment
 * that a message is published until the source says that it is removed.
 */
export class IdentityLog {
  #bytes = new Uint8Array(64 * (DIGEST_BYTES + 1));
  #first = 1;
  #count = 0;

  /** @param first the lowest sequence number that will ever be recorded */
  constructor(first = 1) {
    this.#first = first;
  }

  /** Records the identity of `sequence`; numbers that were skipped are left blank. */
  set(sequence: number, digest: Uint8Array, hasId: boolean): void {
    if (sequence < this.#first) return;
    const index = sequence - this.#first;
    const needed = (index + 1) * (DIGEST_BYTES + 1);
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    if (index >= this.#count) {
      this.#bytes.fill(0, this.#count * (DIGEST_BYTES + 1), needed);
      this.#count = index + 1;
    }
    const at = index * (DIGEST_BYTES + 1);
    this.#bytes[at] = hasId ? 2 : 1;
    for (let byte = 0; byte < DIGEST_BYTES; byte++) this.#bytes[at + 1 + byte] = digest[byte]!;
  }

  /** Forgets one number. */
  delete(sequence: number): void {
    const index = sequence - this.#first;
    if (index >= 0 && index < this.#count) this.#bytes[index * (DIGEST_BYTES + 1)] = 0;
  }

  /** Drops all numbers up to and including `through`. */
  dropThrough(through: number): void {
    const drop = Math.min(this.#count, through - this.#first + 1);
    if (through < this.#first) return;
    this.#count -= drop;
    this.#first = through + 1;
    const size = DIGEST_BYTES + 1;
    const rest = this.#bytes.subarray(drop * size, (drop + this.#count) * size);
    // Shrinks after a burst, so that an idle stream costs next to nothing.
    if (this.#bytes.length > 64 * size && this.#count * size * 4 < this.#bytes.length) {
      const smaller = new Uint8Array(Math.max(64 * size, this.#count * size * 2));
      smaller.set(rest);
      this.#bytes = smaller;
    } else this.#bytes.copyWithin(0, drop * size, (drop + this.#count) * size);
  }

  /** The identity of `sequence`, or undefined when it is not (or no longer) recorded. */
  get(sequence: number): { digest: Uint8Array; hasId: boolean } | undefined {
    const index = sequence - this.#first;
    if (index < 0 || index >= this.#count) return undefined;
    const at = index * (DIGEST_BYTES + 1);
    if (this.#bytes[at] === 0) return undefined;
    return { digest: this.#bytes.slice(at + 1, at + 1 + DIGEST_BYTES), hasId: this.#bytes[at] === 2 };
  }

  /** Calls `each` for those of `from` … `to` that have a message id; the digest is only lent. */
  forEachNamed(from: number, to: number, each: (digest: Uint8Array) => void): void {
    const low = Math.max(from, this.#first);
    const high = Math.min(to, this.#first + this.#count - 1);
    for (let sequence = low; sequence <= high; sequence++) {
      const at = (sequence - this.#first) * (DIGEST_BYTES + 1);
      if (this.#bytes[at] === 2) each(this.#bytes.subarray(at + 1, at + 1 + DIGEST_BYTES));
    }
  }

  /** The identities of these numbers one after the other: a byte, 2 when there is a message id, else 1 (0: blank), and the digest. */
  pack(ranges: SequenceRanges): Uint8Array {
    const size = DIGEST_BYTES + 1;
    const packed = new Uint8Array(countOf(ranges) * size);
    let at = 0;
    for (let i = 0; i + 1 < ranges.length; i += 2) {
      const length = (ranges[i + 1]! - ranges[i]! + 1) * size;
      const low = Math.max(ranges[i]!, this.#first);
      const high = Math.min(ranges[i + 1]!, this.#first + this.#count - 1);
      if (low <= high) {
        const part = this.#bytes.subarray((low - this.#first) * size, (high - this.#first + 1) * size);
        packed.set(part, at + (low - ranges[i]!) * size);
      }
      at += length;
    }
    return packed;
  }

  /** Records what `pack` gave for the same ranges. */
  unpack(ranges: SequenceRanges, packed: Uint8Array): void {
    let at = 0;
    eachOf(ranges, (sequence) => {
      const kind = packed[at];
      if (kind === 1 || kind === 2) this.set(sequence, packed.subarray(at + 1, at + 1 + DIGEST_BYTES), kind === 2);
      at += DIGEST_BYTES + 1;
    });
  }
}
