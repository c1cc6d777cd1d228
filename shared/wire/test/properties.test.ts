import { Fault } from '@tombolo/kernel/fault';
import { forwardedProperties, pathOf } from '@tombolo/wire/forwarded-properties';
import { header, headerText } from '@tombolo/wire/header-table';
import { identityOf } from '@tombolo/wire/identity';
import { deliveryMode, expiration, messageId, priority, replyTo, scan, userId } from '@tombolo/wire/properties';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeProperties, longString, type PlainProperties, sized, strings, table } from './reference-properties.ts';

const short = fc.string({ maxLength: 30 });
const fixed = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes));
const value: fc.Arbitrary<[string, Buffer]> = fc.oneof(
  ...Object.entries({ V: 0, t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, f: 4, D: 5, l: 8, L: 8, d: 8, T: 8 }).map(
    ([type, length]) => fixed(length).map((bytes): [string, Buffer] => [type, bytes]),
  ),
  fc.uint8Array({ maxLength: 20 }).map((bytes): [string, Buffer] => ['S', sized(Buffer.from(bytes))]),
  fc.uint8Array({ maxLength: 20 }).map((bytes): [string, Buffer] => ['x', sized(Buffer.from(bytes))]),
  fc.array(short, { maxLength: 3 }).map((items): [string, Buffer] => ['A', strings(...items)]),
  short.map((text): [string, Buffer] => ['F', table([['nested', 'S', longString(text)]])]),
);
const headerName = fc.oneof(
  short,
  fc.constantFrom('CC', 'BCC', 'cc', 'x-tombolo-path', 'x-tombolo-user-id', 'x-tombolo-cc', 'x-tombolo-reason'),
);
const properties: fc.Arbitrary<PlainProperties> = fc.record(
  {
    contentType: short,
    contentEncoding: short,
    headers: fc.array(
      fc.tuple(headerName, value).map(([name, [type, bytes]]): [string, string, Buffer] => [name, type, bytes]),
      { maxLength: 6 },
    ),
    deliveryMode: fc.constantFrom(1, 2),
    priority: fc.nat(255),
    correlationId: short,
    replyTo: short,
    expiration: short,
    messageId: short,
    timestamp: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    type: short,
    userId: short,
    appId: short,
    clusterId: short,
  },
  { requiredKeys: [] },
) as fc.Arbitrary<PlainProperties>;

/** What forwardedProperties has to do, written plainly. */
function forwardedPlainly(plain: PlainProperties, path: string[]): PlainProperties {
  const { userId: user, headers = [], ...rest } = plain;
  const travelled = headers.find(([name]) => name === 'x-tombolo-path');
  const before = travelled ? pathOf(encodeProperties({ headers: [travelled] })) : undefined;
  const kept = headers
    .filter(([name]) => !['x-tombolo-path', 'x-tombolo-user-id', 'x-tombolo-cc'].includes(name))
    .map(([name, ...field]): [string, string, Buffer] => [name === 'CC' ? 'x-tombolo-cc' : name, ...field]);
  if (user !== undefined) kept.push(['x-tombolo-user-id', 'S', longString(user)]);
  kept.push(['x-tombolo-path', 'A', strings(...(before ?? []), ...path)]);
  return { ...rest, headers: kept };
}

