import type { Clock } from '@tombolo/kernel/clock';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import { replyAddressOf } from '@tombolo/wire/reply-address';
import { replyToOf } from '@tombolo/wire/reply-properties';
import type { Broker, Publication } from '../broker/port.ts';
import type { Admission } from '../stream/admission.ts';
import type { ShellLog } from '../stream/shell.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { ReplyBook, type ReplyEffect } from './reply-book.ts';
import { ReplyGate } from './reply-gate.ts';
import type { ReplyOrigin } from './reply-origin.ts';

export interface RepliesOptions {
  readonly cluster: string;
  /** Whether the network has this cluster. */
  readonly knows: (cluster: string) => boolean;
  readonly origin: ReplyOrigin;
  readonly broker: Broker;
  readonly clock: Clock;
  /** Milliseconds since 1970: addresses say until when they are valid. */
  readonly wallClock: () => number;
  readonly metrics: Pick<Metrics, 'replyQueues'>;
  readonly log: ShellLog;
  /** Opens the stream that carries what comes to this queue to its origin; one that is open already is left as it is. */
  draw(origin: string, queue: string): void;
  /** Lets that stream finish; `ended` follows if there was one. */
  release(origin: string, queue: string): void;
  /** See ReplyBook. */
  readonly largest?: number;
  readonly expiresMs?: number;
}

interface Waiting {
  readonly then: (verdict: 'publish' | 'refuse') => void;
}

/**
 * The replier's side of request and reply, for as long as this bridge is its cluster's master: keeps the queues to which repliers
 * answer, and holds requests back until theirs exists. The book and the gate decide; this shell brings them broker and time.
 */
export class Replies implements Admission {
  readonly #options: RepliesOptions;
  readonly #book: ReplyBook;
  readonly #gate = new ReplyGate<object, Waiting>();
  /** Queues that are being deleted: they are declared anew only after that. */
  readonly #deleting = new Map<string, Promise<void>>();
  #wakeAt = Number.POSITIVE_INFINITY;
  #cancelWake: () => void = () => {};
  #closed = false;

  constructor(options: RepliesOptions) {
    this.#options = options;
    this.#book = new ReplyBook(options);
  }

  /** Reply queues that this bridge answers for. */
  get size(): number {
    return this.#book.size;
  }

  // ---- requests ------------------------------------------------------------------------------------------------------------

  admitted(properties: Uint8Array): Uint8Array {
    try {
      return this.#options.origin.restored(properties);
    } catch {
      return properties; // malformed: the broker will say so
    }
  }

  pass(stream: object, publications: readonly Publication[], then: (verdict: 'publish' | 'refuse') => void): boolean {
    const addresses: string[] = [];
    for (const { properties } of publications) {
      const address = replyToOf(properties);
      if (address !== undefined) addresses.push(address);
    }
    if (addresses.length === 0) return this.#gate.pass(stream, { then }, []);
    const { effects, awaited, crowded } = this.#book.requested(addresses, this.#now(), this.#options.wallClock());
    if (crowded > 0)
      this.#options.log.warn({ crowded, queues: this.size }, 'more requesters at once than reply queues are kept for');
    const may = this.#gate.pass(stream, { then }, awaited);
    this.#run(effects);
    return may;
  }

  clear(): void {
    for (const { then } of this.#gate.clear()) then('refuse');
  }

  // ---- queues --------------------------------------------------------------------------------------------------------------

  /** The watch tells of a reply queue that exists. */
  found(queue: string): void {
    this.#run(this.#book.found(queue, this.#now(), this.#options.wallClock()));
  }

  /** The watch tells that a reply queue exists no more. */
  gone(queue: string): void {
    this.#run(this.#book.gone(queue, this.#now()));
  }

  /** Replies come by this queue. */
  replied(queue: string): void {
    this.#book.replied(queue);
  }

  /** The stream of this queue has ended. What nobody asks for any more is deleted; what holds messages expires later. */
  ended(queue: string): void {
    if (this.#closed || this.#book.has(queue) || this.#deleting.has(queue)) return;
    const { broker, log } = this.#options;
    const done = (): void => void this.#deleting.delete(queue);
    const deleted = broker.source.deleteIfIdle(queue).then(done, (thrown: unknown) => {
      done();
      log.debug({ queue, reason: messageOf(thrown) }, 'a reply queue could not be deleted');
    });
    this.#deleting.set(queue, deleted);
  }

  close(): void {
    this.#closed = true;
    this.#gate.clear();
    this.#cancelWake();
    this.#options.metrics.replyQueues(0);
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  #run(effects: readonly ReplyEffect[]): void {
    if (this.#closed) return;
    for (const effect of effects) this.#effect(effect);
    this.#options.metrics.replyQueues(this.size);
    this.#wakeLater();
  }

  #effect(effect: ReplyEffect): void {
    const { queue } = effect;
    switch (effect.do) {
      case 'declare':
        void this.#declare(queue, effect.expiresMs);
        break;
      case 'serve':
        this.#options.draw(effect.origin, queue);
        break;
      case 'release': {
        const said = replyAddressOf(queue);
        if (said) this.#options.release(said.origin, queue);
        break;
      }
      default:
        throw new Error(`unexpected ${effect satisfies never}`);
    }
  }

  async #declare(queue: string, expiresMs: number): Promise<void> {
    const { broker, log } = this.#options;
    let outcome: 'declared' | 'retry' | 'failed' = 'declared';
    try {
      await this.#deleting.get(queue);
      await broker.source.declare(queue, { type: 'classic', durable: true, expiresMs });
    } catch (thrown) {
      outcome = isTransient(thrown) ? 'retry' : 'failed';
      if (outcome === 'failed')
        log.warn({ queue, reason: messageOf(thrown) }, 'no queue for replies: the request is delivered without');
    }
    if (this.#closed) return;
    if (outcome === 'declared') this.#run(this.#book.declared(queue));
    else this.#book.failed(queue);
    const { publish, refuse } = this.#gate.settled(queue, outcome);
    for (const { then } of refuse) then('refuse');
    for (const { then } of publish) then('publish');
  }

  #wakeLater(): void {
    const at = this.#book.nextWake();
    if (at === this.#wakeAt) return;
    this.#cancelWake();
    this.#wakeAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#cancelWake = this.#options.clock.wake(at, () => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#run(this.#book.wake(this.#now()));
    });
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

/** The connection went meanwhile: it can succeed later. */
function isTransient(thrown: unknown): boolean {
  return thrown instanceof Fault && (thrown.code === 'TOMBOLO_BROKER_LOST' || thrown.code === 'TOMBOLO_CHANNEL_CLOSED');
}
