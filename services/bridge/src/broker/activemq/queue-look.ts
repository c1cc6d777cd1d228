import { Fault } from '@tombolo/kernel/fault';
import type { QueueProperties } from '@tombolo/wire/frame';
import type { QueueInspection } from '../port.ts';
import { notConnected, queueFault } from './brokers-words.ts';
import { countByBrowsing, removeAll, removeOldest } from './browser-subscription.ts';
import type { StompConnection } from './connection.ts';
import type { ConsumerTable } from './consumer-table.ts';
import { isQueueName } from './mapping/destinations.ts';
import { Replies } from './replies.ts';
import { type QueueStatistics, readStatistics } from './statistics.ts';
import { isBuffer } from './topics/captured-message.ts';

/** Every queue of ActiveMQ: it stays until somebody deletes it, and keeps what is persistent. */
export const queueProperties: QueueProperties = { type: 'classic', durable: true };

/**
 * A queue that is there to be seen: it says that the cluster is drained. Nobody can delete a queue over STOMP, so here it counts as
 * there when a message is in it.
 */
export const marker = 'tombolo.draining';

const ANSWER_MS = 3_000;
/** Above what consumers can hold, so many are counted one by one; more need not be told apart. */
const COUNT_MOST = 1_000;
/** Of the time that counting took, until the same queue is counted again. */
const COUNT_REST = 10;

export interface Counts {
  readonly ready: number;
  readonly consumers: number;
}

/** Where the broker's queues are known from; undefined: advisories do not come. */
export interface TableView {
  readonly table: ConsumerTable | undefined;
  /** Resolves when it tells of all that the broker has told before this call. */
  caughtUp(): Promise<void>;
}

/**
 * Looks at queues, over the connection that a standby has too. Whether one exists is known from advisories. What waits in it is told
 * by the statistics plugin (`<statisticsBrokerPlugin/>`); without it messages are counted by browsing, which shows those that
 * consumers hold too: as many as they can hold are taken to be held.
 */
export class QueueLook {
  readonly #view: TableView;
  #hasBuffer: (buffer: string) => boolean | undefined = () => undefined;
  #connection: StompConnection | undefined;
  #replies: Replies | undefined;
  /** Where the statistics plugin is asked, and whether it answers. */
  #statistics:
    | { readonly connection: StompConnection; readonly replies: Replies; readonly answers: Promise<boolean> }
    | undefined;
  /** Declared just now, and not told by an advisory yet. */
  readonly #declared = new Set<string>();
  readonly #counts = new Map<string, { counted: Promise<number>; again: number }>();
  /** The broker's process, as its ids name it, and since when it is known to be the one that serves, by its own clock. */
  #process: { readonly name: string; readonly since: number } | undefined;

  constructor(view: TableView) {
    this.#view = view;
  }

  /** Resolves when it is known which process the broker is. */
  attach(connection: StompConnection): Promise<void> {
    this.#connection = connection;
    const replies = new Replies(connection, 'tombolo-replies');
    this.#replies = replies;
    this.#declared.clear();
    this.#counts.clear();
    return this.#meet(connection, replies);
  }

