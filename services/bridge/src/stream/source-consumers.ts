import { deadLetterFacts, replayedProperties } from '@tombolo/wire/dead-letter-properties';
import { deliveryCount } from '@tombolo/wire/delivery-count';
import { forwardedProperties } from '@tombolo/wire/forwarded-properties';
import { identityOf } from '@tombolo/wire/identity';
import { scan } from '@tombolo/wire/properties';
import type { Consumer, Delivery } from '../broker/port.ts';
import { shownName } from '../routing/destination-key.ts';
import { MOST_TURNS } from './credit.ts';
import type { Taken } from './effects.ts';
import type { SourceFlow } from './source-flow.ts';
import type { SourceGround } from './source-ground.ts';

/** Of RabbitMQ 4, for quorum queues that have none of their own. */
const DEFAULT_LIMIT = 20;

/** A stream's consumers at the own broker, by generation, and what they are handed: identities taken, properties rewritten. */
export class SourceConsumers {
  readonly #ground: SourceGround;
  readonly #flow: SourceFlow;
  #priority: number | undefined;
  readonly #consumers = new Map<number, Consumer>();

  /** @param priority of the consumers; undefined: the broker's default */
  constructor(ground: SourceGround, flow: SourceFlow, priority: number | undefined) {
    this.#ground = ground;
    this.#flow = flow;
    this.#priority = priority;
  }

  /** Of consumers from now on. True when those that there are have another one. */
  setPriority(priority: number | undefined): boolean {
    const changed = priority !== this.#priority;
    this.#priority = priority;
    return changed;
  }

  consume(generation: number, prefetch: number): void {
    const { surroundings, queues } = this.#ground;
    const flow = this.#flow;
    const { destination, queue } = flow;
    const consumer = surroundings.broker.source.consume(
      { queue: queue.name, prefetch, priority: this.#priority, turns: this.turns() },
      {
        delivered: (deliveries) => {
          // Behind its own consumers in priority: whatever comes here they have no room for.
          if (this.#priority !== undefined) surroundings.spared(destination);
          if (destination.kind !== 'queue') surroundings.drew(destination);
          const taken = this.#taken(deliveries);
          flow.run((machine, now) => machine.delivered(generation, taken, now));
        },
        ended: (end) => {
          this.#consumers.delete(generation);
          if (end.why === 'queue-gone') queues.gone(queue.name);
          flow.run((machine, now) => machine.consumerEnded(generation, end, now));
        },
      },
    );
    this.#consumers.set(generation, consumer);
  }

  extend(generation: number, more: number): void {
    this.#consumers.get(generation)?.extend(more);
  }

  cancel(generation: number): void {
    this.#consumers.get(generation)?.cancel();
  }

  cancelAll(): void {
    for (const consumer of this.#consumers.values()) consumer.cancel();
  }

  /** The broker is gone, and they with it. */
  lost(): void {
    this.#consumers.clear();
  }

  /** With `conduitSubscriptions: false` a sink's share of what several want grows with the number of its consumers. */
  turns(): number {
    const { agreement, router } = this.#ground.surroundings;
    const { sink, destination } = this.#flow;
    const route = router.table.get(sink, destination);
    const passage = route?.best && agreement.outbound(route.best.neighbour, destination);
    if (!route || !passage?.open || passage.connector.conduitSubscriptions) return 1;
    return Math.max(1, Math.min(MOST_TURNS, route.last.consumers));
  }

  /** Those that were given back so often that the next time may be the last. */
  #warnOfLimit(deliveries: readonly Delivery[]): void {
    const { deliveryLimit = DEFAULT_LIMIT, type } = this.#flow.queue.properties;
    if (type !== undefined && type !== 'quorum') return;
    const near = deliveries.filter((each) => each.redelivered && deliveryCount(each.properties) >= deliveryLimit - 1);
    if (near.length === 0) return;
    const { log, metrics } = this.#ground.surroundings;
    const { connector, destination, queue, sink } = this.#flow;
    metrics.nearDeliveryLimit(connector, shownName(destination), sink, near.length);
    const fields = { queue: queue.name, peer: sink, messages: near.length, deliveryLimit };
    log.warn(fields, 'messages are near the delivery limit of their queue: it will drop them or park them elsewhere');
  }

  #taken(deliveries: readonly Delivery[]): Taken[] {
    const { surroundings } = this.#ground;
    const { clock, cluster, metrics, router } = surroundings;
    const { sink, destination, connector } = this.#flow;
    const path = [cluster, ...router.transits(sink, destination)];
    const now = clock.now();
    const replyTo = surroundings.replyTo();
    const isTopic = destination.kind === 'topic';
    this.#warnOfLimit(deliveries);
    const { name: queue } = this.#flow.queue;
    // A path without proof was copied by an application onto a message of its own.
    const forwarding = { path, onward: !isTopic, replyTo };
    return deliveries.map((delivered) => {
      const delivery = isTopic ? asPublished(delivered, queue) : delivered;
      const offsets = scan(delivery.properties);
      const properties = forwardedProperties(delivery.properties, forwarding, offsets);
      const { token, redelivered, exchange, routingKey, body, properties: original } = delivery;
      const { digest, hasId } = identityOf(delivery, offsets);
      const taken = { token, redelivered, digest, hasId, exchange, routingKey, original, properties, body, at: now };
      const reason = isTopic ? surroundings.screen(sink, destination, delivery) : undefined;
      if (reason === undefined) return taken;
      metrics.notCaptured(connector, destination.name, reason, 1);
      return { ...taken, skipped: true };
    });
  }
}

/** What was replayed into a topic's buffer says in its headers how it had come there first. */
function asPublished(delivery: Delivery, buffer: string): Delivery {
  if (delivery.exchange !== '' || delivery.routingKey !== buffer) return delivery;
  const { exchange, 'routing-key': routingKey } = deadLetterFacts(delivery.properties);
  if (exchange === undefined || routingKey === undefined) return delivery;
  return { ...delivery, exchange, routingKey, properties: replayedProperties(delivery.properties) };
}
