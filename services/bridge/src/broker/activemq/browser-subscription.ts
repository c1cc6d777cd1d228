import { notConnected, queueFault } from './brokers-words.ts';
import type { StompConnection } from './connection.ts';
import type { StompFrame } from './stomp-codec.ts';

/** Messages that the broker sends ahead while a queue is browsed. One is too few: the end would come after the first. */
const AHEAD = 64;
const REMOVE_MS = 5_000;
/** So often a queue is looked into in vain before what it shows is taken to be held by others. */
const FRUITLESS_LOOKS = 5;

/** A browser of ActiveMQ: it is shown every message, those that consumers hold among them, and takes none out of sight. */
export class BrowserSubscription {
  readonly #connection: StompConnection;
  readonly #queue: string;
  readonly #id: string;
  readonly #come: StompFrame[] = [];
  #wake: () => void = () => {};
  #failure: unknown;
  #ended = false;

  constructor(connection: StompConnection, queue: string) {
    this.#connection = connection;
    this.#queue = queue;
    this.#id = connection.subscriber((frames) => {
      this.#come.push(...frames);
      this.#wake();
    });
    connection
      .request('SUBSCRIBE', [
        ['id', this.#id],
        ['destination', `/queue/${queue}`],
        ['browser', 'true'],
        ['ack', 'client-individual'],
        ['activemq.prefetchSize', String(AHEAD)],
      ])
      .catch((error: unknown) => this.lost(error));
  }

  /** The next one; undefined: that was the last. Rejects with a Fault. */
  async next(): Promise<StompFrame | undefined> {
    for (;;) {
      if (!this.#connection.isOpen) this.#failure ??= notConnected(`Reading queue "${this.#queue}"`);
      if (this.#failure !== undefined)
        throw queueFault(this.#failure, 'Reading', this.#queue, this.#connection.address);
      if (this.#ended || this.#come.length > 0) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const frame = this.#come.shift();
    // The broker marks the end by a message of its own (`browser:end`).
    if (!frame || frame.headers.has('browser')) {
      this.#ended = true;
      return undefined;
    }
    this.#connection.send('ACK', [['id', frame.headers.get('ack') ?? '']]);
    return frame;
  }

  lost(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
  }

  close(): void {
    this.#ended = true;
    this.#connection.unsubscribed(this.#id);
    this.#connection.send('UNSUBSCRIBE', [['id', this.#id]]);
  }
}

/** How many messages are in the queue, at most `most`. */
export async function countByBrowsing(connection: StompConnection, queue: string, most: number): Promise<number> {
  const subscription = new BrowserSubscription(connection, queue);
  try {
    let count = 0;
    while (count < most && (await subscription.next())) count++;
    return count;
  } finally {
    subscription.close();
  }
}

/** Consumes this one message. Its id is the broker's own, and has no quotes. */
export async function removeOne(connection: StompConnection, queue: string, messageId: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let id = '';
  const came = new Promise<StompFrame | undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), REMOVE_MS);
    id = connection.subscriber(([frame]) => resolve(frame));
  });
  try {
    await connection.request('SUBSCRIBE', [
      ['id', id],
      ['destination', `/queue/${queue}`],
      ['ack', 'client-individual'],
      ['selector', `JMSMessageID = '${messageId}'`],
    ]);
    const frame = await came;
    if (frame) connection.send('ACK', [['id', frame.headers.get('ack') ?? '']]);
    await connection.request('UNSUBSCRIBE', [['id', id]]);
  } finally {
    clearTimeout(timer);
    connection.unsubscribed(id);
  }
}

/** Consumes what is in the queue, as far as others do not hold it. Rejects with a Fault. */
export async function removeAll(connection: StompConnection, queue: string): Promise<void> {
  let removed = 0;
  const id = connection.subscriber((frames) => {
    removed += frames.length;
  });
  try {
    await connection.request('SUBSCRIBE', [
      ['id', id],
      ['destination', `/queue/${queue}`],
      ['ack', 'auto'],
      ['activemq.prefetchSize', '1000'],
    ]);
    // The broker reads from its store at leisure: it has no more when it shows none, or gives none for a while.
    for (let fruitless = 0; fruitless < FRUITLESS_LOOKS; ) {
      const before = removed;
      if ((await countByBrowsing(connection, queue, 1)) === 0) break;
      fruitless = removed > before ? 0 : fruitless + 1;
    }
    await connection.request('UNSUBSCRIBE', [['id', id]]);
  } catch (error) {
    throw queueFault(error, 'Clearing', queue, connection.address);
  } finally {
    connection.unsubscribed(id);
  }
}

/** Consumes so many messages of the queue from its head on, or fewer when others hold them. Rejects with a Fault. */
export async function removeOldest(connection: StompConnection, queue: string, count: number): Promise<number> {
  let removed = 0;
  let wake: () => void = () => {};
  const id = connection.subscriber((frames) => {
    for (const { headers } of frames.slice(0, count - removed)) {
      connection.send('ACK', [['id', headers.get('ack') ?? '']]);
      removed++;
    }
    if (removed === count) wake();
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    const done = new Promise<void>((resolve) => {
      wake = resolve;
      timer = setTimeout(resolve, REMOVE_MS);
    });
    await connection.request('SUBSCRIBE', [
      ['id', id],
      ['destination', `/queue/${queue}`],
      ['ack', 'client-individual'],
      // As many as are to go: each acknowledgement brings another one, which goes back to where it was.
      ['activemq.prefetchSize', String(Math.min(count, 1_000))],
    ]);
    await done;
    await connection.request('UNSUBSCRIBE', [['id', id]]);
    return removed;
  } catch (error) {
    throw queueFault(error, 'Reading', queue, connection.address);
  } finally {
    clearTimeout(timer);
    connection.unsubscribed(id);
  }
}
