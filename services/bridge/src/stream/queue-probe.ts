const FIRST_MS = 5;
const LAST_MS = 1_000;

/** When a queue at the sink is looked at: soon after anything has changed, then less and less often. Pure. */
export class QueueProbe {
  #inFlight = false;
  #at = 0;
  #delay = 0;
  /** Of all messages that were confirmed into the queue, when it was sent. */
  #confirmed = 0;

  /** When the next one is due (monotonic ms); Infinity: one is under way. */
  get dueAt(): number {
    return this.#inFlight ? Number.POSITIVE_INFINITY : this.#at;
  }
  get inFlight(): boolean {
    return this.#inFlight;
  }

  /** @param confirmed messages that were confirmed into the queue so far */
  begin(confirmed: number): void {
    this.#inFlight = true;
    this.#confirmed = confirmed;
  }

  /** The answer has come. @returns messages that were confirmed meanwhile */
  answered(confirmed: number): number {
    this.#inFlight = false;
    return confirmed - this.#confirmed;
  }

  /** The next one is due after a longer while than this one. */
  after(now: number): void {
    this.#delay = this.#delay === 0 ? FIRST_MS : Math.min(LAST_MS, this.#delay * 2);
    this.#at = now + this.#delay;
  }

  /** Something has changed: the next one is not delayed. */
  touched(now: number): void {
    this.#delay = 0;
    this.#at = Math.min(this.#at, now);
  }

  /** No answer will come. */
  lost(): void {
    this.#inFlight = false;
  }
}
