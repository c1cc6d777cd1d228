import { type ArgumentValue, bindingText, readBinding } from '@tombolo/wire/binding';
import { bindingMatches, topicMatches } from '@tombolo/wire/binding-match';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { encodeProperties, longString, strings } from './reference-properties.ts';

const leaf = fc.oneof(fc.string(), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean());
const value = fc.oneof(leaf, fc.constant(null), fc.array(leaf, { maxLength: 3 }), fc.dictionary(fc.string(), leaf));
const args = fc.dictionary(fc.string(), value as fc.Arbitrary<ArgumentValue>);

describe('the text of a binding', () => {
  it('is the same whatever the order of the arguments, and says all of it', () => {
    fc.assert(
      fc.property(fc.string(), args, (routingKey, its) => {
        const binding = { routingKey, arguments: its };
        const text = bindingText(binding);
        const reversed = Object.fromEntries(Object.entries(its).reverse());
        expect(bindingText({ routingKey, arguments: reversed })).toBe(text);
        expect(bindingText(readBinding(text))).toBe(text);
        expect(JSON.parse(text)).toEqual(
          JSON.parse(JSON.stringify(Object.keys(its).length ? [routingKey, its] : [routingKey])),
        );
      }),
    );
  });

  it.each([
    '',
    'a',
    '{}',
    '[]',
    '[1]',
    '["a",[]]',
    '["a",null]',
    '["a",{}]',
    '["a", {"b":1}]',
    '["a",{"b":1,"a":1}]',
    '["a",{},1]',
  ])('is not %s', (text) => {
    expect(() => readBinding(text)).toThrow(expect.objectContaining({ code: 'TOMBOLO_FRAME_INVALID' }));
  });
});

/** The definition: `#` is any number of words, `*` is one. */
function matchesPlainly(pattern: string[], words: string[]): boolean {
  const [part, ...rest] = pattern;
  if (part === undefined) return words.length === 0;
  if (part === '#') return matchesPlainly(rest, words) || (words.length > 0 && matchesPlainly(pattern, words.slice(1)));
  return words.length > 0 && (part === '*' || part === words[0]) && matchesPlainly(rest, words.slice(1));
}

describe('a binding', () => {
  test.each<[string, string, boolean]>([
    ['#', '', true],
    ['*', '', false],
    ['', '', true],
    ['a.#', 'a', true],
    ['a.*', 'a', false],
    ['*.*', 'a.', true],
    ['#.b.#', 'a.b.c', true],
    ['a.#.c', 'a.b', false],
  ])('of %j takes %j: %s', (pattern, key, taken) => {
    expect(topicMatches(pattern, key)).toBe(taken);
  });

  it('takes the keys that the definition says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'b', '*', '#'), { minLength: 1, maxLength: 6 }),
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 6 }),
        (pattern, words) => {
          expect(topicMatches(pattern.join('.'), words.join('.'))).toBe(matchesPlainly(pattern, words));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test.each<[Record<string, ArgumentValue>, boolean]>([
    [{}, true],
    [{ 'x-match': 'any' }, false],
    [{ region: 'eu', size: 3 }, true],
    [{ region: 'us', size: 3 }, false],
    [{ 'x-match': 'any', region: 'us', size: 3 }, true],
    [{ region: null }, true],
    [{ other: null }, false],
    [{ urgent: true, ratio: 0.5, big: 5_000_000_000 }, true],
    [{ urgent: false }, false],
    [{ 'x-ignored': 'whatever' }, true],
    [{ 'x-match': 'all-with-x', 'x-ignored': 'whatever' }, false],
    [{ 'x-match': 'any-with-x', 'x-own': 'mine', region: 'us' }, true],
    [{ list: ['whatever'] }, true],
    [{ süß: 'ja' }, true],
  ])('of a headers exchange with %j takes the message: %s', (its, taken) => {
    const ratio = Buffer.alloc(8);
    ratio.writeDoubleBE(0.5);
    const big = Buffer.alloc(8);
    big.writeBigInt64BE(5_000_000_000n);
    const properties = encodeProperties({
      headers: [
        ['region', 'S', longString('eu')],
        ['size', 'b', Buffer.of(3)],
        ['urgent', 't', Buffer.of(1)],
        ['ratio', 'd', ratio],
        ['big', 'l', big],
        ['x-own', 'S', longString('mine')],
        ['list', 'A', strings('a')],
        ['süß', 'S', longString('ja')],
      ],
    });
    expect(bindingMatches('headers', { routingKey: 'k', arguments: its }, { routingKey: '', properties })).toBe(taken);
  });

  it('of a direct exchange takes its key, of any other type whatever comes', () => {
    const message = { routingKey: 'a', properties: Uint8Array.of(0, 0) };
    expect(bindingMatches('direct', { routingKey: 'a', arguments: {} }, message)).toBe(true);
    expect(bindingMatches('direct', { routingKey: '#', arguments: {} }, message)).toBe(false);
    expect(bindingMatches('fanout', { routingKey: 'b', arguments: {} }, message)).toBe(true);
    expect(bindingMatches('x-delayed-message', { routingKey: 'b', arguments: {} }, message)).toBe(true);
  });
});
