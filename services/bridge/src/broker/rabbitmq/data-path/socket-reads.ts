import type { Duplex } from 'node:stream';

const bufferBytes = 64 * 1024;
/**
 * How long a socket that has brought much at once is left alone (ms), as network cards are under load: what comes meanwhile is read, and
 * passed on, in one go. Otherwise both bridges and both brokers wake up for every dozen of messages, and find their caches cold: measured in a
 * backlog, the sink's broker took up to twice as much of its processor for each message.
 */
const restMs = 6;

/**
 * Reads of a plain socket into one buffer that is used again and again (`onread` of net.Socket). Otherwise Node.js allocates 64 KiB for
 * every read, and V8, which goes by the bytes outside its heap, marks the whole heap for it several times a second (profiled: a
 * quarter of the time of a busy bridge).
 */
export class SocketReads {
  /**
   * Takes what was read; its bytes are valid during the call only. Until it is set, the socket is read as any other is. True: it was
   * much.
   */
  receiver: ((bytes: Buffer) => boolean) | undefined;

  /** For the options of net.connect. */
  readonly onread: {
    readonly buffer: Buffer;
    readonly callback: (this: Duplex, length: number, buffer: Buffer) => boolean;
  };

  constructor() {
    const reads = this;
    this.onread = {
      buffer: Buffer.allocUnsafeSlow(bufferBytes),
      callback(length, buffer) {
        const bytes = buffer.subarray(0, length);
        if (reads.receiver) {
          const much = reads.receiver(bytes);
          // A buffer that is full has left something behind: to rest now would bound the rate, to 64 KiB for each rest.
          if (!much || length === buffer.length) return true;
          setTimeout(() => this.resume(), restMs);
          return false;
        }
        this.push(Buffer.from(bytes));
        return true;
      },
    };
  }
}
