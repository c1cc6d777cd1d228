import type { BackoffPolicy } from '@tombolo/kernel/backoff';
import { backoffDelay } from '@tombolo/kernel/backoff';
import { Fault } from '@tombolo/kernel/fault';
import type { Channel } from 'amqplib';
import type { Surroundings } from '../surroundings.ts';
import { brokersWords, codeOf, replyCode } from './close-codes.ts';
import type { RabbitBrokerConfig, RabbitUri } from './config.ts';
import { Connection } from './connection.ts';

const exchange = 'amq.rabbitmq.event';
/** Events that nobody reads in time are dropped; the next snapshot makes up for them. */
const maxLength = 4_000;
const backoff: BackoffPolicy = { baseMs: 500, capMs: 30_000 };
/** An exchange that is absent or refused is a matter of configuration: rarely tried again. */
const absentMs = 60_000;

export interface EventListener {
  event(name: string, headers: Readonly<Record<string, unknown>>): void;
  /** Events come, or do not come any more. */
  flowing(flowing: boolean): void;
}

/**
 * Reads `amq.rabbitmq.event` on a connection of its own, since the exchange may live in another virtual host than the
 * messages. It never fails its user: without events there are polls.
 */
export class EventFeed {
  readonly #config: RabbitBrokerConfig;
  readonly #surroundings: Surroundings;
  readonly #vhost: string;
  readonly #listeners: { readonly keys: readonly string[]; readonly listener: EventListener }[] = [];
  #epoch = 0;
  #attempt = 0;
  #connection: Connection | undefined;
  /** While events flow. */
  #channel: Channel | undefined;
  #cancelWake: () => void = () => {};

  constructor(config: RabbitBrokerConfig, vhost: string, surroundings: Surroundings) {
    this.#config = config;
    this.#vhost = vhost;
    this.#surroundings = surroundings;
  }

  /**
   * Tells the listener of the events with these names, from now on; the broker is asked for no others.
   * @param keys names like `queue.deleted`, or all of a kind: `queue.*`
   */
  listen(keys: readonly string[], listener: EventListener): void {
    this.#listeners.push({ keys, listener });
    const channel = this.#channel;
    if (!channel) return;
    this.#bind(channel, keys).then(
      () => {
        if (this.#channel === channel) listener.flowing(true);
      },
      // The channel has closed: opening it again binds these keys, too.
      () => {},
    );
  }

  /** Begins to listen at the node of this address, and goes on trying until `stop`. */
  start(uri: RabbitUri): void {
    void this.stop();
    void this.#open(++this.#epoch, { ...uri, vhost: this.#vhost });
  }

  async stop(): Promise<void> {
    this.#epoch++;
    this.#cancelWake();
    const connection = this.#connection;
    this.#connection = undefined;
    this.#channel = undefined;
    await connection?.close();
  }

  async #open(epoch: number, uri: RabbitUri): Promise<void> {
    const ended = (error: unknown) => {
      if (epoch !== this.#epoch) return;
      this.#epoch++;
      void this.#connection?.close();
      this.#connection = undefined;
      this.#channel = undefined;
      this.#tellFlowing(false);
      const { clock, random, log } = this.#surroundings;
      const lasting = isLasting(error);
      const delay = lasting ? absentMs : backoffDelay(backoff, this.#attempt++, random());
      log[lasting ? 'info' : 'warn'](
        { reason: brokersWords(error), retryMs: Math.round(delay) },
        'no broker events: polling instead',
      );
      const next = this.#epoch;
      this.#cancelWake = clock.wake(clock.now() + delay, () => {
        if (next === this.#epoch) void this.#open(++this.#epoch, uri);
      });
    };
    let connection: Connection;
    try {
      connection = await Connection.open(this.#config, uri, 'events', (_, error) => ended(error));
    } catch (error) {
      ended(error);
      return;
    }
    if (epoch !== this.#epoch) {
      void connection.close();
      return;
    }
    this.#connection = connection;
    try {
      const channel = await connection.channel((error) => {
        if (error !== undefined) ended(error);
      });
      const queue = this.#queue;
      await channel.assertQueue(queue, {
        exclusive: true,
        durable: false,
        arguments: { 'x-queue-type': 'classic', 'x-max-length': maxLength },
      });
      const bound = this.#listeners.length;
      await this.#bind(
        channel,
        this.#listeners.flatMap(({ keys }) => keys),
      );
      await channel.consume(
        queue,
        (message) => {
          if (!message) ended(new Error('the event queue was deleted'));
          else if (epoch === this.#epoch) this.#tell(message.fields.routingKey, message.properties.headers ?? {});
        },
        { noAck: true, consumerTag: `tombolo.${this.#config.cluster}.events` },
      );
      if (epoch !== this.#epoch) return;
      this.#attempt = 0;
      this.#channel = channel;
      // Whoever began to listen meanwhile.
      await this.#bind(
        channel,
        this.#listeners.slice(bound).flatMap(({ keys }) => keys),
      );
      if (epoch === this.#epoch) this.#tellFlowing(true);
    } catch (error) {
      ended(error);
    }
  }

  get #queue(): string {
    return `tombolo.events.${this.#config.instance}`;
  }

  async #bind(channel: Channel, keys: readonly string[]): Promise<void> {
    for (const key of keys) await channel.bindQueue(this.#queue, exchange, key);
  }

  #tellFlowing(flowing: boolean): void {
    for (const { listener } of this.#listeners) listener.flowing(flowing);
  }

  #tell(name: string, headers: Readonly<Record<string, unknown>>): void {
    const all = `${name.slice(0, name.indexOf('.'))}.*`;
    for (const { keys, listener } of this.#listeners) {
      if (keys.includes(name) || keys.includes(all)) listener.event(name, headers);
    }
  }
}

/**
 * True when only people can mend it: the plugin is not enabled, or the user may not read its exchange. Anything else passes, such as a
 * queue that is still held by a connection to the node that has just died (405).
 */
export function isLasting(error: unknown): boolean {
  if (error instanceof Fault) return error.code === 'TOMBOLO_BROKER_ACCESS_REFUSED';
  const code = codeOf(error);
  return code === replyCode.accessRefused || (code === replyCode.notFound && /no exchange/.test(brokersWords(error)));
}
