import { Fault } from '@tombolo/kernel/fault';
import { limits } from '@tombolo/wire/limits';

/*
 * How frames share one connection. Pure, but mutable: one object per connection and direction, on the path of every message.
 *
 * A WebSocket message is a batch of records: u8 type · u32 length · content
 *
 *   1 ping f64            2 pong f64 (the ping's)      3 goodbye, reason in UTF-8
 *   4 grant f64 consumed, u32 window                   5 want: a grant is being waited for
 *   16, 17 whole frame    18, 19 first part: u32 total, bytes    20, 21 next part       (even: control, odd: data)
 *
 * The link's own records go first, then control, then data. A frame above a part's size is cut, so that what is urgent
 * passes between the parts. Data needs a grant: the receiver allows a window of bytes beyond what it has consumed, in running
 * totals since the connection began; one frame may always go when nothing is outstanding.
 */
const types = { ping: 1, pong: 2, goodbye: 3, grant: 4, want: 5, whole: 16, first: 18, next: 20 } as const;
const recordBytes = 5;

/** Records of the link's own that may wait: a few per turn are usual. */
const mostOwn = 256;

export type Lane = 'control' | 'data';

export const laneLimits = {
  /** A part of a frame, and about what one batch holds. */
  partBytes: 64 * 1024,
  /** The largest batch: a full batch and one more part's header. */
  batchBytes: 128 * 1024 + 64,
  /** What a receiver lets be outstanding in data. */
  windowBytes: 16 * 1024 * 1024,
  /** Control that waits for a slow connection; beyond it nothing is taken. */
  controlBytes: 64 * 1024 * 1024,
} as const;

/** What arrived in a batch. */
export interface LaneHandler {
  frame(lane: Lane, bytes: Uint8Array): void;
  ping(at: number): void;
  pong(at: number): void;
  goodbye(reason: string): void;
  granted(consumed: number, window: number): void;
  wanted(): void;
}

interface Waiting {
  readonly bytes: Uint8Array;
  /** How much of it has gone; above 0 only for the first of its lane. */
  sent: number;
}

/** The sending half: what waits, and what goes next. */
export class Outgoing {
  readonly #own: Buffer[] = [];
  readonly #lanes: Record<Lane, Waiting[]> = { control: [], data: [] };
  #controlBytes = 0;
  #taken = 0;
  #consumed = 0;
  #window = 0;
  #wanting = false;
  #farewell: Buffer | undefined;

  /** True when there is something to write. */
  get pending(): boolean {
    return this.#own.length > 0 || this.#farewell !== undefined || !this.#empty;
  }

