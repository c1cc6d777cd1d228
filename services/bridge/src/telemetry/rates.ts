/** How far back a rate looks (s). */
const WINDOW_S = 5;

interface Meter {
  /** The second of the latest entry. */
  second: number;
  /** What came in each of the latest seconds, the current one included, by second modulo their number. */
  readonly counts: number[];
}

/**
 * How many things per second, by key, over the last five whole seconds. Nothing is done between what comes and what is asked; a key
 * takes a few dozen bytes for as long as the bridge runs.
 */
export class Rates {
  readonly #now: () => number;
  readonly #meters = new Map<string, Meter>();

  /** @param now monotonic ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** `n` things more of this key. */
  add(key: string, n: number): void {
    const second = Math.floor(this.#now() / 1000);
    let meter = this.#meters.get(key);
    if (!meter) {
      meter = { second, counts: new Array<number>(WINDOW_S + 1).fill(0) };
      this.#meters.set(key, meter);
    }
    advance(meter, second);
    meter.counts[second % meter.counts.length]! += n;
  }

  /** By key, those that are above 0. */
  perSecond(): Map<string, number> {
    const second = Math.floor(this.#now() / 1000);
    const rates = new Map<string, number>();
    for (const [key, meter] of this.#meters) {
      advance(meter, second);
      const current = second % meter.counts.length;
      const counted = meter.counts.reduce((sum, count, at) => (at === current ? sum : sum + count), 0);
      if (counted > 0) rates.set(key, counted / WINDOW_S);
    }
    return rates;
  }
}

/** Forgets what has left the window. */
function advance(meter: Meter, second: number): void {
  const { counts } = meter;
  for (let passed = Math.max(meter.second + 1, second - counts.length + 1); passed <= second; passed++) {
    counts[passed % counts.length] = 0;
  }
  meter.second = second;
}
