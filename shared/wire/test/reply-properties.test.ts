import { Fault } from '@tombolo/kernel/fault';
import { forwardedProperties, pathOf } from '@tombolo/wire/forwarded-properties';
import { headerText } from '@tombolo/wire/header-table';
import { replyTo, userId } from '@tombolo/wire/properties';
import { withReplyTo } from '@tombolo/wire/reply-properties';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeProperties, longString, type PlainProperties } from './reference-properties.ts';

const short = fc.string({ unit: 'grapheme', maxLength: 20 });
const properties = fc.record(
  {
    contentType: short,
    headers: fc.array(
      fc.tuple(short, short).map(([name, value]): [string, string, Buffer] => [name, 'S', longString(value)]),
      { maxLength: 3 },
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
const name = fc.oneof(fc.string({ unit: 'grapheme-ascii', maxLength: 255 }), fc.constant(undefined));

/** The given properties with another reply-to, if they have one that can be replaced. */
const replaced = (plain: PlainProperties, by: string | undefined): PlainProperties =>
  plain.replyTo && by !== undefined ? { ...plain, replyTo: by } : plain;

describe('the reply-to of a message', () => {
  it('is replaced, and every other byte stays as it was', () => {
    fc.assert(
      fc.property(properties, name, (plain, by) => {
        const bytes = withReplyTo(encodeProperties(plain), () => by);
        expect(Buffer.from(bytes)).toEqual(encodeProperties(replaced(plain, by)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is replaced in the pass that prepares a message for the sink, with the result of doing one after the other', () => {
    fc.assert(
      fc.property(properties, name, (plain, by) => {
        const rewrite = { path: ['west'], replyTo: () => by };
        const once = forwardedProperties(encodeProperties(plain), rewrite);
        const twice = forwardedProperties(encodeProperties(replaced(plain, by)), { path: ['west'] });
        expect(Buffer.from(once)).toEqual(Buffer.from(twice));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is asked for only when there is one', () => {
    for (const plain of [{}, { replyTo: '' }, { correlationId: 'a' }]) {
      const bytes = encodeProperties(plain);
      const unasked = () => {
        throw new Error('asked');
      };
      expect(withReplyTo(bytes, unasked)).toBe(bytes);
      forwardedProperties(bytes, { path: ['west'], replyTo: unasked });
    }
  });

  it('stays when it is not UTF-8, or what should replace it is too long', () => {
    const broken = encodeProperties({ replyTo: 'abc', appId: 'shop' });
    broken[3] = 0xff;
    expect(withReplyTo(broken, () => 'other')).toBe(broken);
    const fine = encodeProperties({ replyTo: 'abc' });
    expect(withReplyTo(fine, () => 'x'.repeat(256))).toBe(fine);
  });

  it('is replaced beside a user-id that becomes a header', () => {
    const given = encodeProperties({ correlationId: '7', replyTo: 'q', userId: 'guest', appId: 'shop' });
    const forwarded = forwardedProperties(given, { path: ['west'], replyTo: (address) => `${address}-elsewhere` });
    expect(replyTo(forwarded)).toBe('q-elsewhere');
    expect(userId(forwarded)).toBeUndefined();
    expect(headerText(forwarded, 'x-tombolo-user-id')).toBe('guest');
    expect(pathOf(forwarded)).toEqual(['west']);
  });

  it('throws a fault and nothing else when the properties are cut or altered', () => {
    fc.assert(
      fc.property(properties, fc.nat(), fc.nat(255), fc.nat(3), (plain, at, byte, cut) => {
        let bytes = encodeProperties(plain);
        bytes[at % bytes.length] = byte;
        bytes = bytes.subarray(0, bytes.length - cut);
        try {
          withReplyTo(bytes, () => 'other');
          forwardedProperties(bytes, { path: ['west'], replyTo: () => 'other' });
        } catch (thrown) {
          if (!(thrown instanceof Fault)) throw thrown;
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
