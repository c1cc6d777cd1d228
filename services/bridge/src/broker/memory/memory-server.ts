import type { Clock } from '@tombolo/kernel/clock';
import type { BindingArguments } from '@tombolo/wire/binding';
import type { QueueProperties } from '@tombolo/wire/frame';
import type { QueueDemand } from '../port.ts';
import { MemoryExchanges } from './memory-exchanges.ts';
import { MemoryQueue, type QueueConsumer, type StoredMessage } from './memory-queue.ts';

/** What a session (an adapter's connection) is told by the server, synchronously. */
export interface ServerSession {
  queueDeleted(queue: string): void;
  demandChanged(queue: string): void;
  exchangeChanged(exchange: string): void;
  blocked(reason: string | undefined): void;
  lost(): void;
}

/** A message as a test publishes it. */
export interface TestMessage {
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly properties?: Uint8Array;
  readonly body: Uint8Array;
}

/** An application's consumer, in the hands of the test. */
export interface TestConsumer {
  /** Unacknowledged, in order of delivery. */
  readonly held: readonly StoredMessage[];
  /** Acknowledges the oldest `count`, by default all. */
  acknowledge(count?: number): void;
  /** Closes its channel: what it holds goes back. */
  remove(): void;
}

const durableClassic: QueueProperties = { type: 'classic', durable: true, autoDelete: false, exclusive: false };
/** Flags of a message with delivery mode 2 and nothing else. */
const persistent = Uint8Array.of(0x10, 0x00, 0x02);

/**
 * A broker that lives in memory: what the port means, executable. It knows no time of its own; sessions add the latency.
 */
