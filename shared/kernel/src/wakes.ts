import type { Clock } from './clock.ts';

/**
 * Many machines, one timer: each tells when it wants to be woken next, the earliest are woken in order. A machine that is asked
 * for again before its time simply says so; an idle one (Infinity) costs nothing.
 */
export class Wakes<Key> {
  #clock: Clock;
  #wake: (key: Key) => void;
  #at = new Map<Key, number>();
  /** A binary heap of [at, key]; entries that #at does not confirm any more are skipped. */
  #heap: { at: number; key: Key }[] = [];
  #armedAt = Number.POSITIVE_INFINITY;
  #disarm: () => void = () => {};

  /** @param wake called for each key that is due; it should call `set` again */
  constructor(clock: Clock, wake: (key: Key) => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  /** `key` wants to be woken at `at` (monotonic ms), and not at the time it said before; Infinity: not at all. */
  set(key: Key, at: number): void {
    if (at === Number.POSITIVE_INFINITY) {
      this.#at.delete(key);
      return;
    }
    if (this.#at.get(key) === at) return;
    this.#at.set(key, at);
    this.#push({ at, key });
    if (at < this.#armedAt) this.#arm(at);
  }

  delete(key: Key): void {
    this.#at.delete(key);
  }

  clear(): void {
    this.#at.clear();
    this.#heap = [];
    this.#disarm();
    this.#armedAt = Number.POSITIVE_INFINITY;
  }

  #arm(at: number): void {
    this.#disarm();
    this.#armedAt = at;
    this.#disarm = this.#clock.wake(at, () => this.#run());
  }

  #run(): void {
    this.#armedAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    const due: Key[] = [];
    while (this.#heap.length > 0) {
      const { at, key } = this.#heap[0]!;
      if (this.#at.get(key) !== at) this.#pop();
      else if (at <= now) {
        this.#pop();
        this.#at.delete(key);
        due.push(key);
      } else break;
    }
    for (const key of due) this.#wake(key);
    const next = this.#heap[0];
    if (next && next.at < this.#armedAt) this.#arm(next.at);
  }

  #push(entry: { at: number; key: Key }): void {
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent]!.at <= entry.at) break;
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
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}
