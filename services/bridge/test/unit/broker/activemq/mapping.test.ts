import { forwardedProperties } from '@tombolo/wire/forwarded-properties';
import { identityOf } from '@tombolo/wire/identity';
import { hasRoutingHeader } from '@tombolo/wire/routing-headers';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type PropertyName,
  readContentHeader,
  readTable,
  writeContentHeader,
  writeTable,
} from '../../../../src/broker/activemq/mapping/content-header.ts';
import { fieldText } from '../../../../src/broker/activemq/mapping/field-text.ts';
import { mayHideBody, toEnvelope } from '../../../../src/broker/activemq/mapping/to-envelope.ts';
import { toFrame } from '../../../../src/broker/activemq/mapping/to-frame.ts';
import { encodeFrame } from '../../../../src/broker/activemq/stomp-codec.ts';
import { body, properties } from './arbitrary-message.ts';
import { shownByBroker } from './shown-by-broker.ts';

const now = 1_800_000_000_000;
const nothing = Buffer.alloc(0);

/** A message as a JMS or STOMP client's arrives from ActiveMQ. */
const shown = (headers: Readonly<Record<string, string>> = {}) =>
  new Map(
    Object.entries({
      'message-id': 'ID:host-1:1:1:1',
      destination: '/queue/orders',
      subscription: '1',
      ack: 'ack-1',
      expires: '0',
      priority: '4',
      timestamp: '1700000000123',
      ...headers,
    }),
  );

/** Properties by name, the table of headers as `name: [type, text]`. */
function described(raw: Uint8Array): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const [name, value] of readContentHeader(raw)) {
    if (name === 'headers') {
      all['headers'] = Object.fromEntries(
        readTable(value).map((field) => [field.name.toString(), [field.type, fieldText(field)]]),
      );
    } else if (name === 'deliveryMode' || name === 'priority') all[name] = value[0];
    else if (name === 'timestamp') all[name] = Number(value.readBigUInt64BE());
    else all[name] = value.toString();
  }
  return all;
}

const amqp = (present: Partial<Record<PropertyName, string | number | Buffer>>) =>
  writeContentHeader(
    new Map(
      (Object.entries(present) as [PropertyName, string | number | Buffer][]).map(([name, value]) => [
        name,
        typeof value === 'number' ? Buffer.from([value]) : Buffer.from(value as string),
      ]),
    ),
  );
const string = (name: string, text: string) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(text));
  return { name: Buffer.from(name), type: 'S', value: Buffer.concat([length, Buffer.from(text)]) };
};
const headersOf = (message: { properties: Uint8Array; body?: Uint8Array; exchange?: string; routingKey?: string }) =>
  toFrame({ exchange: '', routingKey: 'q', body: nothing, ...message }, now).headers;

