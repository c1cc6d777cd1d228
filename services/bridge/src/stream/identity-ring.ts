import { DIGEST_BYTES } from './in-doubt.ts';

/** Most identities that are kept of one queue, and for how long (ms). */
export const RING_LARGEST = 65_536;
export const RING_MS = 600_000;

const FIRST_CAPACITY = 64;
const NONE = -1;

/**
 * Identities of messages with an id that were removed at their source: should a crash of its broker bring them back, they are told
 * from new ones. The newest 65,536 of the last ten minutes; 32 bytes each. A multiset: two equal messages stay two. Pure.
 */
export class IdentityRing {
  /** Of as many slots as there is capacity, a power of two; entry n is in slot n modulo that. */
  #digests = new Uint8Array(FIRST_CAPACITY * DIGEST_BYTES);
  /** When it was added; NaN: it was taken out. */
  #times = new Float64Array(FIRST_CAPACITY);
  /** Chains of entries with equal hashes, the newest first. */
  #next = new Int32Array(FIRST_CAPACITY);
  #heads = new Int32Array(FIRST_CAPACITY).fill(NONE);
  #first = 0;
  #end = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(digest: Uint8Array, now: number): void {
    this.prune(now);
    const capacity = this.#times.length;
    if (this.#end - this.#first === capacity) {
      if (capacity < RING_LARGEST) this.#resize(capacity * 2);
      else this.#dropFirst();
    }
    this.#put(digest, 0, now);
  }

  /** Takes one entry with this digest out; false: there is none. */
  take(digest: Uint8Array, now: number): boolean {
    if (this.#size === 0) return false;
    this.prune(now);
    for (let slot = this.#heads[this.#hash(digest, 0)]!; slot !== NONE; slot = this.#next[slot]!) {
      if (!this.#holds(slot, digest)) continue;
      this.#unlink(slot);
      this.#times[slot] = Number.NaN;
      return true;
    }
    return false;
  }

  /** Forgets what is too old. */
  prune(now: number): void {
    while (this.#first < this.#end) {
      const at = this.#times[this.#slot(this.#first)]!;
      if (now - at < RING_MS) return; // one that was taken out is no number, and goes too
      this.#dropFirst();
    }
    if (this.#times.length > FIRST_CAPACITY) this.#resize(FIRST_CAPACITY);
  }

  /** Calls `each` for every entry, the oldest first; the digest is only lent. */
  forEach(each: (digest: Uint8Array, at: number) => void): void {
    for (let n = this.#first; n < this.#end; n++) {
      const slot = this.#slot(n);
      if (!Number.isNaN(this.#times[slot]!)) each(this.#digestOf(slot), this.#times[slot]!);
    }
  }

  #slot(n: number): number {
    return n & (this.#times.length - 1);
  }

  #digestOf(slot: number): Uint8Array {
    return this.#digests.subarray(slot * DIGEST_BYTES, (slot + 1) * DIGEST_BYTES);
  }

  /** A digest's first bytes are as good as any hash of it. */
  #hash(bytes: Uint8Array, at: number): number {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    return (word ^ (word >>> 16)) & (this.#heads.length - 1);
  }

  #holds(slot: number, digest: Uint8Array): boolean {
    const at = slot * DIGEST_BYTES;
    for (let i = 0; i < DIGEST_BYTES; i++) if (this.#digests[at + i] !== digest[i]) return false;
    return true;
  }

  #put(bytes: Uint8Array, at: number, time: number): void {
    const slot = this.#slot(this.#end++);
    for (let i = 0; i < DIGEST_BYTES; i++) this.#digests[slot * DIGEST_BYTES + i] = bytes[at + i]!;
    this.#times[slot] = time;
    const hash = this.#hash(bytes, at);
    this.#next[slot] = this.#heads[hash]!;
    this.#heads[hash] = slot;
    this.#size++;
  }

  #dropFirst(): void {
    const slot = this.#slot(this.#first++);
    if (!Number.isNaN(this.#times[slot]!)) this.#unlink(slot);
  }

  #unlink(slot: number): void {
    const hash = this.#hash(this.#digests, slot * DIGEST_BYTES);
    this.#size--;
    if (this.#heads[hash] === slot) {
      this.#heads[hash] = this.#next[slot]!;
      return;
    }
    let before = this.#heads[hash]!;
    while (this.#next[before] !== slot) before = this.#next[before]!;
    this.#next[before] = this.#next[slot]!;
  }

  #resize(capacity: number): void {
    const digests = this.#digests;
    const times = this.#times;
    const first = this.#first;
    const end = this.#end;
    const old = times.length;
    this.#digests = new Uint8Array(capacity * DIGEST_BYTES);
    this.#times = new Float64Array(capacity);
    this.#next = new Int32Array(capacity);
    this.#heads = new Int32Array(capacity).fill(NONE);
    this.#first = 0;
    this.#end = 0;
    this.#size = 0;
    for (let n = first; n < end; n++) {
      const slot = n & (old - 1);
      if (!Number.isNaN(times[slot]!)) this.#put(digests, slot * DIGEST_BYTES, times[slot]!);
    }
  }
}
