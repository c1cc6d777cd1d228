import type { Wire } from '../seam.ts';
import { FrameReader } from './frame-reader.ts';
import type { RawFrame } from './raw-frame.ts';
import type { SocketReads } from './socket-reads.ts';

/** A channel whose frames are read raw. */
export interface DataChannel {
  /**
   * Looks at a frame (with its overhead; valid during the call only). True: it was one of ours and is done with;
   * false: amqplib shall have it.
   */
  frame(frame: RawFrame): boolean;
  /** What the frames since the last call amount to can be handed over now: before any other frame, and at a chunk's end. */
  handOver(): void;
}

/** So many frames in one chunk are much: ten messages. At 1,000 messages a second fewer come together, and none waits. */
const muchFrames = 32;

/**
 * Takes the place of amqplib's `recvFrame` on one connection. Frames of registered channels are handled from their bytes
 * and never reach amqplib; each of the others is given to amqplib's own parser, alone.
 */
export class DataPath {
  readonly #wire: Wire;
  readonly #reader: FrameReader;
  readonly #channels: (DataChannel | undefined)[] = [];
  /** Channels with something to hand over, in the order of their first frame. */
  readonly #touched: DataChannel[] = [];
  readonly #amqplibRecvFrame: () => unknown;
  #frames = 0;

  /** @param reads of the socket, where it is a plain one */
  constructor(wire: Wire, reads?: SocketReads) {
    this.#wire = wire;
    this.#reader = new FrameReader(Math.max(wire.frameMax, 1024 * 1024));
    this.#amqplibRecvFrame = wire.recvFrame.bind(wire);
    if (wire.rest.length > 0) {
      this.#reader.push(wire.rest);
      wire.rest = Buffer.alloc(0);
    }
    wire.recvFrame = () => this.#receive();
    if (!reads) return;
    reads.receiver = (bytes) => {
      // amqplib's loop asks `recvFrame` until there is none: first for what was read before and is still in the stream.
      if (wire.stream.readableLength > 0) wire.stream.emit('readable');
      this.#reader.push(bytes);
      wire.recvSinceLastCheck = true;
      this.#frames = 0;
      wire.stream.emit('readable');
      return this.#frames >= muchFrames;
    };
  }

  /** From now on frames on this channel number are shown to `channel` first. */
  register(number: number, channel: DataChannel): void {
    this.#channels[number] = channel;
  }

  /** The number is free for another channel. */
  release(number: number, channel: DataChannel): void {
    if (this.#channels[number] === channel) this.#channels[number] = undefined;
  }

  #receive(): unknown {
    for (;;) {
      const frame = this.#reader.next();
      if (!frame) {
        this.#handOver();
        const chunk: Buffer | null = this.#wire.stream.read();
        if (chunk === null) return false;
        this.#wire.recvSinceLastCheck = true;
        this.#reader.push(chunk);
        continue;
      }
      this.#frames++;
      const channel = this.#channels[frame.channel];
      if (channel?.frame(frame)) {
        if (this.#touched.at(-1) !== channel && !this.#touched.includes(channel)) this.#touched.push(channel);
        continue;
      }
      // A copy: what amqplib makes of it may be kept.
      const rest = frame.copy();
      // What came before this frame is handed over before it: a cancel-ok ends a consumer after its last delivery.
      this.#handOver();
      this.#wire.rest = rest;
      return this.#amqplibRecvFrame();
    }
  }

  #handOver(): void {
    if (this.#touched.length === 0) return;
    for (const channel of this.#touched.splice(0)) channel.handOver();
  }
}
