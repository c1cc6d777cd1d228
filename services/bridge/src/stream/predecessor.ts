import type { CollectedFrame, Destination } from '@tombolo/wire/frame';
import { DIGEST_BYTES } from './in-doubt.ts';
import type { HalfOptions } from './shell.ts';
import type { QueueAtSource, SourceQueues } from './source-queues.ts';

/** How long a fresh bridge waits for absent peers to tell what its predecessor left in doubt. */
const COLLECT_MS = 5_000;
/** A sink that does not tell how old its record is: none is kept for longer. */
const OLDEST_MS = 600_000;

/**
 * What the predecessor of this bridge left in doubt, as the sinks tell: which of its messages they have stored, so that copies of them
 * are recognised when the broker hands them over again.
 */
export class Predecessor {
  readonly #options: Pick<HalfOptions, 'agreement' | 'clock' | 'cluster' | 'incarnation' | 'router'>;
  readonly #queues: SourceQueues;
  readonly #until: number;
  readonly #answered = new Set<string>();
  /** What peers have begun to tell; it counts once it is complete. */
  readonly #collections = new Map<string, CollectedFrame['items'][number][]>();
  readonly #changed: () => void;
  readonly #disarm: () => void;

  /** @param changed streams that waited for it may go on */
  constructor(
    options: Pick<HalfOptions, 'agreement' | 'clock' | 'cluster' | 'incarnation' | 'router'>,
    queues: SourceQueues,
    changed: () => void,
  ) {
    this.#options = options;
    this.#queues = queues;
    this.#changed = changed;
    this.#until = options.clock.now() + COLLECT_MS;
    this.#disarm = options.clock.wake(this.#until, changed);
  }

  /** The sink can be asked, or cannot any more. */
  reachChanged(sink: string, reachable: boolean): void {
    const { cluster, incarnation, router } = this.#options;
    if (!reachable) this.#collections.delete(sink);
    else if (!this.#answered.has(sink)) router.send({ kind: 'collect', source: cluster, sink, incarnation });
  }

  /** A queue's messages may have gone to any sink, those of a reply queue only to its origin. */
  collecting(sink: string, destination: Destination): boolean {
    if (this.#options.clock.now() >= this.#until) return false;
    if (destination.kind === 'reply') return !this.#answered.has(sink);
    return this.#options.agreement.sinks.some((sink) => !this.#answered.has(sink));
  }

  collected(frame: CollectedFrame): void {
    const { clock, incarnation } = this.#options;
    const { sink } = frame;
    if (frame.incarnation !== incarnation || this.#answered.has(sink)) return;
    const items = this.#collections.get(sink) ?? [];
    items.push(...frame.items);
    this.#collections.set(sink, items);
    if (!frame.complete) return;
    this.#collections.delete(sink);
    const now = clock.now();
    for (const { destination, digests, ids, ageMs = OLDEST_MS } of items) {
      const { orphans } = this.#queues.drawn(sink, destination);
      for (let i = 0; i < ids.length; i++) {
        // The predecessor may have acknowledged it.
        orphans.accepted(digests.slice(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES), ids[i] === 1, now, now - ageMs);
      }
    }
    this.#answered.add(sink);
    this.#changed();
  }

  /** Once recognised messages are known to be removed, the sinks need not remember them. */
  forget(queue: QueueAtSource): void {
    if (!queue.fresh || [...queue.flows.values()].some(({ machine }) => machine.suppressing)) return;
    queue.fresh = false;
    const { agreement, cluster, incarnation, router } = this.#options;
    const { destination, flows } = queue;
    // A queue's streams of a predecessor may have gone to any cluster; a buffer or a reply queue has one sink.
    const sinks = destination.kind === 'queue' ? agreement.sinks : flows.keys();
    for (const sink of sinks) router.send({ kind: 'forget', source: cluster, sink, incarnation, destination });
  }

  close(): void {
    this.#disarm();
  }
}
