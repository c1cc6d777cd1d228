import type { DeliveryToken } from '../broker/port.ts';
import type { SourceEffect, Taken } from './effects.ts';
import { IdentityLog } from './in-doubt.ts';
import type { Orphans } from './orphans.ts';

/** How long acknowledgements are gathered before the broker is asked whether it has processed them (ms). */
const FLUSH_MS = 200;

/**
 * Acknowledgements that were written and may not have been processed: should their channel die, these messages come again. The
 * identities stay until a barrier on each channel has been answered; only then is the sink told that they are removed. Pure.
 */
export class Removal {
  readonly #remember: (digest: Uint8Array, now: number) => void;
  readonly #log = new IdentityLog();
  #unflushed = new Map<object, DeliveryToken>();
  /** Recognised copies that were acknowledged at once. */
  #recognised: Taken[] = [];
  #flush:
    | { id: number; channels: Set<object>; waiting: number; through: number; recognised: number; intact: boolean }
    | undefined;
  #flushes = 0;
  #removedThrough = 0;
  #at = Number.POSITIVE_INFINITY;
  /** Of the latest acknowledgement, and of the first that may not be processed. */
  #writtenAt = 0;
  #writtenSince = 0;

  /** @param remember told of each message with an id that is removed; the digest is only lent */
  constructor(remember: (digest: Uint8Array, now: number) => void = () => {}) {
    this.#remember = remember;
  }

  /** All numbers up to this one are known to be removed from the source's queue. */
  get removedThrough(): number {
    return this.#removedThrough;
  }
  /** Recognised copies may not be removed yet: peers must not forget them. */
  get recognising(): boolean {
    return this.#recognised.length > 0;
  }
  /** Nothing waits for a barrier. */
  get idle(): boolean {
    return this.#unflushed.size === 0 && !this.#flush;
  }
  get nextFlush(): number {
    return this.#at;
  }

  /** A message got its number: its identity is kept until it is removed. */
  numbered(sequence: number, taken: Taken): void {
    this.#log.set(sequence, taken.digest, taken.hasId);
  }

  /**
   * The dead-letter queue has it. From there it may be replayed, as it was: once it is removed, an equal message is another one, as if
   * it had no id.
   */
  parked(sequence: number, { digest }: Taken): void {
    this.#log.set(sequence, digest, false);
  }

  /** The number ended without an acknowledgement: it is not in doubt. */
  dropped(sequence: number): void {
    this.#log.delete(sequence);
  }

  acknowledged(tokens: readonly DeliveryToken[], now: number): void {
    if (this.idle) this.#writtenSince = now;
    this.#writtenAt = now;
    for (const token of tokens) this.#unflushed.set(token.channel, token);
    if (this.#at === Number.POSITIVE_INFINITY) this.#at = now + FLUSH_MS;
  }

  recognised(copies: readonly Taken[]): void {
    this.#recognised.push(...copies);
  }

  /** Asks each channel for a barrier. @param settledThrough see InFlight */
  flush(settledThrough: number): SourceEffect[] {
    if (this.#flush) {
      this.#at += FLUSH_MS;
      return [];
    }
    this.#at = Number.POSITIVE_INFINITY;
    const tokens = [...this.#unflushed.values()];
    this.#unflushed.clear();
    if (tokens.length === 0) return [];
    const id = ++this.#flushes;
    const channels = new Set(tokens.map(({ channel }) => channel));
    const recognised = this.#recognised.length;
    this.#flush = { id, channels, waiting: tokens.length, through: settledThrough, recognised, intact: true };
    return tokens.map((token) => ({ do: 'flush' as const, token, id }));
  }

  /** One channel has answered barrier `id`. True when more is known to be removed than before. */
  flushed(id: number, processed: boolean): boolean {
    const flush = this.#flush;
    if (flush?.id !== id) return false;
    flush.waiting--;
    if (!processed) flush.intact = false;
    if (flush.waiting > 0) return false;
    this.#flush = undefined;
    if (!flush.intact) return false;
    for (const { digest, hasId } of this.#recognised.splice(0, flush.recognised))
      if (hasId) this.#remember(digest, this.#writtenAt);
    this.#removed(flush.through);
    return true;
  }

  /** Everything up to `settledThrough` is out of the source's hands; without acknowledgements under way that is the end of it. */
  advanced(settledThrough: number): void {
    if (this.idle) this.#removed(settledThrough);
  }

  /**
   * Channels died: acknowledgements that the broker may not have processed are void, so these messages are in doubt.
   * @param channel undefined: all of them
   * @param isOpen whether a number is still in flight (and so cared for elsewhere)
   */
  lost<Owner>(
    channel: object | undefined,
    last: number,
    isOpen: (sequence: number) => boolean,
    orphans: Orphans<Owner>,
    now: number,
  ): void {
    const flushing = this.#flush?.channels;
    const hit =
      channel === undefined
        ? this.#unflushed.size > 0 || flushing !== undefined
        : this.#unflushed.has(channel) || flushing?.has(channel);
    if (!hit) return;
    for (let sequence = this.#removedThrough + 1; sequence <= last; sequence++) {
      if (isOpen(sequence)) continue;
      const identity = this.#log.get(sequence);
      if (identity) orphans.accepted(identity.digest, identity.hasId, now, this.#writtenSince);
    }
    const died = ({ token }: Taken): boolean => channel === undefined || token.channel === channel;
    for (const copy of this.#recognised)
      if (died(copy)) orphans.accepted(copy.digest, copy.hasId, now, this.#writtenSince);
    this.#recognised = this.#recognised.filter((copy) => !died(copy));
    if (channel === undefined) this.#unflushed.clear();
    else this.#unflushed.delete(channel);
    if (this.#flush) this.#flush.intact = false;
  }

  #removed(through: number): void {
    if (through <= this.#removedThrough) return;
    this.#log.forEachNamed(this.#removedThrough + 1, through, (digest) => this.#remember(digest, this.#writtenAt));
    this.#removedThrough = through;
    this.#log.dropThrough(through);
  }
}
