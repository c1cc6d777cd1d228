import type { StreamEpoch, StreamMessage } from '@tombolo/wire/frame';
import { weightOf } from './effects.ts';
import { IdentityLog } from './in-doubt.ts';
import { clip, eachOf, RangeSet } from './settlement.ts';

/** Whether a message that has come is a copy of one that is stored here: it need not be published. */
export type Recognise = (message: StreamMessage) => boolean;

const LATER_LARGEST = 10_000;
const LATER_BYTES = 64 * 1024 * 1024;

/** Sequence numbers above this are not believed (a peer may lie). */
export const SEQUENCE_LARGEST = Number.MAX_SAFE_INTEGER / 2;

/** One life of a stream at its sink: everything that is known of the sequence numbers of one epoch. Pure. */
export class SinkEpoch {
  readonly id: StreamEpoch;
  readonly publishing = new Map<number, StreamMessage>();
  readonly released = new Set<number>();
  readonly accepted = new RangeSet();
  readonly rejected = new Map<number, string>();
  /** accepted, rejected, or given back by the source; above settledThrough. */
  readonly decided = new RangeSet();
  readonly log: IdentityLog;
  /** What a predecessor of this process may have published, as far as it is known: sent again, it may be doubled. */
  readonly doubtful = new RangeSet();
  /** The highest number that credit ever allowed: what lies beyond was made up. */
  allowed: number;
  /** Of the newest `open`: data of another is not taken. */
  attempt = 0;
  /** When the epoch ended (monotonic ms); meaningless before. */
  endedAt: number;
  /** No message that is accepted and not removed was accepted before (monotonic ms). */
  since: number;
  #through: number;
  #settledThrough: number;
  #held: StreamMessage[] = [];
  readonly #later = new Map<number, StreamMessage>();
  #laterBytes = 0;
  #bytes = 0;
  /** Everything that is accepted later has a higher number, or was accepted after `at`. */
  #mark: { readonly through: number; readonly at: number };
  /** Of what was released: the source knows, since notes were compared, and may have sent it again. */
  #known = new Set<number>();

  /** @param settledThrough the source knows the verdict of all numbers up to this one */
  constructor(id: StreamEpoch, settledThrough: number, now: number) {
    this.id = id;
    this.log = new IdentityLog(settledThrough + 1);
    this.allowed = settledThrough;
    this.endedAt = now;
    this.since = now;
    this.#through = settledThrough;
    this.#settledThrough = settledThrough;
    this.#mark = { through: settledThrough, at: now };
  }

