import type { Clock } from '@tombolo/kernel/clock';
import type { CollectedFrame, CollectFrame } from '@tombolo/wire/frame';
import { DIGEST_BYTES } from './in-doubt.ts';
import type { SinkStream } from './sink-machine.ts';

const PER_FRAME = 2_000;
const RETRY_MS = 50;
const ATTEMPTS = 60;
const A_YEAR_MS = 31_000_000_000;

/**
 * Tells a new incarnation of a source what of its predecessors is in doubt: what this sink's broker has stored and of which the
 * source never said that it is removed. The answer waits (three seconds at most) until no publish of theirs is under way.
 */
export class InDoubtAnswers {
  readonly #cluster: string;
  readonly #clock: Clock;
  readonly #send: (frame: CollectedFrame) => void;
  readonly #asked = new Map<string, () => void>();

  constructor(cluster: string, clock: Clock, send: (frame: CollectedFrame) => void) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#send = send;
  }

  /** @param streams all streams of this source, as of the moment of the call */
  collect({ incarnation, source }: CollectFrame, streams: () => readonly SinkStream[]): void {
    this.cancel(source);
    for (const stream of streams()) stream.supersede(incarnation, this.#clock.now());
    const answer = (attempt: number): void => {
      if (attempt < ATTEMPTS && streams().some((stream) => stream.undecided)) {
        this.#asked.set(
          source,
          this.#clock.wake(this.#clock.now() + RETRY_MS, () => answer(attempt + 1)),
        );
        return;
      }
      this.#asked.delete(source);
      const head = { kind: 'collected' as const, source, sink: this.#cluster, incarnation };
      for (const stream of streams()) {
        for (const item of itemsOf(stream, this.#clock.now())) this.#send({ ...head, complete: false, items: [item] });
      }
      this.#send({ ...head, complete: true, items: [] });
    };
    answer(0);
  }

  /** The link to the source is gone: it will ask again. */
  cancel(source: string): void {
    this.#asked.get(source)?.();
    this.#asked.delete(source);
  }

  close(): void {
    for (const source of [...this.#asked.keys()]) this.cancel(source);
  }
}

function itemsOf(stream: SinkStream, now: number): CollectedFrame['items'][number][] {
  const found = stream.inDoubt();
  const items: CollectedFrame['items'][number][] = [];
  for (let i = 0; i < found.length; i += PER_FRAME) {
    const part = found.slice(i, i + PER_FRAME);
    const digests = new Uint8Array(part.length * DIGEST_BYTES);
    part.forEach(({ digest }, j) => {
      digests.set(digest, j * DIGEST_BYTES);
    });
    const ids = Uint8Array.from(part, ({ hasId }) => (hasId ? 1 : 0));
    const oldest = Math.min(...part.map(({ since }) => since));
    items.push({
      destination: stream.address.destination,
      digests,
      ids,
      ageMs: Math.min(Math.max(0, now - oldest), A_YEAR_MS),
    });
  }
  return items;
}
