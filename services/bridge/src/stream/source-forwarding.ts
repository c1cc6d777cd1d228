import type { StreamMessage } from '@tombolo/wire/frame';
import type { InFlight } from './in-flight.ts';
import type { Obstacle } from './obstacle.ts';
import type { Removal } from './removal.ts';
import type { SourceEnvironment } from './source-settings.ts';

/** What a source stream sends next: messages, as far as a limit lets them pass, or an empty batch. Pure. */
export class SourceForwarding<Owner> {
  readonly #environment: SourceEnvironment<Owner>;
  readonly #flight: InFlight<Owner>;
  readonly #removal: Removal;
  /** An empty batch is due: it tells the sink, behind all data, what it should have by then. */
  #marker = false;
  /** Messages wait for their turn under a limit. */
  #throttled = false;

  constructor(environment: SourceEnvironment<Owner>, flight: InFlight<Owner>, removal: Removal) {
    this.#environment = environment;
    this.#flight = flight;
    this.#removal = removal;
  }

  get due(): boolean {
    return this.#flight.sendable || this.#marker;
  }

  /** Why messages that could be sent are not, or undefined. */
  obstacle(): Obstacle | undefined {
    if (!this.#throttled || !this.#flight.sendable) return undefined;
    return { reason: 'rate_limit', detail: `rate limit: ${this.#environment.throttle?.()?.text ?? 'was just lifted'}` };
  }

  /** The sink is to be told, behind all data, what it should have by then: as long as it has not settled everything. */
  mark(): void {
    this.#marker = this.#flight.unsettled > 0;
  }

  /** The next messages, about `maxBytes` of them but at least one; undefined: there is nothing to send, or not yet. */
  next(maxBytes: number, now: number): StreamMessage[] | undefined {
    const throttle = this.#environment.throttle?.();
    this.#throttled = false;
    const messages = this.#flight.batch(
      maxBytes,
      ({ properties, body }) => {
        this.#throttled = throttle !== undefined && !throttle.take(properties.length + body.length, now);
        return !this.#throttled;
      },
      (sequence, taken) => this.#removal.numbered(sequence, taken),
    );
    if (messages.length === 0 && !this.#marker) return undefined;
    this.#marker = false;
    return messages;
  }
}