describe('AMQP to ActiveMQ', () => {
  test('properties become the headers of JMS, and those that JMS has no place for properties', () => {
    const sent = amqp({
      contentType: 'application/json',
      contentEncoding: 'gzip',
      deliveryMode: 2,
      priority: 7,
      correlationId: 'correlation',
      replyTo: 'answers',
      expiration: '60000',
      messageId: 'message',
      timestamp: Buffer.from([0, 0, 0, 0, 0x65, 0x53, 0xf1, 0x00]),
      type: 'type',
      appId: 'app',
      clusterId: 'cluster',
    });
    const { tombolo_properties: sidecar, ...headers } = Object.fromEntries(headersOf({ properties: sent }));
    expect(headers).toEqual({
      destination: '/queue/q',
      'content-type': 'application/json',
      'content-encoding': 'gzip',
      persistent: 'true',
      priority: '7',
      'correlation-id': 'correlation',
      'reply-to': '/queue/answers',
      expires: String(now + 60_000),
      timestamp: String(0x6553f100 * 1_000),
      type: 'type',
      tombolo_message_id: 'message',
      tombolo_app_id: 'app',
      tombolo_cluster_id: 'cluster',
      'content-length': '0',
    });
    expect(Buffer.from(sidecar as string, 'base64').equals(sent)).toBe(true);
  });

  test.each([
    ['S', string('n', 'grüße').value, 'grüße'],
    ['t', [1], 'true'],
    ['b', [0x80], '-128'],
    ['B', [0xff], '255'],
    ['s', [0x80, 0], '-32768'],
    ['u', [0xff, 0xff], '65535'],
    ['I', [0x80, 0, 0, 0], '-2147483648'],
    ['i', [0xff, 0xff, 0xff, 0xff], '4294967295'],
    ['l', [0, 0x20, 0, 0, 0, 0, 0, 1], '9007199254740993'],
    ['f', [0x3d, 0xcc, 0xcc, 0xcd], '0.1'],
    ['d', [0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], '0.1'],
    ['D', [2, 0xff, 0xff, 0xff, 0xfb], '-0.05'],
    ['T', [0, 0, 0, 0, 0x65, 0x53, 0xf1, 0], '1700000000'],
    ['V', [], undefined],
    ['x', [0, 0, 0, 1, 0], undefined],
    ['A', [0, 0, 0, 1, 0x56], undefined],
    ['F', [0, 0, 0, 3, 1, 0x61, 0x56], undefined],
    ['S', [0, 0, 0, 1, 0xff], undefined],
  ])('a header of type %s is shown as its text, or not at all', (type, value, text) => {
    const headers = writeTable([{ name: Buffer.from('n'), type, value: Buffer.from(value) }]);
    expect(headersOf({ properties: amqp({ headers }) }).get('n')).toBe(text);
  });

  test.each([
    ['destination', 'tombolo_header_destination'],
    ['transaction', 'tombolo_header_transaction'],
    ['receipt', 'tombolo_header_receipt'],
    ['transformation', 'tombolo_header_transformation'],
    ['amq-msg-type', 'tombolo_header_amq-msg-type'],
    ['persistent', 'tombolo_header_persistent'],
    ['expires', 'tombolo_header_expires'],
    ['AMQ_SCHEDULED_DELAY', 'tombolo_header_AMQ_SCHEDULED_DELAY'],
    ['JMSXUserID', 'tombolo_header_JMSXUserID'],
    ['JMSXDeliveryCount', 'tombolo_header_JMSXDeliveryCount'],
    ['JMSPriority', 'tombolo_header_JMSPriority'],
    ['tombolo_message_id', 'tombolo_header_tombolo_message_id'],
    ['JMSXGroupSeq', 'tombolo_header_JMSXGroupSeq'],
    ['JMSXGroupID', 'JMSXGroupID'],
    ['JMS_IBM_Format', 'JMS_IBM_Format'],
    ['id', 'id'],
    ['x-any', 'x-any'],
  ])('a header called %s is the property %s', (header, property) => {
    const headers = headersOf({ properties: amqp({ headers: writeTable([string(header, 'no number')]) }) });
    expect(headers.get(property)).toBe('no number');
    if (header !== property) expect(headers.get(header)).not.toBe('no number');
  });

  test.each([
    ['application/json', '{}', true],
    ['application/problem+json; charset=utf-8', '{}', true],
    ['text/plain', 'grüße', true],
    ['text/plain; charset=iso-8859-1', 'text', false],
    ['application/octet-stream', 'text', false],
    ['', 'text', false],
    ['text/plain', Buffer.from([0xff]), false],
  ])('content type %s with the body %s: is it a text?', (contentType, content, isText) => {
    const message = { properties: amqp({ contentType }), body: Buffer.from(content as string) };
    expect(headersOf(message).has('content-length')).toBe(!isText);
  });

  test('a text is written as Java reads it, which knows neither a zero nor four bytes for a character', () => {
    const text = Buffer.from('a\0\u{1f600}');
    const frame = toFrame(
      { exchange: '', routingKey: 'q', properties: amqp({ contentType: 'text/plain' }), body: text },
      now,
    );
    expect([...frame.body]).toEqual([0x61, 0xc0, 0x80, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]);
    expect(text.equals(toEnvelope(shownByBroker(frame.headers), frame.body).body)).toBe(true);
  });

  test('large properties are cut into lines that ActiveMQ takes, and what fits no line is not shown', () => {
    const large = amqp({ headers: writeTable([string('large', 'x'.repeat(100_000)), string('small', 'x')]) });
    const headers = headersOf({ properties: large });
    expect(headers.has('large')).toBe(false);
    expect(headers.get('small')).toBe('x');
    for (const [name, value] of headers) expect(Buffer.byteLength(name) + value.length).toBeLessThan(10_240);
    expect(toEnvelope(shownByBroker(headers), nothing).properties).toEqual(large);
  });
});

