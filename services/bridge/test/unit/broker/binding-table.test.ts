import { type Binding, bindingText } from '@tombolo/wire/binding';
import { beforeEach, describe, expect, test } from 'vitest';
import { argumentsFromEvent, argumentsFromJson } from '../../../src/broker/rabbitmq/binding-arguments.ts';
import { type BindingChange, type BindingFact, BindingTable } from '../../../src/broker/rabbitmq/binding-table.ts';

const topic = { type: 'topic', durable: true, autoDelete: false, internal: false };
const exchange = (name: string) => ({ name, properties: topic });
const fact = (routingKey: string, destination = 'queue', more: Partial<BindingFact> = {}): BindingFact => ({
  source: 'events',
  destination,
  destinationKind: 'queue',
  binding: { routingKey, arguments: {} },
  ...more,
});
const created = (its: BindingFact) => ({ was: 'binding created', fact: its }) as const;
const deleted = (its: BindingFact) => ({ was: 'binding deleted', fact: its }) as const;
const texts = (bindings: readonly Binding[]) => bindings.map(bindingText).join(' ');
const plain = (changes: readonly BindingChange[]) =>
  changes.map((change) => {
    if (change.is === 'exchange') return `${change.exchange}: ${texts(change.bindings)}`;
    if (change.is === 'changed') return `${change.exchange} +${texts(change.added)} -${texts(change.removed)}`;
    return change.is === 'deleted' ? `no ${change.exchange}` : `${change.bindings.length} routes`;
  });

let table: BindingTable;
const look = (facts: readonly BindingFact[], exchanges = ['events']) => {
  table.lookBegan();
  return plain(table.snapshot(exchanges.map(exchange), facts));
};
const happened = (...events: Parameters<BindingTable['happened']>[0][]) =>
  events.flatMap((event) => plain(table.happened(event)));

describe('the table of bindings', () => {
  beforeEach(() => {
    table = new BindingTable();
    table.watch((name) => name === 'events');
  });

  test('tells nothing before the first look, and then everything', () => {
    expect(happened(created(fact('a')))).toEqual([]);
    expect(look([fact('a'), fact('b'), fact('a', 'other')])).toEqual(['events: ["a"] ["b"]', '0 routes']);
    expect(look([fact('a'), fact('b')])).toEqual([]);
  });

  test('an event that a look may have missed is applied to it once more', () => {
    look([fact('a')]);
    table.lookBegan();
    expect(happened(created(fact('b')), deleted(fact('a')))).toEqual(['events +["b"] -', 'events + -["a"]']);
    expect(plain(table.snapshot([exchange('events')], [fact('a')]))).toEqual([]);
    table.lookBegan();
    expect(plain(table.snapshot([exchange('events')], [fact('a')]))).toEqual(['events +["a"] -["b"]']);
  });

  test('a binding goes with the last that is bound alike, be it a queue or an exchange', () => {
    const toExchange = fact('a', 'queue', { destinationKind: 'exchange' });
    look([fact('a'), fact('a', 'second'), toExchange]);
    expect(happened(deleted(fact('a')), { was: 'queue deleted', queue: 'second' })).toEqual([]);
    expect(happened(deleted(toExchange))).toEqual(['events + -["a"]', '0 routes']);
  });

  test('an event that comes twice is told once', () => {
    look([]);
    expect(happened(created(fact('a')), created(fact('a')))).toEqual(['events +["a"] -']);
    expect(happened(deleted(fact('a')), deleted(fact('a')))).toEqual(['events + -["a"]']);
  });

  test('an exchange that was made anew is told anew', () => {
    look([fact('a')]);
    const anew = { was: 'exchange created', exchange: exchange('events') } as const;
    expect(happened({ was: 'exchange deleted', exchange: 'events' }, anew)).toEqual(['no events', 'events: ']);
    table.lookBegan();
    const fanout = { name: 'events', properties: { ...topic, type: 'fanout' } };
    expect(plain(table.snapshot([fanout], [fact('b')]))).toEqual(['events: ["b"]']);
    expect(look([], [])).toEqual(['no events']);
  });

  test('other names are told when they are watched, and everything to a new listener', () => {
    look([fact('a'), fact('b', 'q', { source: 'other' })], ['events', 'other']);
    expect(plain(table.watch(() => true))).toEqual(['other: ["b"]']);
    expect(plain(table.retell())).toEqual(['events: ["a"]', 'other: ["b"]', '0 routes']);
  });
});

describe('the arguments of a binding', () => {
  test('are read alike from an event and from the management API', () => {
    const event = [
      '{<<"b">>,bool,true}',
      '{<<"d">>,long,5000000000}',
      '{<<"i">>,byte,5}',
      '{<<"n">>,void,undefined}',
      '{<<"s">>,longstr,<<"sträng">>}',
      '{<<"x-match">>,longstr,<<"all">>}',
    ];
    const json = { b: true, d: 5000000000, i: 5, n: 'undefined', s: 'sträng', 'x-match': 'all' };
    expect(argumentsFromEvent(event)).toEqual(argumentsFromJson(json));
    expect(argumentsFromEvent([])).toEqual({});
  });

  test('that an event does not print plainly are left to the management API', () => {
    expect(argumentsFromEvent(['{<<"t">>,table,[{<<"a">>,byte,1}]}'])).toBeUndefined();
    expect(argumentsFromEvent(['{<<"s">>,longstr,<<"a\\"b">>}'])).toBeUndefined();
    expect(argumentsFromEvent(['{<<"d">>,double,1.5}'])).toBeUndefined();
    expect(argumentsFromEvent(['{<<1,2>>,byte,1}'])).toBeUndefined();
  });

  test('that JSON cannot express count as not known', () => {
    const json = { bytes: 'Not UTF-8, base64 is: AQL/', nested: { void: 'undefined', list: [1, 'a'] } };
    expect(argumentsFromJson(json)).toEqual({ bytes: null, nested: { void: null, list: [1, 'a'] } });
    expect(argumentsFromJson([])).toEqual({});
  });
});
