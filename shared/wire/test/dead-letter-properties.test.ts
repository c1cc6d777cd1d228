import { describe, expect, it } from 'vitest';
import {
  type DeadLetterFacts,
  deadLetterFacts,
  deadLetterHeaders,
  deadLetterProperties,
  replayedProperties,
} from '../src/dead-letter-properties.ts';
import { encodeProperties, longString } from './reference-properties.ts';

const facts: DeadLetterFacts = {
  id: 'abc-1',
  reason: 'too large',
  peer: 'east',
  destination: 'orders',
  attempts: '3',
  time: '2026-11-22T22:22:22.222Z',
  connector: 'west-east',
  queue: 'orders',
  exchange: 'shop',
  'routing-key': 'orders.new',
};

describe('the properties of a dead letter', () => {
  it('carry the reason behind the headers that were there, and leave the rest as it was', () => {
    const rest = { contentType: 'text/plain', priority: 3, messageId: 'm-1' };
    const before = encodeProperties({ ...rest, headers: [['a', 'S', longString('b')]] });
    const after = encodeProperties({
      ...rest,
      headers: [
        ['a', 'S', longString('b')],
        ['x-tombolo-reason', 'S', longString('too large')],
      ],
    });
    expect(deadLetterProperties(before, { 'x-tombolo-reason': 'too large' })).toEqual(after);
  });

  it('have a table made when there was none', () => {
    const after = encodeProperties({ deliveryMode: 2, headers: [['x', 'S', longString('y')]] });
    expect(deadLetterProperties(encodeProperties({ deliveryMode: 2 }), { x: 'y' })).toEqual(after);
  });

  it('do not expire: a message with a time to live would vanish with its reason', () => {
    const before = encodeProperties({ replyTo: 'r', expiration: '5000', messageId: 'm', timestamp: 7n });
    const headers: [string, string, Buffer][] = [['x-tombolo-expiration', 'S', longString('5000')]];
    const after = encodeProperties({ replyTo: 'r', messageId: 'm', timestamp: 7n, headers });
    expect(deadLetterProperties(before, {})).toEqual(after);
  });
});

describe('a dead letter that is replayed', () => {
  const parked = (properties: Uint8Array) => deadLetterProperties(properties, deadLetterHeaders(facts));

  it.each([
    ['nothing at all', {}],
    ['an expiration before other properties', { deliveryMode: 2, expiration: '5000', messageId: 'm', timestamp: 7n }],
    ['an expiration behind a reply-to', { priority: 1, correlationId: 'c', replyTo: 'r', expiration: '1' }],
    ['an expiration behind nothing', { expiration: '60000' }],
    ['headers', { contentType: 'a/b', headers: [['a', 'S', longString('b')]] as [string, string, Buffer][] }],
    [
      'headers of ours that an application had copied',
      { headers: [['x-tombolo-reason', 'S', longString('old')]] as [string, string, Buffer][], expiration: '9' },
    ],
    [
      'the expiration of another dead letter among its headers',
      { headers: [['x-tombolo-expiration', 'S', longString('5')]] as [string, string, Buffer][] },
    ],
  ])('has the properties that it had before, when it had %s', (_what, properties) => {
    const before = encodeProperties(properties);
    expect(Buffer.from(replayedProperties(parked(before)))).toEqual(Buffer.from(before));
  });

  it('tells its facts, and keeps those that are asked for', () => {
    const letter = parked(encodeProperties({ headers: [['x-tombolo-peer', 'S', longString('forged')]] }));
    expect(deadLetterFacts(letter)).toEqual(facts);
    const kept = replayedProperties(letter, ['exchange', 'routing-key']);
    expect(deadLetterFacts(kept)).toEqual({ peer: 'forged', exchange: 'shop', 'routing-key': 'orders.new' });
  });

  it('tells nothing when it was not parked by a bridge', () => {
    expect(deadLetterFacts(encodeProperties({ deliveryMode: 2 }))).toEqual({});
    expect(deadLetterFacts(encodeProperties({ headers: [['x-tombolo-id', 'I', Buffer.alloc(4)]] }))).toEqual({});
  });
});
