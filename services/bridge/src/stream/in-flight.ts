import type { SequenceRanges, StreamMessage } from '@tombolo/wire/frame';
import type { DeliveryToken } from '../broker/port.ts';
import { type Taken, weightOf } from './effects.ts';
import type { Orphans } from './orphans.ts';
import { clip, eachOf, RangeSet } from './settlement.ts';

/*
 *   (unsent) ──batch──▶ sent ──accept──▶ accepted ──acknowledged──▶ (gone)
 *      │                │ ▲ │
 *      │         release│ │ └─reject──▶ parking ◀──▶ (parked later) ──finish──▶ accepted
 *      │                ▼ │batch
 *      │            released ──due──▶ queued
 *      └─returnUnsent, giveBack, expire──▶ back in the source's queue (after `expire` kept as `returned` until the sink has told
 *        whether it had stored it)
 */
export interface Entry {
  readonly sequence: number;
  readonly taken: Taken;
  /** Undefined: the delivery died with its channel; the broker will hand the message over again. */
  token: DeliveryToken | undefined;
  /** Which consumer took it, for exact credit; 0 after adoption. */
  generation: number;
  status: 'sent' | 'queued' | 'released' | 'accepted' | 'parking' | 'returned';
  resent: boolean;
  /** How many times it was sent. */
  sent: number;
  /** Of releases, or of failed attempts to park it. */
  attempts: number;
  retryAt: number;
  /** Why it is to be parked. */
  reason?: string;
}

const RELEASE_BASE_MS = 100;
/** How long a frame may be under way after another that overtook it. */
const OVERTAKEN_MS = 1_000;
const RELEASE_CAP_MS = 10_000;
const PARK_BASE_MS = 500;
const PARK_CAP_MS = 30_000;

/** The messages that a source stream has taken from its queue and not yet removed from it, by sequence number. Pure. */
export class InFlight<Owner> {
  readonly #owner: Owner;
  readonly #orphans: Orphans<Owner>;
  readonly #dropped: (sequence: number) => void;
  /** Entries of sequence numbers #base …; undefined once acknowledged or given back. */
  #entries: (Entry | undefined)[] = [];
  #base = 1;
  #last = 0;
  #unsent: { readonly taken: Taken; readonly generation: number }[] = [];
  #resend: number[] = [];
  #released = new Set<number>();
  /** Those whose parking failed and is tried again: nothing is sent for it. */
  #unparked = new Set<number>();
  #unsettled = 0;
  #bytes = 0;
  #meanBytes = 0;

  /** @param dropped told of every number that ends otherwise than by an acknowledgement */
  constructor(owner: Owner, orphans: Orphans<Owner>, dropped: (sequence: number) => void) {
    this.#owner = owner;
    this.#orphans = orphans;
    this.#dropped = dropped;
  }

  /** The highest sequence number assigned. */
  get last(): number {
    return this.#last;
  }
  /** Numbers assigned, and messages that wait for theirs: what counts against credit. */
  get taken(): number {
    return this.#last + this.#unsent.length;
  }
  /** All numbers up to this one are out of the source's hands: acknowledged, or back in their queue. */
  get settledThrough(): number {
    return this.#base - 1;
  }
  get unsent(): number {
    return this.#unsent.length;
  }
  /** Sent, or to be sent again, and without a verdict. */
  get unsettled(): number {
    return this.#unsettled;
  }
  /** Bytes of messages that are held in memory. */
  get bytes(): number {
    return this.#bytes;
  }
  /** What a message weighs, by those seen so far; it follows larger ones at once. 0: none was seen. */
  get meanBytes(): number {
    return this.#meanBytes;
  }
  get sendable(): boolean {
    return this.#unsent.length > 0 || this.#resend.length > 0;
  }

  /** When the oldest message without a verdict was handed over (monotonic ms); undefined: there is none. */
  oldest(): number | undefined {
    const open = this.#entries.find((entry) => entry && entry.status !== 'accepted' && entry.status !== 'returned');
    return open?.taken.at ?? this.#unsent[0]?.taken.at;
  }

  entry(sequence: number): Entry | undefined {
    return this.#entries[sequence - this.#base];
  }

