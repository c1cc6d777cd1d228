import { queueFault } from '../brokers-words.ts';
import { BrowserSubscription, removeOne } from '../browser-subscription.ts';
import type { StompConnection } from '../connection.ts';

/**
 * A text that the bridges of a cluster leave to each other on its broker: the last message of a queue of its own. All calls reject with
 * a Fault.
 */
export class BrokerNote {
  readonly #queue: string;
  readonly #connection: StompConnection;
  #written: string | undefined;

  constructor(queue: string, connection: StompConnection) {
    this.#queue = queue;
    this.#connection = connection;
  }

  /** Undefined: nothing was ever written. */
  async read(): Promise<string | undefined> {
    this.#written = (await this.#messages()).at(-1)?.text;
    return this.#written;
  }

  /** Stored when it resolves. Of a crash in between two are left, of which the last counts. */
  async write(text: string): Promise<void> {
    if (text === this.#written) return;
    const before = await this.#messages();
    try {
      await this.#connection.request(
        'SEND',
        [
          ['destination', `/queue/${this.#queue}`],
          ['persistent', 'true'],
        ],
        Buffer.from(text),
      );
      for (const { id } of before) await removeOne(this.#connection, this.#queue, id);
    } catch (error) {
      throw queueFault(error, 'Writing to', this.#queue, this.#connection.address);
    }
    this.#written = text;
  }

  async #messages(): Promise<{ readonly id: string; readonly text: string }[]> {
    const subscription = new BrowserSubscription(this.#connection, this.#queue);
    const found: { id: string; text: string }[] = [];
    try {
      for (let frame = await subscription.next(); frame; frame = await subscription.next()) {
        found.push({ id: frame.headers.get('message-id') ?? '', text: frame.body.toString('utf8') });
      }
    } finally {
      subscription.close();
    }
    return found;
  }
}
