import type { Duplex } from 'node:stream';

const bufferBytes = 64 * 1024;

/**
 * Reads of a plain socket into one buffer that is used again and again (`onread` of net.Socket). Otherwise Node.js allocates 64 KiB for
 * every read, and V8, which goes by the bytes outside its heap, marks the whole heap for it several times a second (profiled: a
 * quarter of the time of a busy bridge).
 */
export class SocketReads {
  /** Takes what was read; its bytes are valid during the call only. Until it is set, the socket is read as any other is. */
  receiver: ((bytes: Buffer) => void) | undefined;

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
        if (reads.receiver) reads.receiver(bytes);
        else this.push(Buffer.from(bytes));
        return true;
      },
    };
  }
}
