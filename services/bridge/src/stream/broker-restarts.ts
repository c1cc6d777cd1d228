import type { Clock } from '@tombolo/kernel/clock';
import type { Broker } from '../broker/port.ts';
import type { SourceQueues } from './source-queues.ts';

/** How long the broker may take to say since when it runs; after that it counts as unknown (ms). */
const PATIENCE_MS = 2_000;

/**
 * Finds out whether the own broker was restarted since what is in doubt was acknowledged: then whatever it has is flagged as redelivered,
 * and messages without an id cannot be recognised. Nothing is consumed until that is known, or known to be unknown.
 */
export class BrokerRestarts {
  readonly #broker: Broker;
  readonly #queues: SourceQueues;
  readonly #clock: Clock;
  readonly #changed: () => void;
  #brokerUp = false;
  #asked = 0;
  #cancel: (() => void) | undefined;

  /** @param changed streams that waited for it may go on */
  constructor(broker: Broker, queues: SourceQueues, clock: Clock, changed: () => void) {
    this.#broker = broker;
    this.#queues = queues;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** Nothing is to be consumed at present. */
  get judging(): boolean {
    return this.#cancel !== undefined;
  }

  /** Before the streams are told. */
  brokerUp(up: boolean): void {
    this.#brokerUp = up;
    if (up) this.judge();
    else this.close();
  }

  /** Something is in doubt that was not before. */
  judge(): void {
    if (!this.#brokerUp || ![...this.#queues.drawnQueues()].some(({ orphans }) => orphans.mindsRestart)) return;
    const asked = ++this.#asked;
    const answered = (runningMs: number | undefined): void => {
      if (asked !== this.#asked) return;
      this.close();
      for (const { orphans } of this.#queues.drawnQueues()) orphans.judged(runningMs, this.#clock.now());
      this.#changed();
    };
    this.#cancel?.();
    this.#cancel = this.#clock.wake(this.#clock.now() + PATIENCE_MS, () => answered(undefined));
    this.#broker.runningFor().then(answered, () => answered(undefined));
  }

  close(): void {
    this.#asked++;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
