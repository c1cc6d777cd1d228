import type { Clock } from '@tombolo/kernel/clock';
import { Wakes } from '@tombolo/kernel/wakes';
import type { BindingsRequestFrame, Destination } from '@tombolo/wire/frame';
import type { Publication, PublishOutcome } from '../broker/port.ts';
import type { Router } from '../routing/router.ts';
import type { Landing } from '../stream/landing.ts';
import { BindingLog } from './bindings.ts';
import type { SeenExchange } from './seen-exchanges.ts';

export interface TopicSinkOptions {
  readonly cluster: string;
  readonly incarnation: number;
  readonly router: Router;
  readonly clock: Clock;
  /** The properties with which a message is published, so that it is known to have come through a bridge. */
  readonly proven: (message: Omit<Publication, 'id'>) => Uint8Array;
  /** Messages that nothing at the sink took. */
  readonly unroutable: (exchange: string, messages: number) => void;
}

/** Applications bind one by one: what comes within this time is told at once. */
const TELL_MS = 20;
/** How long a demand outlives its last binding: an application that reconnects binds anew. */
const HYSTERESIS_MS = 3_000;

interface Bound {
  readonly log: BindingLog;
  tellAt: number;
  withdrawAt: number;
}

/** The sink's side of topics: what is bound here is told to those who ask, and what comes is published to the exchange. */
export class TopicSink implements Landing {
  readonly #options: TopicSinkOptions;
  readonly #exchanges = new Map<string, Bound>();
  readonly #present = new Set<string>();
  readonly #wakes: Wakes<string>;
  #visible = false;

  constructor(options: TopicSinkOptions) {
    this.#options = options;
    this.#wakes = new Wakes(options.clock, (exchange) => this.#wake(exchange));
  }

  exchangeChanged(exchange: string, seen: SeenExchange | undefined): void {
    const { clock, incarnation } = this.#options;
    if (seen) this.#present.add(exchange);
    else this.#present.delete(exchange);
    // What no client may publish to takes nothing from a bridge either.
    const bindings = seen && !seen.properties.internal ? [...seen.bindings.values()] : [];
    let bound = this.#exchanges.get(exchange);
    if (!bound) {
      if (bindings.length === 0) return;
      const never = Number.POSITIVE_INFINITY;
      bound = { log: new BindingLog(incarnation), tellAt: never, withdrawAt: never };
      this.#exchanges.set(exchange, bound);
    }
    const before = bound.log.held.version;
    bound.log.replace(bindings);
    if (bound.log.held.version === before) return;
    const now = clock.now();
    bound.withdrawAt = bindings.length === 0 ? now + (seen ? HYSTERESIS_MS : 0) : Number.POSITIVE_INFINITY;
    bound.tellAt = Math.min(bound.tellAt, now + TELL_MS);
    this.#wakes.set(exchange, Math.min(bound.tellAt, bound.withdrawAt));
  }

  bindingsVisible(visible: boolean): void {
    this.#visible = visible;
  }

  /** Answers a source that asks for bindings. What is not seen is not said. */
  requested(frame: BindingsRequestFrame): void {
    const bound = this.#exchanges.get(frame.exchange);
    if (!bound || !this.#visible) return;
    const { incarnation, version, source, sink, exchange } = frame;
    const known = bound.log.held;
    const updates = bound.log.since(incarnation === 0 ? undefined : { incarnation, version });
    const nothing = { is: 'ops', incarnation: known.incarnation, from: known.version, ops: [] } as const;
    for (const update of updates.length > 0 ? updates : [nothing]) {
      this.#options.router.send({ kind: 'bindings', source, sink, exchange, update });
    }
  }

  publication(
    { name }: Destination,
    message: Parameters<Landing['publication']>[1],
  ): ReturnType<Landing['publication']> {
    const { sequence, routingKey, body } = message;
    if (!this.#present.has(name)) {
      this.#options.unroutable(name, 1);
      return { outcome: 'confirmed', detail: 'the exchange is gone, and with it all who had subscribed' };
    }
    const published = { exchange: name, routingKey, properties: message.properties, body };
    return { id: sequence, ...published, properties: this.#options.proven(published) };
  }

  /** What nobody here has subscribed to (any more) is done with. */
  outcome({ name }: Destination, outcome: PublishOutcome, messages: number): PublishOutcome {
    if (outcome !== 'returned') return outcome;
    this.#options.unroutable(name, messages);
    return 'confirmed';
  }

  close(): void {
    this.#wakes.clear();
  }

  #wake(exchange: string): void {
    const bound = this.#exchanges.get(exchange);
    if (!bound) return;
    const { clock, router } = this.#options;
    const now = clock.now();
    const destination: Destination = { kind: 'topic', name: exchange };
    if (now >= bound.withdrawAt) {
      bound.withdrawAt = Number.POSITIVE_INFINITY;
      bound.tellAt = Number.POSITIVE_INFINITY;
      router.withdraw(destination);
    } else if (now >= bound.tellAt) {
      bound.tellAt = Number.POSITIVE_INFINITY;
      if (bound.log.size > 0) router.advertise({ destination, consumers: bound.log.size, queue: {} });
    }
    this.#wakes.set(exchange, Math.min(bound.tellAt, bound.withdrawAt));
  }
}
