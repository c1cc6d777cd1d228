import { forwardedProperties, pathOf } from '@tombolo/wire/forwarded-properties';
import { header } from '@tombolo/wire/header-table';
import { proofKeys, provenPath, withProof } from '@tombolo/wire/proof';
import { describe, expect, it, test } from 'vitest';
import { encodeProperties, longString, type PlainProperties, sized, strings, table } from './reference-properties.ts';

const keys = proofKeys('acme', 'east', ['secret']);
const plain: PlainProperties = {
  contentType: 'text/plain',
  headers: [
    ['trace', 'S', longString('1')],
    ['size', 'L', Buffer.alloc(8, 1)],
    ['b', 't', Buffer.of(1)],
    ['nested', 'F', nested('L')],
  ],
  deliveryMode: 2,
  correlationId: 'c',
  messageId: 'm',
  timestamp: 1_700_000_000n,
  appId: 'shop',
};
/** As a source sends it. */
const sent = (its: PlainProperties = plain) => ({
  exchange: 'events',
  routingKey: 'order.created',
  properties: forwardedProperties(encodeProperties(its), { path: ['west'] }),
  body: Buffer.from('body'),
});
/** As the sink publishes it. */
const published = (its?: PlainProperties) => ({ ...sent(its), properties: withProof(sent(its), keys) });

describe('the proof that a bridge published a message', () => {
  it('holds for the message as it was published, and leaves all else as it was', () => {
    const message = published();
    expect(provenPath(message, keys)).toEqual(['west']);
    expect(pathOf(message.properties)).toEqual(['west']);
    const { properties } = sent();
    const start = Buffer.from(properties).indexOf('trace') - 1;
    expect(Buffer.from(message.properties).includes(Buffer.from(properties.subarray(start)).subarray(0, 40))).toBe(
      true,
    );
    expect(message.properties.length).toBe(properties.length + 37);
    expect(header(message.properties, 'x-tombolo-proof')?.type).toBe('x');
  });

  it('holds for a message without any property, too', () => {
    const bare = { exchange: '', routingKey: '', properties: encodeProperties({}), body: Buffer.alloc(0) };
    const message = { ...bare, properties: forwardedProperties(bare.properties, { path: ['a', 'b'] }) };
    expect(provenPath({ ...message, properties: withProof(message, keys) }, keys)).toEqual(['a', 'b']);
    expect(provenPath({ ...bare, properties: withProof(bare, keys) }, keys)).toBeUndefined();
  });

  test.each<[string, (message: ReturnType<typeof published>) => object]>([
    ['another body', () => ({ body: Buffer.from('Body') })],
    ['another key', () => ({ routingKey: 'order.changed' })],
    ['another exchange', () => ({ exchange: 'event', routingKey: 'sorder.created' })],
    ['another message id', () => ({ properties: copied({ ...plain, messageId: 'n' }) })],
    ['another header', () => ({ properties: copied({ ...plain, headers: [['trace', 'S', longString('2')]] }) })],
    [
      'one header more',
      () => ({ properties: copied({ ...plain, headers: [...plain.headers!, ['x', 'V', Buffer.alloc(0)]] }) }),
    ],
    ['one property less', () => ({ properties: copied({ ...plain, appId: undefined as unknown as string }) })],
    ['another path', () => ({ properties: copied(plain, ['north']) })],
  ])('does not hold for a message with copied headers and %s: it travels', (_, altered) => {
    const message = { ...published(), ...altered(published()) };
    expect(pathOf(message.properties)).toBeDefined();
    expect(provenPath(message, keys)).toBeUndefined();
  });

  it('does not hold without it, nor when it is of another type or length', () => {
    expect(provenPath(sent(), keys)).toBeUndefined();
    const fields: [string, string, Buffer][] = [
      ['x-tombolo-proof', 'S', longString('0123456789abcdef')],
      ['x-tombolo-proof', 'x', longString('short')],
    ];
    for (const field of fields) {
      const properties = encodeProperties({ headers: [['x-tombolo-path', 'A', strings('west')], field] });
      expect(provenPath({ ...sent(), properties }, keys)).toBeUndefined();
    }
  });

  it('replaces the one that the message brought along', () => {
    const again = { ...published(), routingKey: 'other' };
    const message = { ...again, properties: withProof(again, keys) };
    expect(message.properties.length).toBe(again.properties.length);
    expect(provenPath(message, keys)).toEqual(['west']);
  });

  it('holds after a broker has counted a delivery or stamped the time, and sorted the headers for it', () => {
    const message = published();
    const rewritten = encodeProperties({
      ...plain,
      timestamp: 1_800_000_000n,
      headers: [
        ['b', 't', Buffer.of(1)],
        ['nested', 'F', nested('l')],
        ['size', 'l', Buffer.alloc(8, 1)],
        ['timestamp_in_ms', 'l', Buffer.alloc(8)],
        ['trace', 'S', longString('1')],
        ['x-delivery-count', 'l', Buffer.alloc(8)],
        ['x-tombolo-path', 'A', strings('west')],
        ['x-tombolo-proof', 'x', Buffer.from(header(message.properties, 'x-tombolo-proof')!.value)],
      ],
    });
    expect(provenPath({ ...message, properties: rewritten }, keys)).toEqual(['west']);
  });

  it('is accepted with an old secret while a new one is brought in, and from no other cluster', () => {
    const message = published();
    expect(provenPath(message, proofKeys('acme', 'east', ['new', 'secret']))).toEqual(['west']);
    expect(provenPath(message, proofKeys('acme', 'east', ['new']))).toBeUndefined();
    expect(provenPath(message, proofKeys('acme', 'north', ['secret']))).toBeUndefined();
    expect(provenPath(message, proofKeys('other', 'east', ['secret']))).toBeUndefined();
  });

  it('needs no secret to tell copied headers', () => {
    const open = proofKeys('acme', 'east', []);
    const message = { ...sent(), properties: withProof(sent(), open) };
    expect(provenPath(message, proofKeys('acme', 'east', []))).toEqual(['west']);
    expect(provenPath({ ...message, body: Buffer.from('new') }, open)).toBeUndefined();
  });
});

/** An int64 within an array within a table, under either letter. */
function nested(letter: 'l' | 'L'): Buffer {
  return table([['list', 'A', sized(Buffer.concat([Buffer.from(letter), Buffer.alloc(8, 2)]))]]);
}

/** What an application publishes that copies the headers of a bridged message. */
function copied(its: PlainProperties, path = ['west']): Buffer {
  const proof = header(published().properties, 'x-tombolo-proof')!;
  return encodeProperties({
    ...its,
    headers: [
      ...its.headers!,
      ['x-tombolo-path', 'A', strings(...path)],
      ['x-tombolo-proof', 'x', Buffer.from(proof.value)],
    ],
  });
}
