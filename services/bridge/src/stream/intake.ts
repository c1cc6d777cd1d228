import type { Entry } from './in-flight.ts';

/** One consumer on the source's queue: what it may be handed in all is its prefetch and one more for each acknowledgement. */
interface Consumer {
  readonly id: number;
  /** With all that it was extended by. */
  prefetch: number;
  extensions: number;
  /** How many messages the stream had taken when it began. */
  readonly base: number;
  acknowledged: number;
  delivered: number;
  cancelling: boolean;
}

/** An extension is one more consumer to the broker: after so many, one that is large enough from the start takes its place. */
const MOST_EXTENSIONS = 8;

/** What a consumer may hold at least, as far as credit goes, and how many times what was under way at most. */
const LEAST_PREFETCH = 64;
const SPARE = 4;

/** How long an acknowledgement may be withheld before the consumer is replaced by one that needs no withholding (ms). */
const WITHHELD_MS = 250;

/**
 * A source stream's credit and the consumer that draws on it. RabbitMQ knows a prefetch only, no running total, so credit is made
 * exact by withholding acknowledgements: while the consumer lives, base + prefetch + acknowledged ≤ granted. Once it is cancelled
 * everything may be acknowledged (doing that while it lives re-opens the broker's window). Pure.
 */
export class Intake {
  #granted = 0;
  #version = 0;
  #answered = 0;
  #consumer: Consumer | undefined;
  #consumers = 0;
  /** Messages that were under way at most: during the life of the latest consumer, and of the one before. */
  #peak = 0;
  #formerPeak = 0;
  /** Accepted, and not acknowledged yet. */
  #withheld: Entry[] = [];
  #withheldSince = 0;

