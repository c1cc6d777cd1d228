import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { Network, noNodes, Site, westToEast, within } from './network.ts';
import {
  array,
  bits,
  consumeRaw,
  type Entry,
  everyType,
  field,
  int64,
  long,
  pathOf,
  properties,
  publishRaw,
  short,
  table,
  text,
} from './raw-messages.ts';

const path = pathOf('west');

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
    await awaitUntil('all are at east', async () => (await east.ready('q')) === cases.length, within(60_000));
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
  awaitUntil('one is parked', async () => (await site.ready('tombolo.dead-letters')) === 1, within(60_000));
