/** How many bytes of data for one sink may be with a neighbour that relays them. */
export const RELAY_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * What is on its way through neighbours: bytes of data by neighbour and sink, as running totals since the link began. A relay that
 * is slow towards one sink thus slows only what goes there. Pure.
 */
export class RelayWindow {
  readonly #sent = new Map<string, number>();
  readonly #relayed = new Map<string, number>();

  /** Whether the neighbour may be given a frame of this size for the sink. What it has not reported yet counts. */
  fits(neighbour: string, sink: string, bytes: number): boolean {
    const key = keyOf(neighbour, sink);
    const outstanding = (this.#sent.get(key) ?? 0) - (this.#relayed.get(key) ?? 0);
    // Reports come in steps of a quarter: a frame larger than the window goes when at most that is outstanding.
    return outstanding + bytes <= RELAY_WINDOW_BYTES || outstanding < RELAY_WINDOW_BYTES / 2;
  }

  sent(neighbour: string, sink: string, bytes: number): void {
    const key = keyOf(neighbour, sink);
    this.#sent.set(key, (this.#sent.get(key) ?? 0) + bytes);
  }

  relayed(neighbour: string, sink: string, total: number): void {
    const key = keyOf(neighbour, sink);
    this.#relayed.set(key, Math.max(total, this.#relayed.get(key) ?? 0));
  }

  /** The link is gone, and the totals with it. */
  lost(neighbour: string): void {
    for (const totals of [this.#sent, this.#relayed]) {
      for (const key of totals.keys()) if (key.startsWith(keyOf(neighbour, ''))) totals.delete(key);
    }
  }
}

function keyOf(neighbour: string, sink: string): string {
  return `${neighbour}\u0000${sink}`;
}
