import type { Place } from './session.ts';
import { now, Session } from './session.ts';

/**
 * How long after `basic.consume` was written the first message arrives, in ms; the consumer takes it and leaves.
 */
export async function firstMessage(place: Place, queue: string): Promise<number> {
  const session = await Session.open(place);
  const channel = await session.model.createChannel();
  await channel.prefetch(10, false);
  let arrived: (time: number) => void = () => {};
  const arrival = new Promise<number>((resolve) => {
    arrived = resolve;
  });
  const began = now();
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (!message) return;
    arrived(now());
    channel.ack(message);
  });
  const ms = (await arrival) - began;
  await channel.cancel(consumerTag);
  await session.close();
  return ms;
}