  /** All numbers up to this one were received or are gone. */
  get through(): number {
    return this.#through;
  }
  /** The source knows the verdict of all numbers up to this one. */
  get settledThrough(): number {
    return this.#settledThrough;
  }
  get highest(): number {
    let highest = this.#through;
    for (const sequence of this.#later.keys()) highest = Math.max(highest, sequence);
    return highest;
  }
  /** Messages that wait to be published. */
  get held(): number {
    return this.#held.length;
  }
  /** Messages received and not decided. */
  get unsettled(): number {
    return this.#held.length + this.publishing.size + this.#later.size;
  }
  /** Of all messages that are here: held, being published, early. */
  get bytes(): number {
    return this.#bytes;
  }
  /** How many messages need no credit any more. */
  get done(): number {
    return this.#settledThrough + this.decided.size;
  }

  /** What need not be sent: received, and neither released nor given back. @param gone what the source has given back */
  received(gone: readonly number[]): number[] {
    const received = new RangeSet();
    if (this.#through > this.#settledThrough) received.add(this.#settledThrough + 1, this.#through);
    for (const sequence of this.released) received.delete(sequence);
    eachOf(clip(gone, this.#settledThrough + 1, this.#through), (sequence) => {
      const settled = this.accepted.has(sequence) || this.rejected.has(sequence);
      if (!settled && !this.publishing.has(sequence)) received.delete(sequence);
    });
    for (const sequence of this.#later.keys()) received.add(sequence);
    return received.toRanges();
  }

  /** What was released and the source may not know of. */
  get untold(): number[] {
    return [...this.released].filter((sequence) => !this.#known.has(sequence));
  }

  /** Notes are compared: what has been released so far is sent again, or was given back. */
  compared(): void {
    this.#known = new Set(this.released);
  }

  /** The numbers up to `upTo` that have neither come nor are decided, as ranges. */
  missing(upTo: number): number[] {
    if (this.#through >= upTo) return [];
    const have = new RangeSet(clip(this.decided.toRanges(), this.#through + 1, upTo));
    for (const sequence of [...this.#later.keys()].sort((a, b) => a - b)) have.add(sequence);
    return have.missing(this.#through + 1, upTo);
  }

  // ---- messages come -------------------------------------------------------------------------------------------------------

  /** `catchUp` follows when all of a frame were received. */
  receive(message: StreamMessage, recognise: Recognise): void {
    const { sequence } = message;
    if (sequence <= this.#settledThrough || sequence > this.allowed || this.decided.has(sequence)) return;
    if (sequence <= this.#through) {
      if (this.released.delete(sequence) && !recognise(message)) this.holdAgain(message);
      return;
    }
    if (sequence === this.#through + 1) {
      this.#through = sequence;
      if (recognise(message)) return;
      this.#bytes += weightOf(message);
      this.#held.push(message);
      return;
    }
    if (this.#later.has(sequence) || this.#later.size >= LATER_LARGEST || this.#laterBytes >= LATER_BYTES) return;
    this.#later.set(sequence, message);
    this.#laterBytes += weightOf(message);
    this.#bytes += weightOf(message);
  }

  /** Moves on over what came early and over what is gone. */
  catchUp(recognise: Recognise): void {
    for (;;) {
      const next = this.#through + 1;
      const message = this.#later.get(next);
      if (message) {
        this.#later.delete(next);
        this.#laterBytes -= weightOf(message);
        this.#through = next;
        if (recognise(message)) this.#bytes -= weightOf(message);
        else this.#held.push(message);
      } else {
        const through = this.decided.contiguousFrom(this.#through);
        if (through === this.#through) return;
        this.#through = through;
      }
    }
  }

  // ---- messages are published ------------------------------------------------------------------------------------------------

  /** The next messages that are to be published, at most so many: they are under way then. */
  publish(most: number): StreamMessage[] {
    const messages = this.#held.splice(0, most);
    for (const message of messages) {
      this.log.set(message.sequence, message.digest, message.hasId);
      this.publishing.set(message.sequence, message);
    }
    return messages;
  }

  /** The broker has answered; undefined: nothing is known of it any more. */
  answered(sequence: number): StreamMessage | undefined {
    const message = this.publishing.get(sequence);
    if (!message) return undefined;
    this.publishing.delete(sequence);
    this.#bytes -= weightOf(message);
    return message;
  }

  /** The own broker has it. */
  accept(sequence: number): void {
    this.accepted.add(sequence);
    this.decided.add(sequence);
  }

  /** The source has it again, and may send it again. */
  release(sequence: number): void {
    this.released.add(sequence);
    this.#known.delete(sequence);
  }

  reject(sequence: number, reason: string): void {
    this.rejected.set(sequence, reason);
    this.decided.add(sequence);
  }

  /** It is to be published (again), in its place. */
  holdAgain(message: StreamMessage): void {
    this.#bytes += weightOf(message);
    const at = this.#held.findIndex((other) => other.sequence > message.sequence);
    if (at < 0) this.#held.push(message);
    else this.#held.splice(at, 0, message);
  }

  /** What was not published is not here any more, but for the first `keep`. */
  clear(keep = 0): StreamMessage[] {
    const messages = this.#held.splice(keep);
    for (const message of messages) this.#bytes -= weightOf(message);
    this.#later.clear();
    this.#bytes -= this.#laterBytes;
    this.#laterBytes = 0;
    return messages;
  }

  // ---- the source is done with messages ----------------------------------------------------------------------------------------

  /** These numbers are not to be published; what is being published goes on. `catchUp` follows. */
  gone(settledThrough: number, gone: readonly number[]): void {
    const known = Math.min(settledThrough, SEQUENCE_LARGEST);
    const isGone = new RangeSet(clip(gone, known + 1, SEQUENCE_LARGEST));
    const drop = (sequence: number) => sequence <= known || isGone.has(sequence);
    if (this.#held.some((message) => drop(message.sequence))) {
      this.#held = this.#held.filter((message) => {
        if (!drop(message.sequence)) return true;
        this.#bytes -= weightOf(message);
        return false;
      });
    }
    for (const [sequence, message] of this.#later) {
      if (!drop(sequence)) continue;
      this.#later.delete(sequence);
      this.#laterBytes -= weightOf(message);
      this.#bytes -= weightOf(message);
    }
    for (const sequence of this.released) if (drop(sequence)) this.released.delete(sequence);
    const ranges = isGone.toRanges();
    for (let i = 0; i + 1 < ranges.length; i += 2) this.decided.add(ranges[i]!, ranges[i + 1]!);
    if (known <= this.#settledThrough) return;
    this.#settledThrough = known;
    this.decided.dropThrough(known);
    // The identities of accepted numbers stay until they are removed; verdicts are known and need not be repeated.
    for (const sequence of this.rejected.keys()) if (sequence <= known) this.rejected.delete(sequence);
    this.#through = Math.max(this.#through, known);
  }

  /** The source has removed everything up to `through` from its queue. */
  removed(through: number, now: number): void {
    this.log.dropThrough(through);
    this.accepted.dropThrough(through);
    if (through < this.#mark.through) return;
    this.since = this.#mark.at;
    this.#mark = { through: this.highest, at: now };
  }

  // ---- another process goes on -------------------------------------------------------------------------------------------------

  /** A predecessor had this very epoch: what it accepted is decided. */
  revive(settledThrough: number, last: number): void {
    this.#through = settledThrough;
    this.#settledThrough = settledThrough;
    const ranges = clip(this.accepted.toRanges(), settledThrough + 1, last);
    for (let i = 0; i + 1 < ranges.length; i += 2) this.decided.add(ranges[i]!, ranges[i + 1]!);
  }
}

/** Orders epochs of one stream: by incarnation, then by epoch. */
export function compareEpochs(a: StreamEpoch, b: StreamEpoch): number {
  return a.incarnation - b.incarnation || a.epoch - b.epoch;
}
