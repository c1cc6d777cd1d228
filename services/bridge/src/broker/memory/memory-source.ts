import { Fault } from '@tombolo/kernel/fault';
import type {
  Consumer,
  ConsumerEnd,
  ConsumerHandler,
  Delivery,
  DeliveryToken,
  QueueDeclaration,
  QueueInspection,
  Source,
} from '../port.ts';
import type { MemoryConnection } from './memory-broker.ts';
import type { MemoryQueue, QueueConsumer, StoredMessage } from './memory-queue.ts';

/** A consumer's channel: it has its own, so tokens name it. */
interface Subscription {
  readonly connection: MemoryConnection;
  readonly queueName: string;
  readonly handler: ConsumerHandler;
  readonly unsettled: Map<number, StoredMessage>;
  queue: MemoryQueue | undefined;
  consumer: QueueConsumer | undefined;
  batch: Delivery[];
  tags: number;
  ended: boolean;
}

/** The consuming half of the memory adapter. */
export class MemorySource implements Source {
  #connection: MemoryConnection | undefined;
  #reader: MemoryConnection | undefined;
  #subscriptions = new Set<Subscription>();
  #channelLost: (channel: object) => void = () => {};
  readonly #barriers = new Set<(processed: boolean) => void>();
  /** Settlements on their way to the server. */
  #pending: (() => void)[] = [];

  attach(connection: MemoryConnection): void {
    this.#connection = connection;
  }

  /** Queues can be looked at before the lock is held. */
  attachReader(connection: MemoryConnection): void {
    this.#reader = connection;
  }

