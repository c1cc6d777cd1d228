import type { Broker, ConsumerEnd, Delivery, Publication, PublishOutcome } from '@tombolo/bridge/broker/port';

/** Delivery mode 2, raw. */
export const persistent = Uint8Array.of(0x10, 0x00, 0x02);
export const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
export const bytes = (content: string) => Buffer.from(content);

/** Consumes, and keeps what comes. */
export function consumeFrom(broker: Broker, queue: string, prefetch: number, priority?: number) {
  const got: Delivery[] = [];
  const ends: ConsumerEnd[] = [];
  const consumer = broker.source.consume(
    { queue, prefetch, priority },
    {
      delivered: (deliveries) => {
        if (ends.length > 0) throw new Error('a delivery came after the end');
        got.push(...deliveries);
      },
      ended: (end) => ends.push(end),
    },
  );
  const { cancel, extend } = consumer;
  return { got, ends, cancel, extend, tokens: () => got.map((each) => each.token) };
}

/** Publishes, and keeps the outcomes; nothing may have two. */
export function publisherOf(broker: Broker, destination: string) {
  const outcomes = new Map<number, { outcome: PublishOutcome; detail: string | undefined }>();
  const its = broker.sink.publisher(destination, {
    outcome: (ids, outcome, detail) => {
      for (const id of ids) {
        if (outcomes.has(id)) throw new Error(`publication ${id} has two outcomes`);
        outcomes.set(id, { outcome, detail });
      }
    },
  });
  const publish = (...list: (Partial<Publication> & { id: number })[]) =>
    its.publish(
      list.map((each) => ({
        exchange: '',
        routingKey: destination,
        properties: persistent,
        body: bytes(`m${each.id}`),
        ...each,
      })),
    );
  return { outcomes, publish, outcome: (id: number) => outcomes.get(id)?.outcome };
}
