import type { DemandFrame } from '@tombolo/wire/frame';

/**
 * A digest of what was advertised, the same on both ends when they agree, in whatever order they were told: sums of two hashes of each
 * line. What was added can be taken away again. Not cryptographic: the link is authenticated, this finds what was lost.
 */
export class Digest {
  #a = 0;
  #b = 0;
  count = 0;

  add(line: string): void {
    this.#sum(line, 1);
  }

  remove(line: string): void {
    this.#sum(line, -1);
  }

  toString(): string {
    return `${this.#a.toString(16)}.${this.#b.toString(16)}`;
  }

  #sum(line: string, sign: 1 | -1): void {
    let a = 0x811c9dc5;
    let b = 0x2f0b4c47;
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ code, 0x5bd1e995);
    }
    // 32 bits each: a sum that outgrew 53 bits would be rounded, and depend on the order.
    this.#a = (this.#a + sign * a) >>> 0;
    this.#b = (this.#b + sign * b) >>> 0;
    this.count += sign;
  }
}

/** The line of one advertisement: everything by which it can differ from another of the same demand. */
export function demandLine({ sink, destination, incarnation, version, path, ttl, farther }: DemandFrame): string {
  let line = `${destination.kind}\n${destination.name}\n${sink}\n${incarnation}\n${version}\n${ttl}\n${path.join('\n')}`;
  for (const way of farther ?? []) line += `\n\n${way.ttl}\n${way.path.join('\n')}`;
  return line;
}
