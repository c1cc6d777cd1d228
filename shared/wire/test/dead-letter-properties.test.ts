import { describe, expect, it } from 'vitest';
import { deadLetterProperties } from '../src/dead-letter-properties.ts';
import { encodeProperties, longString } from './reference-properties.ts';

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
