import type {
  Blocked,
  CreditFrame,
  MessagesFrame,
  ResumeFrame,
  SequenceRanges,
  SettleFrame,
  StreamEpoch,
} from '@tombolo/wire/frame';
import type { ConsumerEnd, DeliveryToken } from '../broker/port.ts';
import { Outbox, type SourceEffect, type Taken } from './effects.ts';
import { InFlight } from './in-flight.ts';
import { Intake } from './intake.ts';
import type { Obstacle } from './obstacle.ts';
import { type Comparison, countName, SourceReconciliation } from './reconciliation.ts';
import { Removal } from './removal.ts';
import { clip, eachOf, RangeSet } from './settlement.ts';
import { SourceConsumption } from './source-consumption.ts';
import { SourceForwarding } from './source-forwarding.ts';
import { SourceNotes } from './source-notes.ts';
import type { SourceBounds, SourceEnvironment, SourceSettings } from './source-settings.ts';
import { SourceVerdicts } from './source-verdicts.ts';

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

const REOPEN_MS = 5_000;
const CHANNEL_RETRY_MS = 200;
const CONSUME_RETRY_MS = 2_000;

/** The source's half of a stream: takes messages while credit lasts, forwards them, acknowledges what is settled. Pure: events in, effects out. */
export class SourceStream {
  readonly settings: SourceSettings;
  readonly #environment: SourceEnvironment<SourceStream>;
  readonly #flight: InFlight<SourceStream>;
  readonly #removal: Removal;
  readonly #intake = new Intake();
  readonly #reconciliation = new SourceReconciliation();
  readonly #consumption: SourceConsumption<SourceStream>;
  readonly #forwarding: SourceForwarding<SourceStream>;
  readonly #verdicts: SourceVerdicts<SourceStream>;
  readonly #notes: SourceNotes<SourceStream>;
  readonly #out = new Outbox<SourceEffect>();
  #phase: Phase = { is: 'idle', retryAt: Number.POSITIVE_INFINITY, reason: undefined };
  #linked = false;
  /** The sink's broker refuses messages for now. */
  #blocked: Blocked | undefined;
  #holdUntil = Number.POSITIVE_INFINITY;
  /** When a stream that is finishing, and has had no answer or a refusal, asks again how things stand. */
  #reopenAt = Number.POSITIVE_INFINITY;

