import type {
  Broker,
  BrokerState,
  BufferProperties,
  ExchangeBinding,
  ExchangeProperties,
} from '@tombolo/bridge/broker/port';
import { type Binding, bindingText } from '@tombolo/wire/binding';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ContractOptions, ContractWorld } from './broker-contract.ts';
import { consumeFrom, publisherOf, text } from './contract-handles.ts';

/** What every adapter of a broker with exchanges does. */
export function topicContract({ name, open }: Pick<ContractOptions, 'name' | 'open'>): void {
  describe(`topics on ${name}`, () => {
    let world: ContractWorld;
    let broker: Broker;

    beforeEach(async () => {
      world = await open();
      const adapter: { readonly broker: Broker; readonly states: BrokerState[] } = world.adapter();
      broker = adapter.broker;
      broker.claim(true);
      broker.start();
      await world.until('the adapter is master', () => adapter.states.at(-1)?.is === 'master');
    });

    afterEach(async () => {
      await broker.stop();
      await world.close();
    });

    const consume = (queue: string, prefetch: number) => consumeFrom(broker, queue, prefetch);
    const publisher = (destination: string) => publisherOf(broker, destination);

    describe('exchanges', () => {
      test('a publication to an exchange is confirmed when a queue takes it, returned when none does, refused without it', async () => {
        await world.declareExchange('events', 'topic');
        await world.declare('out');
        await world.bind('events', { queue: 'out' }, 'a.*');
        const { publish, outcomes, outcome } = publisher('events');
        publish(
          { id: 1, exchange: 'events', routingKey: 'a.b' },
          { id: 2, exchange: 'events', routingKey: 'b' },
          { id: 3, exchange: 'events', routingKey: 'a.c' },
        );
        await world.until('all have an outcome', () => outcomes.size === 3);
        expect([1, 2, 3].map(outcome)).toEqual(['confirmed', 'returned', 'confirmed']);
        expect(await world.drain('out')).toEqual(['m1', 'm3']);
        publish({ id: 4, exchange: 'gone', routingKey: 'a.b' });
        await world.until('it has an outcome', () => outcomes.has(4));
        expect(outcome(4)).toBe('refused');
      });

      test('direct, fanout, topic and headers exchanges give a message to whom it is for, through exchanges too', async () => {
        await world.declareExchange('d', 'direct');
        await world.declareExchange('f', 'fanout');
        await world.declareExchange('t', 'topic');
        await world.declareExchange('h', 'headers');
        for (const queue of ['direct', 'fanout', 'topic', 'hash', 'all', 'any', 'some']) await world.declare(queue);
        await world.bind('d', { queue: 'direct' }, 'red');
        await world.bind('f', { queue: 'fanout' }, 'whatever');
        await world.bind('t', { queue: 'topic' }, 'stock.*.eu');
        await world.bind('t', { queue: 'topic' }, 'stock.#');
        await world.bind('t', { queue: 'hash' }, '#.eu.#');
        await world.bind('h', { queue: 'all' }, '', { 'x-match': 'all', a: 'x', b: 'y' });
        await world.bind('h', { queue: 'any' }, '', { 'x-match': 'any', a: 'x', b: 'y' });
        await world.bind('h', { queue: 'some' }, '', { a: null });
        await world.bind('t', { exchange: 'd' }, 'red');
        await world.bind('d', { exchange: 't' }, 'red');
        await world.publishTo('d', 'red', '1');
        await world.publishTo('f', 'blue', '2');
        await world.publishTo('t', 'stock.nyse.eu', '3');
        await world.publishTo('t', 'stock', '4');
        await world.publishTo('t', 'eu', '5');
        await world.publishTo('t', 'red', '6');
        await world.publishTo('h', '', '7', { a: 'x', b: 'y' });
        await world.publishTo('h', '', '8', { a: 'x', b: 'z' });
        await world.publishTo('h', '', '9', { a: 1 });
        const got: Record<string, string[]> = {};
        for (const queue of ['direct', 'fanout', 'topic', 'hash', 'all', 'any', 'some']) {
          got[queue] = await world.drain(queue);
        }
        expect(got).toEqual({
          direct: ['1', '6'],
          fanout: ['2'],
          topic: ['3', '4'],
          hash: ['3', '5'],
          all: ['7'],
          any: ['7', '8'],
          some: ['7', '8', '9'],
        });
      });
    });

    describe('bindings', () => {
      function watch(matches: (exchange: string) => boolean = (exchange) => !exchange.startsWith('amq.')) {
        const sets = new Map<string, Map<string, Binding>>();
        const properties = new Map<string, ExchangeProperties>();
        const deleted: string[] = [];
        const visible: boolean[] = [];
        let routes: readonly ExchangeBinding[] = [];
        const listener = {
          exchange: (exchange: string, its: ExchangeProperties, bindings: readonly Binding[]) => {
            properties.set(exchange, its);
            sets.set(exchange, new Map(bindings.map((binding) => [bindingText(binding), binding])));
          },
          changed: (exchange: string, added: readonly Binding[], removed: readonly Binding[]) => {
            const set = sets.get(exchange);
            if (!set) throw new Error(`${exchange} changes before it was told`);
            for (const binding of removed) {
              if (!set.delete(bindingText(binding))) throw new Error(`${bindingText(binding)} goes, but was not told`);
            }
            for (const binding of added) {
              if (set.has(bindingText(binding))) throw new Error(`${bindingText(binding)} comes twice`);
              set.set(bindingText(binding), binding);
            }
          },
          deleted: (exchange: string) => {
            if (!sets.delete(exchange)) throw new Error(`${exchange} goes, but was not told`);
            deleted.push(exchange);
          },
          routes: (now: readonly ExchangeBinding[]) => {
            routes = now;
          },
          visible: (now: boolean) => void visible.push(now),
        };
        broker.bindings.watch(matches, listener);
        return {
          deleted,
          visible,
          properties,
          /** Other exchanges from now on. */
          watch: (other: (exchange: string) => boolean) => broker.bindings.watch(other, listener),
          has: (exchange: string) => sets.has(exchange),
          of: (exchange: string) => [...(sets.get(exchange)?.keys() ?? [])].sort().join(' '),
          routes: () => routes.map(({ from, type, to, binding }) => `${from} (${type}) ${binding.routingKey} ${to}`),
          seen: () => world.until('the bindings are visible', () => visible.at(-1)),
        };
      }

      test('what is bound already is told at first, with the exchange, then what comes and goes', async () => {
        await world.declareExchange('events', 'topic');
        await world.declare('one');
        await world.bind('events', { queue: 'one' }, 'a.#');
        const seen = watch();
        await seen.seen();
        await world.until('it is told', () => seen.of('events') === '["a.#"]');
        expect(seen.properties.get('events')).toEqual({
          type: 'topic',
          durable: true,
          autoDelete: false,
          internal: false,
        });
        await world.bind('events', { queue: 'one' }, 'b.*');
        await world.until('the second, too', () => seen.of('events') === '["a.#"] ["b.*"]');
        await world.unbind('events', { queue: 'one' }, 'a.#');
        await world.until('the first is gone', () => seen.of('events') === '["b.*"]');
      });

      test('bindings alike count once, until the last of them goes', async () => {
        await world.declareExchange('events', 'topic');
        for (const queue of ['one', 'two', 'marker']) await world.declare(queue);
        const seen = watch();
        await seen.seen();
        await world.bind('events', { queue: 'one' }, 'a');
        await world.bind('events', { queue: 'two' }, 'a');
        await world.until('it is told', () => seen.of('events') === '["a"]');
        await world.deleteQueue('one');
        await world.bind('events', { queue: 'marker' }, 'marker');
        await world.until('the marker is told', () => seen.of('events').includes('marker'));
        expect(seen.of('events')).toBe('["a"] ["marker"]');
        await world.deleteQueue('two');
        await world.until('the last has gone', () => seen.of('events') === '["marker"]');
      });

      test('the bindings of buffers and of federation are no demand', async () => {
        await world.declareExchange('events', 'topic');
        await world.declare('tombolo.topic.west.events');
        await world.declare('federation: events -> here');
        await world.declare('mine');
        await world.bind('events', { queue: 'tombolo.topic.west.events' }, 'theirs');
        const seen = watch();
        await seen.seen();
        await world.bind('events', { queue: 'federation: events -> here' }, 'federated');
        await world.bind('events', { queue: 'tombolo.topic.west.events' }, 'later');
        await world.bind('events', { queue: 'mine' }, 'mine');
        await world.until('mine is told', () => seen.of('events') !== '');
        expect(seen.of('events')).toBe('["mine"]');
      });

      test('a binding to an exchange is demand and a route', async () => {
        await world.declareExchange('events', 'topic');
        await world.declareExchange('orders', 'fanout', { internal: true });
        const seen = watch((exchange) => exchange === 'events');
        await seen.seen();
        await world.bind('events', { exchange: 'orders' }, 'order.#');
        await world.until('it is told', () => seen.of('events') === '["order.#"]');
        await world.until('the route, too', () => seen.routes().length === 1);
        expect(seen.routes()).toEqual(['events (topic) order.# orders']);
        expect(seen.has('orders')).toBe(false);
        await world.deleteExchange('orders');
        await world.until('it has gone', () => seen.of('events') === '' && seen.routes().length === 0);
      });

      test('arguments keep their types as far as the broker shows them', async () => {
        await world.declareExchange('matching', 'headers');
        await world.declare('one');
        await world.bind('matching', { queue: 'one' }, '', { 'x-match': 'all', region: 'süd', size: 3, urgent: true });
        const seen = watch();
        await seen.seen();
        const first = '["",{"region":"süd","size":3,"urgent":true,"x-match":"all"}]';
        await world.until('the first look shows it', () => seen.of('matching') === first);
        await world.bind('matching', { queue: 'one' }, '', { b: 'x', a: null });
        await world.until('so does an event', () => seen.of('matching') === `["",{"a":null,"b":"x"}] ${first}`);
        await world.bind('matching', { queue: 'one' }, 'k', { list: [1, 'a'], table: { b: 2, a: 'z' } });
        const nested = '["k",{"list":[1,"a"],"table":{"a":"z","b":2}}]';
        await world.until('and nested ones', () => seen.of('matching').endsWith(nested));
      });

      test('exchanges that come and go are told; those that are not watched are not', async () => {
        const seen = watch((exchange) => exchange.startsWith('new'));
        await seen.seen();
        await world.declareExchange('other', 'topic');
        await world.declareExchange('new.one', 'direct', { durable: false });
        await world.until('it is told', () => seen.has('new.one'));
        await world.deleteExchange('new.one');
        await world.until('it is deleted', () => seen.deleted.includes('new.one'));
        await world.declareExchange('new.one', 'fanout');
        await world.until('it is told anew', () => seen.properties.get('new.one')?.type === 'fanout');
        expect(seen.has('other')).toBe(false);
        seen.watch(() => true);
        await world.until('now it is watched', () => seen.has('other'));
      });

      test('what a restart of the broker ended is told after it', async () => {
        await world.declareExchange('lasting', 'topic');
        await world.declareExchange('passing', 'topic', { durable: false });
        await world.declare('one');
        await world.bind('lasting', { queue: 'one' }, 'a');
        await world.bind('passing', { queue: 'one' }, 'a');
        const seen = watch();
        await world.until('both are told', () => seen.of('lasting') !== '' && seen.of('passing') !== '');
        await world.crash();
        await world.until('they were invisible', () => seen.visible.includes(false));
        await seen.seen();
        await world.until('one has gone', () => seen.deleted.includes('passing'));
        expect(seen.of('lasting')).toBe('["a"]');
      });
    });

    describe('topic buffers', () => {
      const buffer = 'tombolo.topic.east.events';
      const small: BufferProperties = { type: 'classic', ttlMs: 60_000, maxLength: 3, maxBytes: 1_000_000 };
      const keys = (...routingKeys: string[]) => routingKeys.map((routingKey) => ({ routingKey, arguments: {} }));

      test('a buffer captures what it is bound to, once, and what is unbound no more', async () => {
        await world.declareExchange('events', 'topic');
        await broker.buffers.declare(buffer, { ...small, maxLength: 100 });
        await broker.buffers.bind(buffer, 'events', keys('a.#', '#.z', 'b'));
        await broker.buffers.bind(buffer, 'events', keys('b'));
        await world.publishTo('events', 'a.z', '1');
        await world.publishTo('events', 'b', '2');
        await broker.buffers.unbind(buffer, 'events', keys('b', 'never'));
        await world.publishTo('events', 'b', '3');
        const one = consume(buffer, 10);
        await world.until('two are there', () => one.got.length === 2);
        expect(one.got.map((each) => [each.exchange, each.routingKey, text(each.body)])).toEqual([
          ['events', 'a.z', '1'],
          ['events', 'b', '2'],
        ]);
        await world.until('no third', async () => (await broker.sink.probe(buffer))?.ready === 0);
      });

      test('a captured message names the exchange it was published to, whichever exchange captured it', async () => {
        await world.declareExchange('first', 'topic');
        await world.declareExchange('events', 'fanout');
        await world.bind('first', { exchange: 'events' }, '#');
        await broker.buffers.declare(buffer, small);
        await broker.buffers.bind(buffer, 'events', keys(''));
        await world.publishTo('first', 'k', '1');
        const one = consume(buffer, 10);
        await world.until('it is there', () => one.got.length === 1);
        expect(one.got[0]).toMatchObject({ exchange: 'first', routingKey: 'k' });
      });

      test('a value that is not known takes every value of its header', async () => {
        await world.declareExchange('matching', 'headers');
        await broker.buffers.declare(buffer, { ...small, maxLength: 100 });
        await broker.buffers.bind(buffer, 'matching', [{ routingKey: '', arguments: { size: null, kind: 'a' } }]);
        await world.publishTo('matching', '', '1', { kind: 'a', size: 1 });
        await world.publishTo('matching', '', '2', { kind: 'a', size: 70_000 });
        await world.publishTo('matching', '', '3', { kind: 'b', size: 1 });
        await world.publishTo('matching', '', '4', { kind: 'a' });
        const one = consume(buffer, 10);
        await world.until('two are there', () => one.got.length === 2);
        expect(one.got.map((each) => text(each.body))).toEqual(['1', '2']);
        expect(await broker.buffers.bindings(buffer)).toEqual([
          { exchange: 'matching', binding: { routingKey: '', arguments: { size: null, kind: 'a' } } },
        ]);
      });

      test('beyond its bounds a buffer drops the oldest', async () => {
        await world.declareExchange('events', 'fanout');
        await broker.buffers.declare(buffer, small);
        await broker.buffers.bind(buffer, 'events', keys(''));
        for (const body of ['1', '2', '3', '4', '5']) await world.publishTo('events', '', body);
        expect(await world.drain(buffer)).toEqual(['3', '4', '5']);
        await broker.buffers.declare(`${buffer}-2`, { ...small, maxLength: 100, maxBytes: 10 });
        await broker.buffers.bind(`${buffer}-2`, 'events', keys(''));
        for (const body of ['aaaa', 'bbbb', 'cccc']) await world.publishTo('events', '', body);
        expect(await world.drain(`${buffer}-2`)).toEqual(['bbbb', 'cccc']);
      });

      test('buffers and their bindings are found again, so that a restart binds the difference only', async () => {
        await world.declareExchange('events', 'topic');
        await world.declare('orders');
        await broker.buffers.declare(buffer, small);
        await broker.buffers.declare(buffer, small);
        const many = keys(...Array.from({ length: 200 }, (_, index) => `a${index}.#`));
        await broker.buffers.bind(buffer, 'events', many);
        expect(await broker.buffers.list()).toEqual([buffer]);
        const found = (await broker.buffers.bindings(buffer)) ?? [];
        expect(found.map(({ exchange, binding }) => `${exchange} ${bindingText(binding)}`).sort()).toEqual(
          many.map((binding) => `events ${bindingText(binding)}`).sort(),
        );
        await broker.buffers.unbind(buffer, 'events', many.slice(1));
        expect(await broker.buffers.bindings(buffer)).toEqual([{ exchange: 'events', binding: many[0] }]);
      });

      test('calls for one buffer are carried out in their order', async () => {
        await world.declareExchange('events', 'topic');
        const calls = [
          broker.buffers.declare(buffer, small),
          broker.buffers.bind(buffer, 'events', keys('a', 'b')),
          broker.buffers.unbind(buffer, 'events', keys('a')),
          broker.buffers.bind(buffer, 'events', keys('c')),
        ];
        await Promise.all(calls);
        const found = (await broker.buffers.bindings(buffer)) ?? [];
        expect(found.map(({ binding }) => binding.routingKey).sort()).toEqual(['b', 'c']);
      });

      test('a buffer that holds messages is deleted only when it may be', async () => {
        await world.declareExchange('events', 'fanout');
        await broker.buffers.declare(buffer, { ...small, type: 'quorum' });
        await broker.buffers.bind(buffer, 'events', keys(''));
        await world.publishTo('events', '', '1');
        await world.until('it holds one', async () => (await broker.sink.probe(buffer))?.ready === 1);
        expect(await broker.buffers.delete(buffer, { ifEmpty: true })).toBe('not-empty');
        expect(await broker.buffers.delete(buffer)).toBe('deleted');
        expect(await broker.buffers.delete(buffer)).toBe('absent');
        await broker.buffers.declare(buffer, small);
        expect(await broker.buffers.delete(buffer, { ifEmpty: true })).toBe('deleted');
        expect(await broker.source.inspect(buffer)).toBeUndefined();
      });

      test('what cannot be is refused with the reason, and halts nothing else', async () => {
        await broker.buffers.declare(buffer, small);
        await expect(broker.buffers.bind(buffer, 'nowhere', keys('a'))).rejects.toMatchObject({
          code: 'TOMBOLO_EXCHANGE_ABSENT',
        });
        await world.declareExchange('events', 'fanout', { durable: false });
        await expect(broker.buffers.bind('tombolo.topic.none', 'events', keys('a'))).rejects.toMatchObject({
          code: 'TOMBOLO_QUEUE_ABSENT',
        });
        await expect(broker.buffers.declare(buffer, { ...small, maxLength: 4 })).rejects.toMatchObject({
          code: 'TOMBOLO_QUEUE_REFUSED',
        });
        await broker.buffers.bind(buffer, 'events', keys('a'));
        expect(await broker.buffers.exchange('events')).toMatchObject({ type: 'fanout', durable: false });
        expect(await broker.buffers.exchange('nowhere')).toBeUndefined();
        await broker.stop();
        await expect(broker.buffers.bind(buffer, 'events', keys('b'))).rejects.toMatchObject({
          code: 'TOMBOLO_BROKER_LOST',
        });
      });
    });
  });
}
