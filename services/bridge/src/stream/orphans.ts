import { IdentityRing, RING_LARGEST, RING_MS } from './identity-ring.ts';
import { digestKey } from './in-doubt.ts';

/** What a redelivered message turned out to be. */
export type Match<Owner> =
  /** A sink has stored it: remove it from the queue. */
  | { readonly is: 'accepted' }
  /** It was sent under this owner's number and there is no verdict yet: the new copy waits for it. */
  | { readonly is: 'pending'; readonly owner: Owner; readonly sequence: number };

/** Messages of one identity that a sink has stored. */
interface Accepted {
  count: number;
  /** Of these, how many may be removed: their acknowledgement was written, by this bridge or by its predecessor. */
  written: number;
  readonly hasId: boolean;
  at: number;
}

/** Where a fresh message may overtake others: three heartbeats, and a minute (ms). */
const OVERTAKING_MS = 90_000;
/** A broker's word for how long it has been running is late, and an acknowledgement is written before it is missed (ms). */
const SLACK_MS = 5_000;

/**
 * The source's side of the in-doubt record, per queue: messages whose delivery was lost (their channel died, or they were
 * given back) although they had been sent, and messages with an id that were removed, which a crash of the broker may bring back.
 * It is a multiset: two equal messages stay two. Only messages that the broker flags as redelivered are looked up.
 *
 * Identities without a message id are dropped as soon as an equal new message could be taken for the old one, since a loss is worse
 * than a duplicate: when a message comes that was never handed out before (`sawFresh`), when the broker may have been restarted,
 * since it flags whatever it has then (`judged`), and when the queue was deleted (`queueDeleted`).
 */
export class Orphans<Owner> {
  readonly #pending = new Map<string, { owner: Owner; sequence: number }[]>();
  readonly #accepted = new Map<string, Accepted>();
  readonly #removed = new IdentityRing();
  #acceptedCount = 0;
  /** Since when a fresh message is known to have been seen; NaN: none was. */
  #freshAt = Number.NaN;
  /** No acknowledgement of an identity without an id was written before (monotonic ms); Infinity: there is none. */
  #writtenSince = Number.POSITIVE_INFINITY;

  get empty(): boolean {
    return this.#pending.size === 0 && this.#accepted.size === 0 && this.#removed.size === 0;
  }

  /** Accepted identities without a message id are known: `sawFresh` may drop them. */
  get transient(): boolean {
    for (const entry of this.#accepted.values()) if (!entry.hasId) return true;
    return false;
  }

  /** A restart of the broker would matter: there are identities without an id of messages that may be removed. */
  get mindsRestart(): boolean {
    return this.#writtenSince !== Number.POSITIVE_INFINITY;
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

  /**
   * A sink has stored a message with this identity whose delivery is not valid any more.
   * @param writtenSince its acknowledgement may have been written, but not before this time; absent: it was not
   */
  accepted(digest: Uint8Array, hasId: boolean, now: number, writtenSince?: number): void {
    const key = digestKey(digest);
    let entry = this.#accepted.get(key);
    if (!entry) {
      entry = { count: 0, written: 0, hasId, at: now };
      this.#accepted.set(key, entry);
    }
    entry.count++;
    entry.at = now;
    if (writtenSince !== undefined) {
      entry.written++;
      if (!hasId) this.#writtenSince = Math.min(this.#writtenSince, writtenSince);
    }
    this.#freshAt = Number.NaN;
    this.#acceptedCount++;
    if (this.#acceptedCount > RING_LARGEST) {
      const oldest = this.#accepted.keys().next().value as string;
      this.#acceptedCount -= this.#accepted.get(oldest)!.count;
      this.#accepted.delete(oldest);
    }
  }

  /** A message with an id is removed from the queue; a crash of its broker may bring it back. */
  removed(digest: Uint8Array, now: number): void {
    this.#removed.add(digest, now);
  }

  /** Looks a redelivered message up, and takes the match out. */
  take(digest: Uint8Array, hasId: boolean, now: number): Match<Owner> | undefined {
    if (this.empty) return undefined;
    const key = digestKey(digest);
    const entry = this.#accepted.get(key);
    if (entry) {
      const current = now - entry.at <= RING_MS;
      if (--entry.count === 0 || !current) this.#accepted.delete(key);
      entry.written = Math.min(entry.written, entry.count);
      this.#acceptedCount--;
      if (current) return { is: 'accepted' };
    }
    const list = this.#pending.get(key);
    const first = list?.shift();
    if (!first) return hasId && this.#removed.take(digest, now) ? { is: 'accepted' } : undefined;
    if (list!.length === 0) this.#pending.delete(key);
    return { is: 'pending', owner: first.owner, sequence: first.sequence };
  }

  /**
   * The queue handed over a message that was never delivered before: everything that was in doubt has been seen again or is gone. Where
   * it may have overtaken others that counts only after a while.
   * @returns whether identities were dropped
   */
  sawFresh(overtakes: boolean, now: number): boolean {
    if (Number.isNaN(this.#freshAt)) this.#freshAt = now;
    if (overtakes && now - this.#freshAt < OVERTAKING_MS) return false;
    this.#dropUnnamed();
    return true;
  }

  /**
   * For how long the broker is known to have been running (ms); undefined: nobody knows. What may have been removed before a restart,
   * and has no id, is not recognised after it. What was never acknowledged must come back, and is as good as any message that equals it.
   */
  judged(runningMs: number | undefined, now: number): void {
    if (!this.mindsRestart) return;
    if (runningMs !== undefined && now - runningMs + SLACK_MS < this.#writtenSince) return;
    for (const [key, entry] of this.#accepted) {
      if (entry.hasId || entry.written === 0) continue;
      entry.count -= entry.written;
      this.#acceptedCount -= entry.written;
      entry.written = 0;
      if (entry.count === 0) this.#accepted.delete(key);
    }
    this.#writtenSince = Number.POSITIVE_INFINITY;
  }

  /** The queue is gone with all its messages: what has no id will not be seen again. */
  queueDeleted(): void {
    this.#dropUnnamed();
  }

  /** Forgets what is too old. */
  prune(now: number): void {
    this.#removed.prune(now);
    for (const [key, entry] of this.#accepted) {
      if (now - entry.at <= RING_MS) continue;
      this.#acceptedCount -= entry.count;
      this.#accepted.delete(key);
    }
  }

  #dropUnnamed(): void {
    for (const [key, entry] of this.#accepted) {
      if (entry.hasId) continue;
      this.#acceptedCount -= entry.count;
      this.#accepted.delete(key);
    }
    this.#writtenSince = Number.POSITIVE_INFINITY;
  }
}
