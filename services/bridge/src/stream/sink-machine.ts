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
import { type SinkEffect, weightOf } from './effects.ts';
import { IdentityRing } from './identity-ring.ts';
import { DIGEST_BYTES, IdentityLog } from './in-doubt.ts';
import type { LandingOutcome } from './landing.ts';
import { type Comparison, countName, SinkReconciliation } from './reconciliation.ts';
import type { ReadRecord } from './record-fields.ts';
import { clip, eachOf, RangeSet } from './settlement.ts';
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

/** One life of the stream: everything that is known of the sequence numbers of one epoch. */
interface Epoch {
  readonly id: StreamEpoch;
  /** All numbers up to this one were received or are gone. */
  through: number;
  /** The source knows the verdict of all numbers up to this one. */
  settledThrough: number;
  readonly later: Map<number, StreamMessage>;
  held: StreamMessage[];
  readonly publishing: Map<number, StreamMessage>;
  readonly released: Set<number>;
  readonly accepted: RangeSet;
  readonly rejected: Map<number, string>;
  /** accepted, rejected, or given back by the source; above settledThrough. */
  readonly decided: RangeSet;
  readonly log: IdentityLog;
  /** What a predecessor of this process may have published, as far as it is known: sent again, it may be doubled. */
  readonly doubtful: RangeSet;
  /** The highest number that credit ever allowed: what lies beyond was made up. */
  allowed: number;
  /** Of the newest `open`: data of another is not taken. */
  attempt: number;
  /** When the epoch ended (monotonic ms); meaningless before. */
  endedAt: number;
  /** No message that is accepted and not removed was accepted before (monotonic ms). */
  since: number;
  /** Everything that is accepted later has a higher number, or was accepted after `at`. */
  mark: { readonly through: number; readonly at: number };
}

const LATER_LARGEST = 10_000;
const LATER_BYTES = 64 * 1024 * 1024;
const GAP_MS = 200;
const CREDIT_MS = 3_000;
/** How long identities of a dead incarnation are kept for its successor. */
const RETENTION_MS = 600_000;

