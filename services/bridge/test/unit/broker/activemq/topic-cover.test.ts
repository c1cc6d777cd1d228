import { compileWildcard } from '@tombolo/topology/pattern';
import { topicMatches } from '@tombolo/wire/binding-match';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { topicCover } from '../../../../src/broker/activemq/topics/topic-cover.ts';

test.each([
  ['keys that have nothing in common', ['a', 'b.*', 'c.#'], ['a', 'b.*', 'c.>']],
  ['a key that another includes', ['prices.eu.x', 'prices.#', 'prices.*'], ['prices.>']],
  ['keys that overlap', ['a.*.x', 'a.b.#'], ['a.*.>']],
  ['keys of one length that overlap', ['*.b', 'a.*'], ['*.*']],
  ['a wider one that comes to overlap a third', ['a.*.x', 'a.b.*', 'a.*.y', '*.b.y'], ['*.*.*']],
  ['a hash that does not stand last', ['a.#.b'], ['a.>']],
  ['what no topic can be called', ['', 'a,b', 'a?b', ' a', 'a.>', 'ActiveMQ.Advisory.Queue', 'tombolo.x'], []],
])('%s', (_, keys, topics) => {
  expect(topicCover(keys)).toEqual(topics);
});

test('whatever is bound, a name that a key takes comes once, and no name comes twice', () => {
  const word = fc.constantFrom('a', 'b', 'c');
  const key = fc
    .array(fc.oneof(word, fc.constantFrom('*', '#')), { minLength: 1, maxLength: 4 })
    .map((words) => words.join('.'));
  const name = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join('.'));
  fc.assert(
    fc.property(fc.array(key, { maxLength: 8 }), fc.array(name, { minLength: 20, maxLength: 20 }), (keys, names) => {
      const topics = topicCover(keys).map(compileWildcard);
      for (const each of names) {
        const times = topics.filter((matches) => matches(each)).length;
        expect(times).toBeLessThanOrEqual(1);
        if (keys.some((one) => topicMatches(one, each))) expect(times).toBe(1);
      }
    }),
    { numRuns: 2_000 },
  );
});
