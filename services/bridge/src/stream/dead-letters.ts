import { deadLetterProperties } from '@tombolo/wire/dead-letter-properties';
import { forwardedProperties } from '@tombolo/wire/forwarded-properties';
import type { Broker, Publisher, PublishOutcome } from '../broker/port.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Taken } from './effects.ts';
import type { ShellLog } from './shell.ts';

/** Where dead letters are kept, and for how long and how many of them. */
export interface DeadLetterSettings {
  readonly queue: string;
  readonly maxBytes: number;
  readonly ttlMs: number;
}

/** Why and where from a message was parked. */
export interface DeadLetterContext {
  readonly reason: string;
  readonly peer: string;
  readonly destination: string;
  readonly connector: string;
}

/**
 * The dead-letter queue at the source: what the sink can never take is stored here with the reason before it is removed from
 * its own queue. It is declared with the first dead letter.
 */
export class DeadLetters {
  #broker: Broker;
  #settings: DeadLetterSettings;
  #metrics: Metrics;
  #log: ShellLog;
  readonly #restored: (properties: Uint8Array) => Uint8Array;
  #publisher: Publisher | undefined;
  #pending = new Map<number, (outcome: PublishOutcome) => void>();
  #next = 0;

  /** @param restored gives a request the `reply-to` back that it had when it left */
  constructor(
    broker: Broker,
    settings: DeadLetterSettings,
    metrics: Metrics,
    log: ShellLog,
    restored: (properties: Uint8Array) => Uint8Array,
  ) {
    this.#broker = broker;
    this.#settings = settings;
    this.#metrics = metrics;
    this.#log = log;
    this.#restored = restored;
  }

  /** Resolves with true once the broker has confirmed it; false: try again later. */
  async park(message: Taken, context: DeadLetterContext): Promise<boolean> {
    const { queue, maxBytes, ttlMs } = this.#settings;
    if (!this.#publisher) {
      if (!(await this.#broker.source.inspect(queue))) {
        // A full dead-letter queue refuses: the message then stays where it is, instead of pushing an older one out.
        const bounds = { maxLengthBytes: maxBytes, overflow: 'reject-publish', messageTtlMs: ttlMs };
        await this.#broker.source.declare(queue, { type: 'classic', durable: true, ...bounds });
      }
      this.#publisher ??= this.#broker.sink.publisher(queue, {
        outcome: (ids, outcome) => {
          for (const id of ids) {
            this.#pending.get(id)?.(outcome);
            this.#pending.delete(id);
          }
        },
      });
    }
    const headers = {
      'x-tombolo-reason': context.reason,
      'x-tombolo-peer': context.peer,
      'x-tombolo-destination': context.destination,
      'x-tombolo-attempts': '1',
      'x-tombolo-time': new Date().toISOString(),
    };
    // As it would be published at the sink: the sender's user-id and CC must not be obeyed here either.
    let outcome = await this.#publish(deadLetterProperties(this.#restored(message.properties), headers), message.body);
    if (outcome === 'poison') {
      // With our headers it may be larger than a frame; without them its own broker has taken it before.
      const bare = forwardedProperties(message.original, { path: [] });
      outcome = await this.#publish(deadLetterProperties(bare, {}), message.body);
    }
    if (outcome === 'returned') this.#publisher = undefined; // the queue was deleted: declare it again
    const stored = outcome === 'confirmed';
    const { destination, peer, reason } = context;
    if (stored) this.#log.warn({ destination, peer, reason, deadLetters: queue }, 'message parked');
    else this.#log.warn({ destination, peer, outcome, deadLetters: queue }, 'message cannot be parked, trying later');
    if (stored) this.#metrics.deadLettered(context.connector, context.destination, 'rejected', 1);
    return stored;
  }

  #publish(properties: Uint8Array, body: Uint8Array): Promise<PublishOutcome> {
    const id = this.#next++;
    if (this.#broker.sink.unpublishable({ properties, body })?.includes('header')) return Promise.resolve('poison');
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#publisher!.publish([{ id, exchange: '', routingKey: this.#settings.queue, properties, body }]);
    });
  }
}
