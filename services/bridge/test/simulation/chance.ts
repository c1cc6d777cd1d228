/** A small, fast, seeded generator (mulberry32): the same seed gives the same run on every machine. */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draws from one seed. Whatever has chance of its own gets a branch, so that one part's draws do not shift another's. */
export class Chance {
  readonly #seed: number;
  readonly #next: () => number;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.#next = seeded(seed);
  }

  /** A generator that depends on the seed and the name only, not on what was drawn before. */
  branch(name: string): Chance {
    let hash = this.#seed ^ 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    return new Chance(Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d));
  }

  /** In [0, 1). */
  next(): number {
    return this.#next();
  }

  /** In [from, to). */
  between(from: number, to: number): number {
    return from + this.#next() * (to - from);
  }

  /** A whole number in [from, to]. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.#next() * (to - from + 1));
  }

  /** True in this share of the cases. */
  happens(probability: number): boolean {
    return this.#next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#next() * items.length)]!;
  }

  /** `count` different ones, in a random order; all of them when there are fewer. */
  sample<Item>(items: readonly Item[], count: number): Item[] {
    const rest = [...items];
    const taken: Item[] = [];
    while (taken.length < count && rest.length > 0)
      taken.push(...rest.splice(Math.floor(this.#next() * rest.length), 1));
    return taken;
  }
}