  detach(): void {
    this.#connection = undefined;
    this.#reader = undefined;
    this.#pending = [];
    for (const done of this.#barriers) queueMicrotask(() => done(false));
    this.#barriers.clear();
    this.sever();
    const subscriptions = [...this.#subscriptions];
    this.#subscriptions.clear();
    for (const subscription of subscriptions) this.#channelLost(subscription);
    for (const subscription of subscriptions) this.#end(subscription, { why: 'lost' });
  }

  /** The server takes back what it had handed over; nobody here is told yet. */
  sever(): void {
    for (const { queue, consumer, connection } of this.#subscriptions)
      if (queue && consumer && connection.server.isUp) queue.removeConsumer(consumer, true);
  }

  /** Everything acknowledged takes effect now: the connection ends in good order. */
  settleNow(): void {
    for (const settle of this.#pending.splice(0)) settle();
  }

  /** The server deleted a queue. */
  queueDeleted(name: string): void {
    for (const subscription of [...this.#subscriptions]) {
      if (subscription.queueName !== name || !subscription.queue) continue;
      subscription.queue = undefined;
      subscription.connection.pipes.toClient(() => this.#end(subscription, { why: 'queue-gone' }));
    }
  }

  consume(
    request: { readonly queue: string; readonly prefetch: number; readonly priority: number | undefined },
    handler: ConsumerHandler,
  ): Consumer {
    const connection = this.#connection;
    if (!connection) {
      queueMicrotask(() => handler.ended({ why: 'lost' }));
      return { extend: () => {}, cancel: () => {} };
    }
    const subscription: Subscription = {
      connection,
      queueName: request.queue,
      handler,
      unsettled: new Map(),
      queue: undefined,
      consumer: undefined,
      batch: [],
      tags: 0,
      ended: false,
    };
    this.#subscriptions.add(subscription);
    let cancelled = false;
    connection.pipes.toServer(() => {
      const queue = connection.server.queues.get(request.queue);
      if (!queue) {
        const text = `Consuming from queue "${request.queue}" failed: there is no such queue. Declare it.`;
        const fault = new Fault('TOMBOLO_QUEUE_ABSENT', text);
        connection.pipes.toClient(() => {
          if (!subscription.ended) this.#channelLost(subscription);
          this.#end(subscription, { why: 'refused', fault });
        });
        return;
      }
      const consumer: QueueConsumer = {
        prefetch: request.prefetch,
        priority: request.priority ?? 0,
        isBridge: true,
        held: new Set(),
        take: (message) => this.#deliver(subscription, message),
      };
      subscription.queue = queue;
      subscription.consumer = consumer;
      queue.addConsumer(consumer);
    });
    return {
      extend: (more) =>
        connection.pipes.toServer(() => {
          const { queue, consumer } = subscription;
          if (cancelled || !queue || !consumer) return;
          consumer.prefetch += more;
          queue.dispatch();
        }),
      cancel: () => {
        if (cancelled || subscription.ended) return;
        cancelled = true;
        connection.pipes.toServer(() => {
          const { queue, consumer } = subscription;
          if (queue && consumer) queue.removeConsumer(consumer, false);
          connection.pipes.toClient(() => this.#end(subscription, { why: 'cancelled' }));
        });
      },
    };
  }

  acknowledge(tokens: readonly DeliveryToken[]): void {
    this.#settle(tokens, 'ack');
  }

  requeue(tokens: readonly DeliveryToken[]): void {
    this.#settle(tokens, 'nack');
  }

  flushed(token: DeliveryToken, done: (processed: boolean) => void): void {
    const subscription = token.channel as Subscription;
    if (!this.#connection || subscription.connection !== this.#connection) {
      queueMicrotask(() => done(false));
      return;
    }
    const { pipes } = this.#connection;
    this.#barriers.add(done);
    pipes.toServer(() =>
      pipes.toClient(() => {
        if (this.#barriers.delete(done)) done(true);
      }),
    );
  }

  onChannelLost(listener: (channel: object) => void): void {
    this.#channelLost = listener;
  }

  async inspect(queue: string): Promise<QueueInspection | undefined> {
    const { server } = this.#require(`Looking at queue "${queue}"`);
    const found = server.queues.get(queue);
    if (!found) return undefined;
    return { ready: found.ready.length, consumers: found.consumers.length, properties: found.properties };
  }

  async declare(queue: string, properties: QueueDeclaration): Promise<void> {
    const { expiresMs, messageTtlMs, ...rest } = properties;
    const { server } = this.#require(`Declaring queue "${queue}"`);
    server.declare(queue, { ...rest, durable: true, ...(expiresMs !== undefined && { expires: true }) });
  }

  async deleteIfIdle(queue: string): Promise<boolean> {
    const { server } = this.#require(`Deleting queue "${queue}"`);
    const found = server.queues.get(queue);
    if (!found || found.ready.length > 0 || found.consumers.length > 0) return false;
    server.deleteQueue(queue);
    return true;
  }

  #require(doing: string): MemoryConnection {
    if (!this.#reader?.server.isUp)
      throw new Fault('TOMBOLO_BROKER_LOST', `${doing} is not possible now: there is no connection.`);
    return this.#reader;
  }

  #deliver(subscription: Subscription, message: StoredMessage): void {
    const tag = ++subscription.tags;
    subscription.unsettled.set(tag, message);
    const { redelivered, exchange, routingKey, properties, body } = message;
    const token = { channel: subscription, tag };
    subscription.batch.push({ redelivered, exchange, routingKey, properties, body, token });
    if (subscription.batch.length > 1) return;
    subscription.connection.pipes.toClient(() => {
      const batch = subscription.batch;
      subscription.batch = [];
      if (!subscription.ended && batch.length > 0) subscription.handler.delivered(batch);
    });
  }

  #settle(tokens: readonly DeliveryToken[], kind: 'ack' | 'nack'): void {
    const connection = this.#connection;
    if (!connection || tokens.length === 0) return;
    const settle = () => {
      const touched = new Set<MemoryQueue>();
      for (const token of tokens) {
        const subscription = token.channel as Subscription;
        const message = subscription.unsettled.get(token.tag);
        const { queue, consumer } = subscription;
        if (subscription.connection !== connection || !message || !queue || !consumer) continue;
        subscription.unsettled.delete(token.tag);
        if (subscription.ended && subscription.unsettled.size === 0) this.#subscriptions.delete(subscription);
        if (kind === 'ack') queue.acknowledge(consumer, message);
        else queue.requeue(consumer, [message]);
        touched.add(queue);
      }
      for (const queue of touched) queue.dispatch();
    };
    this.#pending.push(settle);
    connection.pipes.toServer(() => {
      const index = this.#pending.indexOf(settle);
      if (index >= 0) this.#pending.splice(index, 1);
      settle();
    });
  }

  #end(subscription: Subscription, end: ConsumerEnd): void {
    if (subscription.ended) return;
    subscription.ended = true;
    if (end.why !== 'cancelled' || subscription.unsettled.size === 0) this.#subscriptions.delete(subscription);
    subscription.handler.ended(end);
  }
}
