import { median, quantile } from '../statistics.ts';
import { stampBytes } from './template.ts';

export interface ArrivalReport {
  readonly count: number;
  readonly distinct: number;
  /** Times of `now`, of the first and the last arrival. */
  readonly first: number;
  readonly last: number;
  /** Of messages from number `warm` on. */
  readonly p50: number;
  readonly p99: number;
  /** The longest time without an arrival, in ms. */
  readonly longestGap: number;
}

/** What a consumer notes of each message. */
export class Arrivals {
  count = 0;
  distinct = 0;
  first = 0;
  last = 0;
  #longestGap = 0;
  readonly #seen: Uint8Array;
  readonly #latencies: number[] = [];
  readonly #warm: number;
  readonly #timed: boolean;
  #changed = () => {};

  /** @param numbers the messages are numbered from 0 to below this
   *  @param warm latencies count from this number on; undefined: they are not noted */
  constructor(numbers: number, warm: number | undefined) {
    this.#seen = new Uint8Array(numbers);
    this.#timed = warm !== undefined;
    this.#warm = warm ?? 0;
  }

  /** The beginning of a body: 16 bytes at least. */
  arrived(bytes: Buffer, at: number, time: () => number): void {
    if (bytes.length - at < stampBytes) throw new Error('a message that is none of ours');
    this.count++;
    const number = bytes.readUInt32BE(at);
    if (number < this.#seen.length && !this.#seen[number]) {
      this.#seen[number] = 1;
      this.distinct++;
    }
    if (this.#timed && number >= this.#warm) this.#latencies.push(time() - bytes.readDoubleBE(at + 8));
  }

  /** Some have arrived at this time. */
  noted(time: number): void {
    if (this.first === 0) this.first = time;
    else this.#longestGap = Math.max(this.#longestGap, time - this.last);
    this.last = time;
    this.#changed();
  }

  /** Resolves when so many different messages have arrived; rejects when they do not within this time. */
  async wait(distinct: number, withinMs: number): Promise<ArrivalReport> {
    let late: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      this.#changed = () => {
        if (this.distinct >= distinct) resolve();
      };
      late = setTimeout(() => {
        reject(new Error(`${this.distinct} of ${distinct} messages came within ${withinMs} ms`));
      }, withinMs);
      this.#changed();
    });
    clearTimeout(late);
    return this.report();
  }

  report(): ArrivalReport {
    const { count, distinct, first, last } = this;
    const p50 = median(this.#latencies);
    return { count, distinct, first, last, p50, p99: quantile(this.#latencies, 0.99), longestGap: this.#longestGap };
  }
}
