import type { Clock } from '@tombolo/kernel/clock';

interface Entry {
  readonly at: number;
  readonly serial: number;
  callback: (() => void) | undefined;
}

/** The time of a simulation: a heap of what is due. Equal times run in the order in which they were asked for. */
export class VirtualClock implements Clock {
  #now = 0;
  #serial = 0;
  #heap: Entry[] = [];

  now(): number {
    return this.#now;
  }

  /** When the next callback is due; Infinity: nothing waits. */
  get nextAt(): number {
    this.#skipCancelled();
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  wake(at: number, callback: () => void): () => void {
    const entry: Entry = { at, serial: this.#serial++, callback };
    this.#push(entry);
    return () => {
      entry.callback = undefined;
    };
  }

  /** Runs `callback` after `ms`. */
  after(ms: number, callback: () => void): () => void {
    return this.wake(this.#now + ms, callback);
  }

  /** Moves on to the next callback and runs it; false when nothing waits. */
  step(): boolean {
    this.#skipCancelled();
    const entry = this.#heap[0];
    if (!entry) return false;
    this.#pop();
    this.#now = Math.max(this.#now, entry.at);
    const { callback } = entry;
    entry.callback = undefined;
    callback?.();
    return true;
  }

  /** Lets time pass in which nothing happens. */
  skipTo(at: number): void {
    this.#now = Math.max(this.#now, at);
  }

  #skipCancelled(): void {
    while (this.#heap.length > 0 && this.#heap[0]!.callback === undefined) this.#pop();
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (before(heap[parent]!, entry)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = i * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (before(last, heap[child]!)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

/** The clock of one process: what it asked for happens when it runs, and not at all once it is dead. */
export class ProcessClock implements Clock {
  readonly #clock: Clock;
  #alive = true;
  #paused = 0;
  #missed: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  wake(at: number, callback: () => void): () => void {
    let cancelled = false;
    const cancel = this.#clock.wake(at, () =>
      this.run(() => {
        if (!cancelled) callback();
      }),
    );
    return () => {
      cancelled = true;
      cancel();
    };
  }

  get paused(): boolean {
    return this.#paused > 0;
  }

  /** Something comes in from outside: dealt with now, or once the process runs again. */
  run(callback: () => void): void {
    if (!this.#alive) return;
    if (this.#paused > 0) this.#missed.push(callback);
    else callback();
  }

  /** SIGSTOP. */
  pause(): void {
    this.#paused++;
  }

  /** SIGCONT: all that it missed happens now, one after the other. */
  resume(): void {
    if (--this.#paused > 0) return;
    for (const missed of this.#missed.splice(0)) this.#clock.wake(this.now(), () => this.run(missed));
  }

  stop(): void {
    this.#alive = false;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.serial < b.serial);
}
