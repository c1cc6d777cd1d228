const FIRST_MS = 50;
const LAST_MS = 5_000;

/**
 * How long nothing is drawn after the own consumers were seen to be full; twice as long when what was drawn since the last time was
 * drawn for nothing. Pure.
 */
export class Rest {
  #until = 0;
  #ms = 0;
  /** Of all messages that were drawn, at the last rest. */
  #total = 0;

  /** When it is over (monotonic ms). */
  get until(): number {
    return this.#until;
  }

  /** They are full. @param total messages that were drawn so far */
  begin(total: number, now: number): void {
    const inVain = total > this.#total;
    this.#ms = inVain ? Math.min(LAST_MS, Math.max(FIRST_MS, this.#ms * 2)) : this.#ms || FIRST_MS;
    this.#until = now + this.#ms;
    this.#total = total;
  }

  /** Nothing waits for them: what was drawn since the last rest, they have taken. */
  taken(total: number): void {
    if (total > this.#total) this.#ms = 0;
  }

  /** Whoever is new has room. */
  end(now: number): void {
    this.#until = now;
  }
}
