import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bufferName, parseBufferName } from '../../../src/topic/buffer-name.ts';

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }),
  fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom('a', '.', '%', '~', '2', 'E', 'ü', '\u0000') }),
);

describe('the name of a buffer', () => {
  test.each([
    ['east', 'events', 'tombolo.topic.east.events'],
    ['eu.east', 'my.events', 'tombolo.topic.eu%2Eeast.my%2Eevents'],
    ['east', '50% off!', 'tombolo.topic.east.50%25%20off%21'],
    ['süd', 'a:b_c-d', 'tombolo.topic.s%C3%BCd.a:b_c-d'],
  ])('of cluster %j and exchange %j is %s', (sink, exchange, expected) => {
    expect(bufferName(sink, exchange)).toBe(expected);
    expect(parseBufferName(expected)).toEqual({ sink, exchange });
  });

  test('tells what it is the buffer of, and fits the broker', () => {
    fc.assert(
      fc.property(name, name, (sink, exchange) => {
        const buffer = bufferName(sink, exchange);
        expect(Buffer.byteLength(buffer)).toBeLessThanOrEqual(255);
        const parsed = parseBufferName(buffer);
        expect(parsed).toBeDefined();
        expect([sink, undefined]).toContain(parsed?.sink);
        expect([exchange, undefined]).toContain(parsed?.exchange);
      }),
    );
  });

  test('is another for every other pair', () => {
    fc.assert(
      fc.property(name, name, name, name, (sink, exchange, otherSink, otherExchange) => {
        fc.pre(sink !== otherSink || exchange !== otherExchange);
        expect(bufferName(sink, exchange)).not.toBe(bufferName(otherSink, otherExchange));
      }),
    );
  });

  test('too long for the broker has a digest in place of the exchange, then of the sink', () => {
    const long = 'e'.repeat(255);
    expect(bufferName('east', long)).toMatch(/^tombolo\.topic\.east\.~[0-9a-f]{32}$/);
    expect(bufferName('east', `${long}2`)).not.toBe(bufferName('east', long));
    expect(parseBufferName(bufferName('east', long))).toEqual({ sink: 'east', exchange: undefined });
    expect(bufferName(long, 'events')).toMatch(/^tombolo\.topic\.~[0-9a-f]{32}\.~[0-9a-f]{32}$/);
  });

  test.each([
    'orders',
    'tombolo.topic.east',
    'tombolo.topic.east.events.more',
    'tombolo.topic.east.',
    'tombolo.topic.east.a%2eb',
    'tombolo.topic.east.%61',
    'tombolo.topic.east.%FF',
    'tombolo.topic.east.~123',
    'tombolo.dead-letters',
  ])('is not %j', (other) => {
    expect(parseBufferName(other)).toBeUndefined();
  });
});
