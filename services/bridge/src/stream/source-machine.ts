import type {
  CreditFrame,
  MessagesFrame,
  QueueProperties,
  ResumeFrame,
  SequenceRanges,
  SettleFrame,
  StreamAddress,
  StreamEpoch,
} from '@tombolo/wire/frame';
import type { ConsumerEnd, Delivery, DeliveryToken } from '../broker/port.ts';
import type { SourceEffect, Taken } from './effects.ts';
import type { Orphans } from './in-doubt.ts';
import { type Entry, InFlight } from './in-flight.ts';
import { Intake } from './intake.ts';
import type { Throttle } from './rate-limit.ts';
import { Removal } from './removal.ts';
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
  /** How many consumers the stream stands for: one, unless each of the sink's is to have a window of its own. */
  turns(): number;
  /** A message that was never delivered before was seen. */
  sawFresh(): void;
  /** The limit that messages are under; undefined: none. */
  throttle?(): Throttle | undefined;
}

const FIRST_PREFETCH = 4;
const BYTES_RETRY_MS = 100;
const REOPEN_MS = 5_000;
const STATE_MS = 1_000;
const LAST_WORDS = 4;
/** Most sequence numbers between the oldest open one and the newest. */
const CROWDED = 200_000;
const CHANNEL_RETRY_MS = 200;
const CONSUME_RETRY_MS = 2_000;

/** The source's half of a stream: takes messages while credit lasts, forwards them, acknowledges what is settled. Pure: events in, effects out. */
export class SourceStream {
  readonly settings: SourceSettings;
  readonly counts = { accepted: 0, released: 0, rejected: 0, returned: 0, suppressed: 0 };
  readonly #environment: SourceEnvironment;
  readonly #flight: InFlight<SourceStream>;
  readonly #removal = new Removal();
  readonly #intake = new Intake();
  #phase: Phase = { is: 'idle', retryAt: Number.POSITIVE_INFINITY, reason: undefined };
  #linked = false;
  #attempt = 0;
  #brokerUp = true;
  #consumeAt = 0;
  #refusal: string | undefined;
  #holdUntil = Number.POSITIVE_INFINITY;
  /** When a stream that is finishing, and has had no answer or a refusal, asks again how things stand. */
  #reopenAt = Number.POSITIVE_INFINITY;
  /** An empty batch is due: it tells the sink, behind all data, what it should have by then. */
  #marker = false;
  #stateAt = Number.POSITIVE_INFINITY;
  #lastWords = 0;
  /** Messages wait for their turn under a limit. */
  #throttled = false;
  #out: SourceEffect[] = [];

  constructor(settings: SourceSettings, environment: SourceEnvironment) {
    this.settings = settings;
    this.#environment = environment;
    this.#flight = new InFlight<SourceStream>(this, environment.orphans, (sequence) => this.#removal.dropped(sequence));
  }

  // ---- what is seen from outside -------------------------------------------------------------------------------------

  get phase(): Phase['is'] {
    return this.#phase.is;
  }
  get last(): number {
    return this.#flight.last;
  }
  get granted(): number {
    return this.#intake.granted;
  }
  /** Messages taken under credit: sent, or about to be. */
  get taken(): number {
    return this.#flight.taken;
  }
  get unsettled(): number {
    return this.#flight.unsettled + this.#flight.unsent;
  }
  /** Recognised copies were acknowledged, and the broker may not have processed that yet. */
  get suppressing(): boolean {
    return this.#removal.recognising;
  }
  /** Bytes of messages held in memory. */
  get bytes(): number {
    return this.#flight.bytes;
  }
  get hasUnsent(): boolean {
    return this.#linked && this.#opened() && (this.#flight.sendable || this.#marker);
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
        if (this.#crowded()) return 'one message has had no verdict for too long: see the dead letters';
        return (
          this.#environment.barred() ??
          (this.#throttled && this.#flight.sendable
            ? `rate limit: ${this.#environment.throttle?.()?.text ?? 'was just lifted'}`
            : undefined) ??
          (this.granted <= this.taken ? 'no credit: the sink has no consumer that could take more' : undefined)
        );
      default:
        return unreachable(phase);
    }
  }

