import fc from 'fast-check';
import { writeContentHeader, writeTable } from '../../../../src/broker/activemq/mapping/content-header.ts';

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => Buffer.from(value));
const sized = (value: Uint8Array) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  return Buffer.concat([length, value]);
};
const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.constantFrom('', 'ü', '\u{1f600}', 'a:b\\c\r\n'));
const longString = fc.oneof(
  text.map((value) => Buffer.from(value)),
  fc.uint8Array().map(Buffer.from),
  fc.constant(Buffer.alloc(20_000, 'x')),
);
const short = fc
  .oneof(
    text.map((value) => Buffer.from(value)),
    fc.uint8Array({ maxLength: 255 }).map(Buffer.from),
  )
  .map((value) => value.subarray(0, 255));

const fixed: [string, number][] = [
  ['V', 0],
  ['t', 1],
  ['b', 1],
  ['B', 1],
  ['s', 2],
  ['u', 2],
  ['I', 4],
  ['i', 4],
  ['f', 4],
  ['D', 5],
  ['l', 8],
  ['L', 8],
  ['d', 8],
  ['T', 8],
];

const value = fc.oneof(
  fc.oneof(...fixed.map(([type, length]) => bytes(length).map((its) => ({ type, value: its })))),
  longString.map((its) => ({ type: 'S', value: sized(its) })),
  longString.map((its) => ({ type: 'x', value: sized(its) })),
  fc.constant({ type: 'A', value: sized(Buffer.from('S\0\0\0\u0001xV')) }),
  fc.constant({ type: 'F', value: sized(Buffer.from('\u0001aV')) }),
);

/** Names that brokers, bridges or STOMP would obey among them. */
const name = fc.oneof(
  fc.constantFrom(
    'destination',
    'receipt',
    'transaction',
    'priority',
    'type',
    'expires',
    'persistent',
    'content-length',
    'content-type',
  ),
  fc.constantFrom(
    'AMQ_SCHEDULED_DELAY',
    'JMSXDeliveryCount',
    'JMSDeliveryMode',
    'JMSXGroupID',
    'JMSXGroupSeq',
    'JMSXUserID',
  ),
  fc.constantFrom(
    'tombolo_message_id',
    'tombolo_properties',
    'tombolo_header_type',
    'amq-msg-type',
    'transformation',
    'x-tombolo-path',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.uint8Array({ maxLength: 20 }).map((raw) => Buffer.from(raw).toString('latin1')),
);

const table = fc
  .array(fc.tuple(name, value), { maxLength: 12 })
  .map((fields) => writeTable(fields.map(([its, field]) => ({ name: Buffer.from(its), ...field }))));

const contentType = fc.oneof(
  short,
  fc
    .constantFrom('text/plain', 'application/json', 'application/octet-stream', 'text/xml;charset=latin1')
    .map((its) => Buffer.from(its)),
);

/** Properties as RabbitMQ may hand them over, but for the user id, which a source's bridge takes out. */
export const properties = fc
  .record(
    {
      contentType,
      contentEncoding: short,
      headers: table,
      deliveryMode: fc.constantFrom(Buffer.from([1]), Buffer.from([2]), Buffer.from([0])),
      priority: bytes(1),
      correlationId: short,
      replyTo: short,
      expiration: fc.constantFrom(Buffer.from('0'), Buffer.from('60000')),
      messageId: short,
      timestamp: fc.oneof(bytes(8), fc.constant(Buffer.from([0, 0, 0, 0, 0x65, 0, 0, 0]))),
      type: short,
      appId: short,
      clusterId: short,
    },
    { requiredKeys: [] },
  )
  .map((present) => writeContentHeader(new Map(Object.entries(present)) as never));

export const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((its) => Buffer.from(its)),
  fc.string({ unit: 'binary' }).map((its) => Buffer.from(its)),
  fc.constantFrom('', '{"a":"\u{1f600}"}', 'a\0b', '\u{10ffff}', '퟿').map((its) => Buffer.from(its)),
);
