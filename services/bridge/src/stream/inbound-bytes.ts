/** Data counts against a link's grant until there is room for more: a peer cannot fill this bridge's memory. */
export class InboundBytes {
  readonly #most: number;
  #bytes = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param most bytes of messages, of all streams, above which nothing more is granted */
  constructor(most: number) {
    this.#most = most;
  }

  /** A frame of messages has come; `consumed` is called once there is room for more. */
  arrived(consumed: () => void): void {
    this.#waiting.push(consumed);
  }

  /** So many bytes more are here, or fewer when negative. */
  weigh(bytes: number): void {
    this.#bytes += bytes;
    this.grant();
  }

  /** Lets peers send more, as long as there is room. */
  grant(): void {
    while (this.#waiting.length > 0 && this.#bytes < this.#most) this.#waiting.shift()!();
  }

  /** Nothing is counted any more. */
  close(): void {
    for (const consumed of this.#waiting) consumed();
  }
}
