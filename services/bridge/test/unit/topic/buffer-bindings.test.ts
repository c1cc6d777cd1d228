import { type Binding, bindingText } from '@tombolo/wire/binding';
import { bindingMatches } from '@tombolo/wire/binding-match';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bufferBindings, captureRefusal, rebinding } from '../../../src/topic/buffer-bindings.ts';

const binding = (routingKey: string, args = {}): Binding => ({ routingKey, arguments: args });
const texts = (bindings: readonly Binding[]) => bindings.map(bindingText);

describe('what a buffer is bound with', () => {
  test('is each key once, since topic and direct exchanges do not look at arguments', () => {
    const bindings = [binding('a', { 'x-by': 'one' }), binding('a'), binding('b.#')];
    expect(texts(bufferBindings('topic', bindings))).toEqual(['["a"]', '["b.#"]']);
    expect(texts(bufferBindings('direct', bindings))).toEqual(['["a"]', '["b.#"]']);
  });

  test('is one binding for a fanout exchange, and none without demand', () => {
    expect(texts(bufferBindings('fanout', [binding('a'), binding('b')]))).toEqual(['[""]']);
    expect(bufferBindings('fanout', [])).toEqual([]);
  });

  test('asks of a headers exchange for the presence of a number, whose type is not known', () => {
    const bindings = [
      binding('k', { 'x-match': 'all', region: 'eu', size: 3, urgent: true }),
      binding('l', { 'x-match': 'all', region: 'eu', size: 4, urgent: true }),
      binding('', { 'x-match': 'any', list: [1] }),
    ];
    expect(texts(bufferBindings('headers', bindings))).toEqual([
      '["",{"region":"eu","size":null,"urgent":true,"x-match":"all"}]',
      '["",{"list":null,"x-match":"any"}]',
    ]);
  });

  test('takes whatever the bindings of the sink take', () => {
    const word = fc.constantFrom('a', 'b', '');
    const key = fc.array(word, { maxLength: 3 }).map((words) => words.join('.'));
    const pattern = fc.array(fc.constantFrom('a', 'b', '*', '#'), { maxLength: 3 }).map((words) => words.join('.'));
    fc.assert(
      fc.property(
        fc.constantFrom('direct', 'fanout', 'topic'),
        fc.array(pattern, { minLength: 1, maxLength: 4 }),
        key,
        (type, patterns, routingKey) => {
          const message = { routingKey, properties: Uint8Array.of(0, 0) };
          const takenBy = (bindings: readonly Binding[]) =>
            bindings.some((each) => bindingMatches(type, each, message));
          const bindings = patterns.map((each) => binding(each));
          expect(takenBy(bufferBindings(type, bindings))).toBe(takenBy(bindings));
        },
      ),
    );
  });

  test('is compared with what it is bound with, and nothing is done twice', () => {
    const { bind, unbind } = rebinding([binding('a'), binding('c', { x: 'y' })], [binding('a'), binding('b')]);
    expect([texts(bind), texts(unbind)]).toEqual([['["c",{"x":"y"}]'], ['["b"]']]);
    expect(rebinding([binding('a')], [binding('a')])).toEqual({ bind: [], unbind: [] });
  });

  test('is nothing for an exchange whose messages it would take from others', () => {
    expect(captureRefusal('topic')).toBeUndefined();
    expect(captureRefusal('x-consistent-hash')).toContain('x-consistent-hash');
  });
});
