import type {
  Blocked,
  MessagesFrame,
  OpenFrame,
  QueueProperties,
  StateFrame,
  StreamAddress,
  StreamEpoch,
  StreamMessage,
} from '@tombolo/wire/frame';
import type { PublishOutcome } from '../broker/port.ts';
import { Outbox, type SinkEffect } from './effects.ts';
import type { IdentityRing } from './identity-ring.ts';
import { type Comparison, countName, SinkReconciliation } from './reconciliation.ts';
import type { ReadRecord } from './record-fields.ts';
import { clip, RangeSet } from './settlement.ts';
import { compareEpochs, type SinkEpoch } from './sink-epoch.ts';
import { SinkNotes } from './sink-notes.ts';
import { SinkPast } from './sink-past.ts';
import type { StreamRecord } from './stream-record.ts';

/*
 *                messages in sequence      the broker is up and a consumer could take it
 *   (absent) ─────────────────────▶ held ────────────────────────────────────▶ publishing ──▶ accepted
 *      ▲  ▲                          │  ▲                unknown [2]               │   │
 *      │  └── later [1] ─────────────┘  └──────────────────────────────────────────┘   ├──▶ rejected [4]
 *      └──────────────────────────────────── released [3] ◀────────────────────────────┘
 *
 * [1] A frame overtook another: at most a window of them is kept, and the gap is asked for again.
 * [2] The connection died before the broker answered: published again when it is back, and counted as possible duplicate. Or it was
 *     refused for now: published again when the destination may take it.
 * [3] The demand was withdrawn, or it was refused for long: the source has it.
 * [4] The broker can never take it: the source parks it.
 */

/** The sink's half of a stream: publishes strictly in sequence, settles, remembers. Pure: events in, effects out. */
export class SinkStream {
  readonly address: StreamAddress;
  readonly counts = { accepted: 0, released: 0, rejected: 0, suppressed: 0, possibleDuplicates: 0 };
  connector = '';
  /** What the source's queue is. */
  queue: QueueProperties = {};
  /** The source says that nothing waits for this stream. */
  empty = false;
  /** Bridges between the source and here. */
  distance = 0;
  readonly #past = new SinkPast();
  readonly #out = new Outbox<SinkEffect>();
  readonly #notes: SinkNotes;
  #epoch: SinkEpoch | undefined;
  /** Of the epoch. */
  #reconciliation = new SinkReconciliation(0, []);
  /** Up to which number it was compared, or was not to be. */
  #reconciled = 0;
  #mayPublish = false;
  /** How many messages may be under way to the broker. */
  #most = Number.POSITIVE_INFINITY;

  /** @param incarnation the own cluster's incarnation */
  constructor(address: StreamAddress, incarnation: number) {
    this.address = address;
    this.#notes = new SinkNotes(address, incarnation, this.#out);
  }