  /** The broker can write JSON, over this connection: its statistics plugin is asked, if it has one. */
  askStatistics(connection: StompConnection): void {
    if (this.#statistics?.connection === connection) return;
    const replies = new Replies(connection, 'tombolo-statistics', 'jms-map-json');
    // To a topic: where the plugin is missing, nobody gets it and no queue is made for it.
    const answers = replies.ask('/topic/ActiveMQ.Statistics.Broker', ANSWER_MS).then((reply) => reply !== undefined);
    this.#statistics = { connection, replies, answers };
  }

  /**
   * Since when the broker's process has been serving, as far as this bridge saw (ms since 1970, by the broker's clock): what was stored
   * before may have been handed out before, by a process that has died since. KahaDB does not keep what was (persistJMSRedelivered
   * is off by default).
   */
  get servingSince(): number {
    return this.#process?.since ?? Number.POSITIVE_INFINITY;
  }

  async #meet(connection: StompConnection, replies: Replies): Promise<void> {
    // activemq-client, IdGenerator: ID:<host>-<port>-<ms since 1970>-<count>:<number>, of which all but the counts are the process's.
    const name = /^(.*-\d{12,14})-\d+:\d+$/.exec(connection.session)?.[1] ?? connection.session;
    if (this.#process?.name === name) return;
    this.#process = undefined;
    const now = await replies.brokersClock(ANSWER_MS);
    if (this.#replies === replies && now !== undefined) this.#process = { name, since: now };
  }

  detach(): void {
    this.#statistics = undefined;
    this.#connection = undefined;
    this.#replies = undefined;
  }

  /**
   * Nobody can delete a queue over STOMP: which topic buffers count as there is for others to say.
   * @param has undefined: that is not known
   */
  buffersToldBy(has: (buffer: string) => boolean | undefined): void {
    this.#hasBuffer = has;
  }

  /** Undefined: that cannot be known. */
  exists(queue: string): boolean | undefined {
    const { table } = this.#view;
    if (isBuffer(queue) && this.#hasBuffer(queue) === false) return false;
    if (!table || !isQueueName(queue)) return undefined;
    if (!table.has(queue)) return this.#declared.has(queue);
    this.#declared.delete(queue);
    return true;
  }

  /**
   * True: as of now there is no such queue, also when somebody has only just made it: it comes to be known a moment after he knows.
   * False: there is, or that cannot be known.
   */
  async isAbsent(queue: string): Promise<boolean> {
    if (this.exists(queue) !== false) return false;
    await this.#view.caughtUp();
    return this.exists(queue) === false;
  }

  queueGone(queue: string): void {
    this.#declared.delete(queue);
  }

  /** Ready messages and all consumers; undefined: there is no such queue. */
  async probe(queue: string): Promise<Counts | undefined> {
    const { connection } = this.#connected(`Looking at queue "${queue}"`);
    if (await this.isAbsent(queue)) return undefined;
    if (await this.#statistics?.answers) {
      const told = await this.#told(queue);
      if (told) return { ready: Math.max(0, told.size - told.inflight), consumers: told.consumers };
      if (await this.isAbsent(queue)) return undefined;
      throw new Fault('TOMBOLO_QUEUE_UNAVAILABLE', `${connection.address} did not tell how full queue "${queue}" is.`);
    }
    const held = this.#view.table?.prefetched(queue) ?? 0;
    const total = await this.#count(connection, queue, held + COUNT_MOST);
    return { ready: Math.max(0, total - held), consumers: this.#view.table?.consumers(queue) ?? 0 };
  }

  /** All messages of the queue, and how many of them are handed out, where that is known. */
  async holding(queue: string): Promise<{ ready: number; unacknowledged: number | undefined } | undefined> {
    const { connection } = this.#connected(`Looking at queue "${queue}"`);
    if (await this.isAbsent(queue)) return undefined;
    if (await this.#statistics?.answers) {
      const told = await this.#told(queue);
      return told && { ready: Math.max(0, told.size - told.inflight), unacknowledged: told.inflight };
    }
    return { ready: await countByBrowsing(connection, queue, Number.POSITIVE_INFINITY), unacknowledged: undefined };
  }

  async inspect(queue: string): Promise<QueueInspection | undefined> {
    const counts = await this.probe(queue);
    if (!counts || (queue === marker && counts.ready === 0)) return undefined;
    return { ...counts, properties: queueProperties };
  }

  /**
   * ActiveMQ makes a queue when it is first used; it is used here without taking anything. What else is asked of it (bounds, times)
   * only its activemq.xml can give.
   */
  async declare(queue: string): Promise<void> {
    const { connection } = this.#connected(`Declaring queue "${queue}"`);
    if (queue === marker) return this.#mark(connection);
    if (this.exists(queue)) return;
    const id = connection.subscriber(() => {});
    try {
      await connection.request('SUBSCRIBE', [
        ['id', id],
        ['destination', `/queue/${queue}`],
        ['ack', 'client-individual'],
        ['selector', 'FALSE'],
      ]);
      this.#declared.add(queue);
      await connection.request('UNSUBSCRIBE', [['id', id]]);
    } catch (error) {
      throw queueFault(error, 'Declaring', queue, connection.address);
    } finally {
      connection.unsubscribed(id);
    }
  }

  async #mark(connection: StompConnection): Promise<void> {
    try {
      await connection.request('SEND', [
        ['destination', `/queue/${marker}`],
        ['persistent', 'true'],
      ]);
    } catch (error) {
      throw queueFault(error, 'Writing to', marker, connection.address);
    }
  }

  /** Removes every message of the queue that nobody holds. Rejects with a Fault. */
  async clear(queue: string): Promise<'deleted' | 'absent'> {
    const { connection } = this.#connected(`Clearing queue "${queue}"`);
    if (await this.isAbsent(queue)) return 'absent';
    await removeAll(connection, queue);
    return 'deleted';
  }

  /** Removes so many messages from the head of the queue, as far as nobody holds them. Rejects with a Fault. */
  removeOldest(queue: string, count: number): Promise<number> {
    const { connection } = this.#connected(`Shortening queue "${queue}"`);
    return removeOldest(connection, queue, count);
  }

  /** STOMP has no way to delete a queue: gcInactiveDestinations of ActiveMQ's policy does it. */
  async deleteIfIdle(_queue: string): Promise<boolean> {
    return false;
  }

  /**
   * For how long, at least, the broker's process has been serving (ms): since this bridge first met it, because a slave runs for long
   * before it becomes the master.
   */
  async runningFor(): Promise<number | undefined> {
    const { replies } = this.#connected('Asking for how long the broker has been running');
    const now = await replies.brokersClock(ANSWER_MS);
    return this.#process && now !== undefined ? Math.max(0, now - this.#process.since) : undefined;
  }

  async #told(queue: string): Promise<QueueStatistics | undefined> {
    const reply = await this.#statistics?.replies.ask(`/queue/ActiveMQ.Statistics.Destination.${queue}`, ANSWER_MS);
    return reply && readStatistics(reply.body);
  }

  #connected(doing: string): { readonly connection: StompConnection; readonly replies: Replies } {
    const connection = this.#connection;
    const replies = this.#replies;
    if (!connection?.isOpen || !replies) throw notConnected(doing);
    return { connection, replies };
  }

  /** Counting moves every message over the connection: how often follows from how long it took. */
  #count(connection: StompConnection, queue: string, most: number): Promise<number> {
    const before = this.#counts.get(queue);
    const began = performance.now();
    if (before && began < before.again) return before.counted;
    const counted = countByBrowsing(connection, queue, most);
    const entry = { counted, again: Number.POSITIVE_INFINITY };
    this.#counts.set(queue, entry);
    const rest = () => {
      const now = performance.now();
      entry.again = now + (now - began) * COUNT_REST;
    };
    counted.then(rest, rest);
    return counted;
  }
}
