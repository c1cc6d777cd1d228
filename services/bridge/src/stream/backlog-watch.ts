import type { Clock } from '@tombolo/kernel/clock';
import type { Destination } from '@tombolo/wire/frame';
import type { WaitingView } from '../admin/view.ts';

/** A destination that another cluster wants, and how things stand with it here. */
export interface Wanted {
  readonly destination: Destination;
  /** The queue of the own cluster that its messages wait in. */
  readonly queue: string;
  readonly sink: string;
  readonly connector: string;
  /** Why its messages do not move, as a word; undefined: they move. */
  readonly reason: string | undefined;
  /** Grows with every message that was sent. */
  readonly sent: number;
  /** How long ago the oldest message that is in hand was taken; undefined: none is. */
  readonly heldMs: number | undefined;
}

export interface BacklogWatchOptions {
  readonly clock: Clock;
  /** Ready messages of a queue of the own cluster; undefined: there is no such queue. May reject. */
  probe(queue: string): Promise<{ readonly ready: number } | undefined>;
}

/** Queues are looked at no more often. */
const LOOK_MS = 5_000;
/** How many are looked at in one go: of those whose messages do not move, and of the others. */
const MOST_BLOCKED = 48;
const MOST_FREE = 16;

interface Row {
  lookedAt: number;
  sent: number;
  /** Since when messages were seen to wait without any being sent (monotonic ms); undefined: none waits, as far as is known. */
  since: number | undefined;
}

/**
 * For how long messages have waited here that another cluster wants. A queue does not tell how old its messages are, but that some wait
 * and none was sent since is seen by looking: so what is told is the least that it can be. Queues are looked at when somebody asks, a
 * bounded number every five seconds, those that were not looked at for longest first.
 */
export class BacklogWatch {
  readonly #options: BacklogWatchOptions;
  readonly #rows = new Map<string, Row>();
  #nextLook = 0;
  #looking = false;

  constructor(options: BacklogWatchOptions) {
    this.#options = options;
  }

  /** Destinations of which a message waits, as far as is known; begins to look again when the last look is old. */
  views(wanted: readonly Wanted[]): WaitingView[] {
    const now = this.#options.clock.now();
    if (!this.#looking && now >= this.#nextLook) void this.#look(wanted, now);
    return wanted.flatMap(({ destination: { kind, name }, sink, connector, reason, heldMs = 0, ...rest }) => {
      const row = this.#rows.get(keyOf(sink, rest.queue));
      const seen = row?.sent === rest.sent ? row.since : undefined;
      const ageMs = Math.max(now - (seen ?? now), heldMs);
      return ageMs > 0 ? [{ kind, destination: name, sink, connector, reason, ageMs }] : [];
    });
  }

  async #look(wanted: readonly Wanted[], now: number): Promise<void> {
    this.#looking = true;
    this.#nextLook = now + LOOK_MS;
    this.#forget(wanted);
    const lookedAt = ({ sink, queue }: Wanted): number => this.#rows.get(keyOf(sink, queue))?.lookedAt ?? 0;
    const due = wanted.toSorted((a, b) => lookedAt(a) - lookedAt(b));
    const blocked = due.filter(({ reason }) => reason !== undefined).slice(0, MOST_BLOCKED);
    const free = due.filter(({ reason }) => reason === undefined).slice(0, MOST_FREE);
    await Promise.all([...blocked, ...free].map((each) => this.#lookAt(each)));
    this.#looking = false;
  }

  async #lookAt({ sink, queue, sent }: Wanted): Promise<void> {
    const { clock, probe } = this.#options;
    // What cannot be looked at for now still waits, if it did.
    const ready = await probe(queue).then(
      (found) => found?.ready ?? 0,
      () => undefined,
    );
    const now = clock.now();
    const key = keyOf(sink, queue);
    const row = this.#rows.get(key);
    const waited = row?.sent === sent ? row.since : undefined;
    const since = ready === undefined ? waited : ready > 0 ? (waited ?? now) : undefined;
    this.#rows.set(key, { lookedAt: now, sent, since });
  }

  #forget(wanted: readonly Wanted[]): void {
    const keys = new Set(wanted.map(({ sink, queue }) => keyOf(sink, queue)));
    for (const key of this.#rows.keys()) if (!keys.has(key)) this.#rows.delete(key);
  }
}

function keyOf(sink: string, queue: string): string {
  return `${sink}\u0000${queue}`;
}
