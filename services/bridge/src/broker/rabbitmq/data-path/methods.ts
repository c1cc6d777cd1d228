/** Class and method ids as one number, as they begin a method frame's payload. */
export const methodId = {
  basicPublish: (60 << 16) | 40,
  basicReturn: (60 << 16) | 50,
  basicDeliver: (60 << 16) | 60,
  basicGet: (60 << 16) | 70,
  basicGetOk: (60 << 16) | 71,
  basicGetEmpty: (60 << 16) | 72,
  basicAck: (60 << 16) | 80,
  basicNack: (60 << 16) | 120,
} as const;

export const basicClass = 60;

/** A delivery tag or body size: 64 bits, of which JavaScript's numbers hold 53; no channel lives that long. */
export function readLong(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

/** Writes what `readLong` reads. */
export function writeLong(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  bytes.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}

/**
 * Remembers the last short string, so that the exchange of ten thousand deliveries in a row is decoded once.
 */
export class ShortStringReader {
  #bytes: Buffer = Buffer.alloc(0);
  #text = '';

  /** Reads the string whose length octet is at `at`. */
  read(from: Buffer, at: number): string {
    const length = from[at] as number;
    const last = this.#bytes;
    if (last.length === length) {
      let same = true;
      for (let index = 0; index < length; index++) {
        if (last[index] !== from[at + 1 + index]) {
          same = false;
          break;
        }
      }
      if (same) return this.#text;
    }
    this.#bytes = Buffer.from(from.subarray(at + 1, at + 1 + length));
    this.#text = this.#bytes.toString('utf8');
    return this.#text;
  }
}