export class MemoryServer {
  readonly clock: Clock;
  /** When set, says of a publication why it is poison. */
  poison: ((body: Uint8Array) => string | undefined) | undefined;
  readonly queues = new Map<string, MemoryQueue>();
  readonly #sessions = new Set<ServerSession>();
  readonly exchanges = new MemoryExchanges((exchange) => {
    for (const session of [...this.#sessions]) session.exchangeChanged(exchange);
  });
  #up = true;
  #startedAt: number;
  #master: ServerSession | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
    // It has been there long before anybody looks at it.
    this.#startedAt = clock.now() - 86_400_000;
  }

  /** For how long it has been running (ms). */
  get runningMs(): number {
    return this.clock.now() - this.#startedAt;
  }

  get isUp(): boolean {
    return this.#up;
  }

  // ---- the test's side ----

  /** Declares a queue, durable and classic unless said otherwise. */
  declare(name: string, properties: QueueProperties = {}): MemoryQueue {
    const existing = this.queues.get(name);
    if (existing) return existing;
    const queue = new MemoryQueue(name, { ...durableClassic, ...properties });
    this.queues.set(name, queue);
    this.#demandChanged(name);
    return queue;
  }

  /** Binds a queue, with `headers` as arguments; an exchange that is not there is declared as a topic exchange. */
  bind(exchange: string, key: string, queue: string, headers: BindingArguments = {}): void {
    this.exchanges.declare(exchange, { type: 'topic' });
    this.exchanges.bind(exchange, { kind: 'queue', name: queue }, { routingKey: key, arguments: headers });
  }

  /** Publishes as an application would; false when no queue took it. */
  publish(queue: string, message: TestMessage): boolean {
    const { exchange = '', routingKey = queue, properties = persistent, body } = message;
    return this.route({ exchange, routingKey, properties, body }) === 'confirmed';
  }

  /** An application's consumer. @param prefetch 0: no limit */
  addConsumer(
    queue: string,
    options: {
      readonly prefetch: number;
      readonly priority?: number;
      readonly acknowledges?: boolean;
      /** Told of each message that it was handed; must not call back into the server. */
      readonly took?: (message: StoredMessage) => void;
    },
  ): TestConsumer {
    const target = this.declare(queue);
    const held = new Set<StoredMessage>();
    const acknowledge = (count = held.size) => {
      for (const message of [...held].slice(0, count)) target.acknowledge(consumer, message);
      target.dispatch();
    };
    const consumer: QueueConsumer = {
      prefetch: options.prefetch > 0 ? options.prefetch : Number.POSITIVE_INFINITY,
      priority: options.priority ?? 0,
      isBridge: false,
      held,
      take: (message) => {
        options.took?.(message);
        if (options.acknowledges) target.acknowledge(consumer, message);
      },
    };
    target.addConsumer(consumer);
    this.#demandChanged(queue);
    return {
      get held() {
        return [...held];
      },
      acknowledge,
      remove: () => {
        if (!target.consumers.includes(consumer)) return;
        target.removeConsumer(consumer, true);
        this.#demandChanged(queue);
      },
    };
  }

  deleteQueue(name: string): void {
    if (!this.queues.delete(name)) return;
    this.exchanges.forget({ kind: 'queue', name });
    for (const session of [...this.#sessions]) session.queueDeleted(name);
    this.#demandChanged(name);
  }

  /** Raises or lifts a resource alarm. */
  block(reason: string | undefined): void {
    for (const session of [...this.#sessions]) session.blocked(reason);
  }

  /** Drops all connections at once; the broker stays up. */
  disconnect(): void {
    const sessions = [...this.#sessions];
    for (const session of sessions) this.leave(session);
    for (const session of sessions) session.lost();
  }

  /**
   * Dies: what is not durable is gone, what was unacknowledged is back and flagged redelivered.
   * @param options.forgetAcknowledgements how many of the last acknowledgements per queue did not reach the disk
   */
  crash(options: { readonly forgetAcknowledgements?: number } = {}): void {
    this.#up = false;
    this.disconnect();
    for (const [name, queue] of this.queues) {
      if (queue.properties.durable !== false) {
        queue.crash(options.forgetAcknowledgements ?? 0);
        continue;
      }
      this.queues.delete(name);
      this.exchanges.forget({ kind: 'queue', name });
    }
    this.exchanges.crash();
  }

  /** Comes back. */
  restart(): void {
    this.#up = true;
    this.#startedAt = this.clock.now();
  }

  // ---- the adapter's side ----

  /** False: the broker is down. */
  join(session: ServerSession): boolean {
    if (!this.#up) return false;
    this.#sessions.add(session);
    return true;
  }

  leave(session: ServerSession): void {
    this.#sessions.delete(session);
    if (this.#master === session) this.#master = undefined;
  }

  /** False: another session is the master. */
  claim(session: ServerSession): boolean {
    if (!this.#sessions.has(session)) return false;
    this.#master ??= session;
    return this.#master === session;
  }

  route(message: Omit<StoredMessage, 'position' | 'redelivered'>): 'confirmed' | 'returned' | 'refused' {
    const names = message.exchange === '' ? [message.routingKey] : this.exchanges.route(message.exchange, message);
    // RabbitMQ closes the channel (404): an operator's matter, like a missing permission.
    if (!names) return 'refused';
    const targets = [...names].flatMap((name) => this.queues.get(name) ?? []);
    if (targets.length === 0) return 'returned';
    return targets.map((queue) => queue.offer(message)).every((taken) => taken) ? 'confirmed' : 'refused';
  }

  /** Consumers that no bridge owns and whose priority is not negative; of a single-active-consumer queue the first of them. */
  demandOf(name: string): QueueDemand | undefined {
    const queue = this.queues.get(name);
    if (!queue) return undefined;
    const counting = queue.consumers.filter((consumer) => !consumer.isBridge && consumer.priority >= 0);
    const counted = queue.properties.singleActiveConsumer ? counting.slice(0, 1) : counting;
    return {
      queue: name,
      consumers: counted.length,
      capacity: counted.reduce((sum, consumer) => sum + consumer.prefetch, 0),
      properties: queue.properties,
      ready: queue.ready.length,
    };
  }

  #demandChanged(name: string): void {
    for (const session of [...this.#sessions]) session.demandChanged(name);
  }
}
