import type {
  CreditFrame,
  MessagesFrame,
  QueueProperties,
  ResumeFrame,
  SequenceRanges,
  SettleFrame,
  StreamAddress,
  StreamEpoch,
  StreamMessage,
} from '@tombolo/wire/frame';
import type { ConsumerEnd, Delivery, DeliveryToken } from '../broker/port.ts';
import type { SourceEffect, Taken } from './effects.ts';
import { weightOf } from './effects.ts';
import { IdentityLog, type Orphans } from './in-doubt.ts';
import { clip, eachOf, RangeSet } from './settlement.ts';

/*
 *            linkUp            resume                 withdraw, drain
 *   idle ───────────▶ opening ───────▶ flowing ───────────────────────▶ finishing ──▶ ended [4]
 *    ▲                  │  ▲              │ linkLost                       ▲
 *    │           refuse │  │ linkUp [2]   ▼                                │
 *    └──────────────────┘  └───────── suspended ───────────────────────────┘
 *         retryAt [1]                  (hold [3])
 *
 * [1] Refused: tried again when the sink said, or when its demand changes.
 * [2] The same epoch is taken up: the two halves compare notes and only what is unsettled is sent again.
 * [3] What was never sent goes back to its queue at once; what was sent and is not settled is held, then given back.
 * [4] Nothing taken is left: everything is settled and acknowledged, or was given back.
 */
type Phase =
  | { readonly is: 'idle'; readonly retryAt: number; readonly reason: string | undefined }
  | { readonly is: 'opening'; readonly retryAt: number }
  | { readonly is: 'flowing' }
  | { readonly is: 'suspended' }
  | { readonly is: 'finishing'; readonly reason: string; readonly forward: boolean }
  | { readonly is: 'ended'; readonly reason: string };

interface Entry {
  readonly sequence: number;
  readonly taken: Taken;
  /** Undefined: the delivery died with its channel; the broker will hand the message over again. */
  token: DeliveryToken | undefined;
  /** Which consumer took it, for exact credit; 0 after adoption. */
  generation: number;
  status: 'sent' | 'queued' | 'released' | 'accepted' | 'parking' | 'returned';
  resent: boolean;
  attempts: number;
  retryAt: number;
}

/** One consumer on the source's queue. `acknowledged + prefetch ≤ granted − base` holds as long as it lives. */
interface Generation {
  readonly id: number;
  readonly prefetch: number;
  readonly base: number;
  acknowledged: number;
  delivered: number;
  cancelling: boolean;
}

export interface SourceSettings {
  readonly address: StreamAddress;
  readonly connector: string;
  readonly epoch: StreamEpoch;
  readonly queue: QueueProperties;
  readonly prefetchSize: number;
  readonly prefetchBytes: number;
  readonly holdMs: number;
}

/** What streams of one queue and of one bridge share. */
export interface SourceEnvironment {
  readonly orphans: Orphans<SourceStream>;
  /** Bytes that the bridge may still take from its broker. */
  bytesFree(): number;
  /** Why the queue must not be consumed at present, or undefined. */
  barred(): string | undefined;
  /** A message that was never delivered before was seen. */
  sawFresh(): void;
}

const FIRST_PREFETCH = 4;
const WITHHELD_MS = 100;
const REOPEN_MS = 5_000;
const STATE_MS = 1_000;
const FLUSH_MS = 200;
const CONSUME_RETRY_MS = 2_000;
const RELEASE_BASE_MS = 100;
const RELEASE_CAP_MS = 10_000;

/** The source's half of a stream: takes messages while credit lasts, forwards them, acknowledges what is settled. Pure: events in, effects out. */
export class SourceStream {
  readonly settings: SourceSettings;
  readonly counts = { accepted: 0, released: 0, rejected: 0, returned: 0, suppressed: 0 };
  #environment: SourceEnvironment;
  #phase: Phase = { is: 'idle', retryAt: Number.POSITIVE_INFINITY, reason: undefined };
  #linked = false;
  #brokerUp = true;
  /** Entries of sequence numbers #base …; undefined once acknowledged or given back. */
  #entries: (Entry | undefined)[] = [];
  #base = 1;
  #last = 0;
  #unsent: { taken: Taken; generation: number }[] = [];
  #resend: number[] = [];
  #released = new Set<number>();
  #withheld: Entry[] = [];
  #withheldSince = 0;
  #granted = 0;
  #creditVersion = 0;
  #sinkIncarnation = 0;
  #generation: Generation | undefined;
  #generations = 0;
  #consumeAt = 0;
  #refusal: string | undefined;
  #meanBytes = 0;
  #unsettledBytes = 0;
  #unsettled = 0;
  #holdUntil = Number.POSITIVE_INFINITY;
  #log = new IdentityLog();
  #unflushed = new Map<object, DeliveryToken>();
  /** Recognised messages that were acknowledged at once: should their channel die, they come again. */
  #suppressed: Taken[] = [];
  #flush:
    | { id: number; channels: Set<object>; waiting: number; through: number; suppressed: number; intact: boolean }
    | undefined;
  #flushes = 0;
  #flushAt = Number.POSITIVE_INFINITY;
  #removedThrough = 0;
  #stateAt = Number.POSITIVE_INFINITY;
  #out: SourceEffect[] = [];

