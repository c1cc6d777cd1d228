import type { Clock } from '@tombolo/kernel/clock';

/** How long the broker may take to make a consumer, look by look (ms). */
const LOOKS_MS = [200, 1_000, 5_000] as const;
/** Queues that are looked at together. */
const TOGETHER = 256;

/** What a look needs of the connection and of what is known. */
export interface GlanceGround {
  /** Asks who consumes from these queues, and resolves when the broker has told. */
  ask(queues: readonly string[]): Promise<void>;
  /** The queues of which it is still unknown what some consumer can take. */
  beingMade(): ReadonlySet<string>;
  /** It still is, after the last look. */
  inVain(): void;
}

/**
 * Looks once more at queues whose consumers were told of while the broker was making them. Only those queues are asked about: everything
 * may take a slow broker many seconds to tell.
 */
export class ConsumerGlances {
  readonly #clock: Clock;
  readonly #ground: GlanceGround;
  readonly #due = new Map<string, { at: number; looks: number }>();
  #isAsking = false;
  #cancelWake: () => void = () => {};

  constructor(clock: Clock, ground: GlanceGround) {
    this.#clock = clock;
    this.#ground = ground;
  }

  /** Somebody's prefetch on this queue is not known. */
  wanted(queue: string): void {
    if (this.#due.has(queue)) return;
    this.#due.set(queue, { at: this.#clock.now() + LOOKS_MS[0], looks: 0 });
    this.#schedule();
  }

  /** Nothing is to be looked at any more. */
  clear(): void {
    this.#due.clear();
    this.#cancelWake();
  }

  #schedule(): void {
    this.#cancelWake();
    if (this.#isAsking || this.#due.size === 0) return;
    const at = Math.min(...[...this.#due.values()].map((each) => each.at));
    this.#cancelWake = this.#clock.wake(at, () => void this.#look());
  }

  async #look(): Promise<void> {
    const now = this.#clock.now();
    const queues = [...this.#due].flatMap(([queue, { at }]) => (at <= now ? [queue] : [])).slice(0, TOGETHER);
    this.#isAsking = true;
    await this.#ground.ask(queues);
    this.#isAsking = false;
    const beingMade = this.#ground.beingMade();
    for (const queue of queues) this.#judge(queue, beingMade.has(queue));
    this.#schedule();
  }

  #judge(queue: string, isBeingMade: boolean): void {
    const entry = this.#due.get(queue);
    if (!entry) return;
    const waitMs = LOOKS_MS[++entry.looks];
    if (isBeingMade && waitMs !== undefined) entry.at = this.#clock.now() + waitMs;
    else this.#due.delete(queue);
    if (isBeingMade && waitMs === undefined) this.#ground.inVain();
  }
}