  get epoch(): StreamEpoch | undefined {
    return this.#epoch?.id;
  }
  /** A source has opened this stream and is linked: credit has somewhere to go. */
  get open(): boolean {
    return this.#notes.linked && this.#epoch !== undefined;
  }
  get granted(): number {
    return this.#notes.credit.granted;
  }
  get received(): number {
    return this.#epoch?.through ?? 0;
  }
  get missing(): readonly number[] {
    return this.#notes.missing;
  }
  /** Messages with an id that were stored here and removed at the source: a crash of its broker may bring them back. */
  get ring(): IdentityRing {
    return this.#past.ring;
  }
  /** What a crash of this process would double, besides what waits for the broker's answer; undefined without such a record. */
  get unrecorded(): number | undefined {
    return this.#past.record?.unrecorded;
  }
  /** The latest comparison of counts; undefined: none was made. */
  get comparison(): Comparison | undefined {
    return this.#epoch && this.#reconciliation.comparison;
  }
  /** Messages received and not decided. */
  get unsettled(): number {
    return this.#epoch?.unsettled ?? 0;
  }
  get unsettledBytes(): number {
    return this.#epoch?.bytes ?? 0;
  }
  /** How many messages of this epoch need no credit any more. */
  get done(): number {
    return this.#epoch?.done ?? 0;
  }
  /** Credit that was granted and is not used up: on its way, or waiting here. */
  get outstanding(): number {
    return Math.max(0, this.#notes.credit.granted - this.done);
  }
  /** From a credit to the first message that needed it, at least (ms); Infinity: it is not known. */
  get loopMs(): number {
    return this.#notes.credit.loopMs;
  }
  /**
   * The source has answered the latest credit, and everything that it had taken by then is decided, as is everything that is here:
   * a credit that is used up needs no lowering, and the source may have answered it when it had taken little of it.
   */
  get quiet(): boolean {
    return !this.open || (this.#notes.credit.heard && this.done >= this.#notes.credit.taken && this.unsettled === 0);
  }
  /** Publishes of an epoch that has ended are still under way. */
  get undecided(): boolean {
    return this.#past.undecided;
  }

  /** Messages that are stored here, and of which the source has not said that they are removed there. */
  get unremoved(): number {
    return this.#past.unremoved + (this.#epoch?.accepted.size ?? 0);
  }

  /** Messages that wait to be published. */
  get held(): number {
    return this.#epoch?.held ?? 0;
  }
  /** Messages that the broker has been given. */
  get underWay(): number {
    return this.#epoch?.publishing.size ?? 0;
  }

  /** When `wake` is due next (monotonic ms); Infinity: never. */
  nextWake(): number {
    return this.open ? this.#notes.credit.repeatAt : Number.POSITIVE_INFINITY;
  }

  /** Says the credit again when the source has not shown for long that it knows it. */
  wake(now: number): SinkEffect[] {
    if (this.#epoch && now >= this.nextWake()) {
      this.#notes.repeatCredit(this.#epoch, now);
    }
    return this.#out.take();
  }

  /** The source opens a new epoch, or takes up the one we know. `granted` credit comes separately. */
  opened(frame: OpenFrame, now: number): SinkEffect[] {
    const known = this.#epoch;
    if (known && compareEpochs(frame, known.id) < 0) return [];
    if (known && compareEpochs(frame, known.id) === 0 && frame.attempt < known.attempt) return [];
    this.#notes.linked = true;
    this.connector = frame.connector;
    this.queue = frame.queue;
    this.empty = false;
    this.distance = frame.hops ?? 0;
    const begins = !known || compareEpochs(frame, known.id) > 0;
    const epoch = begins ? this.#begin(frame, now) : known;
    epoch.attempt = frame.attempt;
    this.#gone(epoch, frame.settledThrough, frame.gone, now);
    // Credit that was given on the former link is void: what has arrived is counted, the rest is granted anew.
    this.#notes.credit.untimed();
    this.#notes.credit.tell(Math.max(epoch.highest, frame.last), now);
    epoch.allowed = Math.max(epoch.allowed, this.#notes.credit.granted);
    this.#notes.resume(epoch, frame, this.#reconciliation.since);
    epoch.compared();
    if (this.#notes.blocked) this.#notes.tellCredit(epoch, this.#notes.credit.granted, now);
    return this.#out.take();
  }

  messages(frame: MessagesFrame, now: number): SinkEffect[] {
    const epoch = this.#current(frame);
    // What was sent before the newest `open` may have gone back to its queue when notes were compared.
    if (!epoch || frame.attempt !== epoch.attempt) return [];
    this.empty = false;
    this.distance = frame.hops ?? 0;
    this.#receive(epoch, frame.messages, now);
    this.#notes.credit.arrived(epoch.highest, now);
    // Data frames keep their order on a link: what is missing now was lost on the way, by a relay or with an older link.
    this.#notes.askForGaps(epoch, Math.max(epoch.highest, Math.min(frame.last, epoch.allowed)), now);
    this.#pump();
    return this.#out.take();
  }

  stated(frame: StateFrame, now: number): SinkEffect[] {
    const epoch = this.#current(frame);
    if (!epoch) return [];
    this.empty = frame.empty;
    this.#gone(epoch, Math.min(frame.settledThrough, epoch.allowed), clip(frame.returned, 1, epoch.allowed), now);
    const removed = Math.min(frame.removedThrough, frame.settledThrough, epoch.allowed);
    this.#past.remember(epoch, removed, now);
    this.#past.record?.removed(epoch.id, removed);
    epoch.removed(removed, now);
    this.#notes.credit.answered(frame);
    this.#notes.settleAgain(epoch, frame, this.#reconciliation.since, this.#compare(epoch, frame));
    this.#pump();
    return this.#out.take();
  }

  closed(frame: StreamEpoch, now: number): SinkEffect[] {
    if (this.#epoch && compareEpochs(frame, this.#epoch.id) === 0) {
      this.#past.drop(this.#epoch, now);
      this.#epoch = undefined;
    }
    this.#notes.credit.lapse();
    return this.#out.take();
  }

  linkLost(): void {
    this.#notes.linked = false;
  }

  /** There is a way to the source again: what it may have missed is said again. */
  linkUp(now: number): SinkEffect[] {
    if (!this.#notes.linked && this.#epoch) {
      this.#notes.linked = true;
      this.#notes.tellCredit(this.#epoch, this.#notes.credit.granted, now);
    }
    return this.#out.take();
  }

  /** Whether messages may be published now: the broker is up and a consumer could take them. */
  setMayPublish(may: boolean): SinkEffect[] {
    this.#mayPublish = may;
    this.#pump();
    return this.#out.take();
  }

  /** How many messages may be under way to the broker; fewer are not published, they wait. */
  setMost(most: number): SinkEffect[] {
    this.#most = most;
    this.#pump();
    return this.#out.take();
  }

  /** The source is told why its messages are not taken for now, or that they are. */
  setBlocked(blocked: Blocked | undefined, now: number): SinkEffect[] {
    if (this.#notes.setBlocked(blocked) && this.open)
      this.#notes.tellCredit(this.#epoch!, this.#notes.credit.granted, now);
    return this.#out.take();
  }

  /** Allows `outstanding` messages beyond those that are decided. Credit never falls here. */
  grant(outstanding: number, now: number): SinkEffect[] {
    const epoch = this.#epoch;
    const granted = this.done + outstanding;
    if (epoch && this.#notes.linked && granted > this.#notes.credit.granted) {
      epoch.allowed = Math.max(epoch.allowed, granted);
      this.#notes.tellCredit(epoch, granted, now);
    }
    return this.#out.take();
  }

  /** Takes the credit back that was not used: no message more than those that have arrived. */
  revoke(now: number): SinkEffect[] {
    const epoch = this.#epoch;
    if (epoch && this.#notes.linked) {
      const used = Math.max(epoch.highest, epoch.done);
      if (used < this.#notes.credit.granted) this.#notes.tellCredit(epoch, used, now);
    }
    return this.#out.take();
  }

  /** The demand is withdrawn: what was not published is the source's again, but for the first `keep`. */
  release(keep = 0): SinkEffect[] {
    const epoch = this.#epoch;
    if (epoch) {
      const numbers = new RangeSet();
      for (const { sequence } of epoch.clear(keep)) this.#releaseOne(epoch, sequence, numbers);
      this.#notes.settle(epoch, { released: numbers }, this.#reconciliation.since);
    }
    return this.#out.take();
  }

  /** The broker's answers to what was published in `epochId`. */
  outcome(
    epochId: StreamEpoch,
    ids: readonly number[],
    outcome: PublishOutcome,
    detail: string | undefined,
  ): SinkEffect[] {
    const epoch = this.#current(epochId) ?? this.#past.find(epochId);
    if (!epoch) return [];
    const alive = epoch === this.#epoch;
    const accepted = new RangeSet();
    const released = new RangeSet();
    const rejected: { sequence: number; reason: string }[] = [];
    for (const sequence of ids) {
      const message = epoch.answered(sequence);
      if (!message) continue;
      if (outcome !== 'unknown') this.#past.record?.answered(epoch.id, sequence, outcome === 'confirmed');
      switch (outcome) {
        case 'confirmed':
          accepted.add(sequence);
          if (alive) this.#reconciliation.confirmed(sequence);
          epoch.accept(sequence);
          this.counts.accepted++;
          break;
        case 'postponed':
          this.#releaseOne(epoch, sequence, released);
          break;
        case 'returned':
        case 'refused':
        case 'forbidden':
        case 'unknown':
          if (outcome === 'unknown') {
            this.counts.possibleDuplicates++;
            this.#out.add({ do: 'count', what: 'possible-duplicates', n: 1 });
          }
          if (!alive) break;
          // The source may have given it back meanwhile: then its queue will hand it over again.
          if (epoch.decided.has(sequence) || sequence <= epoch.settledThrough) released.add(sequence);
          else epoch.holdAgain(message);
          break;
        case 'poison': {
          const reason = detail ?? 'the broker refused the message';
          rejected.push({ sequence, reason });
          epoch.reject(sequence, reason);
          this.counts.rejected++;
          break;
        }
        default:
          throw new Error(`unexpected outcome ${outcome satisfies never}`);
      }
    }
    if (!accepted.empty) this.#out.add({ do: 'count', what: 'delivered', n: accepted.size });
    if (alive) this.#notes.settle(epoch, { accepted, released, rejected }, this.#reconciliation.since);
    this.#pump();
    return this.#out.take();
  }

  /** A newer incarnation of the source is there: nothing of the older ones is published any more. */
  supersede(incarnation: number, now: number): void {
    if (this.#epoch && this.#epoch.id.incarnation < incarnation) this.#bury(this.#epoch, now);
    this.prune(now);
  }

  /** Forgets dead incarnations that nobody has asked for in a long time. */
  prune(now: number): void {
    this.#past.prune(now);
  }

  /** This process writes down what another is to know; it may take up what a predecessor has written. Before anything else happens. */
  recordWith(record: StreamRecord, read: ReadRecord | undefined, now: number, wall: number): void {
    this.#past.recordWith(record, read, now, wall);
  }

  /**
   * Identities of dead incarnations that the broker has confirmed and of which the source never said that they are removed; none was
   * confirmed before its `since` (monotonic ms).
   */
  inDoubt(): { digest: Uint8Array; hasId: boolean; since: number }[] {
    return this.#past.inDoubt();
  }

  /** The dead incarnations' identities are not needed any more. */
  forget(now: number): void {
    this.#past.forget(now);
  }

  /** Nothing of this stream is worth keeping. */
  get idle(): boolean {
    return this.#epoch === undefined && this.#past.empty;
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #begin(frame: OpenFrame, now: number): SinkEpoch {
    const former = this.#epoch;
    if (former && former.id.incarnation < frame.incarnation) this.#bury(former, now);
    // The queue was deleted and made again: its messages are gone.
    else if (former) this.#past.drop(former, now);
    const epoch = this.#past.begin(frame, now);
    epoch.allowed = frame.last;
    this.#past.dropOlder(frame, now);
    this.#epoch = epoch;
    this.#notes.credit.lapse();
    this.#reconciliation = new SinkReconciliation(frame.attempt, epoch.accepted.toRanges());
    this.#reconciled = frame.settledThrough;
    return epoch;
  }

  #bury(epoch: SinkEpoch, now: number): void {
    this.#past.bury(epoch, now);
    this.#epoch = undefined;
    this.#notes.credit.lapse();
  }

  #current(frame: StreamEpoch): SinkEpoch | undefined {
    return this.#epoch && compareEpochs(frame, this.#epoch.id) === 0 ? this.#epoch : undefined;
  }

  /** What of a comparison is worth telling the source: a difference, or that there is none once nothing is under way. */
  #compare(epoch: SinkEpoch, { removed, settledThrough, empty }: StateFrame): Comparison | undefined {
    if (!removed || settledThrough > epoch.allowed) return undefined;
    const comparison = this.#reconciliation.compare(removed, settledThrough);
    if (!comparison) return undefined;
    const more = comparison.through - this.#reconciled;
    if (more > 0) this.#out.add({ do: 'count', what: 'reconciled', n: more });
    this.#reconciled += Math.max(0, more);
    const count = countName(epoch.id, this.#reconciliation.since);
    this.#out.add({ do: 'compared', count, difference: comparison });
    return this.#reconciliation.differed || (empty && settledThrough > 0) ? comparison : undefined;
  }

  #receive(epoch: SinkEpoch, messages: readonly StreamMessage[], now: number): void {
    const recognised = new RangeSet();
    const recognise = (message: StreamMessage) => this.#recognise(epoch, message, recognised, now);
    for (const message of messages) epoch.receive(message, recognise);
    epoch.catchUp(recognise);
    this.#settleRecognised(epoch, recognised);
  }

  /**
   * A copy of what is stored here already, which a crash of the source's broker has brought back. Only what the broker flags is looked
   * up: an equal message that was never handed out before is another one.
   * @param recognised takes the numbers of such copies
   */
  #recognise(epoch: SinkEpoch, message: StreamMessage, recognised: RangeSet, now: number): boolean {
    const { sequence, redelivered, hasId, digest } = message;
    if (!redelivered || !hasId || !this.ring.take(digest, now)) return false;
    epoch.log.set(sequence, digest, hasId);
    this.#reconciliation.confirmed(sequence);
    epoch.accept(sequence);
    this.#past.record?.answered(epoch.id, sequence, true);
    recognised.add(sequence);
    return true;
  }

  #settleRecognised(epoch: SinkEpoch, recognised: RangeSet): void {
    if (recognised.empty) return;
    this.counts.suppressed += recognised.size;
    this.#out.add({ do: 'count', what: 'suppressed', n: recognised.size });
    this.#notes.settle(epoch, { accepted: recognised }, this.#reconciliation.since);
  }

  /** The source has done with these numbers: they are not to be published. What is being published goes on. */
  #gone(epoch: SinkEpoch, settledThrough: number, gone: readonly number[], now: number): void {
    epoch.gone(settledThrough, gone);
    this.#receive(epoch, [], now);
  }

  #releaseOne(epoch: SinkEpoch, sequence: number, numbers: RangeSet): void {
    epoch.release(sequence);
    numbers.add(sequence);
    this.counts.released++;
    this.#out.add({ do: 'count', what: 'released', n: 1 });
  }

  #pump(): void {
    const epoch = this.#epoch;
    if (!epoch || !this.#mayPublish || epoch.held === 0 || epoch.publishing.size >= this.#most) return;
    const messages = epoch.publish(this.#most - epoch.publishing.size);
    let doubtful = 0;
    for (const message of messages) {
      this.#past.record?.publishing(epoch.id, message.sequence);
      if (!epoch.doubtful.empty && message.resent && epoch.doubtful.has(message.sequence)) {
        epoch.doubtful.delete(message.sequence);
        doubtful++;
      }
    }
    if (doubtful > 0) {
      this.counts.possibleDuplicates += doubtful;
      this.#out.add({ do: 'count', what: 'possible-duplicates', n: doubtful });
    }
    this.#out.add({ do: 'publish', messages });
  }
}