  /** The running total that the sink allows. */
  get granted(): number {
    return this.#granted;
  }
  /** The version of the credit; 0: the sink has said nothing on this link. */
  get version(): number {
    return this.#version;
  }
  /** The newest credit of which it is known how much was taken under it. */
  get answered(): number {
    return this.#answered;
  }
  get consuming(): boolean {
    return this.#consumer !== undefined;
  }
  /** The broker knows it as several: it has more turns than it should when messages are given in turn. */
  get extended(): boolean {
    return this.#consumer !== undefined && this.#consumer.extensions > 0;
  }
  get withholding(): boolean {
    return this.#withheld.length > 0;
  }
  /** When the consumer should be replaced, so that nothing is withheld for long; Infinity: not for that reason. */
  get overdueAt(): number {
    if (this.#withheld.length === 0 || !this.#consumer || this.#consumer.cancelling) return Number.POSITIVE_INFINITY;
    return this.#withheldSince + WITHHELD_MS;
  }

  isCurrent(id: number): boolean {
    return this.#consumer?.id === id;
  }

  // ---- credit ------------------------------------------------------------------------------------------------------------

  /** The link is lost: credit that was not used is void, and versions begin anew with the sink's next word. */
  voided(taken: number): void {
    this.#version = 0;
    this.#answered = 0;
    this.cap(taken);
  }

  /** No credit beyond what was taken. */
  cap(taken: number): void {
    this.#granted = Math.min(this.#granted, taken);
  }

  /** The sink's credit; `stale` when this version or a newer one is known. */
  grant(version: number, granted: number): 'stale' | 'lowered' | 'raised' {
    if (version <= this.#version) return 'stale';
    const lowered = granted < this.#granted;
    this.#version = version;
    this.#granted = granted;
    return lowered ? 'lowered' : 'raised';
  }

  /** The consumer may be handed more than is allowed: it must go. */
  get exceeded(): boolean {
    const consumer = this.#consumer;
    return consumer !== undefined && consumer.base + consumer.prefetch + consumer.acknowledged > this.#granted;
  }

  /**
   * A consumer that is being cancelled may still be handed messages: what was taken under the newest credit is not known before
   * its end. True when it has become known just now.
   */
  answer(): boolean {
    if (this.#consumer?.cancelling || this.#answered === this.#version) return false;
    this.#answered = this.#version;
    return true;
  }

  // ---- the consumer ------------------------------------------------------------------------------------------------------

  /**
   * How much of `most` a consumer should hold: some times what was under way of late. Of a consumer that holds all credit every
   * acknowledgement is withheld until there is more, and at a trickle it was replaced ten times a second.
   */
  prefetchFor(most: number): number {
    return Math.min(most, Math.max(LEAST_PREFETCH, SPARE * Math.max(this.#peak, this.#formerPeak)));
  }

  /** @returns the number of the new consumer */
  start(prefetch: number, taken: number): number {
    this.#formerPeak = this.#peak;
    this.#peak = 0;
    const id = ++this.#consumers;
    this.#consumer = { id, prefetch, extensions: 0, base: taken, acknowledged: 0, delivered: 0, cancelling: false };
    return id;
  }

  /** @returns the consumer to be cancelled; undefined when there is none or it is being cancelled already */
  stop(): number | undefined {
    if (!this.#consumer || this.#consumer.cancelling) return undefined;
    this.#consumer.cancelling = true;
    return this.#consumer.id;
  }

  ended(): void {
    this.#consumer = undefined;
  }

  /** @param underWay messages that are in hand without a verdict, with these */
  delivered(count: number, underWay: number): void {
    if (this.#consumer) this.#consumer.delivered += count;
    this.#peak = Math.max(this.#peak, underWay);
  }

  /**
   * Extends a consumer that was handed all that it may be, and leaves much credit unused: messages are held unacknowledged for as long as
   * they are under way, so that its prefetch, and not the credit, would bound what is under way.
   * @param room how many more messages may be in memory
   * @param most the largest prefetch
   * @returns by how much, and which; undefined: it stays as it is
   */
  extend(room: number, most: number): { readonly generation: number; readonly more: number } | undefined {
    const consumer = this.#consumer;
    if (!consumer || consumer.cancelling || consumer.extensions === MOST_EXTENSIONS) return undefined;
    // A small one is replaced: that is done at once, for it has handed over all that it may.
    if (consumer.prefetch < LEAST_PREFETCH) return undefined;
    const handed = consumer.prefetch + consumer.acknowledged;
    if (consumer.delivered < handed) return undefined;
    const more = Math.min(this.#granted - consumer.base - handed, room, most - consumer.prefetch);
    if (more < Math.max(1, consumer.prefetch >> 1)) return undefined;
    consumer.prefetch += more;
    consumer.extensions++;
    return { generation: consumer.id, more };
  }

  /**
   * Its prefetch has become too small for the credit, or too large for the messages: another should take its place.
   * @param limit the largest prefetch that the messages' size permits
   * @param heaviest the prefetch above which they weigh far too much
   */
  outgrown(taken: number, limit: number, heaviest: number): boolean {
    const consumer = this.#consumer;
    if (!consumer || consumer.cancelling || consumer.delivered < consumer.prefetch) return false;
    const heavy = consumer.prefetch > 1 && consumer.prefetch > heaviest;
    return heavy || this.prefetchFor(Math.min(this.#granted - taken, limit)) >= consumer.prefetch * 2;
  }

  // ---- acknowledgements --------------------------------------------------------------------------------------------------

  withhold(entries: readonly Entry[], now: number): void {
    if (this.#withheld.length === 0) this.#withheldSince = now;
    this.#withheld.push(...entries);
  }

  /** Takes out what may be acknowledged now: the broker hands over one more message for each to a live consumer. */
  permitted(now: number): Entry[] {
    if (this.#withheld.length === 0) return [];
    const consumer = this.#consumer;
    let allowed = consumer ? this.#granted - consumer.base - consumer.prefetch - consumer.acknowledged : 0;
    const permitted: Entry[] = [];
    const rest: Entry[] = [];
    for (const entry of this.#withheld) {
      const draws = consumer !== undefined && entry.generation === consumer.id;
      if (draws && allowed-- <= 0) rest.push(entry);
      else {
        if (draws) consumer.acknowledged++;
        permitted.push(entry);
      }
    }
    this.#withheld = rest;
    if (permitted.length > 0) this.#withheldSince = now;
    return permitted;
  }

  /** Deliveries died: they cannot be acknowledged any more. */
  dropLost(): void {
    this.#withheld = this.#withheld.filter(({ token }) => token !== undefined);
  }

  /** The queue is gone. */
  clear(): void {
    this.#withheld = [];
  }
}