  /** Queues a control frame; false when the connection is so far behind that it must not wait for it. */
  control(bytes: Uint8Array): boolean {
    if (this.#controlBytes + bytes.length > laneLimits.controlBytes && this.#controlBytes > 0) return false;
    this.#controlBytes += bytes.length;
    this.#lanes.control.push({ bytes, sent: 0 });
    return true;
  }

  /** Whether data of this length would be taken. When not, the peer is asked to say when it can. */
  offer(length: number): boolean {
    if (this.#fits(length)) {
      this.#wanting = false;
      return true;
    }
    if (!this.#wanting) this.#want();
    return false;
  }

  /** Queues data that was offered and would be taken. */
  data(bytes: Uint8Array): void {
    this.#taken += bytes.length;
    this.#lanes.data.push({ bytes, sent: 0 });
  }

  ping(at: number): void {
    this.#own.push(number(types.ping, at));
  }

  /** A peer that asks for signs of life and reads none gets no more of them. */
  pong(at: number): void {
    if (this.#own.length >= mostOwn) return;
    this.#own.push(number(types.pong, at));
  }

  /** What this side has consumed of the peer's data, and how far beyond it may go. */
  grant(consumed: number, window: number): void {
    const bytes = record(types.grant, 12);
    bytes.writeDoubleBE(consumed, recordBytes);
    bytes.writeUInt32BE(window, recordBytes + 8);
    this.#own.push(bytes);
  }

  /** Says goodbye once everything else has gone. */
  goodbye(reason: string): void {
    const text = Buffer.from(reason).subarray(0, limits.reasonBytes);
    this.#farewell = record(types.goodbye, text.length);
    this.#farewell.set(text, recordBytes);
  }

  /**
   * The peer's grant; true when data had been refused and may be offered again. A peer can only raise what it said before, and
   * not beyond what it was sent.
   */
  granted(consumed: number, window: number): boolean {
    if (!(consumed >= this.#consumed && consumed <= this.#taken)) protocolFault('a grant that does not add up');
    this.#consumed = consumed;
    this.#window = window;
    if (!this.#wanting) return false;
    this.#wanting = false;
    if (this.#fits(0)) return true;
    this.#want();
    return false;
  }

  /** The next batch, or undefined when nothing waits. */
  next(): Buffer | undefined {
    if (!this.pending) return undefined;
    const parts: Uint8Array[] = [];
    let total = 0;
    for (const bytes of this.#own) {
      parts.push(bytes);
      total += bytes.length;
    }
    this.#own.length = 0;
    total = this.#fill('control', parts, total);
    total = this.#fill('data', parts, total);
    if (this.#farewell && this.#empty) {
      parts.push(this.#farewell);
      total += this.#farewell.length;
      this.#farewell = undefined;
    }
    return Buffer.concat(parts, total);
  }

  get #empty(): boolean {
    return this.#lanes.control.length === 0 && this.#lanes.data.length === 0;
  }

  #want(): void {
    this.#wanting = true;
    this.#own.push(record(types.want, 0));
  }

  #fits(length: number): boolean {
    const outstanding = this.#taken - this.#consumed;
    return outstanding === 0 || (outstanding + length <= this.#window && outstanding < this.#window);
  }

  #fill(lane: Lane, parts: Uint8Array[], before: number): number {
    const waiting = this.#lanes[lane];
    const odd = lane === 'data' ? 1 : 0;
    let total = before;
    let gone = 0;
    while (gone < waiting.length && total < laneLimits.partBytes) {
      const each = waiting[gone]!;
      const { bytes, sent } = each;
      if (sent === 0 && bytes.length <= laneLimits.partBytes) {
        if (total > 0 && total + bytes.length > laneLimits.partBytes + recordBytes) break;
        parts.push(record(types.whole + odd, 0, bytes.length), bytes);
        total += recordBytes + bytes.length;
        each.sent = bytes.length;
      } else {
        const part = bytes.subarray(sent, sent + laneLimits.partBytes);
        const extra = sent === 0 ? 4 : 0;
        const lead = record((sent === 0 ? types.first : types.next) + odd, extra, part.length);
        if (sent === 0) lead.writeUInt32BE(bytes.length, recordBytes);
        parts.push(lead, part);
        total += lead.length + part.length;
        each.sent += part.length;
      }
      if (lane === 'control') this.#controlBytes -= each.sent - sent;
      if (each.sent < bytes.length) break;
      gone++;
    }
    if (gone > 0) waiting.splice(0, gone);
    return total;
  }
}

interface Assembly {
  readonly target: Buffer;
  filled: number;
}

/** The receiving half: takes batches apart, puts frames together, and counts what the peer may send. */
export class Incoming {
  readonly #window: number;
  readonly #assemblies: Record<Lane, Assembly | undefined> = { control: undefined, data: undefined };
  #received = 0;
  #consumed = 0;
  #reported = 0;
  #wanted = false;

  constructor(window: number = laneLimits.windowBytes) {
    this.#window = window;
  }

  get window(): number {
    return this.#window;
  }

  /** Bytes of data consumed so far: what a grant says. */
  get consumed(): number {
    return this.#consumed;
  }

  /** Reads a batch. @throws Fault TOMBOLO_FRAME_INVALID when the peer breaks the rules */
  batch(bytes: Uint8Array, handler: LaneHandler): void {
    const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    while (at < source.length) {
      if (source.length - at < recordBytes) protocolFault('a record that is cut off');
      const type = source[at]!;
      const end = at + recordBytes + source.readUInt32BE(at + 1);
      if (end > source.length) protocolFault('a record that is cut off');
      this.#record(type, source.subarray(at + recordBytes, end), handler);
      at = end;
    }
  }

  /** The listener has dealt with this many bytes of data. True when the peer is to be told now. */
  consume(length: number): boolean {
    this.#consumed += length;
    return this.#due();
  }

  /** The peer waits for a grant. True when it is to be told now. */
  wanted(): boolean {
    this.#wanted = true;
    return this.#due();
  }

  #due(): boolean {
    const unreported = this.#consumed - this.#reported;
    return unreported >= this.#window / 4 || (this.#wanted && unreported > 0 && this.#consumed === this.#received);
  }

  /** True when something was consumed that the peer does not know of. */
  get unreported(): boolean {
    return this.#consumed > this.#reported;
  }

  /** A grant is being written. */
  reported(): void {
    this.#reported = this.#consumed;
    this.#wanted = false;
  }

  #record(type: number, content: Buffer, handler: LaneHandler): void {
    switch (type) {
      case types.ping:
        handler.ping(double(content));
        break;
      case types.pong:
        handler.pong(double(content));
        break;
      case types.goodbye:
        handler.goodbye(content.toString('utf8', 0, limits.reasonBytes));
        break;
      case types.grant:
        if (content.length !== 12) protocolFault('a grant of a wrong length');
        handler.granted(content.readDoubleBE(0), content.readUInt32BE(8));
        break;
      case types.want:
        handler.wanted();
        break;
      case types.whole:
      case types.whole + 1:
        this.#whole(laneOf(type), content, handler);
        break;
      case types.first:
      case types.first + 1:
        this.#first(laneOf(type), content);
        break;
      case types.next:
      case types.next + 1:
        this.#next(laneOf(type), content, handler);
        break;
      default:
        // A record of a newer minor version.
        break;
    }
  }

  #whole(lane: Lane, content: Buffer, handler: LaneHandler): void {
    if (this.#assemblies[lane]) protocolFault('a frame within another');
    if (lane === 'data') this.#admit(content.length);
    handler.frame(lane, content);
  }

  #first(lane: Lane, content: Buffer): void {
    if (this.#assemblies[lane]) protocolFault('a frame within another');
    if (content.length < 4) protocolFault('a part that is cut off');
    const total = content.readUInt32BE(0);
    // Judged by what is announced, before anything is allocated for it.
    if (total > limits.frameBytes) protocolFault(`a frame above ${limits.frameBytes} bytes`);
    if (content.length - 4 >= total) protocolFault('a part larger than its frame');
    if (lane === 'data') this.#admit(total);
    else if (total > laneLimits.controlBytes) protocolFault('a control frame that is too large');
    const target = Buffer.allocUnsafeSlow(total);
    target.set(content.subarray(4));
    this.#assemblies[lane] = { target, filled: content.length - 4 };
  }

  #next(lane: Lane, content: Buffer, handler: LaneHandler): void {
    const assembly = this.#assemblies[lane];
    if (!assembly) protocolFault('a part without a beginning');
    if (content.length > assembly.target.length - assembly.filled) protocolFault('a part larger than its frame');
    assembly.target.set(content, assembly.filled);
    assembly.filled += content.length;
    if (assembly.filled < assembly.target.length) return;
    this.#assemblies[lane] = undefined;
    handler.frame(lane, assembly.target);
  }

  /** The peer's own count of what is outstanding is never lower than this one, so an honest peer passes. */
  #admit(length: number): void {
    const outstanding = this.#received - this.#consumed;
    if (outstanding > 0 && outstanding + length > this.#window) protocolFault('more data than was granted');
    this.#received += length;
  }
}

function laneOf(type: number): Lane {
  return type % 2 === 0 ? 'control' : 'data';
}

/** A record's header with room for `room` bytes of content; `more` bytes of content follow in a buffer of their own. */
function record(type: number, room: number, more = 0): Buffer {
  const bytes = Buffer.allocUnsafe(recordBytes + room);
  bytes[0] = type;
  bytes.writeUInt32BE(room + more, 1);
  return bytes;
}

function number(type: number, value: number): Buffer {
  const bytes = record(type, 8);
  bytes.writeDoubleBE(value, recordBytes);
  return bytes;
}

function double(content: Buffer): number {
  return content.length === 8 ? content.readDoubleBE(0) : protocolFault('a number of a wrong length');
}

function protocolFault(what: string): never {
  throw new Fault('TOMBOLO_FRAME_INVALID', `The peer sent ${what}. Check that both bridges run compatible versions.`);
}
