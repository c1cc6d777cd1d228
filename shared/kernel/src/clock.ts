/**
 * Time as a port: machines never read a clock, they are told the time; shells read it here.
 * All values are monotonic milliseconds (an arbitrary origin; only differences mean something).
 */
export interface Clock {
  /** Monotonic time in milliseconds; never goes back, not even when the wall clock is set. */
  now(): number;
  /** Calls `callback` once, at or after `at` (monotonic ms). Returns a function that cancels it. */
  wake(at: number, callback: () => void): () => void;
}

/** The process's own clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wake(at, callback) {
    const timer = setTimeout(callback, Math.max(0, at - performance.now()));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A clock that a test moves by hand: `advance` runs what becomes due, in order of its time. */
export class ManualClock implements Clock {
  #now = 0;
  #serial = 0;
  #due: { at: number; serial: number; callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  wake(at: number, callback: () => void): () => void {
    const entry = { at, serial: this.#serial++, callback };
    this.#due.push(entry);
    return () => {
      this.#due = this.#due.filter((other) => other !== entry);
    };
  }

  /** Moves time forward by `ms`, running every callback that falls due on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#due
        .filter((entry) => entry.at <= end)
        .sort((a, b) => a.at - b.at || a.serial - b.serial)
        .at(0);
      if (!next) break;
      this.#due = this.#due.filter((entry) => entry !== next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = end;
  }
}