  /** When `wake` is due next (monotonic ms); Infinity: never. */
  nextWake(): number {
    const phase = this.#phase;
    if (phase.is === 'ended') return Number.POSITIVE_INFINITY;
    let at = Math.min(
      this.#holdUntil,
      this.#stateAt,
      this.#removal.nextFlush,
      this.#flight.nextDue(),
      this.#intake.overdueAt,
    );
    if (this.#linked && (phase.is === 'idle' || phase.is === 'opening')) at = Math.min(at, phase.retryAt);
    if (this.#linked && phase.is === 'finishing') at = Math.min(at, this.#reopenAt);
    if (this.#consumeAt > 0 && this.#mayConsume()) at = Math.min(at, this.#consumeAt);
    return at;
  }

  // ---- link ------------------------------------------------------------------------------------------------------------

  linkUp(now: number): SourceEffect[] {
    this.#linked = true;
    if (this.#phase.is === 'finishing') this.#sendOpen(now);
    else if (this.#phase.is !== 'ended') this.#open(now);
    return this.#take();
  }

  linkLost(now: number): SourceEffect[] {
    this.#linked = false;
    this.#intake.voided(this.taken);
    this.#stopConsuming();
    this.#returned(this.#flight.returnUnsent(), 'link_lost');
    if (this.#phase.is === 'opening' || this.#phase.is === 'flowing') this.#phase = { is: 'suspended' };
    if (this.#flight.unsettled > 0) this.#holdUntil = Math.min(this.#holdUntil, now + this.settings.holdMs);
    this.#settleDown(now);
    return this.#take();
  }

  /** Frames take another way from now on: what was under way may be lost, so the sink is told at once what it should have. */
  rerouted(now: number): SourceEffect[] {
    if (this.#linked && this.#opened()) {
      this.#marker = this.#flight.unsettled > 0;
      this.#sendState(now);
      this.#offer();
    } else if (this.#linked && (this.#phase.is === 'opening' || this.#phase.is === 'finishing')) this.#sendOpen(now);
    return this.#take();
  }

  /** The sink's demand stands (again): a refusal is reconsidered, a withdrawal that is not complete is undone. */
  demanded(now: number): SourceEffect[] {
    if (this.#phase.is === 'finishing' && !this.#phase.forward) this.#phase = { is: 'suspended' };
    if (this.#linked && (this.#phase.is === 'idle' || this.#phase.is === 'suspended')) this.#open(now);
    return this.#take();
  }

  resumed(frame: ResumeFrame, now: number): SourceEffect[] {
    if (!this.#isOurs(frame) || !this.#linked || frame.attempt !== this.#attempt) return [];
    if (this.#phase.is !== 'opening' && this.#phase.is !== 'finishing') return [];
    if (this.#phase.is === 'opening') this.#phase = { is: 'flowing' };
    this.#reopenAt = Number.POSITIVE_INFINITY;
    this.#holdUntil = Number.POSITIVE_INFINITY;
    this.#accept(frame.accepted, now);
    for (const { sequence, reason } of frame.rejected) this.#reject(sequence, reason);
    const received = new RangeSet(clip(frame.received, this.#flight.settledThrough + 1, this.#flight.last));
    const withdrawn = this.#phase.is === 'finishing' && !this.#phase.forward;
    this.#returned(this.#flight.reconcile(received, withdrawn), 'withdrawn');
    this.#advance();
    this.#stateAt = Math.min(this.#stateAt, now);
    this.#credit(frame.creditVersion, frame.granted, now);
    this.#offer();
    this.#settleDown(now);
    return this.#take();
  }

  refused(epoch: StreamEpoch, reason: string, retryAfterMs: number, now: number): SourceEffect[] {
    if (!this.#isOurs(epoch) || this.#phase.is === 'ended') return [];
    this.#stopConsuming();
    this.#returned(this.#flight.returnUnsent(), 'refused');
    if (this.#phase.is === 'finishing') this.#reopenAt = now + retryAfterMs;
    else this.#phase = { is: 'idle', retryAt: now + retryAfterMs, reason };
    if (this.#flight.unsettled > 0) this.#holdUntil = Math.min(this.#holdUntil, now + this.settings.holdMs);
    this.#settleDown(now);
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
    eachOf(clip(frame.released, this.#flight.settledThrough + 1, this.#flight.last), (sequence) => {
      this.#release(sequence, now);
    });
    for (const { sequence, reason } of frame.rejected) this.#reject(sequence, reason);
    this.#advance();
    this.#consume(now);
    this.#settleDown(now);
    return this.#take();
  }

  /** The sink misses these numbers. */
  missed(epoch: StreamEpoch, missing: SequenceRanges, now: number): SourceEffect[] {
    if (!this.#isOurs(epoch) || !this.#opened()) return [];
    this.#flight.missed(missing);
    this.#advance();
    // What is gone is told at once, so that the sink does not wait for it.
    this.#sendState(now);
    this.#offer();
    return this.#take();
  }

  /** A rejected message is parked in the dead-letter queue (`true`), or could not be and stays for a later attempt. */
  parked(sequence: number, stored: boolean, now: number): SourceEffect[] {
    const entry = this.#flight.entry(sequence);
    if (entry?.status !== 'parking') return [];
    if (!stored) this.#release(sequence, now);
    else if (this.#flight.finish(entry, now)) this.#withhold([entry], now);
    this.#advance();
    this.#settleDown(now);
    return this.#take();
  }

  // ---- the source's broker ---------------------------------------------------------------------------------------------

  delivered(generation: number, batch: readonly Taken[], now: number): SourceEffect[] {
    const { orphans } = this.#environment;
    if (!this.#intake.isCurrent(generation)) {
      // Of a consumer that is given up: its channel is dead or dying, and if it is not, the messages are to go back.
      this.#out.push({ do: 'requeue', tokens: batch.map(({ token }) => token) });
      return this.#take();
    }
    this.#intake.delivered(batch.length);
    const recognised: Taken[] = [];
    const skipped: DeliveryToken[] = [];
    for (const taken of batch) {
      if (taken.skipped) {
        skipped.push(taken.token);
        continue;
      }
      if (taken.redelivered) {
        const match = orphans.take(taken.digest, now);
        if (match?.is === 'accepted') {
          recognised.push(taken);
          continue;
        }
        if (match?.is === 'pending' && match.owner.adopt(match.sequence, taken.token)) continue;
      } else if (orphans.transient) this.#environment.sawFresh();
      this.#flight.add(taken, generation);
    }
    if (recognised.length > 0) {
      this.counts.suppressed += recognised.length;
      this.#removal.recognised(recognised);
      this.#out.push({ do: 'count', what: 'suppressed', n: recognised.length });
      this.#acknowledge(
        recognised.map(({ token }) => token),
        now,
      );
    }
    if (skipped.length > 0) this.#acknowledge(skipped, now);
    const forwards = this.#phase.is === 'flowing' || (this.#phase.is === 'finishing' && this.#phase.forward);
    if (!forwards || !this.#linked) this.#returned(this.#flight.returnUnsent(), 'withdrawn');
    this.#offer();
    this.#judgeConsumer();
    this.#settleDown(now);
    return this.#take();
  }

  /** A message that was sent under `sequence` came again: the new delivery stands for it from now on. */
  adopt(sequence: number, token: DeliveryToken): boolean {
    return this.#flight.adopt(sequence, token);
  }

  consumerEnded(generation: number, end: ConsumerEnd, now: number): SourceEffect[] {
    if (!this.#intake.isCurrent(generation)) return this.#take();
    this.#consumerGone(now);
    switch (end.why) {
      case 'cancelled':
        this.#acknowledgePermitted(now);
        this.#advance();
        break;
      case 'queue-gone':
        // Deleted, or its node went: then its messages come again when it is back. Which one it was, the watch will tell.
        this.channelLost(undefined, now);
        this.#refusal = 'the broker has cancelled the consumer: the queue was deleted or its node went';
        this.#consumeAt = now + CONSUME_RETRY_MS;
        break;
      case 'lost':
        this.#consumeAt = now + CHANNEL_RETRY_MS;
        break;
      case 'refused':
        this.#refusal = end.fault.message;
        this.#consumeAt = now + CONSUME_RETRY_MS;
        break;
      default:
        unreachable(end);
    }
    this.#acknowledgePermitted(now);
    this.#consume(now);
    this.#settleDown(now);
    return this.#take();
  }

  /**
   * A channel died (undefined: the whole connection): its deliveries are not valid any more, the broker will hand these
   * messages over again, flagged as redelivered.
   */
  channelLost(channel: object | undefined, now: number): SourceEffect[] {
    const hit = (token: DeliveryToken | undefined): boolean =>
      token !== undefined && (channel === undefined || token.channel === channel);
    const { orphans } = this.#environment;
    this.#removal.lost(channel, this.last, (sequence) => this.#flight.entry(sequence) !== undefined, orphans, now);
    this.#flight.lost(hit, now);
    this.#intake.dropLost();
    this.#advance();
    this.#settleDown(now);
    return this.#take();
  }

  /** The source's broker cannot be used (`false`), or can again. */
  brokerUp(up: boolean, now: number): SourceEffect[] {
    this.#brokerUp = up;
    if (!up) {
      this.#consumerGone(now);
      return this.channelLost(undefined, now);
    }
    this.#consumeAt = 0;
    this.#consume(now);
    return this.#take();
  }

  /** The queue was deleted, with all that it held: this epoch has nothing more to say. */
  queueGone(now: number): SourceEffect[] {
    this.#stopConsuming();
    this.#intake.ended();
    // Harmless when the queue is gone; when a new one of this name was consumed already, its messages go back.
    const tokens = this.#flight.clear();
    if (tokens.length > 0) this.#out.push({ do: 'requeue', tokens });
    this.#intake.clear();
    this.#end('the queue was deleted', now);
    return this.#take();
  }

  /** Something that `barred` depends on has changed. */
  reconsider(now: number): SourceEffect[] {
    if (this.#environment.barred()) this.#stopConsuming();
    this.#consume(now);
    return this.#take();
  }

  /** Barrier `id` was answered for one channel. */
  flushed(id: number, processed: boolean, now: number): SourceEffect[] {
    if (this.#removal.flushed(id, processed)) this.#stateAt = Math.min(this.#stateAt, now + STATE_MS);
    this.#settleDown(now);
    return this.#take();
  }

  // ---- ending ----------------------------------------------------------------------------------------------------------

  /** The sink has withdrawn its demand, or the connector does not permit it any more. */
  withdraw(reason: string, now: number): SourceEffect[] {
    this.#finishing({ is: 'finishing', reason, forward: false }, 'withdrawn', now);
    if (!this.#linked && this.#flight.unsettled > 0)
      this.#holdUntil = Math.min(this.#holdUntil, now + this.settings.holdMs);
    return this.#take();
  }

  /** Clean stop: nothing more is taken; what was taken is forwarded and settled first. */
  drain(now: number): SourceEffect[] {
    const forward = this.#opened() && this.#linked;
    this.#finishing({ is: 'finishing', reason: 'draining', forward }, 'draining', now);
    if (!this.#linked) this.#expireHold('draining');
    this.#advance();
    this.#settleDown(now);
    return this.#take();
  }

  /** Gives everything back that is not settled, at once. */
  abandon(reason: string, now: number): SourceEffect[] {
    this.#returned(this.#flight.returnUnsent(), reason);
    this.#expireHold(reason);
    this.#end(reason, now);
    return this.#take();
  }

  wake(now: number): SourceEffect[] {
    if (now >= this.#holdUntil) this.#expireHold('link_lost');
    const phase = this.#phase;
    if ((phase.is === 'idle' || phase.is === 'opening') && now >= phase.retryAt && this.#linked) this.#open(now);
    if (phase.is === 'finishing' && now >= this.#reopenAt && this.#linked) {
      this.#sendOpen(now);
    }
    if (now >= this.#stateAt) {
      this.#marker = this.#flight.unsettled > 0;
      this.#sendState(now);
    }
    if (now >= this.#removal.nextFlush) this.#out.push(...this.#removal.flush(this.#flight.settledThrough));
    if (now >= this.#intake.overdueAt) this.#stopConsuming();
    this.#flight.due(now);
    this.#offer();
    this.#consume(now);
    this.#settleDown(now);
    return this.#take();
  }

  // ---- forwarding --------------------------------------------------------------------------------------------------------

  /**
   * The next messages to send, at most `maxBytes` of them (but at least one): what is sent again first, then fresh ones,
   * which get their numbers here. Undefined when there is nothing to send, or a limit does not let it pass yet.
   */
  nextBatch(maxBytes: number, now: number): MessagesFrame | undefined {
    if (!this.hasUnsent) return undefined;
    const throttle = this.#environment.throttle?.();
    this.#throttled = false;
    const messages = this.#flight.batch(
      maxBytes,
      ({ properties, body }) => {
        this.#throttled = throttle !== undefined && !throttle.take(properties.length + body.length, now);
        return !this.#throttled;
      },
      (sequence, taken) => this.#removal.numbered(sequence, taken),
    );
    this.#stateAt = Math.min(this.#stateAt, now + STATE_MS);
    if (messages.length === 0 && !this.#marker) return undefined;
    this.#marker = false;
    const { address, epoch } = this.settings;
    return { kind: 'messages', address, ...epoch, attempt: this.#attempt, last: this.#flight.last, messages };
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  #take(): SourceEffect[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #isOurs(epoch: StreamEpoch): boolean {
    return epoch.incarnation === this.settings.epoch.incarnation && epoch.epoch === this.settings.epoch.epoch;
  }

  /** The sink has answered on this link. */
  #opened(): boolean {
    return this.#phase.is === 'flowing' || (this.#phase.is === 'finishing' && this.#intake.version > 0);
  }

  #open(now: number): void {
    this.#phase = { is: 'opening', retryAt: now + REOPEN_MS };
    this.#sendOpen(now);
  }

  #sendOpen(now: number): void {
    if (this.#phase.is === 'finishing') this.#reopenAt = now + REOPEN_MS;
    const { address, epoch, connector, queue } = this.settings;
    const { last, settledThrough } = this.#flight;
    const gone = this.#flight.gone();
    this.#out.push({
      do: 'send',
      frame: {
        kind: 'open',
        address,
        ...epoch,
        connector,
        attempt: ++this.#attempt,
        last,
        settledThrough,
        gone,
        queue,
      },
    });
  }

  #offer(): void {
    if (this.hasUnsent) this.#out.push({ do: 'offer' });
  }

  #sendState(now: number): void {
    // A relay may lose the last word: it is said a few times before the stream falls silent.
    this.#lastWords = this.#flight.unsettled > 0 ? LAST_WORDS : this.#lastWords - 1;
    this.#stateAt = this.#lastWords > 0 ? now + STATE_MS : Number.POSITIVE_INFINITY;
    if (!this.#linked || !this.#opened()) return;
    this.#out.push({
      do: 'send',
      frame: {
        kind: 'state',
        address: this.settings.address,
        ...this.settings.epoch,
        settledThrough: this.#flight.settledThrough,
        removedThrough: this.#removal.removedThrough,
        creditVersion: this.#intake.answered,
        taken: this.taken,
        returned: this.#flight.gone(),
        empty: this.unsettled === 0,
      },
    });
  }

  #credit(version: number, granted: number, now: number): void {
    const change = this.#intake.grant(
      version,
      this.#phase.is === 'finishing' ? Math.min(granted, this.taken) : granted,
    );
    if (this.#intake.exceeded) this.#stopConsuming();
    const answered = this.#intake.answer();
    // Said again: the sink has not heard how things stand.
    if (change === 'stale' || (change === 'lowered' && answered)) this.#sendState(now);
    else this.#stateAt = Math.min(this.#stateAt, now + STATE_MS);
    this.#acknowledgePermitted(now);
    this.#advance();
    this.#judgeConsumer();
    this.#consume(now);
  }

  #consumerGone(now: number): void {
    this.#intake.ended();
    if (this.#intake.answer()) this.#sendState(now);
  }

  #stopConsuming(): void {
    const generation = this.#intake.stop();
    if (generation !== undefined) this.#out.push({ do: 'cancel', generation });
  }

  #mayConsume(): boolean {
    return !this.#intake.consuming && this.#phase.is === 'flowing' && this.#linked && this.#brokerUp;
  }

  /** A message far behind has no verdict (a dead letter that cannot be parked): nothing more is taken, the books stay short. */
  #crowded(): boolean {
    return this.last - this.#flight.settledThrough > CROWDED;
  }

  /** Bytes bound the prefetch too: the broker knows no other way than a count. What a limit keeps waiting stays in its queue. */
  #prefetchLimit(): number {
    const { bytes, meanBytes } = this.#flight;
    const most = this.#environment.throttle?.()?.prefetch(meanBytes) ?? Number.POSITIVE_INFINITY;
    if (meanBytes === 0) return Math.min(FIRST_PREFETCH, most);
    const free = Math.min(this.settings.prefetchBytes - bytes, this.#environment.bytesFree());
    return Math.min(this.settings.prefetchSize * this.#environment.turns(), most, Math.floor(free / meanBytes));
  }

  #consume(now: number): void {
    if (!this.#mayConsume() || now < this.#consumeAt) return;
    this.#consumeAt = 0;
    const credit = this.granted - this.taken;
    if (credit < 1 || this.#crowded() || this.#environment.barred()) return;
    let limit = this.#prefetchLimit();
    if (limit < 1) {
      if (this.#flight.bytes > 0 || this.#environment.bytesFree() <= 0) {
        this.#consumeAt = now + BYTES_RETRY_MS;
        return;
      }
      limit = 1; // a single message larger than the bound still has to travel
    }
    this.#refusal = undefined;
    const prefetch = Math.min(credit, limit);
    this.#out.push({ do: 'consume', generation: this.#intake.start(prefetch, this.taken), prefetch });
  }

  /** A consumer whose prefetch has become too small (or, by the messages' size, too large) is replaced. */
  #judgeConsumer(): void {
    const heaviest = (this.settings.prefetchBytes * 2) / this.#flight.meanBytes;
    if (this.#intake.outgrown(this.taken, this.#prefetchLimit(), heaviest)) this.#stopConsuming();
  }

  #accept(ranges: SequenceRanges, now: number): void {
    const { accepted, age, done } = this.#flight.accept(ranges, now);
    this.#withhold(done, now);
    if (accepted === 0) return;
    this.counts.accepted += accepted;
    this.#out.push(
      { do: 'count', what: 'forwarded', n: accepted },
      { do: 'duration', ms: age / accepted, n: accepted },
    );
    this.#advance();
  }

  #withhold(entries: readonly Entry[], now: number): void {
    if (entries.length === 0) return;
    this.#intake.withhold(entries, now);
    this.#acknowledgePermitted(now);
  }

  #acknowledgePermitted(now: number): void {
    const entries = this.#intake.permitted(now);
    if (entries.length === 0) return;
    const tokens = entries.map(({ token }) => token!);
    for (const entry of entries) this.#flight.acknowledged(entry);
    this.#acknowledge(tokens, now);
  }

  #acknowledge(tokens: readonly DeliveryToken[], now: number): void {
    this.#out.push({ do: 'acknowledge', tokens });
    this.#removal.acknowledged(tokens, now);
  }

  #release(sequence: number, now: number): void {
    if (!this.#flight.release(sequence, now)) return;
    this.counts.released++;
    if (this.#phase.is === 'finishing') this.#returned(this.#flight.giveBack(this.#flight.entry(sequence)), 'released');
  }

  #reject(sequence: number, reason: string): void {
    const entry = this.#flight.reject(sequence);
    if (!entry) return;
    this.counts.rejected++;
    this.#out.push({ do: 'count', what: 'rejected', n: 1, reason });
    this.#out.push({ do: 'park', sequence, message: entry.taken, reason });
  }

  #returned(tokens: readonly DeliveryToken[], reason: string): void {
    if (tokens.length === 0) return;
    this.counts.returned += tokens.length;
    this.#out.push({ do: 'requeue', tokens }, { do: 'count', what: 'returned', n: tokens.length, reason });
  }

  /** The hold is over: what was sent and is not settled goes back, and may come to be delivered twice. */
  #expireHold(reason: string): void {
    this.#holdUntil = Number.POSITIVE_INFINITY;
    const tokens = this.#flight.expire();
    this.#returned(tokens, reason);
    if (tokens.length > 0) this.#out.push({ do: 'count', what: 'possible-duplicates', n: tokens.length });
  }

  #advance(): void {
    if (!this.#flight.advance()) return;
    this.#lastWords = LAST_WORDS;
    this.#removal.advanced(this.#flight.settledThrough);
  }

  #finishing(phase: Extract<Phase, { is: 'finishing' }>, reason: string, now: number): void {
    if (this.#phase.is === 'ended') return;
    this.#phase = phase;
    this.#intake.cap(this.taken);
    this.#stopConsuming();
    if (!phase.forward) this.#returned(this.#flight.returnUnsent(), reason);
    this.#returned(this.#flight.returnReleased(), reason);
    this.#offer();
    this.#advance();
    this.#settleDown(now);
  }

  /** Ends a finishing stream once nothing is left of it. */
  #settleDown(now: number): void {
    if (this.#phase.is !== 'finishing' || this.#intake.consuming || this.#flight.unsent > 0) return;
    if (this.#flight.unsettled > 0 || this.#intake.withholding) return;
    if (this.#removal.idle) this.#end(this.#phase.reason, now);
    else this.#out.push(...this.#removal.flush(this.#flight.settledThrough));
  }

  #end(reason: string, now: number): void {
    if (this.#phase.is === 'ended') return;
    if (this.#linked) {
      this.#sendState(now);
      const { address, epoch } = this.settings;
      this.#out.push({ do: 'send', frame: { kind: 'closed', address, ...epoch, reason } });
    }
    this.#holdUntil = Number.POSITIVE_INFINITY;
    this.#stateAt = Number.POSITIVE_INFINITY;
    this.#phase = { is: 'ended', reason };
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

function unreachable(value: never): never {
  throw new Error(`unexpected: ${JSON.stringify(value)}`);
}
