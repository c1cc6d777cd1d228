/**
 * A frame with its overhead where it lies in what was read: from `start` to before `end` of `bytes`. The reader uses one of them again
 * and again, so that it is valid until the next is read: three views of a buffer for each message were a tenth of what a bridge
 * allocated.
 */
export class RawFrame {
  bytes: Buffer;
  start: number;
  end: number;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.start = 0;
    this.end = bytes.length;
  }

  set(bytes: Buffer, start: number, end: number): this {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    return this;
  }

  /** In bytes, with the overhead. */
  get length(): number {
    return this.end - this.start;
  }

  /** One of `frameType`. */
  get type(): number {
    return this.bytes[this.start]!;
  }

  get channel(): number {
    return this.bytes.readUInt16BE(this.start + 1);
  }

  /** Of a method frame: its class and method as in `methodId`. */
  get method(): number {
    return this.bytes.readUInt32BE(this.start + 7);
  }

  /** The byte so far behind the frame's start. */
  at(offset: number): number {
    return this.bytes[this.start + offset]!;
  }

  copy(): Buffer {
    return Buffer.from(this.bytes.subarray(this.start, this.end));
  }
}
