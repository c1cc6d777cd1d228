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
    this.#bytes.set(digest.subarray(0, DIGEST_BYTES), at + 1);
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

/** Most identities that are kept of one queue, and for how long those with a message id are kept (ms). */
const LARGEST = 65_536;
const RETENTION_MS = 600_000;

/** What a redelivered message turned out to be. */
export type Match<Owner> =
  /** A sink has stored it: remove it from the queue. */
  | { readonly is: 'accepted' }
  /** It was sent under this owner's number and there is no verdict yet: the new copy waits for it. */
  | { readonly is: 'pending'; readonly owner: Owner; readonly sequence: number };

/**
 * The source's side of the in-doubt record, per queue: messages whose delivery was lost (their channel died, or they were
 * given back) although they had been sent. It is a multiset: two equal messages stay two. Only messages that the broker flags
 * as redelivered are looked up.
 */
export class Orphans<Owner> {
  #pending = new Map<string, { owner: Owner; sequence: number }[]>();
  #accepted = new Map<string, { count: number; hasId: boolean; at: number }>();
  #acceptedCount = 0;

  get empty(): boolean {
    return this.#pending.size === 0 && this.#accepted.size === 0;
  }

  /** Accepted identities without a message id are known: `firstFresh` will drop them. */
  get transient(): boolean {
    for (const entry of this.#accepted.values()) if (!entry.hasId) return true;
    return false;
  }

  /** The delivery behind `sequence` is no longer valid, and there is no verdict yet. */
  lost(digest: Uint8Array, owner: Owner, sequence: number): void {
    const key = digestKey(digest);
    const list = this.#pending.get(key);
    if (list) list.push({ owner, sequence });
    else this.#pending.set(key, [{ owner, sequence }]);
  }

  /** There is a verdict for a lost one, or it was forgotten: it is pending no more. */
  decided(digest: Uint8Array, owner: Owner, sequence: number): void {
    const key = digestKey(digest);
    const list = this.#pending.get(key)?.filter((entry) => entry.owner !== owner || entry.sequence !== sequence);
    if (!list || list.length === 0) this.#pending.delete(key);
    else this.#pending.set(key, list);
  }

  /** A sink has stored a message with this identity whose delivery is not valid any more. */
  accepted(digest: Uint8Array, hasId: boolean, now: number): void {
    const key = digestKey(digest);
    const entry = this.#accepted.get(key);
    if (entry) {
      entry.count++;
      entry.at = now;
    } else this.#accepted.set(key, { count: 1, hasId, at: now });
    this.#acceptedCount++;
    if (this.#acceptedCount > LARGEST) {
      const oldest = this.#accepted.keys().next().value as string;
      this.#acceptedCount -= this.#accepted.get(oldest)!.count;
      this.#accepted.delete(oldest);
    }
  }

  /** Looks a redelivered message up, and takes the match out. */
  take(digest: Uint8Array, now: number): Match<Owner> | undefined {
    if (this.empty) return undefined;
    const key = digestKey(digest);
    const entry = this.#accepted.get(key);
    if (entry) {
      const current = now - entry.at <= RETENTION_MS;
      if (--entry.count === 0 || !current) this.#accepted.delete(key);
      this.#acceptedCount--;
      if (current) return { is: 'accepted' };
    }
    const list = this.#pending.get(key);
    const first = list?.shift();
    if (!first) return undefined;
    if (list!.length === 0) this.#pending.delete(key);
    return { is: 'pending', owner: first.owner, sequence: first.sequence };
  }

  /**
   * The queue handed over a message that was never delivered before: everything that was in doubt has been seen again or is
   * gone. Identities without a message id are dropped, because an equal new message must not be taken for the old one
   * (a loss is worse than a duplicate). Not for priority queues, where a fresh message may overtake.
   */
  firstFresh(): void {
    for (const [key, entry] of this.#accepted) {
      if (entry.hasId) continue;
      this.#acceptedCount -= entry.count;
      this.#accepted.delete(key);
    }
  }
}
