import type { Browsing, Delivery, QueueBrowser } from '../port.ts';
import { absent, notConnected } from './brokers-words.ts';
import { BrowserSubscription, removeOne } from './browser-subscription.ts';
import type { StompConnection } from './connection.ts';
import { toEnvelope } from './mapping/to-envelope.ts';
import type { QueueLook } from './queue-look.ts';

/**
 * Looks into queues as a browser, which hides nothing from anybody. What is to be removed is consumed by its message id: if somebody
 * else has it by then, it is gone as well.
 */
export class ActiveMqBrowser implements QueueBrowser {
  readonly #look: QueueLook;
  readonly #open = new Set<BrowserSubscription>();
  #connection: StompConnection | undefined;

  constructor(look: QueueLook) {
    this.#look = look;
  }

  attach(connection: StompConnection): void {
    this.#connection = connection;
  }

  detach(): void {
    this.#connection = undefined;
    for (const each of this.#open) each.lost(notConnected('Reading a queue'));
    this.#open.clear();
  }

  async browse(queue: string): Promise<Browsing> {
    const connection = this.#connection;
    if (!connection?.isOpen) throw notConnected(`Reading queue "${queue}"`);
    const isAbsent = await this.#look.isAbsent(queue);
    let subscription: BrowserSubscription | undefined;
    let removing: Promise<unknown> = Promise.resolve();
    let tag = 0;
    const ids = new Map<number, string>();
    let closing: Promise<void> | undefined;
    const close = async () => {
      if (subscription) {
        this.#open.delete(subscription);
        subscription.close();
      }
      await removing;
    };
    return {
      next: async () => {
        if (isAbsent) throw absent('Reading', queue, connection.address);
        if (!subscription) {
          subscription = new BrowserSubscription(connection, queue);
          this.#open.add(subscription);
        }
        const frame = await subscription.next();
        if (!frame) return undefined;
        ids.set(++tag, frame.headers.get('message-id') ?? '');
        const redelivered = frame.headers.get('redelivered') === 'true';
        const delivery: Delivery = {
          ...toEnvelope(frame.headers, frame.body),
          redelivered,
          token: { channel: connection, tag },
        };
        return delivery;
      },
      remove: ({ token }) => {
        const id = ids.get(token.tag);
        if (id !== undefined) removing = removing.then(() => removeOne(connection, queue, id)).catch(() => {});
      },
      close: () => {
        closing ??= close();
        return closing;
      },
    };
  }
}
