import { frameType } from './frame-reader.ts';
import { readLong } from './methods.ts';

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
  take(frame: Buffer): Content | undefined {
    const payloadEnd = frame.length - 1;
    if (frame[0] === frameType.header) {
      if (this.#buffer) throw new Error('a content header came in the midst of a body');
      const bodySize = readLong(frame, 7 + 4);
      if (bodySize > maxBodyBytes) throw new Error(`a body of ${bodySize} bytes was announced`);
      this.#propertiesLength = payloadEnd - 19;
      this.#buffer = Buffer.allocUnsafe(this.#propertiesLength + bodySize);
      this.#filled = frame.copy(this.#buffer, 0, 19, payloadEnd);
    } else {
      if (!this.#buffer) throw new Error('a body came without a content header');
      if (this.#filled + payloadEnd - 7 > this.#buffer.length) throw new Error('a body is longer than announced');
      this.#filled += frame.copy(this.#buffer, this.#filled, 7, payloadEnd);
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
