import { Fault } from '@tombolo/kernel/fault';
import type { Browsing, Delivery, QueueBrowser } from '../port.ts';
import type { MemoryConnection } from './memory-broker.ts';
import type { QueueConsumer, StoredMessage } from './memory-queue.ts';

/** Looks into queues of the memory server, at once. */
export class MemoryBrowser implements QueueBrowser {
  #connection: MemoryConnection | undefined;
  readonly #open = new Set<Look>();

  attach(connection: MemoryConnection): void {
    this.#connection = connection;
  }

  detach(): void {
    this.#connection = undefined;
    for (const look of this.#open) look.end();
    this.#open.clear();
  }

  async browse(name: string): Promise<Browsing> {
    if (!this.#connection) throw lostFault(name);
    const look = new Look(this.#connection, name);
    this.#open.add(look);
    return look;
  }
}

class Look implements Browsing {
  readonly #connection: MemoryConnection;
  readonly #name: string;
  readonly #held = new Map<number, StoredMessage>();
  /** Its channel: it takes nothing by itself. */
  readonly #reader: QueueConsumer = { prefetch: 0, priority: 0, isBridge: true, held: new Set(), take: () => {} };
  #tags = 0;
  #ended = false;

  constructor(connection: MemoryConnection, name: string) {
    this.#connection = connection;
    this.#name = name;
  }

  async next(): Promise<Delivery | undefined> {
    if (this.#ended) throw lostFault(this.#name);
    const queue = this.#connection.server.queues.get(this.#name);
    if (!queue) throw new Fault('TOMBOLO_QUEUE_ABSENT', `Reading queue "${this.#name}" failed: there is none.`);
    const message = queue.takeOne(this.#reader);
    if (!message) return undefined;
    const tag = ++this.#tags;
    this.#held.set(tag, message);
    const { redelivered, exchange, routingKey, properties, body } = message;
    return { redelivered, exchange, routingKey, properties, body, token: { channel: this, tag } };
  }

  remove({ token }: Delivery): void {
    const message = this.#held.get(token.tag);
    if (token.channel !== this || !message || this.#ended) return;
    this.#held.delete(token.tag);
    this.#connection.server.queues.get(this.#name)?.acknowledge(this.#reader, message);
  }

  async close(): Promise<void> {
    this.end();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#connection.server.queues.get(this.#name)?.removeConsumer(this.#reader, true);
  }
}

function lostFault(queue: string): Fault {
  return new Fault('TOMBOLO_BROKER_LOST', `Reading queue "${queue}" is not possible now: there is no connection.`);
}