describe('ActiveMQ to AMQP', () => {
  test('headers of JMS become properties, the rest travels in x-tombolo-jms', () => {
    const { properties: raw, ...envelope } = toEnvelope(
      shown({
        'correlation-id': 'correlation',
        type: 'type',
        priority: '7',
        persistent: 'true',
        expires: String(1_700_000_000_123 + 60_000),
        'reply-to': '/queue/answers',
        JMSXUserID: 'alice',
        redelivered: 'true',
        colour: 'blue',
        CC: 'elsewhere',
      }),
      Buffer.from('grüße'),
    );
    expect(envelope).toEqual({ exchange: '', routingKey: 'orders', body: Buffer.from('grüße') });
    expect(described(raw)).toEqual({
      contentType: 'text/plain',
      headers: { colour: ['S', 'blue'], 'x-tombolo-jms': ['F', undefined] },
      deliveryMode: 2,
      priority: 7,
      correlationId: 'correlation',
      replyTo: 'answers',
      expiration: '60000',
      messageId: 'ID:host-1:1:1:1',
      timestamp: 1_700_000_000,
      type: 'type',
      userId: 'alice',
    });
  });

  test.each([
    ['/queue/a.b', { exchange: '', routingKey: 'a.b' }],
    ['/topic/prices.eur', { exchange: 'amq.topic', routingKey: 'prices.eur' }],
    ['/remote-temp-queue/ID:h-1:1:1', { exchange: '', routingKey: '/remote-temp-queue/ID:h-1:1:1' }],
  ])('%s is the address of the message, and back', (destination, address) => {
    expect(toEnvelope(shown({ destination }), nothing)).toMatchObject(address);
    expect(headersOf({ properties: amqp({}), ...address }).get('destination')).toBe(destination);
  });

  test('a queue whose name ActiveMQ would obey gets none of its meaning', () => {
    const to = (routingKey: string) => headersOf({ properties: amqp({}), routingKey }).get('destination');
    expect(to('a,b')).toBe('/queue/a%2Cb');
    expect(to('a?consumer.priority=1')).toBe('/queue/a%3Fconsumer.priority=1');
    expect(to('a.*.>')).toBe('/queue/a.%2A.%3E');
    expect(to(' a>b ')).toBe('/queue/%20a>b%20');
    expect(to('/temp-queue/a')).toBe('/queue//temp-queue/a');
  });

  test('a message is the same message when it is delivered again', () => {
    const headers = { colour: 'blue', size: '5', expires: '1700000099999' };
    const first = toEnvelope(shown(headers), Buffer.from('a'));
    const again = toEnvelope(
      new Map([...shown({ ...headers, redelivered: 'true', ack: 'ack-7', subscription: '9' })].reverse()),
      Buffer.from('a'),
    );
    expect(identityOf(again)).toEqual(identityOf(first));
  });

  test.each([
    ['text', Buffer.from('a text')],
    ['text as Java writes it', Buffer.from([0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80, 0xc0, 0x80])],
    ['text with four bytes, by a STOMP client', Buffer.from('\u{1f600}')],
    ['text that is no UTF-8', Buffer.from([0xff, 0xfe])],
    ['text of mixed encodings', Buffer.from([0xf0, 0x9f, 0x98, 0x80, 0xc0, 0x80])],
    ['bytes', Buffer.from([0, 1, 2, 0xff])],
    ['no bytes', nothing],
  ])('to another ActiveMQ go the same bytes of the same kind: %s', (kind, content) => {
    const isText = kind.startsWith('text');
    const sent = shown({
      ...(isText ? {} : { 'content-length': String(content.length) }),
      expires: '1900000000000',
      'correlation-id': 'c'.repeat(3_000),
      'reply-to': `/topic/${'r'.repeat(300)}`,
      [`long${'n'.repeat(300)}`]: 'name',
      BCC: 'x',
      JMSXUserID: 'alice',
    });
    const envelope = toEnvelope(sent, content);
    const properties = forwardedProperties(envelope.properties, { path: ['west'] });
    const frame = toFrame({ ...envelope, properties }, now);
    expect(frame.body.equals(content)).toBe(true);
    const got = Object.fromEntries(frame.headers);
    for (const [name, value] of sent) {
      if (['message-id', 'subscription', 'ack', 'JMSXUserID'].includes(name)) expect(got[name]).toBeUndefined();
      else expect(got[name], name).toBe(value);
    }
    expect(got).toMatchObject({ tombolo_message_id: 'ID:host-1:1:1:1', 'x-tombolo-user-id': 'alice' });
    expect(got['content-type']).toBeUndefined();
  });

  test('a time to live that AMQP cannot have is the deadline on the other side all the same', () => {
    const envelope = toEnvelope(shown({ expires: '99999999999999' }), nothing);
    expect(described(envelope.properties)['expiration']).toBeUndefined();
    expect(headersOf(envelope).get('expires')).toBe('99999999999999');
  });
});

describe('a message whose body STOMP may not show', () => {
  test.each([
    ['no body and no length, as of a MapMessage', {}, nothing, true],
    ['a text', {}, Buffer.from('a'), false],
    ['no bytes', { 'content-length': '0' }, nothing, false],
  ])('%s', (_, headers, content, hidden) => {
    expect(mayHideBody(shown(headers as Record<string, string>), content)).toBe(hidden);
  });

  test('an empty text that a bridge has sent is known to be empty, a message that only copies its properties is not', () => {
    const message = { exchange: '', routingKey: 'q', properties: amqp({ contentType: 'text/plain' }), body: nothing };
    const { headers } = toFrame(message, now);
    expect(mayHideBody(shownByBroker(headers), nothing)).toBe(false);
    expect(mayHideBody(shownByBroker(headers).set('colour', 'blue'), nothing)).toBe(true);
  });
});

