import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { Surroundings } from '../surroundings.ts';
import type { DemandChange } from './consumer-table.ts';
import type { Prober } from './probe.ts';

const roundMs = 1_000;
/** How many names are looked at in one round, so that ten thousand of them do not keep the broker busy. */
const perRound = 200;

/**
 * Demand on exact names by passive declares: all consumers less our own. It sees neither priorities nor prefetch, and no
 * name that it was not given.
 */
export class PassiveWatch {
  readonly #surroundings: Surroundings;
  readonly #prober: Prober;
  readonly #own: (queue: string) => number;
  readonly #teller: { changed(changes: readonly DemandChange[]): void; visible(visible: boolean): void };
  /**
   * undefined: not there as far as is known. `zeros`: how often in a row it had neither messages nor consumers. `away`: it is there, and
   * its node is not.
   */
  readonly #known = new Map<string, { consumers: number; zeros: number; away?: boolean } | undefined>();
  #names: string[] = [];
  #from = 0;
  #running = false;
  #cancelWake: () => void = () => {};

  constructor(
    surroundings: Surroundings,
    prober: Prober,
    ownConsumers: (queue: string) => number,
    teller: { changed(changes: readonly DemandChange[]): void; visible(visible: boolean): void },
  ) {
    this.#surroundings = surroundings;
    this.#prober = prober;
    this.#own = ownConsumers;
    this.#teller = teller;
  }

  start(): void {
    this.#running = true;
    void this.#round(true);
  }

  stop(): void {
    this.#running = false;
    this.#cancelWake();
  }

  watch(names: readonly string[]): void {
    this.#names = [...names];
    const wanted = new Set(names);
    for (const name of this.#known.keys()) if (!wanted.has(name)) this.#known.delete(name);
    if (this.#running) for (const name of names) if (!this.#known.has(name)) void this.#look(name);
  }

  /** Looks at this name, or at all, now. */
  look(queue?: string): void {
    if (!this.#running) return;
    for (const name of queue === undefined ? this.#names.slice(0, perRound) : [queue]) void this.#look(name);
  }

  /** An event spoke of this queue. */
  event(name: string, queue: string): void {
    if (!this.#running || !this.#names.includes(queue)) return;
    if (name === 'queue.deleted' && this.#known.get(queue)) {
      this.#known.set(queue, undefined);
      this.#teller.changed([{ is: 'deleted', queue }]);
    }
    void this.#look(queue);
  }

  async #round(all: boolean): Promise<void> {
    const names = all ? this.#names : this.#take();
    const seen = await Promise.all(names.map((name) => this.#look(name)));
    if (!this.#running) return;
    this.#teller.visible(seen.every((each) => each));
    const { clock } = this.#surroundings;
    this.#cancelWake = clock.wake(clock.now() + roundMs, () => void this.#round(false));
  }

  #take(): string[] {
    const count = Math.min(perRound, this.#names.length);
    const names: string[] = [];
    for (let index = 0; index < count; index++) {
      names.push(this.#names[(this.#from + index) % this.#names.length] as string);
    }
    this.#from = this.#names.length > 0 ? (this.#from + count) % this.#names.length : 0;
    return names;
  }

  async #look(queue: string): Promise<boolean> {
    try {
      const counts = await this.#prober.probe(queue);
      if (!this.#running || !this.#names.includes(queue)) return true;
      const known = this.#known.get(queue);
      const changes: DemandChange[] = [];
      if (!counts) {
        if (known) changes.push({ is: 'deleted', queue });
        this.#known.set(queue, undefined);
      } else {
        const consumers = Math.max(0, counts.consumers - this.#own(queue));
        if (!known) changes.push({ is: 'created', queue, properties: {} });
        // (0, 0) from a queue with known consumers may be a quorum queue without a leader: believed the second time.
        const zeros = counts.consumers === 0 && counts.ready === 0 ? (known?.zeros ?? 0) + 1 : 0;
        const before = known?.consumers ?? 0;
        const now = before > 0 && zeros === 1 ? before : consumers;
        if (now !== before || (known?.away && now > 0)) {
          const capacity = now > 0 ? Number.POSITIVE_INFINITY : 0;
          changes.push({
            is: 'changed',
            demand: { queue, consumers: now, capacity, properties: {}, ready: counts.ready },
          });
        }
        this.#known.set(queue, { consumers: now, zeros });
      }
      if (changes.length > 0) this.#teller.changed(changes);
      return true;
    } catch (error) {
      if (error instanceof Fault && error.code === 'TOMBOLO_QUEUE_UNAVAILABLE') {
        this.#away(queue, error.message);
        return true;
      }
      this.#surroundings.log.debug({ queue, reason: messageOf(error) }, 'a queue could not be looked at');
      return false;
    }
  }

  /** The queue's node is down: whoever wanted its messages wants them still. */
  #away(queue: string, unavailable: string): void {
    const known = this.#known.get(queue);
    if (!this.#running || !known || known.away) return;
    const { consumers } = known;
    this.#known.set(queue, { ...known, away: true });
    if (consumers === 0) return;
    const demand = { queue, consumers, capacity: 0, properties: {}, ready: undefined, unavailable };
    this.#teller.changed([{ is: 'changed', demand }]);
  }
}
