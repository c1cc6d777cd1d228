import { systemClock } from '@tombolo/kernel/clock';
import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import type { BrokerState, Delivery, PublishOutcome } from '../../src/broker/port.ts';
import { RabbitBroker } from '../../src/broker/rabbitmq/rabbit-broker.ts';
import { Network, noNodes, Site, westToEast, within } from './network.ts';

// ---- raw bytes: amqplib keeps neither int64 nor float32 nor strings that are not UTF-8 --------------------------------------

type Bytes = readonly number[] | Uint8Array;
type Entry = readonly [name: string, type: string, value: Bytes];

const text = (value: string) => Buffer.from(value);
const short = (value: string) => Buffer.concat([Buffer.from([value.length]), text(value)]);
const long = (value: Bytes) => Buffer.concat([uint32(value.length), Buffer.from(value)]);
const field = (type: string, value: Bytes) => Buffer.concat([text(type), Buffer.from(value)]);
const table = (...entries: Entry[]) =>
  long(Buffer.concat(entries.map(([name, type, value]) => Buffer.concat([short(name), field(type, value)]))));
const array = (...fields: Buffer[]) => long(Buffer.concat(fields));

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

/** In the order of the specification: the flag's bit, and the value's bytes. */
function properties(...list: (readonly [bit: number, bytes: Uint8Array])[]): Buffer {
  const flags = Buffer.alloc(2);
  flags.writeUInt16BE(list.reduce((sum, [bit]) => sum | (1 << bit), 0));
  return Buffer.concat([flags, ...list.map(([, bytes]) => bytes)]);
}