/** Sequence numbers above this are not believed (a peer may lie). */
const SEQUENCE_LARGEST = Number.MAX_SAFE_INTEGER / 2;

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
  /** Messages with an id that were stored here and removed at the source: a crash of its broker may bring them back. */
  readonly ring = new IdentityRing();
  #incarnation: number;
  /** What another process is to know, should this one die; undefined: nobody but this process knows. */
  #record: StreamRecord | undefined;
  #epoch: Epoch | undefined;
  /** Of the epoch. */
  #reconciliation = new SinkReconciliation(0, []);
  #dead: Epoch[] = [];
  #linked = true;
  #mayPublish = false;
  /** How many messages may be under way to the broker. */
  #most = Number.POSITIVE_INFINITY;
  #blocked: Blocked | undefined;
  #granted = 0;
  #creditVersion = 0;
  /** The newest credit that the source is known to obey, and when a newer one is said again. */
  #heard = 0;
  #creditAt = 0;
  #taken = 0;
  #laterBytes = 0;
  /** Of all messages that are here: held, being published, early. */
  #bytes = 0;
  #gapAt = 0;
  #missing: number[] = [];
  #out: SinkEffect[] = [];

  /** @param incarnation the own cluster's incarnation */
  constructor(address: StreamAddress, incarnation: number) {
    this.address = address;
    this.#incarnation = incarnation;
  }

  get epoch(): StreamEpoch | undefined {
    return this.#epoch?.id;
  }
  /** A source has opened this stream and is linked: credit has somewhere to go. */
  get open(): boolean {
    return this.#linked && this.#epoch !== undefined;
  }
  get granted(): number {
    return this.#granted;
  }
  get received(): number {
    return this.#epoch?.through ?? 0;
  }
  get missing(): readonly number[] {
    return this.#missing;
  }
  /** What a crash of this process would double, besides what waits for the broker's answer; undefined without such a record. */
  get unrecorded(): number | undefined {
    return this.#record?.unrecorded;
  }
  /** The latest comparison of counts; undefined: none was made. */
  get comparison(): Comparison | undefined {
    return this.#epoch && this.#reconciliation.comparison;
  }
  /** Messages received and not decided. */
  get unsettled(): number {
    const epoch = this.#epoch;
    return epoch ? epoch.held.length + epoch.publishing.size + epoch.later.size : 0;
  }
  get unsettledBytes(): number {
    return this.#bytes;
  }
  /** How many messages of this epoch need no credit any more. */
  get done(): number {
    return this.#epoch ? this.#epoch.settledThrough + this.#epoch.decided.size : 0;
  }
  /** Credit that was granted and is not used up: on its way, or waiting here. */
  get outstanding(): number {
    return Math.max(0, this.#granted - this.done);
  }
  /**
   * The source has answered the latest credit, and everything that it had taken by then is decided, as is everything that is here:
   * a credit that is used up needs no lowering, and the source may have answered it when it had taken little of it.
   */
  get quiet(): boolean {
    return !this.open || (this.#heard >= this.#creditVersion && this.done >= this.#taken && this.unsettled === 0);
  }
  /** Publishes of an epoch that has ended are still under way. */
  get undecided(): boolean {
    return this.#dead.some((epoch) => epoch.publishing.size > 0);
  }

  /** Messages that are stored here, and of which the source has not said that they are removed there. */
  get unremoved(): number {
    return [...this.#dead, ...(this.#epoch ? [this.#epoch] : [])].reduce((sum, { accepted }) => sum + accepted.size, 0);
  }

  /** Messages that wait to be published. */
  get held(): number {
    return this.#epoch?.held.length ?? 0;
  }
  /** Messages that the broker has been given. */
  get underWay(): number {
    return this.#epoch?.publishing.size ?? 0;
  }

  /** When `wake` is due next (monotonic ms); Infinity: never. */
  nextWake(): number {
    return this.open && this.#heard < this.#creditVersion ? this.#creditAt : Number.POSITIVE_INFINITY;
  }

  /** Says the credit again when the source has not shown for long that it knows it. */
  wake(now: number): SinkEffect[] {
    if (this.#epoch && now >= this.nextWake()) {
      this.#creditAt = now + CREDIT_MS;
      this.#sendCredit(this.#epoch);
    }
    return this.#take();
  }

  /** The source opens a new epoch, or takes up the one we know. `granted` credit comes separately. */
  opened(frame: OpenFrame, now: number): SinkEffect[] {
    const known = this.#epoch;
    if (known && compareEpochs(frame, known.id) < 0) return [];
    if (known && compareEpochs(frame, known.id) === 0 && frame.attempt < known.attempt) return [];
    this.#linked = true;
    this.connector = frame.connector;
    this.queue = frame.queue;
    this.empty = false;
    this.distance = frame.hops ?? 0;
    const begins = !known || compareEpochs(frame, known.id) > 0;
    if (begins) this.#begin(frame, now);
    const epoch = this.#epoch!;
    if (begins) this.#reconciliation = new SinkReconciliation(frame.attempt, epoch.accepted.toRanges());
    epoch.attempt = frame.attempt;
    this.#gone(epoch, frame.settledThrough, frame.gone, now);
    // Credit that was given on the former link is void: what has arrived is counted, the rest is granted anew.
    this.#granted = Math.max(this.#highest(epoch), frame.last);
    epoch.allowed = Math.max(epoch.allowed, this.#granted);
    this.#creditVersion++;
    this.#creditAt = now + CREDIT_MS;
    const received = new RangeSet();
    if (epoch.through > epoch.settledThrough) received.add(epoch.settledThrough + 1, epoch.through);
    for (const sequence of epoch.released) received.delete(sequence);
    eachOf(clip(frame.gone, epoch.settledThrough + 1, epoch.through), (sequence) => {
      const settled = epoch.accepted.has(sequence) || epoch.rejected.has(sequence);
      if (!settled && !epoch.publishing.has(sequence)) received.delete(sequence);
    });
    for (const sequence of epoch.later.keys()) received.add(sequence);
    this.#send({
      kind: 'resume',
      ...this.#head(epoch),
      attempt: frame.attempt,
      sinkIncarnation: this.#incarnation,
      received: received.toRanges(),
      accepted: epoch.accepted.toRanges(),
      rejected: [...epoch.rejected].map(([sequence, reason]) => ({ sequence, reason })),
      creditVersion: this.#creditVersion,
      granted: this.#granted,
      countedSince: this.#reconciliation.since,
    });
    if (this.#blocked) this.#tellCredit(epoch, now);
    return this.#take();
  }

  messages(frame: MessagesFrame, now: number): SinkEffect[] {
    const epoch = this.#current(frame);
    // What was sent before the newest `open` may have gone back to its queue when notes were compared.
    if (!epoch || frame.attempt !== epoch.attempt) return [];
    this.empty = false;
    this.distance = frame.hops ?? 0;
    const recognised = new RangeSet();
    for (const message of frame.messages) this.#receive(epoch, message, recognised, now);
    this.#catchUp(epoch, recognised, now);
    this.#settleRecognised(epoch, recognised);
    // Data frames keep their order on a link: what is missing now was lost on the way, by a relay or with an older link.
    this.#askForGaps(epoch, Math.max(this.#highest(epoch), Math.min(frame.last, epoch.allowed)), now);
    this.#pump();
    return this.#take();
  }

  stated(frame: StateFrame, now: number): SinkEffect[] {
    const epoch = this.#current(frame);
    if (!epoch) return [];
    this.empty = frame.empty;
    this.#gone(epoch, Math.min(frame.settledThrough, epoch.allowed), clip(frame.returned, 1, epoch.allowed), now);
    const removed = Math.min(frame.removedThrough, frame.settledThrough, epoch.allowed);
    this.#remember(epoch, removed, now);
    this.#record?.removed(epoch.id, removed);
    epoch.log.dropThrough(removed);
    epoch.accepted.dropThrough(removed);
    if (removed >= epoch.mark.through) {
      epoch.since = epoch.mark.at;
      epoch.mark = { through: this.#highest(epoch), at: now };
    }
    // The source lacks a verdict or a credit that was sent: say both again.
    this.#heard = Math.max(this.#heard, frame.creditVersion);
    this.#taken = frame.taken;
    const unheard = clip(epoch.accepted.toRanges(), frame.settledThrough + 1, SEQUENCE_LARGEST);
    const comparison = this.#compare(epoch, frame);
    if (unheard.length > 0 || epoch.rejected.size > 0 || epoch.released.size > 0 || comparison) {
      const released = new RangeSet();
      for (const sequence of [...epoch.released].sort((a, b) => a - b)) released.add(sequence);
      this.#send({
        kind: 'settle',
        ...this.#head(epoch),
        accepted: unheard,
        released: released.toRanges(),
        rejected: [...epoch.rejected].map(([sequence, reason]) => ({ sequence, reason })),
        countedSince: this.#reconciliation.since,
        ...(comparison && { comparison }),
      });
    }
    this.#pump();
    return this.#take();
  }

  closed(frame: StreamEpoch, now: number): SinkEffect[] {
    if (this.#epoch && compareEpochs(frame, this.#epoch.id) === 0) {
      this.#drop(this.#epoch, now);
      this.#epoch = undefined;
      this.#laterBytes = 0;
      this.#bytes = 0;
    }
    this.#granted = 0;
    return this.#take();
  }

  linkLost(): void {
    this.#linked = false;
  }

  /** There is a way to the source again: what it may have missed is said again. */
  linkUp(now: number): SinkEffect[] {
    if (!this.#linked && this.#epoch) {
      this.#linked = true;
      this.#tellCredit(this.#epoch, now);
    }
    return this.#take();
  }

  /** Whether messages may be published now: the broker is up and a consumer could take them. */
  setMayPublish(may: boolean): SinkEffect[] {
    this.#mayPublish = may;
    this.#pump();
    return this.#take();
  }

  /** How many messages may be under way to the broker; fewer are not published, they wait. */
  setMost(most: number): SinkEffect[] {
    this.#most = most;
    this.#pump();
    return this.#take();
  }

  /** The source is told why its messages are not taken for now, or that they are. */
  setBlocked(blocked: Blocked | undefined, now: number): SinkEffect[] {
    if (this.#blocked === blocked) return [];
    this.#blocked = blocked;
    if (this.open) this.#tellCredit(this.#epoch!, now);
    return this.#take();
  }

  /** Allows `outstanding` messages beyond those that are decided. Credit never falls here. */
  grant(outstanding: number, now: number): SinkEffect[] {
    const epoch = this.#epoch;
    if (epoch && this.#linked && this.done + outstanding > this.#granted) {
      this.#granted = this.done + outstanding;
      epoch.allowed = Math.max(epoch.allowed, this.#granted);
      this.#tellCredit(epoch, now);
    }
    return this.#take();
  }

  /** Takes the credit back that was not used: no message more than those that have arrived. */
  revoke(now: number): SinkEffect[] {
    const epoch = this.#epoch;
    if (epoch && this.#linked) {
      const used = Math.max(this.#highest(epoch), this.done);
      if (used < this.#granted) {
        this.#granted = used;
        this.#tellCredit(epoch, now);
      }
    }
    return this.#take();
  }

  /** The demand is withdrawn: what was not published is the source's again, but for the first `keep`. */
  release(keep = 0): SinkEffect[] {
    const epoch = this.#epoch;
    if (epoch) {
      const numbers = new RangeSet();
      for (const message of epoch.held.splice(keep)) {
        this.#bytes -= weightOf(message);
        this.#releaseOne(epoch, message.sequence, numbers);
      }
      this.#forgetLater(epoch);
      if (!numbers.empty) this.#settle(epoch, [], numbers.toRanges(), []);
    }
    return this.#take();
  }

  /** The broker's answers to what was published in `epochId`. */
  outcome(
    epochId: StreamEpoch,
    ids: readonly number[],
    outcome: LandingOutcome,
    detail: string | undefined,
  ): SinkEffect[] {
    const epoch =
      this.#epoch && compareEpochs(epochId, this.#epoch.id) === 0
        ? this.#epoch
        : this.#dead.find((dead) => compareEpochs(dead.id, epochId) === 0);
    if (!epoch) return [];
    const alive = epoch === this.#epoch;
    const accepted = new RangeSet();
    const released = new RangeSet();
    const rejected: { sequence: number; reason: string }[] = [];
    for (const sequence of ids) {
      const message = epoch.publishing.get(sequence);
      if (!message) continue;
      epoch.publishing.delete(sequence);
      if (outcome !== 'unknown') this.#record?.answered(epoch.id, sequence, outcome === 'confirmed');
      if (alive) this.#bytes -= weightOf(message);
      switch (outcome) {
        case 'confirmed':
          accepted.add(sequence);
          if (alive) this.#reconciliation.confirmed(sequence);
          epoch.accepted.add(sequence);
          epoch.decided.add(sequence);
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
            this.#out.push({ do: 'count', what: 'possible-duplicates', n: 1 });
          }
          if (!alive) break;
          // The source may have given it back meanwhile: then its queue will hand it over again.
          if (epoch.decided.has(sequence) || sequence <= epoch.settledThrough) released.add(sequence);
          else {
            insertBySequence(epoch.held, message);
            this.#bytes += weightOf(message);
          }
          break;
        case 'poison': {
          const reason = detail ?? 'the broker refused the message';
          rejected.push({ sequence, reason });
          epoch.rejected.set(sequence, reason);
          epoch.decided.add(sequence);
          this.counts.rejected++;
          break;
        }
        default:
          throw new Error(`unexpected outcome ${outcome satisfies never}`);
      }
    }
    if (!accepted.empty) this.#out.push({ do: 'count', what: 'delivered', n: accepted.size });
    if (alive) this.#settle(epoch, accepted.toRanges(), released.toRanges(), rejected);
    this.#pump();
    return this.#take();
  }

  /** A newer incarnation of the source is there: nothing of the older ones is published any more. */
  supersede(incarnation: number, now: number): void {
    if (this.#epoch && this.#epoch.id.incarnation < incarnation) this.#bury(this.#epoch, now);
    this.prune(now);
  }

  /** Forgets dead incarnations that nobody has asked for in a long time. */
  prune(now: number): void {
    this.ring.prune(now);
    this.#dead = this.#dead.filter((epoch) => {
      if (now - epoch.endedAt < RETENTION_MS) return true;
      this.#record?.dropped(epoch.id);
      return false;
    });
  }

  /** This process writes down what another is to know; it may take up what a predecessor has written. Before anything else happens. */
  recordWith(record: StreamRecord, read: ReadRecord | undefined, now: number, wall: number): void {
    this.#record = record;
    if (!read) return;
    for (const { at, digests } of read.ring.values()) {
      const then = Math.min(now, now - (wall - at));
      for (let i = 0; i < digests.length; i += DIGEST_BYTES) this.ring.add(digests.subarray(i, i + DIGEST_BYTES), then);
    }
    for (const { id, note, pages } of read.epochs) {
      const removed = note?.removedThrough ?? 0;
      const epoch = newEpoch(id, removed, now);
      for (const { ranges, packed, at } of pages.values()) {
        epoch.log.unpack(ranges, packed);
        epoch.since = Math.min(epoch.since, now - (wall - at));
        const kept = clip(ranges, removed + 1, SEQUENCE_LARGEST);
        for (let i = 0; i + 1 < kept.length; i += 2) epoch.accepted.add(kept[i]!, kept[i + 1]!);
      }
      for (let i = 0; i + 1 < (note?.publishing.length ?? 0); i += 2)
        epoch.doubtful.add(note!.publishing[i]!, note!.publishing[i + 1]!);
      this.#dead.push(epoch);
    }
    record.takeOver(read, this.#dead);
  }

  /**
   * Identities of dead incarnations that the broker has confirmed and of which the source never said that they are removed; none was
   * confirmed before its `since` (monotonic ms).
   */
  inDoubt(): { digest: Uint8Array; hasId: boolean; since: number }[] {
    const found: { digest: Uint8Array; hasId: boolean; since: number }[] = [];
    for (const epoch of this.#dead) {
      const { since } = epoch;
      eachOf(epoch.accepted.toRanges(), (sequence) => {
        const identity = epoch.log.get(sequence);
        if (identity) found.push({ ...identity, since });
      });
    }
    return found;
  }

  /** The dead incarnations' identities are not needed any more. */
  forget(now: number): void {
    this.#dead = this.#dead.filter((epoch) => {
      if (epoch.publishing.size > 0) return true;
      this.#drop(epoch, now);
      return false;
    });
  }

  /** Nothing of this stream is worth keeping. */
  get idle(): boolean {
    return this.#epoch === undefined && this.#dead.length === 0 && this.ring.size === 0;
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #take(): SinkEffect[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #begin(frame: OpenFrame, now: number): void {
    if (this.#epoch) {
      if (this.#epoch.id.incarnation < frame.incarnation) this.#bury(this.#epoch, now);
      else {
        // The queue was deleted and made again: its messages are gone.
        this.#drop(this.#epoch, now);
        this.#epoch = undefined;
      }
    }
    this.#laterBytes = 0;
    this.#bytes = 0;
    this.#granted = 0;
    this.#epoch = this.#revived(frame, now);
    this.#epoch.allowed = frame.last;
    this.#dropOlder(frame, now);
  }

  /** What a predecessor has written of this very epoch goes on. */
  #revived(frame: OpenFrame, now: number): Epoch {
    const dead = this.#dead.find(({ id, publishing }) => compareEpochs(id, frame) === 0 && publishing.size === 0);
    if (dead) {
      this.#dead = this.#dead.filter((epoch) => epoch !== dead);
      dead.through = frame.settledThrough;
      dead.settledThrough = frame.settledThrough;
      const ranges = clip(dead.accepted.toRanges(), frame.settledThrough + 1, frame.last);
      for (let i = 0; i + 1 < ranges.length; i += 2) dead.decided.add(ranges[i]!, ranges[i + 1]!);
      return dead;
    }
    const { incarnation, epoch } = frame;
    const fresh = newEpoch({ incarnation, epoch }, frame.settledThrough, now);
    // Nobody knows what became of what was sent before.
    if (frame.last > frame.settledThrough) fresh.doubtful.add(frame.settledThrough + 1, frame.last);
    this.#record?.begin(fresh.id, fresh.accepted, fresh.log);
    return fresh;
  }

  /** Earlier epochs of an incarnation have come to their end before it opened this one. */
  #dropOlder({ incarnation, epoch }: StreamEpoch, now: number): void {
    this.#dead = this.#dead.filter((dead) => {
      if (dead.id.incarnation !== incarnation || dead.id.epoch >= epoch || dead.publishing.size > 0) return true;
      this.#drop(dead, now);
      return false;
    });
  }

  /** Forgets an epoch, all but the identities with a message id. */
  #drop(epoch: Epoch, now: number): void {
    this.#remember(epoch, SEQUENCE_LARGEST, now);
    this.#record?.dropped(epoch.id);
  }

  /** What is stored here and removed at the source may come back, should the source's broker crash. */
  #remember(epoch: Epoch, through: number, now: number): void {
    const ranges = clip(epoch.accepted.toRanges(), 1, through);
    for (let i = 0; i + 1 < ranges.length; i += 2) {
      epoch.log.forEachNamed(ranges[i]!, ranges[i + 1]!, (digest) => {
        this.ring.add(digest, now);
        this.#record?.remember(digest);
      });
    }
  }

  #bury(epoch: Epoch, now: number): void {
    epoch.held = [];
    epoch.later.clear();
    epoch.endedAt = now;
    this.#laterBytes = 0;
    this.#bytes = 0;
    if (epoch.publishing.size > 0 || !epoch.accepted.empty) this.#dead.push(epoch);
    else this.#record?.dropped(epoch.id);
    this.#epoch = undefined;
    this.#granted = 0;
  }

  #current(frame: StreamEpoch): Epoch | undefined {
    return this.#epoch && compareEpochs(frame, this.#epoch.id) === 0 ? this.#epoch : undefined;
  }

  #head(epoch: Epoch): { address: StreamAddress; incarnation: number; epoch: number } {
    return { address: this.address, incarnation: epoch.id.incarnation, epoch: epoch.id.epoch };
  }

  #send(frame: Extract<SinkEffect, { do: 'send' }>['frame']): void {
    if (this.#linked) this.#out.push({ do: 'send', frame });
  }

  #sendCredit(epoch: Epoch): void {
    const credit = { creditVersion: this.#creditVersion, granted: this.#granted };
    this.#send({ kind: 'credit', ...this.#head(epoch), ...credit, ...(this.#blocked && { blocked: this.#blocked }) });
  }

  #tellCredit(epoch: Epoch, now: number): void {
    this.#creditVersion++;
    this.#creditAt = now + CREDIT_MS;
    this.#sendCredit(epoch);
  }

  #settle(
    epoch: Epoch,
    accepted: number[],
    released: number[],
    rejected: { sequence: number; reason: string }[],
  ): void {
    if (accepted.length === 0 && released.length === 0 && rejected.length === 0) return;
    const { since } = this.#reconciliation;
    this.#send({ kind: 'settle', ...this.#head(epoch), accepted, released, rejected, countedSince: since });
  }

  /** What of a comparison is worth telling the source: a difference, or that there is none once nothing is under way. */
  #compare(epoch: Epoch, { removed, settledThrough, empty }: StateFrame): Comparison | undefined {
    if (!removed || settledThrough > epoch.allowed) return undefined;
    const comparison = this.#reconciliation.compare(removed, settledThrough);
    if (!comparison) return undefined;
    const count = countName(epoch.id, this.#reconciliation.since);
    this.#out.push({ do: 'compared', count, difference: comparison });
    return this.#reconciliation.differed || empty ? comparison : undefined;
  }

  #highest(epoch: Epoch): number {
    let highest = epoch.through;
    for (const sequence of epoch.later.keys()) highest = Math.max(highest, sequence);
    return highest;
  }

  /** @param recognised takes the numbers of copies that need not be published */
  #receive(epoch: Epoch, message: StreamMessage, recognised: RangeSet, now: number): void {
    const { sequence } = message;
    if (sequence <= epoch.settledThrough || sequence > epoch.allowed || epoch.decided.has(sequence)) return;
    if (sequence <= epoch.through) {
      if (!epoch.released.delete(sequence) || this.#recognise(epoch, message, recognised, now)) return;
      this.#bytes += weightOf(message);
      insertBySequence(epoch.held, message);
      return;
    }
    if (sequence === epoch.through + 1) {
      epoch.through = sequence;
      if (this.#recognise(epoch, message, recognised, now)) return;
      this.#bytes += weightOf(message);
      epoch.held.push(message);
      return;
    }
    if (epoch.later.has(sequence) || epoch.later.size >= LATER_LARGEST || this.#laterBytes >= LATER_BYTES) return;
    epoch.later.set(sequence, message);
    this.#laterBytes += weightOf(message);
    this.#bytes += weightOf(message);
  }

  /**
   * A copy of what is stored here already, which a crash of the source's broker has brought back. Only what the broker flags is looked
   * up: an equal message that was never handed out before is another one.
   */
  #recognise(epoch: Epoch, message: StreamMessage, recognised: RangeSet, now: number): boolean {
    const { sequence, redelivered, hasId, digest } = message;
    if (!redelivered || !hasId || !this.ring.take(digest, now)) return false;
    epoch.log.set(sequence, digest, hasId);
    this.#reconciliation.confirmed(sequence);
    epoch.accepted.add(sequence);
    epoch.decided.add(sequence);
    this.#record?.answered(epoch.id, sequence, true);
    recognised.add(sequence);
    return true;
  }

  #settleRecognised(epoch: Epoch, recognised: RangeSet): void {
    if (recognised.empty) return;
    this.counts.suppressed += recognised.size;
    this.#out.push({ do: 'count', what: 'suppressed', n: recognised.size });
    this.#settle(epoch, recognised.toRanges(), [], []);
  }

  /** Moves on over what came early and over what is gone. */
  #catchUp(epoch: Epoch, recognised: RangeSet, now: number): void {
    for (;;) {
      const next = epoch.through + 1;
      const message = epoch.later.get(next);
      if (message) {
        epoch.later.delete(next);
        this.#laterBytes -= weightOf(message);
        epoch.through = next;
        if (this.#recognise(epoch, message, recognised, now)) this.#bytes -= weightOf(message);
        else epoch.held.push(message);
      } else {
        const through = epoch.decided.contiguousFrom(epoch.through);
        if (through === epoch.through) return;
        epoch.through = through;
      }
    }
  }

  /** The source has done with these numbers: they are not to be published. What is being published goes on. */
  #gone(epoch: Epoch, settledThrough: number, gone: readonly number[], now: number): void {
    const known = Math.min(settledThrough, SEQUENCE_LARGEST);
    const isGone = new RangeSet(clip(gone, known + 1, SEQUENCE_LARGEST));
    const drop = (sequence: number) => sequence <= known || isGone.has(sequence);
    if (epoch.held.some((message) => drop(message.sequence))) {
      epoch.held = epoch.held.filter((message) => {
        if (!drop(message.sequence)) return true;
        this.#bytes -= weightOf(message);
        return false;
      });
    }
    for (const [sequence, message] of epoch.later) {
      if (!drop(sequence)) continue;
      epoch.later.delete(sequence);
      this.#laterBytes -= weightOf(message);
      this.#bytes -= weightOf(message);
    }
    for (const sequence of epoch.released) if (drop(sequence)) epoch.released.delete(sequence);
    const ranges = isGone.toRanges();
    for (let i = 0; i + 1 < ranges.length; i += 2) epoch.decided.add(ranges[i]!, ranges[i + 1]!);
    if (known > epoch.settledThrough) {
      epoch.settledThrough = known;
      epoch.decided.dropThrough(known);
      // The identities of accepted numbers stay until they are removed; verdicts are known and need not be repeated.
      for (const sequence of epoch.rejected.keys()) if (sequence <= known) epoch.rejected.delete(sequence);
      epoch.through = Math.max(epoch.through, known);
    }
    const recognised = new RangeSet();
    this.#catchUp(epoch, recognised, now);
    this.#settleRecognised(epoch, recognised);
  }

  #askForGaps(epoch: Epoch, upTo: number, now: number): void {
    this.#missing = epoch.through < upTo ? this.#holes(epoch, upTo) : [];
    if (this.#missing.length === 0 || now < this.#gapAt) return;
    this.#gapAt = now + GAP_MS;
    this.#send({ kind: 'gap', ...this.#head(epoch), missing: this.#missing });
  }

  #holes(epoch: Epoch, upTo: number): number[] {
    const have = new RangeSet(clip(epoch.decided.toRanges(), epoch.through + 1, upTo));
    for (const sequence of [...epoch.later.keys()].sort((a, b) => a - b)) have.add(sequence);
    return have.missing(epoch.through + 1, upTo);
  }

  #releaseOne(epoch: Epoch, sequence: number, numbers: RangeSet): void {
    epoch.released.add(sequence);
    numbers.add(sequence);
    this.counts.released++;
    this.#out.push({ do: 'count', what: 'released', n: 1 });
  }

  #forgetLater(epoch: Epoch): void {
    epoch.later.clear();
    this.#bytes -= this.#laterBytes;
    this.#laterBytes = 0;
  }

  #pump(): void {
    const epoch = this.#epoch;
    if (!epoch || !this.#mayPublish || epoch.held.length === 0 || epoch.publishing.size >= this.#most) return;
    const messages = epoch.held.splice(0, this.#most - epoch.publishing.size);
    let doubtful = 0;
    for (const message of messages) {
      epoch.log.set(message.sequence, message.digest, message.hasId);
      epoch.publishing.set(message.sequence, message);
      this.#record?.publishing(epoch.id, message.sequence);
      if (!epoch.doubtful.empty && message.resent && epoch.doubtful.has(message.sequence)) {
        epoch.doubtful.delete(message.sequence);
        doubtful++;
      }
    }
    if (doubtful > 0) {
      this.counts.possibleDuplicates += doubtful;
      this.#out.push({ do: 'count', what: 'possible-duplicates', n: doubtful });
    }
    this.#out.push({ do: 'publish', messages });
  }
}

function newEpoch(id: StreamEpoch, settledThrough: number, now: number): Epoch {
  return {
    id,
    through: settledThrough,
    settledThrough,
    later: new Map(),
    held: [],
    publishing: new Map(),
    released: new Set(),
    accepted: new RangeSet(),
    rejected: new Map(),
    decided: new RangeSet(),
    log: new IdentityLog(settledThrough + 1),
    doubtful: new RangeSet(),
    allowed: settledThrough,
    attempt: 0,
    endedAt: now,
    since: now,
    mark: { through: settledThrough, at: now },
  };
}

/** Orders epochs of one stream: by incarnation, then by epoch. */
export function compareEpochs(a: StreamEpoch, b: StreamEpoch): number {
  return a.incarnation - b.incarnation || a.epoch - b.epoch;
}

function insertBySequence(messages: StreamMessage[], message: StreamMessage): void {
  const at = messages.findIndex((other) => other.sequence > message.sequence);
  if (at < 0) messages.push(message);
  else messages.splice(at, 0, message);
}