describe('the raw properties of a message', () => {
  it('are found as they were written', () => {
    fc.assert(
      fc.property(properties, (plain) => {
        const bytes = encodeProperties(plain);
        expect(deliveryMode(bytes)).toBe(plain.deliveryMode);
        expect(priority(bytes)).toBe(plain.priority);
        expect(messageId(bytes)).toBe(plain.messageId);
        expect(expiration(bytes)).toBe(plain.expiration);
        expect(userId(bytes)).toBe(plain.userId);
        expect(replyTo(bytes)).toBe(plain.replyTo);
        for (const [name] of plain.headers ?? []) {
          if (!/^[\x20-\x7e]*$/.test(name)) continue;
          const first = plain.headers!.find(([other]) => other === name)!;
          const field = header(bytes, name)!;
          expect([field.type, Buffer.from(field.value)]).toEqual([first[1], first[2]]);
        }
      }),
    );
  });

  it('are rewritten at the source as the plain way would do, byte for byte', () => {
    fc.assert(
      fc.property(properties, fc.array(fc.constantFrom('west', 'north', 'süd'), { maxLength: 2 }), (plain, path) => {
        fc.pre(path.length > 0);
        const forwarded = forwardedProperties(encodeProperties(plain), { path });
        expect(Buffer.from(forwarded)).toEqual(encodeProperties(forwardedPlainly(plain, path)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('throw a fault and nothing else when they are altered or cut', () => {
    fc.assert(
      fc.property(properties, fc.nat(), fc.nat(255), fc.nat(3), (plain, at, byte, cut) => {
        let bytes = encodeProperties(plain);
        bytes[at % bytes.length] = byte;
        bytes = bytes.subarray(0, bytes.length - cut);
        for (const act of [
          () => scan(bytes),
          () => header(bytes, 'x'),
          () => forwardedProperties(bytes, { path: ['west'] }),
          () => identityOf({ exchange: '', routingKey: '', properties: bytes, body: bytes }),
        ]) {
          try {
            act();
          } catch (thrown) {
            if (!(thrown instanceof Fault)) throw thrown;
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('take a table when there was none', () => {
    const bytes = forwardedProperties(encodeProperties({ deliveryMode: 2 }), { path: ['west'] });
    expect(pathOf(bytes)).toEqual(['west']);
    expect(deliveryMode(bytes)).toBe(2);
  });

  it('extend the path hop by hop', () => {
    const once = forwardedProperties(encodeProperties({}), { path: ['west'] });
    expect(pathOf(forwardedProperties(once, { path: ['mid', 'north'] }))).toEqual(['west', 'mid', 'north']);
  });

  it.each<[string, string, Buffer]>([
    ['no array', 'S', longString('west')],
    ['an array of numbers', 'A', sized(Buffer.from([0x62, 1]))],
    ['an array that ends within a string', 'A', sized(Buffer.from([0x53, 0, 0, 0, 9, 1]))],
    ['an empty array', 'A', sized(Buffer.alloc(0))],
    ['an endless path', 'A', strings(...Array.from({ length: 65 }, () => 'west'))],
    ['a name that no cluster has', 'A', strings('x'.repeat(256))],
  ])('take a path that is %s as absent', (_, type, bytes) => {
    const given = encodeProperties({ headers: [['x-tombolo-path', type, bytes]] });
    expect(pathOf(given)).toBeUndefined();
    expect(pathOf(forwardedProperties(given, { path: ['west'] }))).toEqual(['west']);
  });

  it('carry the user and the copies without obeying them, and take neither from a client', () => {
    const given = encodeProperties({
      headers: [
        ['x-tombolo-user-id', 'S', longString('admin')],
        ['CC', 'A', strings('a', 'b')],
        ['x-tombolo-cc', 'A', strings('forged')],
      ],
      userId: 'guest',
      appId: 'shop',
    });
    const forwarded = forwardedProperties(given, { path: ['west'] });
    expect(userId(forwarded)).toBeUndefined();
    expect(headerText(forwarded, 'x-tombolo-user-id')).toBe('guest');
    expect(header(forwarded, 'CC')).toBeUndefined();
    expect(Buffer.from(header(forwarded, 'x-tombolo-cc')!.value)).toEqual(strings('a', 'b'));
  });
});

describe('what the broker of the source counted', () => {
  it('does not travel: the sink counts its own deliveries', () => {
    const headers: [string, string, Buffer][] = [
      ['kept', 't', Buffer.of(1)],
      ['x-acquired-count', 'l', Buffer.alloc(8, 1)],
      ['x-delivery-count', 'l', Buffer.alloc(8, 1)],
    ];
    const forwarded = forwardedProperties(encodeProperties({ headers }), { path: [] });
    expect(forwarded).toEqual(encodeProperties({ headers: headers.slice(0, 1) }));
  });
});

describe('the identity of a message', () => {
  const message = { exchange: 'a', routingKey: 'b', properties: encodeProperties({}), body: Buffer.from('c') };

  it('differs when anything differs, wherever the boundary between the parts is', () => {
    const variants = [
      message,
      { ...message, exchange: 'ab', routingKey: '' },
      { ...message, body: Buffer.from('d') },
      { ...message, properties: encodeProperties({ deliveryMode: 2 }) },
    ];
    expect(new Set(variants.map((each) => Buffer.from(identityOf(each).digest).toString('hex'))).size).toBe(4);
    expect(identityOf(message).digest).toEqual(identityOf({ ...message }).digest);
    expect(identityOf(message).digest.buffer.byteLength).toBe(16);
  });

  it('is the same when a quorum queue hands the message over again, and counts that in the headers', () => {
    const identity = (properties: Uint8Array) => Buffer.from(identityOf({ ...message, properties }).digest);
    const count: [string, string, Buffer] = ['x-delivery-count', 'l', Buffer.alloc(8, 1)];
    const text: [string, string, Buffer] = ['z', 'S', Buffer.from([0, 0, 0, 1, 97])];
    const flag: [string, string, Buffer] = ['a', 't', Buffer.of(1)];
    expect(identity(encodeProperties({ deliveryMode: 2, headers: [count] }))).toEqual(
      identity(encodeProperties({ deliveryMode: 2 })),
    );
    const first = identity(encodeProperties({ messageId: 'i', headers: [text, flag] }));
    expect(identity(encodeProperties({ messageId: 'i', headers: [flag, count, text] }))).toEqual(first);
    expect(identity(encodeProperties({ messageId: 'i', headers: [flag, count] }))).not.toEqual(first);
  });

  it('says whether the sender had set an id', () => {
    expect(identityOf(message).hasId).toBe(false);
    expect(identityOf({ ...message, properties: encodeProperties({ messageId: '1' }) }).hasId).toBe(true);
    expect(identityOf({ ...message, properties: encodeProperties({ messageId: '' }) }).hasId).toBe(false);
  });
});
