import { encodePublications } from '@tombolo/bridge/broker/rabbitmq/data-path/frame-writer';

/** What a body begins with: the message's number (32 bits) and when it was sent (double, ms of `now`). */
export const stampBytes = 16;

/** The frames of one persistent message, made once; number, time and message id are patched into copies. */
export class Template {
  readonly length: number;
  readonly #frames: Buffer;
  readonly #bodyAt: number;
  readonly #idAt: number;

  /** @param bodyBytes from 16 to what fits into one frame */
  constructor(
    channel: number,
    target: { readonly exchange: string; readonly routingKey: string },
    bodyBytes: number,
    ids: boolean,
  ) {
    const body = Buffer.alloc(bodyBytes, 'tombolo ');
    const publication = { id: 0, ...target, properties: ids ? persistentWithId : persistent, body };
    this.#frames = Buffer.concat(encodePublications(channel, [publication], bodyBytes + 64, false));
    this.length = this.#frames.length;
    this.#bodyAt = this.length - 1 - bodyBytes;
    // Behind the id come the header frame's end octet and the body frame's head.
    this.#idAt = ids ? this.#bodyAt - 7 - 1 - idLength : -1;
  }

  /** Writes the message of this number at `at`. */
  stamp(into: Buffer, at: number, number: number, sentAt: number): void {
    into.set(this.#frames, at);
    into.writeUInt32BE(number, at + this.#bodyAt);
    into.writeDoubleBE(sentAt, at + this.#bodyAt + 8);
    if (this.#idAt >= 0) into.write(String(number).padStart(idLength, '0'), at + this.#idAt, 'latin1');
  }
}

const idLength = 12;
// Property flags (AMQP 0-9-1, 4.2.6.1): bit 12 is delivery-mode, bit 7 message-id.
const persistent = Buffer.from([0x10, 0x00, 2]);
const persistentWithId = Buffer.from([0x10, 0x80, 2, idLength, ...Buffer.alloc(idLength, '0')]);
