import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import type { StompFrame } from '../../src/broker/activemq/stomp-codec.ts';
import { ActiveMqSite, noActiveMq } from './activemq-site.ts';
import { Network, noNodes, Site, within } from './network.ts';
import {
  bits,
  consumeRaw,
  everyType,
  int64,
  long,
  pathOf,
  properties,
  publishRaw,
  short,
  table,
  text,
} from './raw-messages.ts';

let count = 0;
/** ActiveMQ has no virtual hosts: a test's queues have names of their own. */
const queueName = () => `fidelity-${process.pid}-${++count}`;

/** Everything that stays there. */
const all = (queue: string) => ({ staticallyIncludedDestinations: [{ queue }], dynamicallyIncludedDestinations: [] });

describe.skipIf(noNodes() || noActiveMq())('fidelity between RabbitMQ and ActiveMQ', () => {
  test('what goes from RabbitMQ through ActiveMQ to RabbitMQ arrives byte for byte, every type of header included', async () => {
    const queue = queueName();
    const [west, east, middle] = [await Site.open(0), await Site.open(1), ActiveMqSite.open(0)];
    await Promise.all([west.declare(queue), east.declare(queue), middle.declare(queue)]);
    const values = (headers: Buffer) =>
      properties(
        [bits.contentType, short('application/json')],
        [bits.headers, headers],
        [bits.deliveryMode, Buffer.from([2])],
        [bits.priority, Buffer.from([4])],
        [bits.correlationId, short('correlation')],
        [bits.expiration, short('600000')],
        [bits.messageId, short('message')],
        [bits.timestamp, int64(1_700_000_001n)],
        [bits.type, short('type')],
        [bits.appId, short('app')],
      );
    const misfire = [
      ['destination', 'S', long(text('elsewhere'))],
      ['AMQ_SCHEDULED_DELAY', 'l', int64(600_000n)],
      ['transaction', 't', [1]],
    ] as const;
    const cases = [
      { body: text('{"smile": "\u{1f600}"}'), headers: [...everyType, ...misfire] },
      { body: Buffer.from([0, 1, 0xff]), headers: [] },
    ];
    await publishRaw(
      west,
      queue,
      cases.map(({ headers, body }) => ({ properties: values(table(...headers)), body })),
    );
    const network = await Network.open({
      clusters: { west: { site: west }, middle: { site: middle }, east: { site: east } },
      connectors: [
        { name: 'in', from: 'west', to: 'middle', ...all(queue) },
        { name: 'out', from: 'middle', to: 'east', ...all(queue) },
      ],
    });
    await awaitUntil('all are at east', async () => (await east.ready(queue)) === cases.length, within(60_000));
    for (const side of ['west', 'middle', 'east']) expect(await network.bridge(side).stop()).toBe(0);
    const got = await consumeRaw(east, queue, cases.length);
    for (const [index, { body, headers }] of cases.entries()) {
      const came = values(table(...headers, pathOf('west', 'middle')));
      expect(Buffer.from(got[index]!.properties).toString('latin1')).toBe(came.toString('latin1'));
      expect(Buffer.compare(got[index]!.body, body)).toBe(0);
    }
  });

  test('applications on either side see the other’s messages as their own', async () => {
    const queue = queueName();
    const [rabbit, active] = [await Site.open(0), ActiveMqSite.open(0)];
    await Promise.all([`${queue}-a`, `${queue}-b`].flatMap((each) => [rabbit.declare(each), active.declare(each)]));
    await Network.open({
      clusters: { rabbit: { site: rabbit }, active: { site: active } },
      connectors: [
        {
          name: 'both',
          from: 'rabbit',
          to: 'active',
          duplex: true,
          dynamicallyIncludedDestinations: [{ queue: `${queue}-a` }, { queue: `${queue}-b` }],
        },
      ],
    });
    const frames: StompFrame[] = [];
    const client = await active.connect();
    await client.subscribe(`/queue/${queue}-a`, (frame) => void frames.push(frame));
    await rabbit.publish(`${queue}-a`, 1, {
      body: () => Buffer.from('grüße'),
      properties: () => ({
        persistent: true,
        contentType: 'text/plain',
        priority: 7,
        correlationId: 'correlation',
        messageId: 'message',
        type: 'type',
        headers: { size: 5, JMSXGroupID: 'group', type: 'a header of that name' },
      }),
    });
    await awaitUntil('it came to ActiveMQ', () => frames.length === 1, within(60_000));
    const { headers, body } = frames[0]!;
    expect(body.toString()).toBe('grüße');
    expect(Object.fromEntries(headers)).toMatchObject({
      persistent: 'true',
      'content-type': 'text/plain',
      priority: '7',
      'correlation-id': 'correlation',
      type: 'type',
      tombolo_message_id: 'message',
      size: '5',
      tombolo_header_type: 'a header of that name',
    });
    expect(headers.has('content-length')).toBe(false);

    const consumer = await rabbit.consume(`${queue}-b`);
    await client.send(`/queue/${queue}-b`, 'a text', [
      ['correlation-id', 'c'],
      ['priority', '6'],
      ['type', 't'],
      ['colour', 'blue'],
      ['timestamp', '1700000000123'],
      ['expires', '4102444800000'],
    ]);
    await client.send(`/queue/${queue}-b`, Buffer.from([0, 1]));
    await consumer.wait(2, 30_000);
    const [sent, bytes] = consumer.got.map(({ message }) => message);
    expect(sent!.content.toString()).toBe('a text');
    expect(sent!.properties).toMatchObject({
      contentType: 'text/plain',
      correlationId: 'c',
      priority: 6,
      type: 't',
      deliveryMode: 2,
      timestamp: 1_700_000_000,
      messageId: expect.stringMatching(/^ID:/),
      headers: { colour: 'blue' },
    });
    expect([...bytes!.content]).toEqual([0, 1]);
    expect(bytes!.properties.contentType).toBeUndefined();
  });
});
