import { type ConsumeOrder, LoadConsumer } from './consumer.ts';
import { firstMessage } from './first-message.ts';
import { publish } from './producer.ts';
import { serve } from './remote.ts';
import { type Place, Session } from './session.ts';
import { StompConsumer, stompPublish } from './stomp.ts';

/** What a load process does on request. Consumers are known by the number that their start resolves with. */
const consumers = new Map<number, Pick<LoadConsumer, 'wait' | 'stop' | 'report'>>();
let serial = 0;

const keep = (consumer: Pick<LoadConsumer, 'wait' | 'stop' | 'report'>): number => {
  consumers.set(++serial, consumer);
  return serial;
};

const known = (id: number) => {
  const consumer = consumers.get(id);
  if (!consumer) throw new Error(`there is no consumer ${id}`);
  return consumer;
};

const calls = {
  publish,
  stompPublish,
  firstMessage: (order: Place & { readonly queue: string }) => firstMessage(order, order.queue),
  consume: async (order: ConsumeOrder) => keep(await LoadConsumer.start(order)),
  stompConsume: async (order: { readonly port: number; readonly queue: string; readonly numbers: number }) =>
    keep(await StompConsumer.start(order)),
  wait: async ({ id, distinct, withinMs }: { readonly id: number; readonly distinct: number; withinMs: number }) =>
    known(id).wait(distinct, withinMs),
  report: async (id: number) => known(id).report(),
  stop: async (id: number) => {
    const report = await known(id).stop();
    consumers.delete(id);
    return report;
  },
  /** Declares durable queues; each is bound to the exchange with its own name as key when one is given. */
  declare: async (order: Place & { readonly queues: readonly string[]; readonly exchange?: string }) => {
    const session = await Session.open(order);
    const channel = await session.model.createChannel();
    const { exchange } = order;
    if (exchange !== undefined) await channel.assertExchange(exchange, 'topic', { durable: true });
    await Promise.all(
      order.queues.map(async (queue) => {
        await channel.assertQueue(queue, { durable: true });
        if (exchange !== undefined) await channel.bindQueue(queue, exchange, queue);
      }),
    );
    await session.close();
  },
  declareExchange: async (order: Place & { readonly exchange: string }) => {
    const session = await Session.open(order);
    await (await session.model.createChannel()).assertExchange(order.exchange, 'topic', { durable: true });
    await session.close();
  },
  purge: async (order: Place & { readonly queues: readonly string[] }) => {
    const session = await Session.open(order);
    const channel = await session.model.createChannel();
    for (const queue of order.queues) await channel.purgeQueue(queue);
    await session.close();
  },
};

export type LoadCalls = typeof calls;

serve(calls);
