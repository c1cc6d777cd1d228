import { systemClock } from '@tombolo/kernel/clock';
import { awaitUntil } from '@tombolo/testing/await-until';
import { expect } from 'vitest';
import type { BrokerState, Delivery, PublishOutcome } from '../../src/broker/port.ts';
import { RabbitBroker } from '../../src/broker/rabbitmq/rabbit-broker.ts';
import { type Site, within } from './network.ts';

/*
 * Messages of AMQP 0-9-1 as raw bytes: amqplib keeps neither int64 nor float32 nor strings that are not UTF-8.
 */

type Bytes = readonly number[] | Uint8Array;
export type Entry = readonly [name: string, type: string, value: Bytes];

export const text = (value: string) => Buffer.from(value);
export const short = (value: string) => Buffer.concat([Buffer.from([value.length]), text(value)]);
export const long = (value: Bytes) => Buffer.concat([uint32(value.length), Buffer.from(value)]);
export const field = (type: string, value: Bytes) => Buffer.concat([text(type), Buffer.from(value)]);
export const table = (...entries: Entry[]) =>
  long(Buffer.concat(entries.map(([name, type, value]) => Buffer.concat([short(name), field(type, value)]))));
export const array = (...fields: Buffer[]) => long(Buffer.concat(fields));

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

/** In the order of the specification: the flag's bit, and the value's bytes. */
export function properties(...list: (readonly [bit: number, bytes: Uint8Array])[]): Buffer {
  const flags = Buffer.alloc(2);
  flags.writeUInt16BE(list.reduce((sum, [bit]) => sum | (1 << bit), 0));
  return Buffer.concat([flags, ...list.map(([, bytes]) => bytes)]);
}

export const bits = {
  contentType: 15,
  contentEncoding: 14,
  headers: 13,
  deliveryMode: 12,
  priority: 11,
  correlationId: 10,
  expiration: 8,
  messageId: 7,
  timestamp: 6,
  type: 5,
  userId: 4,
  appId: 3,
} as const;

/** The header of the clusters that a message came through. */
export const pathOf = (...clusters: string[]): Entry => [
  'x-tombolo-path',
  'A',
  array(...clusters.map((cluster) => field('S', long(text(cluster))))),
];

/** Every type of field that RabbitMQ reads. */
export const everyType: Entry[] = [
  ['void', 'V', []],
  ['boolean', 't', [1]],
  ['int8', 'b', [0x80]],
  ['uint8', 'B', [0xff]],
  ['int16', 's', [0x80, 0x00]],
  ['uint16', 'u', [0xff, 0xff]],
  ['int32', 'I', [0x80, 0, 0, 0]],
  ['uint32', 'i', [0xff, 0xff, 0xff, 0xff]],
  ['int64', 'l', int64(9_007_199_254_740_993n)],
  ['float32', 'f', [0x3d, 0xcc, 0xcc, 0xcd]],
  ['float64', 'd', [0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]],
  ['decimal', 'D', [2, 0, 0, 0x30, 0x39]],
  ['timestamp', 'T', int64(1_700_000_000n)],
  ['string', 'S', long(text('grüße'))],
  ['not UTF-8', 'S', long([0xff, 0xfe, 0x00, 0xc3, 0x28])],
  ['bytes', 'x', long([0, 1, 2, 0xff])],
  ['nested', 'F', table(['inner', 'F', table(['deep', 'l', int64(-1n)])], ['void', 'V', []])],
  ['list', 'A', array(field('l', int64(1n)), field('A', array(field('V', []))), field('F', table(['x', 'b', [1]])))],
];

/** The bridge's own adapter, which hands over raw bytes; only while no bridge runs there. */
async function raw<T>(site: Site, use: (broker: RabbitBroker) => Promise<T>): Promise<T> {
  const states: BrokerState[] = [];
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const broker = new RabbitBroker(
    {
      cluster: 'raw',
      instance: 'raw',
      uris: [{ host: '127.0.0.1', port: site.node.amqpPort, vhost: site.vhost, tls: false }],
      username: 'guest',
      password: 'guest',
      events: false,
    },
    { stateChanged: (state) => void states.push(state), blocked: () => {} },
    { clock: systemClock, random: Math.random, log: quiet },
  );
  broker.claim(true);
  broker.start();
  try {
    await awaitUntil('the raw adapter is on', () => states.at(-1)?.is === 'master');
    return await use(broker);
  } finally {
    await broker.stop();
  }
}

export const publishRaw = (site: Site, queue: string, messages: { properties: Uint8Array; body: Uint8Array }[]) =>
  raw(site, async (broker) => {
    const outcomes = new Map<number, PublishOutcome>();
    const publisher = broker.sink.publisher(queue, {
      outcome: (ids, outcome) => {
        for (const id of ids) outcomes.set(id, outcome);
      },
    });
    publisher.publish(messages.map((message, id) => ({ id, exchange: '', routingKey: queue, ...message })));
    await awaitUntil('all are answered', () => outcomes.size === messages.length, within(60_000));
    expect(new Set(outcomes.values())).toEqual(new Set(['confirmed']));
  });

export const consumeRaw = (site: Site, queue: string, count: number) =>
  raw(site, async (broker) => {
    const got: Delivery[] = [];
    broker.source.consume(
      { queue, prefetch: count, priority: undefined },
      { delivered: (deliveries) => void got.push(...deliveries), ended: () => {} },
    );
    await awaitUntil('all came', () => got.length === count, within(60_000));
    return got;
  });
