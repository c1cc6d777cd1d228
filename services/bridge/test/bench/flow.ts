import { setTimeout as pause } from 'node:timers/promises';
import { type Ground, place } from './ground.ts';
import type { Sample, Watch } from './sample.ts';
import type { Way } from './ways/way.ts';

export interface Flow {
  readonly messages: number;
  readonly bodyBytes: number;
}

const patience = 120_000;

/** Messages wait at the source; a consumer comes to the sink. The rate from its first message to its last. */
export async function backlog(ground: Ground, way: Way, { messages, bodyBytes }: Flow, watch: Watch): Promise<Sample> {
  const { producer, consumer } = ground;
  const { queues, source, sink } = way;
  await producer.call('publish', { ...place(source), keys: queues, count: messages, bodyBytes });
  await rest();
  await watch.begin();
  const id = await consumer.call('consume', { ...place(sink), queues, numbers: messages });
  await way.tap?.open();
  const { first, last } = await consumer.call('wait', { id, distinct: messages, withinMs: patience });
  watch.end(messages);
  await consumer.call('stop', id);
  await clear(ground, way);
  return { rate: (messages / (last - first)) * 1_000 };
}

/** A producer at the source that sends as fast as it gets confirms, and a consumer at the sink. */
export async function live(ground: Ground, way: Way, { messages, bodyBytes }: Flow, watch: Watch): Promise<Sample> {
  const { producer, consumer } = ground;
  const { queues, source, sink, exchange = '' } = way;
  const id = await consumer.call('consume', { ...place(sink), queues, numbers: messages });
  await way.tap?.open();
  await rest();
  await watch.begin();
  const order = { ...place(source), exchange, keys: queues, count: messages, bodyBytes };
  const { seconds } = await producer.call('publish', order);
  const { first, last } = await consumer.call('wait', { id, distinct: messages, withinMs: patience });
  watch.end(messages);
  await consumer.call('stop', id);
  await clear(ground, way);
  return { rate: (messages / (last - first)) * 1_000, produced: messages / seconds };
}

/** So many messages a second; from being written to being read, the first second left out. */
export async function latency(
  ground: Ground,
  way: Way,
  { messages, bodyBytes, rate }: Flow & { readonly rate: number },
  watch: Watch,
): Promise<Sample> {
  const { producer, consumer } = ground;
  const { queues, source, sink } = way;
  const id = await consumer.call('consume', { ...place(sink), queues, numbers: messages, warm: rate });
  await way.tap?.open();
  await rest();
  await watch.begin();
  await producer.call('publish', { ...place(source), keys: queues, count: messages, bodyBytes, rate });
  const { p50, p99 } = await consumer.call('wait', { id, distinct: messages, withinMs: patience });
  watch.end(messages);
  await consumer.call('stop', id);
  await clear(ground, way);
  return { p50, p99 };
}

/** Confirmed publishing into a queue without a consumer. */
export async function publishing(
  ground: Ground,
  way: Way,
  { messages, bodyBytes }: Flow,
  watch: Watch,
): Promise<Sample> {
  const { producer, consumer } = ground;
  const { queues, sink } = way;
  await watch.begin();
  const { seconds } = await producer.call('publish', { ...place(sink), keys: queues, count: messages, bodyBytes });
  watch.end(messages);
  const id = await consumer.call('consume', { ...place(sink), queues, numbers: messages });
  await consumer.call('wait', { id, distinct: messages, withinMs: patience });
  await consumer.call('stop', id);
  return { rate: messages / seconds };
}

/** Nothing is left of a run, so that the next begins where this one did. */
async function clear({ producer, consumer }: Ground, { source, sink, queues, tap, exchange }: Way): Promise<void> {
  // The last confirms become acknowledgements yet; a shovel that goes before gives messages back.
  await rest();
  await tap?.close();
  if (exchange === undefined) await producer.call('purge', { ...place(source), queues });
  await consumer.call('purge', { ...place(sink), queues });
}

/** Brokers write to their disks for a moment after the last confirm. */
function rest(): Promise<void> {
  return pause(400);
}
