import { copyBytes } from '@tombolo/wire/copy-bytes';
import { frameType } from './frame-reader.ts';
import { readLong } from './methods.ts';
import type { RawFrame } from './raw-frame.ts';

/** Bodies that are believed; RabbitMQ refuses anything above 512 MiB. */
const maxBodyBytes = 1024 * 1024 * 1024;

/** A message's content: properties and body share one allocation, which holds nothing else. */
export interface Content {
  readonly properties: Buffer;
  readonly body: Buffer;
}

/** Collects the content header and the body frames that follow a method with content on one channel. */
export class ContentReader {
  #buffer: Buffer | undefined;
  #propertiesLength = 0;
  #filled = 0;

  /** Takes the next header or body frame; returns the content when it is complete. */
  take({ bytes, start, end, type }: RawFrame): Content | undefined {
    const payloadEnd = end - 1;
    if (type === frameType.header) {
      if (this.#buffer) throw new Error('a content header came in the midst of a body');
      const bodySize = readLong(bytes, start + 7 + 4);
      if (bodySize > maxBodyBytes) throw new Error(`a body of ${bodySize} bytes was announced`);
      this.#propertiesLength = payloadEnd - start - 19;
      this.#buffer = Buffer.allocUnsafe(this.#propertiesLength + bodySize);
      this.#filled = copyBytes(this.#buffer, 0, bytes, start + 19, payloadEnd);
    } else {
      if (!this.#buffer) throw new Error('a body came without a content header');
      if (this.#filled + payloadEnd - start - 7 > this.#buffer.length)
        throw new Error('a body is longer than announced');
      this.#filled = copyBytes(this.#buffer, this.#filled, bytes, start + 7, payloadEnd);
    }
    if (this.#filled < this.#buffer.length) return undefined;
    const whole = this.#buffer;
    this.#buffer = undefined;
    return {
      properties: whole.subarray(0, this.#propertiesLength),
      body: whole.subarray(this.#propertiesLength),
    };
  }
}