  /** Numbers above `settledThrough` that will not be sent (again). */
  gone(): number[] {
    const gone = new RangeSet();
    this.#entries.forEach((entry, i) => {
      if (!entry || entry.status === 'returned') gone.add(this.#base + i);
    });
    return gone.toRanges();
  }

  /** When the next released message is due to be sent again; Infinity: none. */
  nextDue(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const sequence of this.#released) at = Math.min(at, this.entry(sequence)!.retryAt);
    for (const sequence of this.#unparked) at = Math.min(at, this.entry(sequence)!.retryAt);
    return at;
  }

  add(taken: Taken, generation: number): void {
    const bytes = weightOf(taken);
    this.#meanBytes =
      this.#meanBytes === 0 ? bytes : Math.max(bytes / 4, this.#meanBytes + (bytes - this.#meanBytes) / 16);
    this.#bytes += bytes;
    this.#unsent.push({ taken, generation });
  }

  /**
   * The next messages to send, about `maxBytes` of them but at least one: those to be sent again first.
   * @param passes false: this one must wait, and all that come after it
   */
  batch(
    maxBytes: number,
    passes: (taken: Taken) => boolean,
    numbered: (sequence: number, taken: Taken) => void,
  ): StreamMessage[] {
    const messages: StreamMessage[] = [];
    let bytes = 0;
    let resent = 0;
    let stopped = false;
    while (resent < this.#resend.length && bytes < maxBytes) {
      const entry = this.entry(this.#resend[resent]!);
      stopped = entry?.status === 'queued' && !passes(entry.taken);
      if (stopped) break;
      resent++;
      if (entry?.status !== 'queued') continue;
      entry.status = 'sent';
      entry.sent++;
      bytes += weightOf(entry.taken);
      messages.push(messageOf(entry.sequence, entry.taken, entry.resent));
    }
    this.#resend.splice(0, resent);
    let count = 0;
    while (!stopped && count < this.#unsent.length && bytes < maxBytes) {
      const { taken, generation } = this.#unsent[count]!;
      if (!passes(taken)) break;
      count++;
      const sequence = ++this.#last;
      const { token } = taken;
      this.#entries.push({
        sequence,
        taken,
        token,
        generation,
        status: 'sent',
        resent: false,
        sent: 1,
        attempts: 0,
        retryAt: 0,
      });
      numbered(sequence, taken);
      this.#unsettled++;
      bytes += weightOf(taken);
      messages.push(messageOf(sequence, taken, false));
    }
    this.#unsent.splice(0, count);
    return messages;
  }

  // ---- verdicts ----------------------------------------------------------------------------------------------------------

  /** The sink's broker has stored these. Returns those that are to be acknowledged now, and the sum of their ages (ms). */
  accept(
    ranges: SequenceRanges,
    now: number,
  ): { readonly accepted: number; readonly age: number; readonly done: Entry[] } {
    const done: Entry[] = [];
    let accepted = 0;
    let age = 0;
    eachOf(clip(ranges, this.#base, this.#last), (sequence) => {
      const entry = this.entry(sequence);
      if (!entry || entry.status === 'accepted') return;
      if (entry.status === 'returned') {
        // It was given back meanwhile: its copy is recognised when the broker hands it over.
        this.#orphans.accepted(entry.taken.digest, entry.taken.hasId, now);
        this.#clear(entry);
        return;
      }
      accepted++;
      age += now - entry.taken.at;
      if (this.finish(entry, now)) done.push(entry);
    });
    return { accepted, age, done };
  }

  /** The message needs nothing more but its acknowledgement (true), or not even that because its delivery died (false). */
  finish(entry: Entry, now: number): boolean {
    this.#decided(entry);
    if (entry.token) {
      entry.status = 'accepted';
      return true;
    }
    this.#orphans.accepted(entry.taken.digest, entry.taken.hasId, now);
    this.#clear(entry);
    return false;
  }

  /** Its acknowledgement is written. */
  acknowledged(entry: Entry): void {
    this.#entries[entry.sequence - this.#base] = undefined;
  }

  /** To be sent again after a while; false when it cannot be: it is unknown, decided, or its delivery died. */
  release(sequence: number, now: number): boolean {
    const entry = this.entry(sequence);
    if (entry?.status === 'returned') this.#clear(entry); // the sink has not stored it: nothing is in doubt
    if (!entry || (entry.status !== 'sent' && entry.status !== 'parking')) return false;
    if (!entry.token) {
      this.forget(entry);
      return false;
    }
    entry.status = 'released';
    entry.retryAt = now + Math.min(RELEASE_CAP_MS, RELEASE_BASE_MS * 2 ** Math.min(entry.attempts++, 10));
    this.#released.add(sequence);
    return true;
  }

  /** The sink can never take it: it is to be parked. */
  reject(sequence: number, reason: string): Entry | undefined {
    const entry = this.entry(sequence);
    if (entry?.status === 'returned') this.#clear(entry);
    if (!entry || (entry.status !== 'sent' && entry.status !== 'queued' && entry.status !== 'released'))
      return undefined;
    entry.status = 'parking';
    entry.reason = reason;
    entry.attempts = 0;
    this.#released.delete(sequence);
    return entry;
  }

  /** It could not be parked: that is tried again after a while. */
  parkLater(entry: Entry, now: number): void {
    entry.retryAt = now + Math.min(PARK_CAP_MS, PARK_BASE_MS * 2 ** Math.min(entry.attempts++, 10));
    this.#unparked.add(entry.sequence);
  }

  /** Messages whose parking is to be tried again now. */
  parkable(now: number): Entry[] {
    const due: Entry[] = [];
    for (const sequence of this.#unparked) {
      const entry = this.entry(sequence)!;
      if (now < entry.retryAt) continue;
      this.#unparked.delete(sequence);
      due.push(entry);
    }
    return due;
  }

  /**
   * The sink misses these numbers: what was sent is sent again. What has lost its delivery comes again by itself; its number is given up
   * only when it is missed for long, for it may have been overtaken and arrive yet, and would then be there twice.
   */
  missed(ranges: SequenceRanges, now: number): void {
    eachOf(clip(ranges, this.#base, this.#last), (sequence) => {
      const entry = this.entry(sequence);
      if (entry?.status !== 'sent') return;
      if (entry.token) this.#again(entry);
      else if (entry.retryAt === 0) entry.retryAt = now + OVERTAKEN_MS;
      else if (now >= entry.retryAt) this.forget(entry);
    });
  }

  /** Released messages whose time has come are to be sent again. */
  due(now: number): void {
    for (const sequence of this.#released) {
      const entry = this.entry(sequence)!;
      if (now >= entry.retryAt) this.#again(entry);
    }
  }

  /**
   * Compares notes after a broken link: what the sink has not received is sent again, or, when `giveBack`, returned here to be
   * given back to its queue.
   */
  reconcile(received: RangeSet, giveBack: boolean): DeliveryToken[] {
    const back: DeliveryToken[] = [];
    for (const entry of this.#entries) {
      if (!entry || received.has(entry.sequence)) continue;
      if (entry.status === 'returned') this.#clear(entry);
      else if (entry.status === 'sent' || entry.status === 'released' || entry.status === 'queued') {
        // A message whose delivery died is in its queue again and will come by itself.
        if (!entry.token) this.forget(entry);
        else if (giveBack) back.push(...this.giveBack(entry));
        else this.#again(entry);
      }
    }
    return back;
  }

  // ---- back to the queue -------------------------------------------------------------------------------------------------

  /** What was never sent. */
  returnUnsent(): DeliveryToken[] {
    for (const { taken } of this.#unsent) this.#bytes -= weightOf(taken);
    const tokens = this.#unsent.map(({ taken }) => taken.token);
    this.#unsent = [];
    return tokens;
  }

  /** What waits to be parked. */
  returnUnparked(): DeliveryToken[] {
    return [...this.#unparked].flatMap((sequence) => this.giveBack(this.entry(sequence)));
  }

  /** What the sink has released, and what is queued to be sent again: it is not with the sink. */
  returnReleased(): DeliveryToken[] {
    const tokens = [...this.#released, ...this.#resend].flatMap((sequence) => {
      const entry = this.entry(sequence);
      return entry?.status === 'released' || entry?.status === 'queued' ? this.giveBack(entry) : [];
    });
    this.#resend = [];
    return tokens;
  }

  giveBack(entry: Entry | undefined): DeliveryToken[] {
    if (!entry) return [];
    this.#decided(entry);
    this.#clear(entry);
    return entry.token ? [entry.token] : [];
  }

  /** Everything without a verdict. The numbers are remembered until the sink has told whether it had stored them. */
  expire(): DeliveryToken[] {
    const tokens: DeliveryToken[] = [];
    for (const entry of this.#entries) {
      if (!entry || entry.status === 'accepted' || entry.status === 'returned' || entry.status === 'parking') continue;
      this.#decided(entry);
      if (entry.token) tokens.push(entry.token);
      entry.token = undefined;
      entry.status = 'returned';
    }
    this.#resend = [];
    return tokens;
  }

  /** What `expire` would give back; and how many of it were sent, and so may be with the sink. */
  held(): { readonly messages: number; readonly sent: number } {
    const held = this.#entries.filter((entry) => entry?.token && ['sent', 'queued', 'released'].includes(entry.status));
    return { messages: held.length, sent: held.filter((entry) => entry?.status !== 'released').length };
  }

  // ---- lost deliveries ---------------------------------------------------------------------------------------------------

  /** A message that was sent under `sequence` came again: the new delivery stands for it from now on. */
  adopt(sequence: number, token: DeliveryToken): boolean {
    const entry = this.entry(sequence);
    if (!entry || entry.token || entry.status === 'accepted' || entry.status === 'returned') return false;
    entry.token = token;
    entry.generation = 0;
    return true;
  }

  /** Deliveries died. What was sent waits as an orphan for its verdict or its copy; the rest comes again by itself. */
  lost(hit: (token: DeliveryToken | undefined) => boolean, now: number): void {
    this.#unsent = this.#unsent.filter(({ taken }) => {
      if (!hit(taken.token)) return true;
      this.#bytes -= weightOf(taken);
      return false;
    });
    for (const entry of this.#entries) {
      if (!entry || !hit(entry.token)) continue;
      entry.token = undefined;
      if (entry.status === 'accepted') {
        this.#orphans.accepted(entry.taken.digest, entry.taken.hasId, now);
        this.#clear(entry);
      } else if (entry.status === 'sent' || entry.status === 'parking') {
        this.#orphans.lost(entry.taken.digest, this.#owner, entry.sequence);
      } else if (entry.status !== 'returned') this.forget(entry);
    }
    this.#resend = this.#resend.filter((sequence) => this.entry(sequence)?.status === 'queued');
  }

  /** It is with neither side any more: its queue has it and will hand it over again. */
  forget(entry: Entry): void {
    this.#decided(entry);
    this.#clear(entry);
  }

  /** The queue is gone with all its messages; returns the deliveries that were held of it. */
  clear(): DeliveryToken[] {
    const tokens = this.#unsent.map(({ taken }) => taken.token);
    for (const entry of this.#entries) {
      if (entry?.token) tokens.push(entry.token);
      else if (entry) this.#orphans.decided(entry.taken.digest, this.#owner, entry.sequence);
    }
    this.#entries = [];
    this.#base = this.#last + 1;
    this.#unsent = [];
    this.#resend = [];
    this.#released.clear();
    this.#unparked.clear();
    this.#unsettled = 0;
    this.#bytes = 0;
    return tokens;
  }

  /** Moves on over numbers that are done; false when there were none at the front. */
  advance(): boolean {
    let count = 0;
    while (count < this.#entries.length && this.#entries[count] === undefined) count++;
    if (count === 0) return false;
    this.#entries.splice(0, count);
    this.#base += count;
    return true;
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  /** There is a verdict: its body is not needed any more. */
  #decided(entry: Entry): void {
    this.#unsettled--;
    this.#bytes -= weightOf(entry.taken);
    this.#released.delete(entry.sequence);
    this.#unparked.delete(entry.sequence);
    if (!entry.token) this.#orphans.decided(entry.taken.digest, this.#owner, entry.sequence);
  }

  #clear(entry: Entry): void {
    this.#dropped(entry.sequence);
    this.#released.delete(entry.sequence);
    this.#entries[entry.sequence - this.#base] = undefined;
  }

  #again(entry: Entry): void {
    this.#released.delete(entry.sequence);
    if (entry.status === 'queued') return;
    entry.status = 'queued';
    entry.resent = true;
    entry.retryAt = 0;
    const last = this.#resend.at(-1);
    if (last === undefined || last < entry.sequence) this.#resend.push(entry.sequence);
    else
      this.#resend.splice(
        this.#resend.findIndex((other) => other > entry.sequence),
        0,
        entry.sequence,
      );
  }
}

function messageOf(sequence: number, taken: Taken, resent: boolean): StreamMessage {
  const { redelivered, digest, hasId, exchange, routingKey, properties, body } = taken;
  return { sequence, redelivered, resent, digest, hasId, exchange, routingKey, properties, body };
}