  constructor(settings: SourceSettings, environment: SourceEnvironment<SourceStream>) {
    this.settings = { ...settings };
    this.#environment = environment;
    this.#removal = new Removal((digest, now) => environment.orphans.removed(digest, now));
    const flight = new InFlight<SourceStream>(this, environment.orphans, (sequence) => this.#removal.dropped(sequence));
    this.#flight = flight;
    this.#consumption = new SourceConsumption(this.settings, environment, flight, this.#intake, this.#out);
    this.#forwarding = new SourceForwarding(environment, flight, this.#removal);
    this.#verdicts = new SourceVerdicts(flight, this.#intake, this.#removal, this.#reconciliation, this.#out);
    this.#notes = new SourceNotes(this.settings, flight, this.#intake, this.#removal, this.#reconciliation, this.#out);
  }

  // ---- what is seen from outside -------------------------------------------------------------------------------------

  get phase(): Phase['is'] {
    return this.#phase.is;
  }
  get counts() {
    return this.#verdicts.counts;
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
  /** When the oldest message that is in hand and not settled was taken (monotonic ms); undefined: there is none. */
  get oldest(): number | undefined {
    return this.#flight.oldest();
  }
  /** The latest comparison of counts that the sink has told. */
  get comparison(): Comparison | undefined {
    return this.#reconciliation.comparison;
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
    return this.#linked && this.#opened() && this.#forwarding.due;
  }

  /** Why the sink's broker takes nothing for now, or undefined. */
  get blocked(): Blocked | undefined {
    return this.#phase.is === 'flowing' ? this.#blocked : undefined;
  }

  /** Why nothing moves, or undefined. */
  obstacle(): Obstacle | undefined {
    const phase = this.#phase;
    switch (phase.is) {
      case 'idle':
        return phase.reason === undefined
          ? { reason: 'not_open', detail: 'the stream is not open yet' }
          : { reason: 'refused', detail: phase.reason };
      case 'opening':
        return { reason: 'not_open', detail: 'waiting for the sink to answer' };
      case 'suspended':
        return { reason: 'link_down', detail: 'the link is down' };
      case 'finishing':
      case 'ended':
        return { reason: 'ending', detail: phase.reason };
      case 'flowing':
        return this.#consumption.obstacle() ?? this.#forwarding.obstacle() ?? this.#noCredit();
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
      this.#notes.dueAt,
      this.#removal.nextFlush,
      this.#flight.nextDue(),
      this.#intake.overdueAt,
      this.#consumption.nextTry(this.#flowing()),
    );
    if (this.#linked && (phase.is === 'idle' || phase.is === 'opening')) at = Math.min(at, phase.retryAt);
    if (this.#linked && phase.is === 'finishing') at = Math.min(at, this.#reopenAt);
    return at;
  }

  // ---- link ------------------------------------------------------------------------------------------------------------

  linkUp(now: number): SourceEffect[] {
    this.#linked = true;
    if (this.#phase.is === 'finishing') this.#sendOpen(now);
    else if (this.#phase.is !== 'ended') this.#open(now);
    return this.#out.take();
  }

  linkLost(now: number): SourceEffect[] {
    this.#linked = false;
    this.#intake.voided(this.taken);
    this.#consumption.stop();
    this.#verdicts.returned(this.#flight.returnUnsent(), 'link_lost');
    if (this.#phase.is === 'opening' || this.#phase.is === 'flowing') this.#phase = { is: 'suspended' };
    if (this.#flight.unsettled > 0) this.#holdUntil = Math.min(this.#holdUntil, now + this.settings.holdMs);
    this.#settleDown(now);
    return this.#out.take();
  }

  /** Frames take another way from now on: what was under way may be lost, so the sink is told at once what it should have. */
  rerouted(now: number): SourceEffect[] {
    if (this.#linked && this.#opened()) {
      this.#forwarding.mark();
      this.#sendState(now);
      this.#offer();
    } else if (this.#linked && (this.#phase.is === 'opening' || this.#phase.is === 'finishing')) this.#sendOpen(now);
    return this.#out.take();
  }

  /** The sink's demand stands (again): a refusal is reconsidered, a withdrawal that is not complete is undone. */
  demanded(now: number): SourceEffect[] {
    if (this.#phase.is === 'finishing' && !this.#phase.forward) this.#phase = { is: 'suspended' };
    if (this.#linked && (this.#phase.is === 'idle' || this.#phase.is === 'suspended')) this.#open(now);
    return this.#out.take();
  }

  resumed(frame: ResumeFrame, now: number): SourceEffect[] {
    if (!this.#isOurs(frame) || !this.#linked || frame.attempt !== this.#notes.attempt) return [];
    if (this.#phase.is !== 'opening' && this.#phase.is !== 'finishing') return [];
    if (this.#phase.is === 'opening') this.#phase = { is: 'flowing' };
    this.#blocked = undefined;
    this.#reopenAt = Number.POSITIVE_INFINITY;
    this.#holdUntil = Number.POSITIVE_INFINITY;
    this.#reconciliation.resumed(frame.countedSince, clip(frame.accepted, 1, this.last));
    this.#verdicts.accept(frame.accepted, frame.countedSince, now);
    for (const { sequence, reason } of frame.rejected) this.#verdicts.reject(sequence, reason);
    const received = new RangeSet(clip(frame.received, this.#flight.settledThrough + 1, this.#flight.last));
    const withdrawn = this.#phase.is === 'finishing' && !this.#phase.forward;
    this.#verdicts.returned(this.#flight.reconcile(received, withdrawn), 'withdrawn');
    this.#advance();
    this.#notes.dueBy(now);
    this.#credit(frame.creditVersion, frame.granted, now);
    this.#offer();
    this.#settleDown(now);
    return this.#out.take();
  }

  refused(epoch: StreamEpoch, reason: string, retryAfterMs: number, now: number): SourceEffect[] {
    if (!this.#isOurs(epoch) || this.#phase.is === 'ended') return [];
    this.#consumption.stop();
    this.#verdicts.returned(this.#flight.returnUnsent(), 'refused');
    if (this.#phase.is === 'finishing') this.#reopenAt = now + retryAfterMs;
    else this.#phase = { is: 'idle', retryAt: now + retryAfterMs, reason };
    if (this.#flight.unsettled > 0) this.#holdUntil = Math.min(this.#holdUntil, now + this.settings.holdMs);
    this.#settleDown(now);
    return this.#out.take();
  }

  // ---- credit and settlement -------------------------------------------------------------------------------------------

  credited(frame: CreditFrame, now: number): SourceEffect[] {
    if (!this.#isOurs(frame) || !this.#opened()) return [];
    // An older word than the last says nothing of how things stand.
    if (frame.creditVersion > this.#intake.version) this.#blocked = frame.blocked;
    if (this.#blocked) this.#verdicts.returned(this.#flight.returnReleased(), 'refused');
    this.#credit(frame.creditVersion, frame.granted, now);
    this.#settleDown(now);
    return this.#out.take();
  }

  settled(frame: SettleFrame, now: number): SourceEffect[] {
    if (!this.#isOurs(frame)) return [];
    this.#verdicts.accept(frame.accepted, frame.countedSince, now);
    eachOf(clip(frame.released, this.#flight.settledThrough + 1, this.#flight.last), (sequence) => {
      this.#release(sequence, now);
    });
    for (const { sequence, reason } of frame.rejected) this.#verdicts.reject(sequence, reason);
    this.#advance();
    this.#compared(frame);
    this.#consumption.consolidate();
    this.#consumption.start(this.#flowing(), now);
    this.#settleDown(now);
    return this.#out.take();
  }

  /** The sink misses these numbers. */
  missed(epoch: StreamEpoch, missing: SequenceRanges, now: number): SourceEffect[] {
    if (!this.#isOurs(epoch) || !this.#opened()) return [];
    this.#flight.missed(missing, now);
    this.#advance();
    // What is gone is told at once, so that the sink does not wait for it.
    this.#sendState(now);
    this.#offer();
    return this.#out.take();
  }

  /** A rejected message is parked in the dead-letter queue (`true`), or could not be and stays for a later attempt. */
  parked(sequence: number, stored: boolean, now: number): SourceEffect[] {
    const entry = this.#flight.entry(sequence);
    if (entry?.status !== 'parking') return [];
    if (stored) this.#verdicts.parked(entry, now);
    else if (this.#ending()) this.#release(sequence, now);
    else this.#flight.parkLater(entry, now);
    this.#advance();
    this.#settleDown(now);
    return this.#out.take();
  }

  // ---- the source's broker ---------------------------------------------------------------------------------------------

  delivered(generation: number, batch: readonly Taken[], now: number): SourceEffect[] {
    const { orphans } = this.#environment;
    if (!this.#intake.isCurrent(generation)) {
      // Of a consumer that is given up: its channel is dead or dying, and if it is not, the messages are to go back.
      this.#out.add({ do: 'requeue', tokens: batch.map(({ token }) => token) });
      return this.#out.take();
    }
    this.#intake.delivered(batch.length, this.unsettled + batch.length);
    const recognised: Taken[] = [];
    const skipped: DeliveryToken[] = [];
    for (const taken of batch) {
      if (taken.skipped) {
        skipped.push(taken.token);
        continue;
      }
      if (taken.redelivered) {
        const match = orphans.take(taken.digest, taken.hasId, now);
        if (match?.is === 'accepted') {
          recognised.push(taken);
          continue;
        }
        if (match?.is === 'pending' && match.owner.adopt(match.sequence, taken.token)) continue;
      } else if (orphans.transient) this.#environment.sawFresh();
      this.#flight.add(taken, generation);
    }
    this.#verdicts.suppress(recognised, now);
    this.#verdicts.acknowledge(skipped, now);
    const forwards = this.#phase.is === 'flowing' || (this.#phase.is === 'finishing' && this.#phase.forward);
    if (!forwards || !this.#linked) this.#verdicts.returned(this.#flight.returnUnsent(), 'withdrawn');
    this.#offer();
    this.#consumption.judge();
    this.#settleDown(now);
    return this.#out.take();
  }

  /** A message that was sent under `sequence` came again: the new delivery stands for it from now on. */
  adopt(sequence: number, token: DeliveryToken): boolean {
    return this.#flight.adopt(sequence, token);
  }

  consumerEnded(generation: number, end: ConsumerEnd, now: number): SourceEffect[] {
    if (!this.#intake.isCurrent(generation)) return this.#out.take();
    this.#consumerGone(now);
    switch (end.why) {
      case 'cancelled':
        this.#verdicts.acknowledgePermitted(now);
        this.#advance();
        break;
      case 'queue-gone':
        // Deleted, or its node went: then its messages come again when it is back. Which one it was, the watch will tell.
        this.#deliveriesLost(undefined, now);
        this.#consumption.hindered(
          'the broker has cancelled the consumer: the queue was deleted or its node went',
          now + CONSUME_RETRY_MS,
        );
        break;
      case 'lost':
        this.#consumption.hindered(undefined, now + CHANNEL_RETRY_MS);
        break;
      case 'refused':
        this.#consumption.hindered(end.fault.message, now + CONSUME_RETRY_MS);
        break;
      default:
        unreachable(end);
    }
    this.#verdicts.acknowledgePermitted(now);
    this.#consumption.start(this.#flowing(), now);
    this.#settleDown(now);
    return this.#out.take();
  }

  /**
   * A channel died (undefined: the whole connection): its deliveries are not valid any more, the broker will hand these
   * messages over again, flagged as redelivered.
   */
  channelLost(channel: object | undefined, now: number): SourceEffect[] {
    this.#deliveriesLost(channel, now);
    this.#settleDown(now);
    return this.#out.take();
  }

  /** The source's broker cannot be used (`false`), or can again. */
  brokerUp(up: boolean, now: number): SourceEffect[] {
    this.#consumption.brokerUp(up);
    if (!up) {
      this.#consumerGone(now);
      return this.channelLost(undefined, now);
    }
    this.#consumption.start(this.#flowing(), now);
    return this.#out.take();
  }

  /** The queue was deleted, with all that it held: this epoch has nothing more to say. */
  queueGone(now: number): SourceEffect[] {
    this.#consumption.stop();
    this.#intake.ended();
    this.#reconciliation.voided();
    // Harmless when the queue is gone; when a new one of this name was consumed already, its messages go back.
    const tokens = this.#flight.clear();
    if (tokens.length > 0) this.#out.add({ do: 'requeue', tokens });
    this.#intake.clear();
    this.#end('the queue was deleted', now);
    return this.#out.take();
  }

  /**
   * Other bounds hold from now on. What is under way is not disturbed.
   * @param renew whether the consumer is to be replaced, since it was asked for with what is not so any more
   */
  configure(bounds: SourceBounds, renew: boolean, now: number): SourceEffect[] {
    Object.assign(this.settings, bounds);
    if (renew) this.#consumption.stop();
    else this.#consumption.judge();
    this.#consumption.start(this.#flowing(), now);
    return this.#out.take();
  }

  /** Something that `barred` depends on has changed. */
  reconsider(now: number): SourceEffect[] {
    if (this.#environment.barred()) this.#consumption.stop();
    this.#consumption.start(this.#flowing(), now);
    return this.#out.take();
  }

  /** Barrier `id` was answered for one channel. */
  flushed(id: number, processed: boolean, now: number): SourceEffect[] {
    if (this.#removal.flushed(id, processed)) this.#notes.soon(now);
    this.#settleDown(now);
    return this.#out.take();
  }

  // ---- ending ----------------------------------------------------------------------------------------------------------

  /** The sink has withdrawn its demand, or the connector does not permit it any more. */
  withdraw(reason: string, now: number): SourceEffect[] {
    this.#finishing({ is: 'finishing', reason, forward: false }, 'withdrawn', now);
    if (!this.#linked && this.#flight.unsettled > 0)
      this.#holdUntil = Math.min(this.#holdUntil, now + this.settings.holdMs);
    return this.#out.take();
  }

  /** Clean stop: nothing more is taken; what was taken is forwarded and settled first. */
  drain(now: number): SourceEffect[] {
    const forward = this.#opened() && this.#linked;
    this.#finishing({ is: 'finishing', reason: 'draining', forward }, 'draining', now);
    if (!this.#linked) this.#expireHold('draining');
    this.#advance();
    this.#settleDown(now);
    return this.#out.take();
  }

  /** What was sent, or is to be sent again, and waits for the sink's word. */
  get held(): { readonly messages: number; readonly sent: number } {
    return this.#flight.held();
  }

  /** The sink will not return: what is held for it goes back to its queue at once. */
  giveBack(now: number): SourceEffect[] {
    this.#expireHold('released');
    this.#advance();
    this.#settleDown(now);
    return this.#out.take();
  }

  /** Gives everything back that is not settled, at once. */
  abandon(reason: string, now: number): SourceEffect[] {
    this.#verdicts.returned(this.#flight.returnUnsent(), reason);
    this.#expireHold(reason);
    this.#end(reason, now);
    return this.#out.take();
  }

  wake(now: number): SourceEffect[] {
    if (now >= this.#holdUntil) this.#expireHold('link_lost');
    const phase = this.#phase;
    if ((phase.is === 'idle' || phase.is === 'opening') && now >= phase.retryAt && this.#linked) this.#open(now);
    if (phase.is === 'finishing' && now >= this.#reopenAt && this.#linked) {
      this.#sendOpen(now);
    }
    if (now >= this.#notes.dueAt) {
      this.#forwarding.mark();
      this.#sendState(now);
    }
    if (now >= this.#removal.nextFlush) this.#out.add(...this.#removal.flush(this.#flight.settledThrough));
    if (now >= this.#intake.overdueAt) this.#consumption.stop();
    this.#flight.due(now);
    this.#verdicts.parkAgain(now);
    this.#offer();
    this.#consumption.start(this.#flowing(), now);
    this.#settleDown(now);
    return this.#out.take();
  }

  // ---- forwarding --------------------------------------------------------------------------------------------------------

  /**
   * The next messages to send, at most `maxBytes` of them (but at least one): what is sent again first, then fresh ones,
   * which get their numbers here. Undefined when there is nothing to send, or a limit does not let it pass yet.
   */
  nextBatch(maxBytes: number, now: number): MessagesFrame | undefined {
    if (!this.hasUnsent) return undefined;
    const messages = this.#forwarding.next(maxBytes, now);
    this.#notes.soon(now);
    if (!messages) return undefined;
    const { address, epoch } = this.settings;
    return { kind: 'messages', address, ...epoch, attempt: this.#notes.attempt, last: this.#flight.last, messages };
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  #noCredit(): Obstacle | undefined {
    if (this.#blocked) return { reason: 'sink_refuses', detail: this.#blocked.detail };
    if (this.granted > this.taken) return undefined;
    return { reason: 'no_credit', detail: 'no credit: the sink has no consumer that could take more' };
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
    this.#notes.open();
  }

  #offer(): void {
    if (this.hasUnsent) this.#out.add({ do: 'offer' });
  }

  #sendState(now: number): void {
    this.#notes.state(this.#linked && this.#opened(), now);
  }

  #credit(version: number, granted: number, now: number): void {
    const change = this.#intake.grant(
      version,
      this.#phase.is === 'finishing' ? Math.min(granted, this.taken) : granted,
    );
    if (this.#intake.exceeded) this.#consumption.stop();
    const answered = this.#intake.answer();
    // Said again: the sink has not heard how things stand.
    if (change === 'stale' || (change === 'lowered' && answered)) this.#sendState(now);
    else this.#notes.soon(now);
    this.#verdicts.acknowledgePermitted(now);
    this.#advance();
    this.#consumption.judge();
    this.#consumption.start(this.#flowing(), now);
  }

  #compared({ comparison, countedSince }: SettleFrame): void {
    if (!comparison || !this.#reconciliation.compared(comparison, countedSince)) return;
    this.#notes.heard(comparison.through);
    this.#out.add({ do: 'compared', count: countName(this.settings.epoch, countedSince), difference: comparison });
  }

  #deliveriesLost(channel: object | undefined, now: number): void {
    const hit = (token: DeliveryToken | undefined): boolean =>
      token !== undefined && (channel === undefined || token.channel === channel);
    const { orphans } = this.#environment;
    this.#removal.lost(channel, this.last, (sequence) => this.#flight.entry(sequence) !== undefined, orphans, now);
    this.#flight.lost(hit, now);
    this.#intake.dropLost();
    this.#advance();
  }

  #consumerGone(now: number): void {
    this.#intake.ended();
    if (this.#intake.answer()) this.#sendState(now);
  }

  /** It may consume: the sink has answered, and nothing ends. */
  #flowing(): boolean {
    return this.#phase.is === 'flowing' && this.#linked;
  }

  #ending(): boolean {
    return this.#phase.is === 'finishing' || this.#phase.is === 'ended';
  }

  #release(sequence: number, now: number): void {
    this.#verdicts.release(sequence, this.#ending() || this.#blocked !== undefined, now);
  }

  /** The hold is over. */
  #expireHold(reason: string): void {
    this.#holdUntil = Number.POSITIVE_INFINITY;
    this.#verdicts.expire(reason);
  }

  #advance(): void {
    if (!this.#flight.advance()) return;
    this.#notes.advanced();
    this.#removal.advanced(this.#flight.settledThrough);
  }

  #finishing(phase: Extract<Phase, { is: 'finishing' }>, reason: string, now: number): void {
    if (this.#phase.is === 'ended') return;
    this.#phase = phase;
    this.#intake.cap(this.taken);
    this.#consumption.stop();
    if (!phase.forward) this.#verdicts.returned(this.#flight.returnUnsent(), reason);
    this.#verdicts.returned([...this.#flight.returnReleased(), ...this.#flight.returnUnparked()], reason);
    this.#offer();
    this.#advance();
    this.#settleDown(now);
  }

  /** Ends a finishing stream once nothing is left of it. */
  #settleDown(now: number): void {
    if (this.#phase.is !== 'finishing' || this.#intake.consuming || this.#flight.unsent > 0) return;
    if (this.#flight.unsettled > 0 || this.#intake.withholding) return;
    if (this.#removal.idle) this.#end(this.#phase.reason, now);
    else this.#out.add(...this.#removal.flush(this.#flight.settledThrough));
  }

  #end(reason: string, now: number): void {
    if (this.#phase.is === 'ended') return;
    if (this.#linked) {
      this.#sendState(now);
      this.#notes.closed(reason);
    }
    this.#holdUntil = Number.POSITIVE_INFINITY;
    this.#notes.silence();
    this.#phase = { is: 'ended', reason };
    this.#out.add({ do: 'ended', reason });
  }
}

function unreachable(value: never): never {
  throw new Error(`unexpected: ${JSON.stringify(value)}`);
}