describe('there and back', () => {
  const returned = (
    message: { properties: Buffer; body: Buffer },
    change = (headers: Map<string, string>) => headers,
  ) => {
    const frame = toFrame({ exchange: '', routingKey: 'q', ...message }, now);
    return toEnvelope(change(shownByBroker(frame.headers)), frame.body);
  };

  test('what came from AMQP goes back to it byte for byte, whatever its properties, headers and body', () => {
    fc.assert(
      fc.property(properties, body, (its, content) => {
        // `CC` and `BCC` do not come from a source: a bridge there renames them, and what says that it has them is not believed.
        fc.pre(!hasRoutingHeader(its));
        const envelope = returned({ properties: its, body: content });
        expect(Buffer.from(envelope.properties).toString('latin1')).toBe(its.toString('latin1'));
        expect(content.equals(envelope.body)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('no header of AMQP makes a frame that ActiveMQ would refuse, obey or take for another', () => {
    fc.assert(
      fc.property(properties, body, (its, content) => {
        const frame = toFrame({ exchange: '', routingKey: 'q', properties: its, body: content }, now);
        expect(frame.headers.get('destination')).toBe('/queue/q');
        for (const name of [
          'receipt',
          'transaction',
          'transformation',
          'amq-msg-type',
          'AMQ_SCHEDULED_DELAY',
          'JMSXUserID',
          '',
        ])
          expect(frame.headers.has(name), name).toBe(false);
        for (const name of ['priority', 'expires', 'timestamp', 'JMSXGroupSeq'])
          expect(frame.headers.get(name) ?? '0').toMatch(/^-?\d{1,18}$/);
        const lines = encodeFrame('SEND', frame.headers).toString('latin1').split('\n');
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(10_240);
        if (!frame.headers.has('content-length')) expect(frame.body.includes(0)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a header that an application changed has its new text, one that it removed is gone, the others keep their types', () => {
    const number = { type: 'l', value: Buffer.from([0, 0, 0, 0, 0, 0, 0, 5]) };
    const headers = writeTable([
      { name: Buffer.from('kept'), ...number },
      { name: Buffer.from('changed'), ...number },
      { name: Buffer.from('removed'), ...number },
      { name: Buffer.from('list'), type: 'A', value: Buffer.from([0, 0, 0, 1, 0x56]) },
    ]);
    const envelope = returned({ properties: amqp({ headers, messageId: 'm', type: 'was' }), body: nothing }, (got) => {
      got.set('changed', '6');
      got.delete('removed');
      got.set('added', 'new');
      return got.set('type', 'is');
    });
    expect(described(envelope.properties)).toMatchObject({
      messageId: 'm',
      type: 'is',
      headers: { kept: ['l', '5'], changed: ['S', '6'], list: ['A', undefined], added: ['S', 'new'] },
    });
    expect(described(envelope.properties)['headers']).not.toHaveProperty('removed');
  });

  test('a reply that copies what it got is a message of its own: its kind and body are the reply’s', () => {
    const frame = toFrame(
      { exchange: '', routingKey: 'q', properties: amqp({ contentType: 'application/json' }), body: Buffer.from('{}') },
      now,
    );
    const copied = shownByBroker(frame.headers).set('content-length', '3');
    const envelope = toEnvelope(copied, Buffer.from([0, 1, 2]));
    expect([...envelope.body]).toEqual([0, 1, 2]);
    expect(headersOf(envelope).has('content-length')).toBe(true);
  });

  test.each([
    ['a user id', amqp({ userId: 'root' })],
    [
      'BCC',
      amqp({
        headers: writeTable([
          { name: Buffer.from('BCC'), type: 'A', value: Buffer.from([0, 0, 0, 6, 0x53, 0, 0, 0, 1, 0x71]) },
        ]),
      }),
    ],
    ['no properties at all', Buffer.from('garbage')],
  ])('a sidecar that no bridge has written is not believed: %s', (_, forged) => {
    const envelope = toEnvelope(
      shown({ tombolo_properties: forged.toString('base64'), 'content-length': '0' }),
      nothing,
    );
    expect(described(envelope.properties)).toEqual({
      headers: { 'x-tombolo-jms': ['F', undefined] },
      deliveryMode: 1,
      priority: 4,
      messageId: 'ID:host-1:1:1:1',
      timestamp: 1_700_000_000,
    });
  });
});
