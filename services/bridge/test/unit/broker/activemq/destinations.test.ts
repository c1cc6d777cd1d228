import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bindingKeyOf, topicOf } from '../../../../src/broker/activemq/mapping/destinations.ts';

test.each([
  ['prices.eur', 'prices.eur'],
  ['prices.*', 'prices.*'],
  ['prices.>', 'prices.#'],
  ['>', '#'],
])('consumers of the topic %s get what the binding key %s takes', (topic, bindingKey) => {
  expect(bindingKeyOf(topic)).toBe(bindingKey);
  expect(topicOf(bindingKey)).toEqual({ topic, exact: true });
});

test.each([
  ['a.#.b', 'a.>', false],
  ['#.b', '>', false],
  ['a.#.#', 'a.>', true],
])('ActiveMQ has its `>` at the end only: %s is %s', (bindingKey, topic, exact) => {
  expect(topicOf(bindingKey)).toEqual({ topic, exact });
});

test('a topic there and back is the same', () => {
  const words = fc.array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(words, fc.boolean(), (its, hasRest) => {
      const topic = [...its, ...(hasRest ? ['>'] : [])].join('.');
      expect(topicOf(bindingKeyOf(topic))).toEqual({ topic, exact: true });
    }),
  );
});
