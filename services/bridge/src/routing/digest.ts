import type { DemandFrame } from '@tombolo/wire/frame';

/**
 * A 53-bit digest of what was advertised, the same on both ends when they agree, whatever the order: the sum of a hash of each
 * line. Not cryptographic: the link is authenticated, this finds what was lost.
 */
export class Digest {
  #sum = 0;
  count = 0;

  add(line: string): void {
    let a = 0x811c9dc5;
    let b = 0x2f0b4c47;
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ code, 0x5bd1e995);
    }
    this.#sum = (this.#sum + (a >>> 0) * 2 ** 21 + ((b >>> 0) >>> 11)) % 2 ** 53;
    this.count++;
  }

  toString(): string {
    return this.#sum.toString(16);
  }
}

/** The line of one advertisement: everything by which it can differ from another of the same demand. */
export function demandLine({ sink, destination, incarnation, version, path }: DemandFrame): string {
  return `${destination.kind}\n${destination.name}\n${sink}\n${incarnation}\n${version}\n${path.join('\n')}`;
}