const bits = {
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

const path: Entry = ['x-tombolo-path', 'A', array(field('S', long(text('west'))))];

/** Every type of field that RabbitMQ reads. */
const everyType: Entry[] = [
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

const publishRaw = (site: Site, queue: string, messages: { properties: Uint8Array; body: Uint8Array }[]) =>
  raw(site, async (broker) => {
    const outcomes = new Map<number, PublishOutcome>();
    const publisher = broker.sink.publisher(queue, {
      outcome: (ids, outcome) => {
        for (const id of ids) outcomes.set(id, outcome);
      },
    });
    publisher.publish(messages.map((message, id) => ({ id, exchange: '', routingKey: queue, ...message })));
    await awaitUntil('all are answered', () => outcomes.size === messages.length, within(20_000));
    expect(new Set(outcomes.values())).toEqual(new Set(['confirmed']));
  });

const consumeRaw = (site: Site, queue: string, count: number) =>
  raw(site, async (broker) => {
    const got: Delivery[] = [];
    broker.source.consume(
      { queue, prefetch: count, priority: undefined },
      { delivered: (deliveries) => void got.push(...deliveries), ended: () => {} },
    );
    await awaitUntil('all came', () => got.length === count, within(20_000));
    return got;
  });

describe.skipIf(noNodes())('fidelity', () => {
  test('bodies, properties and every type of header arrive byte for byte, with the path added', async () => {
    const [west, east] = await Promise.all([Site.open(0), Site.open(1)]);
    await Promise.all([west, east].flatMap((site) => [site.declare('q'), site.declare('copied')]));
    const front = [
      [bits.contentType, short('application/json')],
      [bits.contentEncoding, short('gzip')],
    ] as const;
    const back = [
      [bits.deliveryMode, Buffer.from([2])],
      [bits.priority, Buffer.from([7])],
      [bits.correlationId, short('correlation')],
      [bits.expiration, short('600000')],
      [bits.messageId, short('message')],
      [bits.timestamp, int64(1_700_000_001n)],
      [bits.type, short('type')],
    ] as const;
    const app = [bits.appId, short('app')] as const;
    const cc = array(field('S', long(text('copied'))));
    const user: Entry = ['x-tombolo-user-id', 'S', long(text('guest'))];
    const cases = [
      {
        what: 'every type',
        sent: properties(...front, [bits.headers, table(...everyType)], ...back, app),
        came: properties(...front, [bits.headers, table(...everyType, path)], ...back, app),
        body: text('body'),
      },
      {
        what: 'user-id and CC, carried and not obeyed',
        sent: properties([bits.headers, table(['CC', 'A', cc], ['a', 't', [1]])], [bits.userId, short('guest')], app),
        came: properties([bits.headers, table(['x-tombolo-cc', 'A', cc], ['a', 't', [1]], user, path)], app),
        body: text('copied'),
      },
      {
        what: 'what a client claims under our names',
        sent: properties([
          bits.headers,
          table(['x-tombolo-user-id', 'S', long(text('root'))], ['x-tombolo-cc', 'A', cc]),
        ]),
        came: properties([bits.headers, table(path)]),
        body: text('claims'),
      },
      {
        what: 'nothing at all',
        sent: properties(),
        came: properties([bits.headers, table(path)]),
        body: Buffer.alloc(0),
      },
      {
        what: '16 MiB, not persistent',
        sent: properties([bits.deliveryMode, Buffer.from([1])]),
        came: properties([bits.headers, table(path)], [bits.deliveryMode, Buffer.from([1])]),
        body: Buffer.alloc(16 * 1024 * 1024, 'abcdefg'),
      },
    ];
    await publishRaw(
      west,
      'q',
      cases.map(({ sent, body }) => ({ properties: sent, body })),
    );
    expect(await west.ready('copied')).toBe(1);
    const network = await Network.open({
      clusters: { west: { site: west }, east: { site: east } },
      connectors: [
        {
          name: 'one',
          from: 'west',
          to: 'east',
          staticallyIncludedDestinations: [{ queue: 'q' }],
          excludedDestinations: [{ queue: 'copied' }],
        },
      ],
    });
    await awaitUntil('all are at east', async () => (await east.ready('q')) === cases.length, within(20_000));
    expect(await east.ready('copied')).toBe(0);
    for (const side of ['west', 'east']) expect(await network.bridge(side).stop()).toBe(0);
    const got = await consumeRaw(east, 'q', cases.length);
    for (const [index, { what, came, body }] of cases.entries()) {
      expect(Buffer.from(got[index]!.properties).toString('latin1'), what).toBe(came.toString('latin1'));
      expect(Buffer.compare(got[index]!.body, body), what).toBe(0);
    }
  });

  test('a message that the sink’s broker refuses for good is parked with the reason, and the rest goes on in order', async () => {
    const { west, east, network } = await westToEast();
    await Promise.all([west.declare('q'), east.declare('q')]);
    const body = (index: number) => (index === 7 ? Buffer.alloc(33 * 1024 * 1024, 'x') : Buffer.from(String(index)));
    await west.publish('q', 20, { body });
    const consumer = await east.consume('q');
    await consumer.wait(19);
    await parked(west);
    expect(consumer.bodies().map(Number)).toEqual([
      0,
      1,
      2,
      3,
      4,
      5,
      6,
      ...Array.from({ length: 12 }, (_, i) => i + 8),
    ]);
    await awaitUntil('it is counted', async () => {
      return (await network.bridge('west').metric('tombolo_messages_dead_lettered_total')) === 1;
    });
    const letters = await west.consume('tombolo.dead-letters', { forget: true });
    await letters.wait(1);
    expect(letters.got[0]!.message.properties.headers).toMatchObject({
      'x-tombolo-reason': expect.stringMatching(/larger than/),
      'x-tombolo-peer': 'east',
      'x-tombolo-destination': 'q',
    });
    expect(await west.ready('q')).toBe(0);
  });

  test('a message whose headers fit no frame once ours are added is parked as it was, and the rest goes on', async () => {
    const [west, east] = await Promise.all([Site.open(0), Site.open(1)]);
    await Promise.all([west.declare('q'), east.declare('q')]);
    // The largest frame less its own eight bytes, twelve of the content header, and ten: the path does not fit.
    const filled = (value: number) =>
      properties([bits.headers, table(['filling', 'S', long(Buffer.alloc(value, 'x'))])]);
    const largest = filled(131_072 - 8 - 12 - 10 - filled(0).length);
    const plain = properties();
    await publishRaw(
      west,
      'q',
      Array.from({ length: 20 }, (_, index) => ({ properties: index === 7 ? largest : plain, body: text(`${index}`) })),
    );
    const network = await Network.open({
      clusters: { west: { site: west }, east: { site: east } },
      connectors: [{ name: 'west-east', from: 'west', to: 'east' }],
    });
    const consumer = await east.consume('q');
    await consumer.wait(19);
    await parked(west);
    expect(await west.ready('q')).toBe(0);
    expect(await network.bridge('west').stop()).toBe(0);
    const [letter] = await consumeRaw(west, 'tombolo.dead-letters', 1);
    expect(Buffer.from(letter!.body).toString()).toBe('7');
    expect(Buffer.compare(letter!.properties, largest)).toBe(0);
  });
});

const parked = (site: Site) =>
  awaitUntil('one is parked', async () => (await site.ready('tombolo.dead-letters')) === 1, within(15_000));
