import type { Clock } from '@tombolo/kernel/clock';
import { messageOf } from '@tombolo/kernel/fault';
import { deadLetterHeaders, deadLetterProperties } from '@tombolo/wire/dead-letter-properties';
import { forwardedProperties } from '@tombolo/wire/forwarded-properties';
import type { DeadLetterView } from '../admin/view.ts';
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
  /** The queue that it was taken from. */
  readonly queue: string;
  /** How many times the sink was given it. */
  readonly attempts: number;
}

export interface DeadLettersOptions {
  readonly broker: Broker;
  readonly settings: DeadLetterSettings;
  readonly metrics: Pick<Metrics, 'deadLettered' | 'deadLetters'>;
  readonly log: ShellLog;
  readonly clock: Clock;
  /** Milliseconds since 1970, for people. */
  readonly wallClock: () => number;
  /** With a number that grows, it names what this bridge has parked. */
  readonly incarnation: number;
  /** Gives a request the `reply-to` back that it had when it left. */
  readonly restored: (properties: Uint8Array) => Uint8Array;
}

/** How often the queue is looked at: as long as it is there, and otherwise. */
const LOOK_MS = 5_000;
const LOOK_ABSENT_MS = 60_000;

/**
 * The dead-letter queue at the source: what the sink can never take is stored here with the reason before it is removed from
 * its own queue. It is declared with the first dead letter.
 */
export class DeadLetters {
  readonly #options: DeadLettersOptions;
  #publisher: Publisher | undefined;
  #pending = new Map<number, (outcome: PublishOutcome) => void>();
  #next = 0;
  #parked = 0;
  #messages: number | undefined;
  #problem: string | undefined;
  /** What was said to the latest outcome; nothing when the broker itself refused. */
  #detail: string | undefined;
  #cancelLook = (): void => {};
  #closed = false;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    this.#lookIn(0);
  }

  get queue(): string {
    return this.#options.settings.queue;
  }

  view(): DeadLetterView {
    return { queue: this.queue, messages: this.#messages, problem: this.#problem };
  }

  /** Tells those that are parked from now on from those that are there. */
  mark(): (id: string | undefined) => boolean {
    const parked = this.#parked;
    const prefix = this.#id('');
    return (id) => id?.startsWith(prefix) === true && Number(id.slice(prefix.length)) > parked;
  }

  /** Resolves with true once the broker has confirmed it; false: try again later. */
  async park(message: Taken, context: DeadLetterContext): Promise<boolean> {
    const { log, metrics, restored, wallClock } = this.#options;
    const { destination, peer, reason, connector, queue } = context;
    const facts = { destination, peer, reason, deadLetters: this.queue };
    try {
      const publisher = await this.#ready();
      const headers = deadLetterHeaders({
        ...{ id: this.#id(++this.#parked), reason, peer, destination, connector, queue },
        attempts: String(context.attempts),
        time: new Date(wallClock()).toISOString(),
        exchange: message.exchange,
        'routing-key': message.routingKey,
      });
      // The sender's user-id and CC must not be obeyed here either; all else is as it was.
      const properties = forwardedProperties(message.original, { path: [] });
      let outcome = await this.#publish(publisher, deadLetterProperties(restored(properties), headers), message.body);
      // With our headers it may be larger than a frame; without them its own broker has taken it before.
      if (outcome === 'poison')
        outcome = await this.#publish(publisher, deadLetterProperties(properties, {}), message.body);
      this.#judge(outcome);
      if (outcome !== 'confirmed') {
        log.warn({ ...facts, outcome, advice: this.#problem }, 'message cannot be parked, trying later');
        return false;
      }
    } catch (thrown) {
      this.#publisher = undefined;
      this.#problem = `What cannot be delivered stays in its queue: ${messageOf(thrown)}`;
      log.error({ ...facts, advice: this.#problem }, 'message cannot be parked, trying later');
      return false;
    }
    log.warn(facts, 'message parked');
    metrics.deadLettered(connector, destination, 'rejected', 1);
    this.#lookIn(1_000);
    return true;
  }

  /** Looks at the queue soon: something has changed there. */
  look(): void {
    this.#lookIn(0);
  }

  close(): void {
    this.#closed = true;
    this.#cancelLook();
    this.#publisher?.close();
  }

  #id(serial: number | ''): string {
    return `${this.#options.incarnation.toString(36)}.${serial}`;
  }

  async #ready(): Promise<Publisher> {
    if (this.#publisher) return this.#publisher;
    const { broker, settings } = this.#options;
    const { queue, maxBytes, ttlMs } = settings;
    if (!(await broker.source.inspect(queue))) {
      // A full dead-letter queue refuses: the message then stays where it is, instead of pushing an older one out.
      const bounds = { maxLengthBytes: maxBytes, overflow: 'reject-publish', messageTtlMs: ttlMs };
      await broker.source.declare(queue, { type: 'classic', durable: true, ...bounds });
    }
    this.#publisher ??= broker.sink.publisher(queue, {
      outcome: (ids, outcome, detail) => {
        this.#detail = detail;
        for (const id of ids) {
          this.#pending.get(id)?.(outcome);
          this.#pending.delete(id);
        }
      },
    });
    return this.#publisher;
  }

  #publish(publisher: Publisher, properties: Uint8Array, body: Uint8Array): Promise<PublishOutcome> {
    const id = this.#next++;
    if (this.#options.broker.sink.unpublishable({ properties, body })?.includes('header'))
      return Promise.resolve('poison');
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      publisher.publish([{ id, exchange: '', routingKey: this.queue, properties, body }]);
    });
  }

  #judge(outcome: PublishOutcome): void {
    const { queue } = this;
    if (outcome === 'confirmed') this.#problem = undefined;
    const until = 'Until then what cannot be delivered stays in its queue.';
    if (outcome === 'refused' && this.#detail !== undefined)
      this.#problem = `Queue ${queue} cannot take dead letters now: ${this.#detail}. ${until}`;
    else if (outcome === 'refused')
      this.#problem = `Queue ${queue} takes no more dead letters, it is full: replay or drop some (tombolo dead-letters), or raise its bound. ${until}`;
    if (outcome === 'forbidden')
      this.#problem = `The bridge may not write to queue ${queue}: grant it (rabbitmqctl set_permissions). ${until}`;
    // The queue was deleted: it is declared again for the next.
    if (outcome === 'returned') this.#publisher = undefined;
  }

  #lookIn(ms: number): void {
    if (this.#closed) return;
    const { broker, clock, metrics } = this.#options;
    this.#cancelLook();
    this.#cancelLook = clock.wake(clock.now() + ms, () => {
      broker.source.inspect(this.queue).then(
        (found) => {
          this.#messages = found?.ready ?? 0;
          metrics.deadLetters(this.#messages);
          this.#lookIn(found ? LOOK_MS : LOOK_ABSENT_MS);
        },
        () => this.#lookIn(LOOK_MS),
      );
    });
  }
}
