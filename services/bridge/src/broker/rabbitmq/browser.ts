import { Fault } from '@tombolo/kernel/fault';
import type { Browsing, QueueBrowser } from '../port.ts';
import { BrowseChannel } from './browse-channel.ts';
import type { Connection } from './connection.ts';
import { notConnected } from './consume-channel.ts';
import type { Management } from './management.ts';
import type { QueueFacts } from './queue-properties.ts';

/** Looks into queues with basic.get, on the consuming connection, which an alarm does not block. */
export class RabbitBrowser implements QueueBrowser {
  readonly #management: Management | undefined;
  #connection: Connection | undefined;
  #vhost = '/';

  constructor(management: Management | undefined) {
    this.#management = management;
  }

  attach(connection: Connection, vhost: string): void {
    this.#connection = connection;
    this.#vhost = vhost;
  }

  /** The connection is gone; its channels tell whoever is looking. */
  detach(): void {
    this.#connection = undefined;
  }

  async browse(queue: string): Promise<Browsing> {
    const facts = await this.#management?.queue(this.#vhost, queue).catch(() => undefined);
    const connection = this.#connection;
    if (!connection?.isOpen) throw notConnected(`Reading queue "${queue}"`);
    const spends = !returnsAreFree(connection.product);
    const limit = facts && spends ? limitOf(facts, connection.product) : Number.POSITIVE_INFINITY;
    if (limit !== Number.POSITIVE_INFINITY) throw limited(queue, limit);
    return BrowseChannel.open(connection, queue, {
      returnsMost: facts || !spends ? Number.POSITIVE_INFINITY : RETURNS_UNSEEN,
      exhausted: () => limited(queue, undefined),
    });
  }
}

/** Where nobody tells the limit, a quorum queue's message may have come back so often: a quarter of the default limit. */
const RETURNS_UNSEEN = 5;
/** Of quorum queues, from RabbitMQ 4.0 on. */
const DEFAULT_LIMIT = 20;

/** Since RabbitMQ 4.3 a negative acknowledgement does not count against the delivery limit (rabbit_fifo). */
export function returnsAreFree(product: string): boolean {
  return versionOf(product) >= 4.03;
}

/** After how many returns the queue drops a message; Infinity: never. */
export function limitOf({ properties, deliveryLimit }: QueueFacts, product: string): number {
  if (properties.type !== 'quorum') return Number.POSITIVE_INFINITY;
  return deliveryLimit ?? (versionOf(product) >= 4 ? DEFAULT_LIMIT : Number.POSITIVE_INFINITY);
}

/** 4.03 for `RabbitMQ 4.3.1`; 0 for anything else. */
function versionOf(product: string): number {
  const [, major, minor] = /^RabbitMQ (\d+)\.(\d+)/.exec(product) ?? [];
  return Number(major ?? 0) + Number(minor ?? 0) / 100;
}

function limited(queue: string, limit: number | undefined): Fault {
  const of = limit === undefined ? 'a delivery limit, as far as is known' : `a delivery limit of ${limit}`;
  return new Fault(
    'TOMBOLO_QUEUE_REFUSED',
    `Queue "${queue}" is a quorum queue with ${of}: every look at its messages would bring them nearer to being dropped. Lift the limit by a policy for this queue (delivery-limit: -1 from RabbitMQ 4.0 on; none before), or make it a classic queue.`,
  );
}
