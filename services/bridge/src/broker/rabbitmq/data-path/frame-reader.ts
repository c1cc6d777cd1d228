import { RawFrame } from './raw-frame.ts';

/** Frame types and sizes of AMQP 0-9-1 (specification 4.2.3). */
export const frameType = { method: 1, header: 2, body: 3, heartbeat: 8 } as const;
export const frameEnd = 0xce;
/** Type, channel and size before the payload, the end octet after it. */
export const frameOverhead = 8;

const empty = Buffer.alloc(0);

/**
 * Cuts a byte stream into frames without ever copying a byte more than once: a frame that is whole within a chunk stays
 * where it is, one that spans chunks is collected into a buffer of its exact size.
 */
export class FrameReader {
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  /** The frame that spans chunks, and how much of it is there. */
  #partial: Buffer | undefined;
  #filled = 0;
  readonly #maxSize: number;
  readonly #frame = new RawFrame(empty);

  /** @param maxSize the largest payload that is believed; a larger one means that the stream is out of step */
  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** Adds what was read from the socket. Everything before it must have been taken by `next`. */
  push(chunk: Buffer): void {
    const left = this.#chunk.length - this.#at;
    if (left > 0) {
      // Fewer than 7 bytes: a frame's head that the chunk's end cut in two.
      this.#chunk = Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    } else {
      this.#chunk = chunk;
    }
    this.#at = 0;
  }

  /** The next whole frame with its overhead, or undefined when more has to be read. Throws when it is no frame. */
  next(): RawFrame | undefined {
    if (this.#partial) return this.#fill(this.#partial);
    const chunk = this.#chunk;
    const at = this.#at;
    const available = chunk.length - at;
    if (available < 7) {
      // The chunk's bytes may be overwritten before the rest comes.
      if (available > 0) {
        this.#chunk = Buffer.from(chunk.subarray(at));
        this.#at = 0;
      }
      return undefined;
    }
    const size = chunk.readUInt32BE(at + 3);
    if (size > this.#maxSize) throw new Error(`a frame of ${size} bytes was announced, more than frame_max`);
    const total = size + frameOverhead;
    if (available >= total) {
      this.#at = at + total;
      return this.#ended(chunk, at, at + total);
    }
    const partial = Buffer.allocUnsafeSlow(total);
    this.#filled = chunk.copy(partial, 0, at);
    this.#partial = partial;
    this.#chunk = empty;
    this.#at = 0;
    return undefined;
  }

  #fill(partial: Buffer): RawFrame | undefined {
    const copied = this.#chunk.copy(partial, this.#filled, this.#at);
    this.#filled += copied;
    this.#at += copied;
    if (this.#filled < partial.length) return undefined;
    this.#partial = undefined;
    return this.#ended(partial, 0, partial.length);
  }

  #ended(bytes: Buffer, start: number, end: number): RawFrame {
    if (bytes[end - 1] !== frameEnd) throw new Error('a frame does not end where it should');
    return this.#frame.set(bytes, start, end);
  }
}
