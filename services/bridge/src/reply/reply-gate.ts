/** What becomes of batches that waited: those of one stream in the order in which they came. */
export interface Opened<Batch> {
  readonly publish: readonly Batch[];
  /** Not published: the source sends them again later. */
  readonly refuse: readonly Batch[];
}

interface Waiting<Batch> {
  readonly batch: Batch;
  readonly awaited: Set<string>;
  refused: boolean;
}

/**
 * Requests wait here until the queues exist to which their replies will be sent: else a fast replier's answer would find none.
 * What follows on the same stream waits behind them, for its order's sake; other streams pass. Pure. What waits is bounded by credit,
 * as all that is being published.
 */
export class ReplyGate<Stream, Batch> {
  readonly #lines = new Map<Stream, Waiting<Batch>[]>();

  /** True when the batch may be published at once; else it waits here. */
  pass(stream: Stream, batch: Batch, awaited: readonly string[]): boolean {
    const line = this.#lines.get(stream);
    if (!line && awaited.length === 0) return true;
    const waiting = { batch, awaited: new Set(awaited), refused: false };
    if (line) line.push(waiting);
    else this.#lines.set(stream, [waiting]);
    return false;
  }

  /**
   * The declaration of this queue has ended. One that failed, and may succeed later (`retry`), has its requests refused: the
   * source sends them again. One that cannot succeed stops nobody: a request is worth more than its reply.
   */
  settled(queue: string, outcome: 'declared' | 'retry' | 'failed'): Opened<Batch> {
    const publish: Batch[] = [];
    const refuse: Batch[] = [];
    for (const [stream, line] of this.#lines) {
      for (const waiting of line) if (waiting.awaited.delete(queue) && outcome === 'retry') waiting.refused = true;
      while (line[0] && (line[0].awaited.size === 0 || line[0].refused)) {
        const { batch, refused } = line.shift()!;
        (refused ? refuse : publish).push(batch);
      }
      if (line.length === 0) this.#lines.delete(stream);
    }
    return { publish, refuse };
  }

  /** The stream has ended, or the broker has gone: what waited is not published. Without a stream: of all. */
  clear(stream?: Stream): Batch[] {
    const lines = stream === undefined ? [...this.#lines.values()] : [this.#lines.get(stream) ?? []];
    if (stream === undefined) this.#lines.clear();
    else this.#lines.delete(stream);
    return lines.flat().map(({ batch }) => batch);
  }
}
