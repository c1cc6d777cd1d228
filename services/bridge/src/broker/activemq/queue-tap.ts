import type { StompFrame } from './stomp-codec.ts';

/** So many messages may be kept here for a consumer that takes fewer at a time. */
const FEW = 16;

export type TapEffect =
  | { readonly do: 'subscribe'; readonly size: number }
  | { readonly do: 'hand'; readonly messages: readonly StompFrame[] }
  | { readonly do: 'acknowledge'; readonly ids: readonly string[] }
  /** After these acknowledgements, in this order; the broker gives what was not acknowledged back to the queue. */
  | { readonly do: 'unsubscribe'; readonly ids: readonly string[]; readonly acknowledge: readonly string[] };

/**
 * What one consumer of a queue, and after it the next, draws on: one or more subscriptions whose prefetches add up to its own.
 *
 * ActiveMQ ties what it has handed over to the subscription: with UNSUBSCRIBE every message that is not acknowledged is the queue's
 * again, flagged and counted as redelivered, and there is no other way to give one back (NACK moves it to the dead letter queue). Each
 * acknowledgement brings another message at once, so that some always come back; and what comes back twice in a row may do so
 * behind others (Queue.removeSubscription appends to what is being redelivered already). So
 *
 * - a consumer that is cancelled leaves the subscriptions as they are: *dormant*. Acknowledgements are held back, so that nothing more
 *   comes, at the latest until `flush`;
 * - a consumer that follows takes them over, unless they have been far larger for a while, and adds what they lack. It is handed no
 *   more than its prefetch; what the broker sends beyond is kept here, in order;
 * - else, and when nobody follows, they end as soon as everything that was handed over is decided. Before that, nothing is the queue's
 *   again.
 *
 * Pure: what is to be done comes out of `take`.
 */
export class QueueTap {
  readonly queue: string;
  #subscriptions: { readonly id: string; readonly size: number }[] = [];
  /** Handed to a consumer, and not decided: by tag, the id that an ACK names, and to which consumer. */
  readonly #handed = new Map<number, { readonly ackId: string; readonly consumer: number }>();
  /** Acknowledged while nobody consumes: not told to the broker yet. */
  #deferred: string[] = [];
  /** Came, and no consumer had room for it, in the queue's order. */
  #kept: StompFrame[] = [];
  /** Which consumer draws on it, by number, what it may hold, and what it holds; undefined: none. */
  #consumer: { readonly number: number; prefetch: number; holds: number } | undefined;
  #consumers = 0;
  /** Messages that are to be the queue's again. */
  #returned = 0;
  #effects: TapEffect[] = [];

  constructor(queue: string) {
    this.queue = queue;
  }

  take(): TapEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Acknowledgements are held back. */
  get isDeferring(): boolean {
    return this.#deferred.length > 0;
  }
  /** Nobody consumes, and everything is decided: it can end. */
  get isDecided(): boolean {
    return !this.#consumer && this.#handed.size === 0;
  }
  /** Messages wait to be the queue's again. */
  get isReturning(): boolean {
    return this.#returned > 0;
  }

  /** The broker sends nothing more: as much as it may is here. */
  get isFull(): boolean {
    return this.#handed.size + this.#kept.length >= this.#size();
  }

  /** Nobody consumes, and nothing in it waits to be the queue's again: another consumer can take it over. */
  get isFree(): boolean {
    return !this.#consumer && this.#returned === 0;
  }

  /** Far larger than a consumer with this prefetch: much would be kept here, and from others. */
  isOversized(prefetch: number): boolean {
    return this.#size() > Math.max(FEW, prefetch * 4);
  }

  /** A consumer draws on it from now on. */
  wake(prefetch: number): void {
    this.#consumer = { number: ++this.#consumers, prefetch, holds: 0 };
    this.flush();
    this.#grow();
    this.#pump();
  }

  /** The consumer may hold so many more. */
  extend(more: number): void {
    if (!this.#consumer) return;
    this.#consumer.prefetch += more;
    this.#grow();
    this.#pump();
  }

  /** A `subscribe` was carried out. */
  subscribed(id: string, size: number): void {
    this.#subscriptions.push({ id, size });
  }

  /** The broker refused it. True: there is no other. */
  refused(id: string): boolean {
    this.#subscriptions = this.#subscriptions.filter((each) => each.id !== id);
    return this.#subscriptions.length === 0;
  }

  arrived(messages: readonly StompFrame[]): void {
    this.#kept.push(...messages);
    this.#pump();
  }

  /** A message was handed on under this tag. */
  handed(tag: number, ackId: string): void {
    this.#handed.set(tag, { ackId, consumer: this.#consumer?.number ?? 0 });
  }

  /** The consumer is cancelled, and everything that the broker had sent has been handed on, as far as it had room. */
  sleep(): void {
    this.#consumer = undefined;
  }

  /** @param defer whether the consumer is cancelled, or about to be */
  acknowledge(tags: readonly number[], defer: boolean): void {
    const ids = this.#decide(tags);
    if (defer || !this.#consumer) this.#deferred.push(...ids);
    else if (ids.length > 0) this.#effects.push({ do: 'acknowledge', ids });
    this.#pump();
  }

  giveBack(tags: readonly number[]): void {
    this.#returned += this.#decide(tags).length;
    this.#pump();
  }

  /** What is held back is told to the broker now. */
  flush(): void {
    if (this.#deferred.length > 0) this.#effects.push({ do: 'acknowledge', ids: this.#deferred.splice(0) });
  }

  /** Ends it, whatever it has handed over. */
  end(): void {
    this.#consumer = undefined;
    // The last one first: each puts what it gives back before what is there.
    const ids = this.#subscriptions.map(({ id }) => id).reverse();
    if (ids.length > 0) this.#effects.push({ do: 'unsubscribe', ids, acknowledge: this.#deferred });
    this.#subscriptions = [];
    this.#deferred = [];
    this.#handed.clear();
    this.#kept = [];
  }

  #grow(): void {
    const lacking = (this.#consumer?.prefetch ?? 0) - this.#size();
    if (lacking > 0) this.#effects.push({ do: 'subscribe', size: lacking });
  }

  #size(): number {
    return this.#subscriptions.reduce((sum, { size }) => sum + size, 0);
  }

  #pump(): void {
    const consumer = this.#consumer;
    if (!consumer || this.#kept.length === 0) return;
    const messages = this.#kept.splice(0, Math.max(0, consumer.prefetch - consumer.holds));
    if (messages.length === 0) return;
    consumer.holds += messages.length;
    this.#effects.push({ do: 'hand', messages });
  }

  #decide(tags: readonly number[]): string[] {
    return tags.flatMap((tag) => {
      const entry = this.#handed.get(tag);
      if (!entry) return [];
      this.#handed.delete(tag);
      if (this.#consumer?.number === entry.consumer) this.#consumer.holds--;
      return [entry.ackId];
    });
  }
}
