import type { MessagesFrame } from '@tombolo/wire/frame';

/** How many messages a bounded queue may hold; its bound in bytes counts by the messages' mean size. Pure. */
export class QueueRoom {
  #messages = Number.POSITIVE_INFINITY;
  #bytes = Number.POSITIVE_INFINITY;
  /** Of a message; 0: none was seen. */
  #meanBytes = 0;

  /** In messages; Infinity without a bound. One, as long as a bound in bytes cannot be judged. */
  get room(): number {
    if (this.#bytes === Number.POSITIVE_INFINITY) return this.#messages;
    return Math.min(this.#messages, this.#meanBytes === 0 ? 1 : Math.floor(this.#bytes / this.#meanBytes));
  }

  /** What the queue may hold at most (max-length, max-length-bytes); Infinity without. */
  bound(messages: number, bytes: number): void {
    this.#messages = messages;
    this.#bytes = bytes;
  }

  weigh(messages: MessagesFrame['messages']): void {
    for (const message of messages) {
      const bytes = message.body.length + message.properties.length;
      const mean = this.#meanBytes;
      this.#meanBytes = mean === 0 ? bytes : Math.max(bytes / 4, mean + (bytes - mean) / 16);
    }
  }
}
