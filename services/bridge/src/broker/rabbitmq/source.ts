import type { Consumer, ConsumerHandler, DeliveryToken, QueueDeclaration, QueueInspection, Source } from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import type { RabbitBrokerConfig } from './config.ts';
import type { Connection } from './connection.ts';
import { ConsumeChannel, type ConsumerEntry } from './consume-channel.ts';
import { Declarer } from './declarer.ts';
import type { Prober } from './probe.ts';
import type { QueueFacts } from './queue-properties.ts';

const maxChannels = 32;

/** Looks up what a queue is made of, and what it weighs when that is wanted; undefined when it cannot be known. */
export type PropertiesLookup = (queue: string, weighed: boolean) => Promise<QueueFacts | undefined>;

/** The consuming half: a pool of channels on the consuming connection. */
export class RabbitSource implements Source {
  readonly #config: RabbitBrokerConfig;
  readonly #surroundings: Surroundings;
  readonly #prober: Prober;
  readonly #properties: PropertiesLookup;
  readonly #declarer = new Declarer();
  #connection: Connection | undefined;
  #pool: ConsumeChannel[] = [];
  #solo = new Set<ConsumeChannel>();
  #serial = 0;
  /** Queues that refused their last consumer: the next try gets a channel of its own. */
  readonly #refused = new Set<string>();
  readonly #own = new Map<string, number>();
  #channelLost: (channel: object) => void = () => {};

  constructor(config: RabbitBrokerConfig, surroundings: Surroundings, prober: Prober, properties: PropertiesLookup) {
    this.#config = config;
    this.#surroundings = surroundings;
    this.#prober = prober;
    this.#properties = properties;
  }

  /** The consuming connection is there, with its lock held. */
  attach(connection: Connection): void {
    this.#connection = connection;
    this.#declarer.attach(connection);
  }

  /** It is gone: its channels tell their consumers. */
  detach(): void {
    this.#connection = undefined;
    this.#declarer.detach();
    this.#pool = [];
    this.#solo.clear();
  }

  /** How many consumers of this adapter the queue has. */
  ownConsumers(queue: string): number {
    return this.#own.get(queue) ?? 0;
  }

  consume(request: Parameters<Source['consume']>[0], handler: ConsumerHandler): Consumer {
    const connection = this.#connection;
    if (!connection?.isOpen) {
      queueMicrotask(() => handler.ended({ why: 'lost' }));
      return { extend: () => {}, cancel: () => {} };
    }
    const { queue, priority } = request;
    const prefetch = Math.max(1, Math.min(65_535, request.prefetch));
    const turns = Math.min(prefetch, request.turns ?? 1);
    const name = `tombolo.${this.#config.cluster}.${++this.#serial}`;
    const entry: ConsumerEntry = {
      turns: Array.from({ length: turns }, (_, turn) => ({
        tag: turns === 1 ? name : `${name}.${turn + 1}`,
        prefetch: shareOf(prefetch, turns, turn),
      })),
      queue,
      arguments: {
        'x-tombolo-bridge': this.#config.cluster,
        ...(priority !== undefined && { 'x-priority': priority }),
      },
      handler,
      cancelling: false,
      ended: false,
      batch: [],
    };
    const channel = this.#channelFor(queue, connection);
    this.#own.set(queue, this.ownConsumers(queue) + turns);
    channel.consume(entry);
    return {
      extend: (more) => {
        if (entry.cancelling || entry.ended) return;
        this.#own.set(queue, this.ownConsumers(queue) + 1);
        const tag = `${name}+${entry.turns.length}`;
        channel.extend(entry, { tag, prefetch: Math.max(1, Math.min(65_535, more)) });
      },
      cancel: () => channel.cancel(entry),
    };
  }

  acknowledge(tokens: readonly DeliveryToken[]): void {
    this.#settle(tokens, 'ack');
  }

  requeue(tokens: readonly DeliveryToken[]): void {
    this.#settle(tokens, 'nack');
  }

  flushed(token: DeliveryToken, done: (processed: boolean) => void): void {
    (token.channel as ConsumeChannel).barrier(done);
  }

  onChannelLost(listener: (channel: object) => void): void {
    this.#channelLost = listener;
  }

  async inspect(
    queue: string,
    { bytes: weighed = false }: { readonly bytes?: boolean } = {},
  ): Promise<QueueInspection | undefined> {
    const counts = await this.#prober.probe(queue);
    if (!counts) return undefined;
    const { properties = {}, bytes } = (await this.#properties(queue, weighed)) ?? {};
    return { ...counts, properties, ...(bytes !== undefined && { bytes }) };
  }

  declare(queue: string, properties: QueueDeclaration): Promise<void> {
    return this.#declarer.declare(queue, properties);
  }

  deleteIfIdle(queue: string): Promise<boolean> {
    return this.#declarer.deleteIfIdle(queue);
  }

  /** Everything acknowledged so far is written and processed; within the deadline, if at all. */
  async drained(): Promise<void> {
    const channels = [...this.#pool, ...this.#solo];
    await Promise.all(channels.map((channel) => new Promise<void>((resolve) => channel.barrier(() => resolve()))));
  }

  #settle(tokens: readonly DeliveryToken[], kind: 'ack' | 'nack'): void {
    for (const token of tokens) (token.channel as ConsumeChannel).settle(token.tag, kind);
  }

  #channelFor(queue: string, connection: Connection): ConsumeChannel {
    if (this.#refused.has(queue)) {
      const solo = this.#open(connection);
      this.#solo.add(solo);
      return solo;
    }
    let best: ConsumeChannel | undefined;
    for (const channel of this.#pool) if (!best || channel.load < best.load) best = channel;
    if (best && (best.load < 1_000_000 || this.#pool.length >= maxChannels)) return best;
    const fresh = this.#open(connection);
    this.#pool.push(fresh);
    return fresh;
  }

  #open(connection: Connection): ConsumeChannel {
    const channel: ConsumeChannel = new ConsumeChannel(connection, {
      log: this.#surroundings.log,
      lost: () => {
        try {
          this.#channelLost(channel);
        } catch (error) {
          this.#surroundings.log.error({ err: error }, 'a lost-channel listener threw');
        }
      },
      accepted: (entry) => {
        this.#refused.delete(entry.queue);
        if (this.#solo.delete(channel)) this.#pool.push(channel);
      },
      ended: (entry, end) => {
        const left = this.ownConsumers(entry.queue) - entry.turns.length;
        if (left > 0) this.#own.set(entry.queue, left);
        else this.#own.delete(entry.queue);
        // Tried again it may be refused (its node went, not the queue), which ends the channel with all that is on it.
        if (end.why === 'refused' || end.why === 'queue-gone') {
          this.#refused.add(entry.queue);
          if (this.#refused.size > 10_000) this.#refused.clear();
        }
        if (this.#pool.length > maxChannels && channel.isIdle) channel.close();
      },
      closed: () => {
        this.#pool = this.#pool.filter((other) => other !== channel);
        this.#solo.delete(channel);
      },
    });
    return channel;
  }
}

/** What the `index`-th of `count` gets, so that all together have the whole. */
function shareOf(whole: number, count: number, index: number): number {
  return Math.floor(whole / count) + (index < whole % count ? 1 : 0);
}
