import { weightOf } from '@tombolo/wire/codec';
import type { MessagesFrame } from '@tombolo/wire/frame';
import { RELAY_WINDOW_BYTES } from './relay-window.ts';

interface Held {
  readonly from: string;
  readonly upstream: Upstream;
  readonly frame: MessagesFrame;
  readonly bytes: number;
  readonly consumed: () => void;
}

interface Upstream {
  /** Bytes of the link that are here now, that have left in all, and that were reported as such. */
  here: number;
  left: number;
  reported: number;
}

export interface TransitOptions {
  /** Hands a frame on towards its sink; `wait`: try again later; `drop`: there is no way, or it is not permitted. */
  readonly forward: (from: string, frame: MessagesFrame, bytes: number) => 'gone' | 'wait' | 'drop';
  readonly report: (neighbour: string, sink: string, bytes: number) => void;
  /** Most bytes that may be held for all. */
  readonly largest: number;
}

/**
 * Data that passes through on its way to another cluster: handed on at once, or held, in order, until there is room. A neighbour
 * may have one window of bytes here for each sink; what comes beyond it is dropped, and the two ends send it again.
 */
export class Transit {
  readonly #options: TransitOptions;
  /** sink → frames, in order of arrival. */
  readonly #held = new Map<string, Held[]>();
  readonly #upstream = new Map<string, Upstream>();
  #bytes = 0;

  constructor(options: TransitOptions) {
    this.#options = options;
  }

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  relay(from: string, frame: MessagesFrame, consumed: () => void): void {
    const bytes = weightOf(frame);
    const { sink } = frame.address;
    const queue = this.#held.get(sink);
    const upstream = this.#upstreamOf(from, sink);
    if (!queue) {
      const fate = this.#options.forward(from, frame, bytes);
      if (fate !== 'wait') return this.#left(from, sink, upstream, bytes, consumed);
    }
    if (upstream.here > RELAY_WINDOW_BYTES || this.#bytes > this.#options.largest) {
      return this.#left(from, sink, upstream, bytes, consumed);
    }
    upstream.here += bytes;
    this.#bytes += bytes;
    const held = { from, upstream, frame, bytes, consumed };
    if (queue) queue.push(held);
    else this.#held.set(sink, [held]);
  }

  /** There may be room, or another way, again. */
  pump(): void {
    for (const sink of [...this.#held.keys()]) this.#pump(sink);
  }

  /** The neighbour's link is gone; what it sent may still arrive. */
  lost(neighbour: string): void {
    for (const key of this.#upstream.keys()) {
      if (key.startsWith(keyOf(neighbour, ''))) this.#upstream.delete(key);
    }
  }

  clear(): void {
    for (const queue of this.#held.values()) for (const { consumed } of queue) consumed();
    this.#held.clear();
    this.#bytes = 0;
  }

  #pump(sink: string): void {
    const queue = this.#held.get(sink) ?? [];
    while (queue.length > 0) {
      const { from, upstream, frame, bytes, consumed } = queue[0]!;
      if (this.#options.forward(from, frame, bytes) === 'wait') return;
      queue.shift();
      this.#bytes -= bytes;
      upstream.here -= bytes;
      this.#left(from, sink, upstream, bytes, consumed);
    }
    this.#held.delete(sink);
  }

  #left(from: string, sink: string, upstream: Upstream, bytes: number, consumed: () => void): void {
    consumed();
    upstream.left += bytes;
    if (upstream.left - upstream.reported < RELAY_WINDOW_BYTES / 4) return;
    if (this.#upstream.get(keyOf(from, sink)) !== upstream) return; // of a link that is gone
    upstream.reported = upstream.left;
    this.#options.report(from, sink, upstream.left);
  }

  #upstreamOf(from: string, sink: string): Upstream {
    const key = keyOf(from, sink);
    let upstream = this.#upstream.get(key);
    if (!upstream) {
      upstream = { here: 0, left: 0, reported: 0 };
      this.#upstream.set(key, upstream);
    }
    return upstream;
  }
}

function keyOf(neighbour: string, sink: string): string {
  return `${neighbour}\u0000${sink}`;
}