  constructor(settings: SourceSettings, environment: SourceEnvironment) {
    this.settings = settings;
    this.#environment = environment;
  }

  // ---- what is seen from outside -------------------------------------------------------------------------------------

  get phase(): Phase['is'] {
    return this.#phase.is;
  }
  get last(): number {
    return this.#last;
  }
  get granted(): number {
    return this.#granted;
  }
  /** Messages taken under credit: sent, or about to be. */
  get taken(): number {
    return this.#last + this.#unsent.length;
  }
  get unsettled(): number {
    return this.#unsettled + this.#unsent.length;
  }
  /** Recognised messages were acknowledged, and the broker may not have processed that yet. */
  get suppressing(): boolean {
    return this.#suppressed.length > 0;
  }
  /** Bytes of messages held in memory. */
  get bytes(): number {
    return this.#unsettledBytes;
  }
  get consuming(): boolean {
    return this.#generation !== undefined;
  }
  /** Numbers sent of which the sink has not said that it stored them, and which may be with it. */
  get hasUnsent(): boolean {
    return this.#linked && this.#opened() && (this.#unsent.length > 0 || this.#resend.length > 0);
  }

  /** Why nothing moves, as a sentence, or undefined. */
  blockedBy(): string | undefined {
    const phase = this.#phase;
    switch (phase.is) {
      case 'idle':
        return phase.reason ?? 'the stream is not open yet';
      case 'opening':
        return 'waiting for the sink to answer';
      case 'suspended':
        return 'the link is down';
      case 'finishing':
      case 'ended':
        return phase.reason;
      case 'flowing':
        if (!this.#brokerUp) return 'the broker is not reachable';
        if (this.#refusal) return this.#refusal;
        return (
          this.#environment.barred() ??
          (this.#granted <= this.taken ? 'no credit: the sink has no consumer that could take more' : undefined)
        );
      default:
        return unreachable(phase);
    }
  }

  /** When `wake` is due next (monotonic ms); Infinity: never. */
  nextWake(): number {
    let at = Math.min(this.#holdUntil, this.#stateAt, this.#flushAt);
    if (this.#linked && (this.#phase.is === 'idle' || this.#phase.is === 'opening'))
      at = Math.min(at, this.#phase.retryAt);
    if (this.#withheld.length > 0 && this.#generation && !this.#generation.cancelling)
      at = Math.min(at, this.#withheldSince + WITHHELD_MS);
    if (this.#consumeAt > 0 && !this.#generation && this.#phase.is === 'flowing' && this.#linked && this.#brokerUp)
      at = Math.min(at, this.#consumeAt);
    for (const sequence of this.#released) at = Math.min(at, this.#entry(sequence)?.retryAt ?? at);
    return at;
  }

  // ---- link ------------------------------------------------------------------------------------------------------------

  linkUp(now: number): SourceEffect[] {
    this.#linked = true;
    if (this.#phase.is === 'finishing') this.#sendOpen();
    else if (this.#phase.is !== 'ended') this.#open(now);
    return this.#take();
  }

  linkLost(now: number): SourceEffect[] {
    this.#linked = false;
    this.#creditVersion = 0;
    this.#granted = Math.min(this.#granted, this.taken);
    this.#stopConsuming();
    this.#returnUnsent('link_lost');
    if (this.#phase.is === 'opening' || this.#phase.is === 'flowing') this.#setPhase({ is: 'suspended' });
    if (this.#unsettled > 0) this.#holdUntil = now + this.settings.holdMs;
    this.#settleDown(now);
    return this.#take();
  }

  /** The sink's demand stands (again): a refusal is reconsidered, a withdrawal that is not complete is undone. */
  demanded(now: number): SourceEffect[] {
    if (this.#phase.is === 'finishing' && !this.#phase.forward) this.#setPhase({ is: 'suspended' });
    if (this.#linked && (this.#phase.is === 'idle' || this.#phase.is === 'suspended')) this.#open(now);
    return this.#take();
  }

  resumed(frame: ResumeFrame, now: number): SourceEffect[] {
    if (!this.#isOurs(frame) || !this.#linked) return [];
    if (this.#phase.is !== 'opening' && this.#phase.is !== 'finishing') return [];
    if (this.#phase.is === 'opening') this.#setPhase({ is: 'flowing' });
    this.#holdUntil = Number.POSITIVE_INFINITY;
    const anew = this.#sinkIncarnation !== 0 && frame.sinkIncarnation !== this.#sinkIncarnation;
    this.#sinkIncarnation = frame.sinkIncarnation;
    this.#accept(frame.accepted, now);
    for (const { sequence, reason } of frame.rejected) this.#reject(sequence, reason);
    const received = new RangeSet(clip(frame.received, this.#base, this.#last));
    for (const entry of this.#entries) {
      if (!entry || received.has(entry.sequence)) continue;
      if (entry.status === 'returned') this.#drop(entry);
      else if (entry.status === 'sent' || entry.status === 'released' || entry.status === 'queued') {
        // A message whose delivery died is in its queue again and will come by itself.
        if (!entry.token) this.#forgetOrphan(entry);
        else if (this.#phase.is === 'finishing' && !this.#phase.forward) this.#giveBack(entry, 'withdrawn');
        else this.#again(entry, anew);
      }
    }
    this.#advance();
    this.#stateAt = Math.min(this.#stateAt, now);
    this.#credit(frame.creditVersion, frame.granted, now);
    if (this.hasUnsent) this.#out.push({ do: 'offer' });
    this.#settleDown(now);
    return this.#take();
  }

  refused(epoch: StreamEpoch, reason: string, retryAfterMs: number, now: number): SourceEffect[] {
    if (!this.#isOurs(epoch) || this.#phase.is === 'ended') return [];
    this.#stopConsuming();
    this.#returnUnsent('refused');
    if (this.#phase.is !== 'finishing') this.#setPhase({ is: 'idle', retryAt: now + retryAfterMs, reason });
    if (this.#unsettled > 0 && this.#holdUntil === Number.POSITIVE_INFINITY)
      this.#holdUntil = now + this.settings.holdMs;
    return this.#take();
  }

  // ---- credit and settlement -------------------------------------------------------------------------------------------

  credited(frame: CreditFrame, now: number): SourceEffect[] {
    if (this.#isOurs(frame) && this.#opened()) this.#credit(frame.creditVersion, frame.granted, now);
    return this.#take();
  }

  settled(frame: SettleFrame, now: number): SourceEffect[] {
    if (!this.#isOurs(frame)) return [];
    this.#accept(frame.accepted, now);
    eachOf(clip(frame.released, this.#base, this.#last), (sequence) => this.#release(sequence, now));
    for (const { sequence, reason } of frame.rejected) this.#reject(sequence, reason);
    this.#advance();
    this.#consume(now);
    this.#settleDown(now);
    return this.#take();
  }

  /** The sink misses these numbers. */
  missed(epoch: StreamEpoch, missing: SequenceRanges, now: number): SourceEffect[] {
    if (!this.#isOurs(epoch) || !this.#opened()) return [];
    eachOf(clip(missing, this.#base, this.#last), (sequence) => {
      const entry = this.#entry(sequence);
      if (entry?.status === 'sent') {
        if (entry.token) this.#again(entry, false);
        else this.#forgetOrphan(entry);
      }
    });
    this.#advance();
    // What is gone is told at once, so that the sink does not wait for it.
    this.#sendState(now);
    if (this.hasUnsent) this.#out.push({ do: 'offer' });
    return this.#take();
  }

  /** A rejected message is parked in the dead-letter queue (`true`), or could not be and stays for a later attempt. */
  parked(sequence: number, stored: boolean, now: number): SourceEffect[] {
    const entry = this.#entry(sequence);
    if (entry?.status === 'parking') {
      if (stored) this.#finish(entry, now);
      else this.#release(sequence, now);
      this.#advance();
      this.#settleDown(now);
    }
    return this.#take();
  }

  // ---- the source's broker ---------------------------------------------------------------------------------------------

  delivered(generation: number, batch: readonly Taken[], now: number): SourceEffect[] {
    const current = this.#generation;
    const done: Taken[] = [];
    for (const taken of batch) {
      if (current?.id === generation) current.delivered++;
      if (taken.redelivered) {
        const match = this.#environment.orphans.take(taken.digest, now);
        if (match?.is === 'accepted') {
          done.push(taken);
          continue;
        }
        if (match?.is === 'pending' && match.owner.adopt(match.sequence, taken.token)) continue;
      } else if (this.#environment.orphans.transient) this.#environment.sawFresh();
      const bytes = weightOf(taken);
      this.#meanBytes =
        this.#meanBytes === 0 ? bytes : Math.max(bytes / 4, this.#meanBytes + (bytes - this.#meanBytes) / 16);
      this.#unsettledBytes += bytes;
      this.#unsent.push({ taken, generation });
    }
    if (done.length > 0) {
      this.counts.suppressed += done.length;
      this.#suppressed.push(...done);
      this.#out.push({ do: 'count', what: 'suppressed', n: done.length });
      this.#acknowledge(
        done.map(({ token }) => token),
        now,
      );
    }
    if (this.#phase.is !== 'flowing' && !(this.#phase.is === 'finishing' && this.#phase.forward && this.#linked))
      this.#returnUnsent('withdrawn');
    if (this.hasUnsent) this.#out.push({ do: 'offer' });
    this.#judgeGeneration(now);
    this.#settleDown(now);
    return this.#take();
  }

  /** A message that was sent under `sequence` came again: the new delivery stands for it from now on. */
  adopt(sequence: number, token: DeliveryToken): boolean {
    const entry = this.#entry(sequence);
    if (!entry || entry.token || entry.status === 'accepted' || entry.status === 'returned') return false;
    entry.token = token;
    entry.generation = 0;
    return true;
  }

  consumerEnded(generation: number, end: ConsumerEnd, now: number): SourceEffect[] {
    if (this.#generation?.id !== generation) return this.#take();
    this.#generation = undefined;
    switch (end.why) {
      case 'cancelled':
        this.#freeWithheld(now);
        break;
      case 'queue-gone':
        this.queueGone(now);
        break;
      case 'lost':
        this.#consumeAt = now + FLUSH_MS;
        break;
      case 'refused':
        this.#refusal = end.fault.message;
        this.#consumeAt = now + CONSUME_RETRY_MS;
        break;
      default:
        unreachable(end);
    }
    this.#consume(now);
    this.#settleDown(now);
    return this.#take();
  }

  /**
   * A channel died (undefined: the whole connection): its deliveries are not valid any more, the broker will hand these
   * messages over again, flagged as redelivered.
   */
  channelLost(channel: object | undefined, now: number): SourceEffect[] {
    const hit = (token: DeliveryToken | undefined) =>
      token !== undefined && (channel === undefined || token.channel === channel);
    this.#unsent = this.#unsent.filter(({ taken }) => {
      if (!hit(taken.token)) return true;
      this.#unsettledBytes -= weightOf(taken);
      return false;
    });
    // Acknowledgements that were written but are not known to be processed may be void.
    const flushing = this.#flush?.channels;
    if (
      channel === undefined
        ? this.#unflushed.size > 0 || flushing
        : this.#unflushed.has(channel) || flushing?.has(channel)
    ) {
      for (let sequence = this.#removedThrough + 1; sequence <= this.#last; sequence++) {
        if (this.#entry(sequence)) continue;
        const identity = this.#log.get(sequence);
        if (identity) this.#environment.orphans.accepted(identity.digest, identity.hasId, now);
      }
      for (const taken of this.#suppressed)
        if (hit(taken.token)) this.#environment.orphans.accepted(taken.digest, taken.hasId, now);
      this.#suppressed = this.#suppressed.filter((taken) => !hit(taken.token));
      if (channel === undefined) this.#unflushed.clear();
      else this.#unflushed.delete(channel);
      if (this.#flush) this.#flush.intact = false;
    }
    for (const entry of this.#entries) {
      if (!entry || !hit(entry.token)) continue;
      entry.token = undefined;
      if (entry.status === 'accepted') {
        this.#environment.orphans.accepted(entry.taken.digest, entry.taken.hasId, now);
        this.#drop(entry);
      } else if (entry.status === 'released') {
        this.#environment.orphans.lost(entry.taken.digest, this, entry.sequence);
        this.#forgetOrphan(entry);
      } else if (entry.status !== 'returned') this.#environment.orphans.lost(entry.taken.digest, this, entry.sequence);
    }
    this.#withheld = this.#withheld.filter((entry) => entry.token !== undefined);
    this.#resend = this.#resend.filter((sequence) => this.#resendable(sequence));
    this.#advance();
    return this.#take();
  }

  /** The source's broker cannot be used (`false`), or can again. */
  brokerUp(up: boolean, now: number): SourceEffect[] {
    this.#brokerUp = up;
    if (!up) {
      this.#generation = undefined;
      return this.channelLost(undefined, now);
    }
    this.#consumeAt = 0;
    this.#consume(now);
    return this.#take();
  }

  /** The queue was deleted, with all that it held: this epoch has nothing more to say. */
  queueGone(now: number): SourceEffect[] {
    this.#generation = undefined;
    for (const entry of this.#entries)
      if (entry && !entry.token) this.#environment.orphans.decided(entry.taken.digest, this, entry.sequence);
    this.#entries = [];
    this.#base = this.#last + 1;
    this.#unsent = [];
    this.#resend = [];
    this.#released.clear();
    this.#withheld = [];
    this.#unsettled = 0;
    this.#unsettledBytes = 0;
    this.#end('the queue was deleted', now);
    return this.#take();
  }

  /** Something that `barred` depends on has changed. */
  reconsider(now: number): SourceEffect[] {
    if (this.#environment.barred()) this.#stopConsuming();
    this.#consume(now);
    return this.#take();
  }

  /** `flush` number `id` was answered for one channel. */
  flushed(id: number, processed: boolean, now: number): SourceEffect[] {
    if (this.#flush?.id === id) {
      this.#flush.waiting--;
      if (!processed) this.#flush.intact = false;
      if (this.#flush.waiting === 0) {
        if (this.#flush.intact) {
          this.#removedThrough = Math.max(this.#removedThrough, this.#flush.through);
          this.#log.dropThrough(this.#removedThrough);
          this.#suppressed.splice(0, this.#flush.suppressed);
          this.#stateAt = Math.min(this.#stateAt, now + STATE_MS);
        }
        this.#flush = undefined;
      }
      this.#settleDown(now);
    }
    return this.#take();
  }

  // ---- ending ----------------------------------------------------------------------------------------------------------

  /** The sink has withdrawn its demand, or the connector does not permit it any more. */
  withdraw(reason: string, now: number): SourceEffect[] {
    if (this.#phase.is !== 'ended') {
      this.#setPhase({ is: 'finishing', reason, forward: false });
      this.#granted = Math.min(this.#granted, this.taken);
      this.#stopConsuming();
      this.#returnUnsent('withdrawn');
      for (const sequence of [...this.#released, ...this.#resend]) this.#giveBack(this.#entry(sequence)!, 'withdrawn');
      this.#resend = [];
      if (!this.#linked && this.#unsettled > 0) this.#holdUntil = Math.min(this.#holdUntil, now + this.settings.holdMs);
      this.#advance();
      this.#settleDown(now);
    }
    return this.#take();
  }

  /** Clean stop: nothing more is taken; what was taken is forwarded and settled first. */
  drain(now: number): SourceEffect[] {
    if (this.#phase.is !== 'ended') {
      const forward = this.#opened() && this.#linked;
      this.#setPhase({ is: 'finishing', reason: 'draining', forward });
      this.#granted = Math.min(this.#granted, this.taken);
      this.#stopConsuming();
      if (!forward) this.#returnUnsent('draining');
      for (const sequence of this.#released) this.#giveBack(this.#entry(sequence)!, 'draining');
      if (!this.#linked) this.#expireHold('draining');
      if (this.hasUnsent) this.#out.push({ do: 'offer' });
      this.#advance();
      this.#settleDown(now);
    }
    return this.#take();
  }

  /** Gives everything back that is not settled, at once. */
  abandon(reason: string, now: number): SourceEffect[] {
    this.#returnUnsent(reason);
    this.#expireHold(reason);
    this.#end(reason, now);
    return this.#take();
  }

  wake(now: number): SourceEffect[] {
    if (now >= this.#holdUntil) this.#expireHold('link_lost');
    const phase = this.#phase;
    if ((phase.is === 'idle' || phase.is === 'opening') && now >= phase.retryAt && this.#linked) this.#open(now);
    if (now >= this.#stateAt) this.#sendState(now);
    if (now >= this.#flushAt) this.#startFlush();
    if (this.#withheld.length > 0 && this.#generation && now >= this.#withheldSince + WITHHELD_MS)
      this.#stopConsuming();
    for (const sequence of this.#released) {
      const entry = this.#entry(sequence);
      if (entry && now >= entry.retryAt) this.#again(entry, true);
    }
    if (this.hasUnsent) this.#out.push({ do: 'offer' });
    this.#consume(now);
    this.#settleDown(now);
    return this.#take();
  }

  // ---- forwarding --------------------------------------------------------------------------------------------------------

  /**
   * The next messages to send, at most `maxBytes` of them (but at least one): what is sent again first, then fresh ones,
   * which get their numbers here. Undefined when there is nothing to send.
   */
  nextBatch(maxBytes: number, now: number): MessagesFrame | undefined {
    if (!this.hasUnsent) return undefined;
    const messages: StreamMessage[] = [];
    let bytes = 0;
    while (this.#resend.length > 0 && bytes < maxBytes) {
      const entry = this.#entry(this.#resend.shift()!);
      if (entry?.status !== 'queued') continue;
      entry.status = 'sent';
      bytes += weightOf(entry.taken);
      messages.push(messageOf(entry.sequence, entry.taken, entry.resent));
    }
    let count = 0;
    while (count < this.#unsent.length && bytes < maxBytes) {
      const { taken, generation } = this.#unsent[count++]!;
      const sequence = ++this.#last;
      this.#entries.push({
        sequence,
        taken,
        token: taken.token,
        generation,
        status: 'sent',
        resent: false,
        attempts: 0,
        retryAt: 0,
      });
      this.#log.set(sequence, taken.digest, taken.hasId);
      this.#unsettled++;
      bytes += weightOf(taken);
      messages.push(messageOf(sequence, taken, false));
    }
    if (count > 0) this.#unsent.splice(0, count);
    this.#stateAt = Math.min(this.#stateAt, now + STATE_MS);
    if (messages.length === 0) return undefined;
    return { kind: 'messages', address: this.settings.address, ...this.settings.epoch, messages };
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  #take(): SourceEffect[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #setPhase(phase: Phase): void {
    this.#phase = phase;
  }

  #isOurs(epoch: StreamEpoch): boolean {
    return epoch.incarnation === this.settings.epoch.incarnation && epoch.epoch === this.settings.epoch.epoch;
  }

  /** The sink has answered on this link. */
  #opened(): boolean {
    return this.#phase.is === 'flowing' || (this.#phase.is === 'finishing' && this.#creditVersion > 0);
  }

  #open(now: number): void {
    this.#setPhase({ is: 'opening', retryAt: now + REOPEN_MS });
    this.#sendOpen();
  }

  #sendOpen(): void {
    this.#out.push({
      do: 'send',
      frame: {
        kind: 'open',
        address: this.settings.address,
        ...this.settings.epoch,
        connector: this.settings.connector,
        last: this.#last,
        settledThrough: this.#base - 1,
        gone: this.#gone(),
        queue: this.settings.queue,
      },
    });
  }

  #gone(): number[] {
    const gone = new RangeSet();
    for (let i = 0; i < this.#entries.length; i++) {
      const entry = this.#entries[i];
      if (!entry || entry.status === 'returned') gone.add(this.#base + i);
    }
    return gone.toRanges();
  }

  #sendState(now: number): void {
    this.#stateAt = this.#unsettled > 0 ? now + STATE_MS : Number.POSITIVE_INFINITY;
    if (!this.#linked || !this.#opened()) return;
    this.#out.push({
      do: 'send',
      frame: {
        kind: 'state',
        address: this.settings.address,
        ...this.settings.epoch,
        sent: this.#last,
        settledThrough: this.#base - 1,
        removedThrough: this.#removedThrough,
        creditVersion: this.#creditVersion,
        taken: this.taken,
        returned: this.#gone(),
        empty: this.#unsent.length === 0 && this.#unsettled === 0,
      },
    });
  }

  #credit(version: number, granted: number, now: number): void {
    if (version > this.#creditVersion) {
      const lowered = granted < this.#granted;
      this.#creditVersion = version;
      this.#granted = this.#phase.is === 'finishing' ? Math.min(granted, this.taken) : granted;
      const generation = this.#generation;
      if (generation && generation.base + generation.prefetch + generation.acknowledged > this.#granted)
        this.#stopConsuming();
      if (lowered) this.#sendState(now);
      else this.#stateAt = Math.min(this.#stateAt, now + STATE_MS);
    } else this.#sendState(now); // said again: the sink has not heard how things stand
    this.#pumpWithheld(now);
    this.#judgeGeneration(now);
    this.#consume(now);
  }

  #stopConsuming(): void {
    if (!this.#generation || this.#generation.cancelling) return;
    this.#generation.cancelling = true;
    this.#out.push({ do: 'cancel', generation: this.#generation.id });
  }

  /** Bytes bound the prefetch too: the broker knows no other way than a count. */
  #prefetchLimit(): number {
    if (this.#meanBytes === 0) return FIRST_PREFETCH;
    const bytes = Math.min(this.settings.prefetchBytes - this.#unsettledBytes, this.#environment.bytesFree());
    return Math.min(this.settings.prefetchSize, Math.floor(bytes / this.#meanBytes));
  }

  #consume(now: number): void {
    if (this.#generation || this.#phase.is !== 'flowing' || !this.#linked || !this.#brokerUp) return;
    if (now < this.#consumeAt) return;
    this.#consumeAt = 0;
    if (this.#environment.barred()) return;
    const credit = this.#granted - this.taken;
    if (credit < 1) return;
    let limit = this.#prefetchLimit();
    if (limit < 1) {
      if (this.#unsettledBytes > 0 || this.#environment.bytesFree() <= 0) {
        this.#consumeAt = now + WITHHELD_MS;
        return;
      }
      limit = 1; // a single message larger than the bound still has to travel
    }
    this.#refusal = undefined;
    const prefetch = Math.min(credit, limit);
    this.#generation = {
      id: ++this.#generations,
      prefetch,
      base: this.taken,
      acknowledged: 0,
      delivered: 0,
      cancelling: false,
    };
    this.#out.push({ do: 'consume', generation: this.#generations, prefetch });
  }

  /** A consumer whose prefetch has become too small (or, by the messages' size, too large) is replaced. */
  #judgeGeneration(_now: number): void {
    const generation = this.#generation;
    if (!generation || generation.cancelling || generation.delivered < generation.prefetch) return;
    const wanted = Math.min(this.#granted - this.taken, this.#prefetchLimit());
    const tooLarge = generation.prefetch > 1 && generation.prefetch * this.#meanBytes > this.settings.prefetchBytes * 2;
    if (wanted >= generation.prefetch * 2 || tooLarge) this.#stopConsuming();
  }

  #entry(sequence: number): Entry | undefined {
    return this.#entries[sequence - this.#base];
  }

  #accept(ranges: SequenceRanges, now: number): void {
    let accepted = 0;
    let elapsed = 0;
    eachOf(clip(ranges, this.#base, this.#last), (sequence) => {
      const entry = this.#entry(sequence);
      if (!entry || entry.status === 'accepted') return;
      if (entry.status === 'returned') {
        // It was given back meanwhile: its copy is recognised when the broker hands it over.
        this.#environment.orphans.accepted(entry.taken.digest, entry.taken.hasId, now);
        this.#drop(entry);
        return;
      }
      accepted++;
      elapsed += now - entry.taken.at;
      this.#finish(entry, now);
    });
    if (accepted === 0) return;
    this.counts.accepted += accepted;
    this.#out.push(
      { do: 'count', what: 'forwarded', n: accepted },
      { do: 'duration', ms: elapsed / accepted, n: accepted },
    );
    this.#pumpWithheld(now);
    this.#advance();
  }

  /** The message needs nothing more but its acknowledgement. */
  #finish(entry: Entry, now: number): void {
    this.#unsettled--;
    this.#unsettledBytes -= weightOf(entry.taken);
    this.#released.delete(entry.sequence);
    if (!entry.token) {
      this.#environment.orphans.decided(entry.taken.digest, this, entry.sequence);
      this.#environment.orphans.accepted(entry.taken.digest, entry.taken.hasId, now);
      this.#entries[entry.sequence - this.#base] = undefined;
      return;
    }
    entry.status = 'accepted';
    if (this.#withheld.length === 0) this.#withheldSince = now;
    this.#withheld.push(entry);
  }

  /** Acknowledges what credit permits: the broker hands over one more message for each acknowledgement to a live consumer. */
  #pumpWithheld(now: number): void {
    if (this.#withheld.length === 0) return;
    const generation = this.#generation;
    let allowed = generation ? this.#granted - generation.base - generation.prefetch - generation.acknowledged : 0;
    const tokens: DeliveryToken[] = [];
    const rest: Entry[] = [];
    for (const entry of this.#withheld) {
      if (generation && entry.generation === generation.id) {
        if (allowed <= 0) {
          rest.push(entry);
          continue;
        }
        allowed--;
        generation.acknowledged++;
      }
      tokens.push(entry.token!);
      this.#entries[entry.sequence - this.#base] = undefined;
    }
    this.#withheld = rest;
    if (tokens.length > 0) {
      this.#withheldSince = now;
      this.#acknowledge(tokens, now);
    }
  }

  #freeWithheld(now: number): void {
    this.#pumpWithheld(now);
    this.#advance();
  }

  #acknowledge(tokens: readonly DeliveryToken[], now: number): void {
    this.#out.push({ do: 'acknowledge', tokens });
    for (const token of tokens) this.#unflushed.set(token.channel, token);
    if (this.#flushAt === Number.POSITIVE_INFINITY) this.#flushAt = now + FLUSH_MS;
  }

  #startFlush(): void {
    if (this.#flush) {
      this.#flushAt += FLUSH_MS;
      return;
    }
    this.#flushAt = Number.POSITIVE_INFINITY;
    const tokens = [...this.#unflushed.values()];
    this.#unflushed.clear();
    if (tokens.length === 0) return;
    this.#flush = {
      id: ++this.#flushes,
      channels: new Set(tokens.map(({ channel }) => channel)),
      waiting: tokens.length,
      through: this.#base - 1,
      suppressed: this.#suppressed.length,
      intact: true,
    };
    for (const token of tokens) this.#out.push({ do: 'flush', token, id: this.#flushes });
  }

  #release(sequence: number, now: number): void {
    const entry = this.#entry(sequence);
    if (!entry || (entry.status !== 'sent' && entry.status !== 'parking')) return;
    this.counts.released++;
    if (!entry.token) {
      this.#forgetOrphan(entry);
      return;
    }
    if (this.#phase.is === 'finishing') {
      this.#giveBack(entry, 'released');
      return;
    }
    entry.status = 'released';
    entry.retryAt = now + Math.min(RELEASE_CAP_MS, RELEASE_BASE_MS * 2 ** Math.min(entry.attempts++, 10));
    this.#released.add(sequence);
  }

  #reject(sequence: number, reason: string): void {
    const entry = this.#entry(sequence);
    if (!entry || (entry.status !== 'sent' && entry.status !== 'queued' && entry.status !== 'released')) return;
    entry.status = 'parking';
    this.#released.delete(sequence);
    this.counts.rejected++;
    this.#out.push(
      { do: 'count', what: 'rejected', n: 1, reason },
      { do: 'park', sequence, message: entry.taken, reason },
    );
  }

  /** To be sent (again). */
  #again(entry: Entry, _anew: boolean): void {
    this.#released.delete(entry.sequence);
    if (entry.status === 'queued') return;
    entry.status = 'queued';
    entry.resent = true;
    const at = this.#resend.findIndex((sequence) => sequence > entry.sequence);
    if (at < 0) this.#resend.push(entry.sequence);
    else this.#resend.splice(at, 0, entry.sequence);
  }

  #resendable(sequence: number): boolean {
    const entry = this.#entry(sequence);
    if (!entry || entry.status !== 'queued') return false;
    if (entry.token) return true;
    this.#forgetOrphan(entry);
    return false;
  }

  /** A sent message that is with neither side any more: its queue has it and will hand it over again. */
  #forgetOrphan(entry: Entry): void {
    this.#environment.orphans.decided(entry.taken.digest, this, entry.sequence);
    this.#unsettled--;
    this.#unsettledBytes -= weightOf(entry.taken);
    this.#drop(entry);
  }

  #drop(entry: Entry): void {
    this.#released.delete(entry.sequence);
    this.#entries[entry.sequence - this.#base] = undefined;
  }

  #returnUnsent(reason: string): void {
    if (this.#unsent.length === 0) return;
    for (const { taken } of this.#unsent) this.#unsettledBytes -= weightOf(taken);
    this.#returned(
      this.#unsent.map(({ taken }) => taken.token),
      reason,
    );
    this.#unsent = [];
  }

  #returned(tokens: readonly DeliveryToken[], reason: string): void {
    if (tokens.length === 0) return;
    this.counts.returned += tokens.length;
    this.#out.push({ do: 'requeue', tokens }, { do: 'count', what: 'returned', n: tokens.length, reason });
  }

  /** Back to the queue, once. */
  #giveBack(entry: Entry, reason: string): void {
    this.#unsettled--;
    this.#unsettledBytes -= weightOf(entry.taken);
    if (entry.token) this.#returned([entry.token], reason);
    else this.#environment.orphans.decided(entry.taken.digest, this, entry.sequence);
    this.#drop(entry);
  }

  /** The hold is over: what was sent and is not settled goes back, and may come to be delivered twice. */
  #expireHold(reason: string): void {
    this.#holdUntil = Number.POSITIVE_INFINITY;
    const tokens: DeliveryToken[] = [];
    for (const entry of this.#entries) {
      if (!entry || entry.status === 'accepted' || entry.status === 'returned') continue;
      this.#unsettled--;
      this.#unsettledBytes -= weightOf(entry.taken);
      this.#released.delete(entry.sequence);
      if (entry.token) tokens.push(entry.token);
      else this.#environment.orphans.decided(entry.taken.digest, this, entry.sequence);
      entry.token = undefined;
      entry.status = 'returned';
    }
    this.#resend = [];
    this.#returned(tokens, reason);
    if (tokens.length > 0) this.#out.push({ do: 'count', what: 'possible-duplicates', n: tokens.length });
  }

  #advance(): void {
    let count = 0;
    while (count < this.#entries.length && this.#entries[count] === undefined) count++;
    if (count === 0) return;
    this.#entries.splice(0, count);
    this.#base += count;
    // Without a single acknowledgement in it (all were given back) nothing has to be flushed to be gone.
    if (this.#unflushed.size === 0 && !this.#flush && this.#withheld.length === 0) {
      this.#removedThrough = this.#base - 1;
      this.#log.dropThrough(this.#removedThrough);
    }
  }

  /** Ends a finishing stream once nothing is left of it. */
  #settleDown(now: number): void {
    if (this.#phase.is !== 'finishing' || this.#generation || this.#unsent.length > 0) return;
    if (this.#unsettled > 0 || this.#withheld.length > 0) return;
    if (this.#unflushed.size > 0 || this.#flush) {
      if (!this.#flush) this.#startFlush();
      return;
    }
    this.#end(this.#phase.reason, now);
  }

  #end(reason: string, now: number): void {
    if (this.#phase.is === 'ended') return;
    if (this.#linked) {
      this.#sendState(now);
      this.#out.push({
        do: 'send',
        frame: { kind: 'closed', address: this.settings.address, ...this.settings.epoch, reason },
      });
    }
    this.#holdUntil = Number.POSITIVE_INFINITY;
    this.#stateAt = Number.POSITIVE_INFINITY;
    this.#flushAt = Number.POSITIVE_INFINITY;
    this.#setPhase({ is: 'ended', reason });
    this.#out.push({ do: 'ended', reason });
  }
}

/** What a delivery is to a stream, given its identity and its rewritten properties. */
export function takenFrom(
  delivery: Delivery,
  identity: { digest: Uint8Array; hasId: boolean },
  properties: Uint8Array,
  at: number,
): Taken {
  return {
    token: delivery.token,
    redelivered: delivery.redelivered,
    digest: identity.digest,
    hasId: identity.hasId,
    exchange: delivery.exchange,
    routingKey: delivery.routingKey,
    original: delivery.properties,
    properties,
    body: delivery.body,
    at,
  };
}

function messageOf(sequence: number, taken: Taken, resent: boolean): StreamMessage {
  return {
    sequence,
    redelivered: taken.redelivered,
    resent,
    digest: taken.digest,
    hasId: taken.hasId,
    exchange: taken.exchange,
    routingKey: taken.routingKey,
    properties: taken.properties,
    body: taken.body,
  };
}

function unreachable(value: never): never {
  throw new Error(`unexpected: ${JSON.stringify(value)}`);
}
