import type { Connector } from '@tombolo/topology/topology';
import { describe, expect, test } from 'vitest';
import { narrowedBinding } from '../../../src/topic/narrowed-binding.ts';

const entry = (pattern: string, kind = 'topic') => ({ kind, pattern });
const connector = (...topics: string[]) =>
  ({
    name: 'c',
    dynamicallyIncluded: topics.map((each) => entry(each)),
    staticallyIncluded: [],
    excluded: [],
  }) as unknown as Connector;
const narrowed = (its: Connector, routingKey: string) =>
  narrowedBinding(its, { routingKey, arguments: {} }).map((binding) => binding.routingKey);

describe('what a buffer is bound with', () => {
  test.each([
    ['a key that is included', ['prices.>'], 'prices.eu', ['prices.eu']],
    ['a key that is not', ['prices.>'], 'orders.eu', []],
    ['a wildcard within what is included', ['prices.>'], 'prices.*.eu', ['prices.*.eu']],
    ['everything, of which some is included', ['prices.>', 'orders.*'], '#', ['prices.#', 'orders.*']],
    ['everything, all of it included', ['>'], '#', ['#']],
    ['a wildcard that overlaps in part', ['prices.*.eu'], 'prices.spot.*', ['prices.spot.*']],
    ['a wildcard beside what is included', ['prices.>'], 'orders.#', []],
    ['a hash in the midst', ['prices.>'], '#.eu', ['#.eu']],
  ])('%s', (_, included, key, keys) => {
    expect(narrowed(connector(...included), key)).toEqual(keys);
  });

  test('entries of queues and exchanges do not count', () => {
    const its = connector('prices.>');
    const mixed = {
      ...its,
      dynamicallyIncluded: [entry('orders.>', 'queue'), ...its.dynamicallyIncluded],
    } as Connector;
    expect(narrowed(mixed, '#')).toEqual(['prices.#']);
  });
});
