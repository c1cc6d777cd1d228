import type {
  Broker,
  BrokerState,
  BufferProperties,
  ConsumerEnd,
  Delivery,
  ExchangeBinding,
  ExchangeProperties,
  Publication,
  PublishOutcome,
  QueueDemand,
} from '@tombolo/bridge/broker/port';
import { type Binding, type BindingArguments, bindingText } from '@tombolo/wire/binding';
import type { QueueProperties } from '@tombolo/wire/frame';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

/** One broker for one test, and the application's side of it. */
export interface ContractWorld {
  /** A further adapter of the same cluster; its states are collected from the first. */
  adapter(): { readonly broker: Broker; readonly states: BrokerState[] };
  declare(queue: string, properties?: QueueProperties): Promise<void>;
  publish(queue: string, body: Uint8Array): Promise<void>;
  deleteQueue(queue: string): Promise<void>;
  addConsumer(
    queue: string,
    options: { readonly prefetch: number; readonly priority?: number },
  ): Promise<{ remove(): Promise<void> }>;
  /** Durable, unless said otherwise. */
  declareExchange(exchange: string, type: string, properties?: Partial<ExchangeProperties>): Promise<void>;
  deleteExchange(exchange: string): Promise<void>;
  /** Binds a queue or an exchange to the exchange `from`. */
  bind(from: string, to: BindingEnd, routingKey: string, headers?: BindingArguments): Promise<void>;
  unbind(from: string, to: BindingEnd, routingKey: string, headers?: BindingArguments): Promise<void>;
  /** Publishes with headers to an exchange; also what nobody takes. */
  publishTo(
    exchange: string,
    routingKey: string,
    body: string,
    headers?: Record<string, string | number>,
  ): Promise<void>;
  /** The bodies in the queue, in order; they stay out of it. */
  drain(queue: string): Promise<string[]>;
  /** Breaks all connections of bridges; new ones are possible at once. */
  disconnect(): Promise<void>;
  /** The broker dies and comes back. */
  crash(): Promise<void>;
  /** Waits, or lets the clock run, until the condition holds. */
  until(what: string, condition: () => unknown): Promise<void>;
  close(): Promise<void>;
}

export type BindingEnd = { readonly queue: string } | { readonly exchange: string };

export interface ContractOptions {
  readonly name: string;
  readonly open: () => Promise<ContractWorld>;
  /** The body of a message that this broker closes a channel for, and its properties. */
  readonly poison?: { readonly properties: Uint8Array; readonly body: Uint8Array };
}

/** Delivery mode 2, raw. */
const persistent = Uint8Array.of(0x10, 0x00, 0x02);
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const bytes = (content: string) => Buffer.from(content);

/** What every adapter of the broker port does, told once and run against each. */
export function brokerContract({ name, open, poison }: ContractOptions): void {
  describe(`the broker port on ${name}`, () => {
    let world: ContractWorld;
    let broker: Broker;
    let states: BrokerState[];

    beforeEach(async () => {
      world = await open();
      ({ broker, states } = world.adapter());
      broker.start();
      await isMaster(states);
    });

    afterEach(async () => {
      await broker.stop();
      await world.close();
    });

    const isMaster = (of: BrokerState[]) => world.until('the adapter is master', () => of.at(-1)?.is === 'master');

    function consume(queue: string, prefetch: number, priority?: number, by: Broker = broker) {
      const got: Delivery[] = [];
      const ends: ConsumerEnd[] = [];
      const consumer = by.source.consume(
        { queue, prefetch, priority },
        {
          delivered: (deliveries) => {
            if (ends.length > 0) throw new Error('a delivery came after the end');
            got.push(...deliveries);
          },
          ended: (end) => ends.push(end),
        },
      );
      return { got, ends, cancel: () => consumer.cancel(), tokens: () => got.map((each) => each.token) };
    }

    function publisher(destination: string) {
      const outcomes = new Map<number, { outcome: PublishOutcome; detail: string | undefined }>();
      const its = broker.sink.publisher(destination, {
        outcome: (ids, outcome, detail) => {
          for (const id of ids) {
            if (outcomes.has(id)) throw new Error(`publication ${id} has two outcomes`);
            outcomes.set(id, { outcome, detail });
          }
        },
      });
      const publish = (...list: (Partial<Publication> & { id: number })[]) =>
        its.publish(
          list.map((each) => ({
            exchange: '',
            routingKey: destination,
            properties: persistent,
            body: bytes(`m${each.id}`),
            ...each,
          })),
        );
      return { outcomes, publish, outcome: (id: number) => outcomes.get(id)?.outcome };
    }

    async function fill(queue: string, count: number) {
      await world.declare(queue);
      for (let index = 1; index <= count; index++) await world.publish(queue, bytes(`m${index}`));
    }

    test('messages come in queue order, with where they came from', async () => {
      await fill('orders', 5);
      const { got } = consume('orders', 100);
      await world.until('all five are there', () => got.length === 5);
      expect(got.map((each) => text(each.body))).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
      expect(got[0]).toMatchObject({ exchange: '', routingKey: 'orders', redelivered: false });
    });

    test('the prefetch is exact: no message beyond it before an acknowledgement, one for each after it', async () => {
      await fill('orders', 10);
      const one = consume('orders', 3);
      await world.until('three are there', () => one.got.length === 3);
      await world.until('seven stay', async () => (await broker.sink.probe('orders'))?.ready === 7);
      broker.source.acknowledge(one.tokens().slice(0, 2));
      await world.until('two more come', () => one.got.length === 5);
      await world.until('five stay', async () => (await broker.sink.probe('orders'))?.ready === 5);
      expect(one.got.length).toBe(5);
    });

    test('an acknowledged message is gone, an unacknowledged one comes back redelivered after the connection died', async () => {
      await fill('orders', 3);
      const one = consume('orders', 10);
      await world.until('all are there', () => one.got.length === 3);
      let processed: boolean | undefined;
      broker.source.acknowledge([one.tokens()[1]!]);
      broker.source.flushed(one.tokens()[1]!, (ok) => {
        processed = ok;
      });
      await world.until('the acknowledgement is processed', () => processed);
      states.length = 0;
      await world.disconnect();
      await world.until('the consumer is told', () => one.ends.length > 0);
      expect(one.ends).toEqual([{ why: 'lost' }]);
      await isMaster(states);
      broker.source.acknowledge(one.tokens()); // of a dead channel: ignored
      const again = consume('orders', 10);
      await world.until('two come again', () => again.got.length === 2);
      expect(again.got.map((each) => [text(each.body), each.redelivered])).toEqual([
        ['m1', true],
        ['m3', true],
      ]);
    });

    test('a requeued message goes back to its place and is flagged', async () => {
      await fill('orders', 4);
      const one = consume('orders', 2);
      await world.until('two are there', () => one.got.length === 2);
      one.cancel();
      await world.until('it is cancelled', () => one.ends.length > 0);
      broker.source.requeue(one.tokens());
      await world.until('all are ready', async () => (await broker.sink.probe('orders'))?.ready === 4);
      const again = consume('orders', 10);
      await world.until('all come', () => again.got.length === 4);
      expect(again.got.map((each) => text(each.body))).toEqual(['m1', 'm2', 'm3', 'm4']);
      expect(again.got.map((each) => each.redelivered)).toEqual([true, true, false, false]);
    });

    test('after a cancel everything that was sent before is handed over and can still be acknowledged', async () => {
      await fill('orders', 5);
      const one = consume('orders', 2);
      await world.until('two are there', () => one.got.length === 2);
      one.cancel();
      one.cancel();
      await world.until('it is cancelled', () => one.ends.length > 0);
      expect(one.ends).toEqual([{ why: 'cancelled' }]);
      broker.source.acknowledge(one.tokens());
      let processed = false;
      broker.source.flushed(one.tokens()[0]!, (ok) => {
        processed = ok;
      });
      await world.until('processed', () => processed);
      expect(await world.drain('orders')).toEqual(['m3', 'm4', 'm5']);
    });

    test('interleaved consumers acknowledge only what they were told to', async () => {
      await fill('a', 20);
      await fill('b', 20);
      const a = consume('a', 50);
      const b = consume('b', 50);
      await world.until('all are there', () => a.got.length === 20 && b.got.length === 20);
      broker.source.acknowledge(a.tokens().filter((_, index) => index % 2 === 0));
      broker.source.acknowledge([...b.tokens()].reverse().slice(0, 7));
      broker.source.acknowledge(a.tokens().slice(0, 5));
      await broker.stop();
      const left = (from: number) => Array.from({ length: 20 }, (_, index) => index + 1).filter((n) => n >= from);
      expect(await world.drain('a')).toEqual(
        left(1)
          .filter((n) => n % 2 === 0 && n > 5)
          .map((n) => `m${n}`),
      );
      expect(await world.drain('b')).toEqual(
        left(1)
          .filter((n) => n <= 13)
          .map((n) => `m${n}`),
      );
    });

    test('a consumer of an absent queue is refused and no other suffers for long', async () => {
      const one = consume('nothing', 1);
      await world.until('it is refused', () => one.ends.length > 0);
      expect(one.ends[0]).toMatchObject({ why: 'refused', fault: { code: 'TOMBOLO_QUEUE_ABSENT' } });
      await fill('orders', 1);
      const two = consume('orders', 1);
      await world.until('another works', () => two.got.length === 1);
      const three = consume('nothing', 1);
      await world.until('refused again', () => three.ends.length > 0);
      expect(two.ends).toEqual([]);
    });

    test('a deleted queue ends its consumer', async () => {
      await fill('orders', 1);
      const one = consume('orders', 1);
      await world.until('it is on', () => one.got.length === 1);
      await world.deleteQueue('orders');
      await world.until('it has ended', () => one.ends.length > 0);
      expect(one.ends).toEqual([{ why: 'queue-gone' }]);
      expect(await broker.source.inspect('orders')).toBeUndefined();
    });

    test('a channel that dies is told before its consumers, also when it held messages of a cancelled one only', async () => {
      await fill('orders', 2);
      await fill('other', 1);
      const told: string[] = [];
      const lost = new Set<object>();
      broker.source.onChannelLost(() => told.push('a listener that was replaced'));
      broker.source.onChannelLost((channel) => {
        lost.add(channel);
        told.push(`lost, ends: ${other.ends.length}`);
      });
      const cancelled = consume('orders', 10);
      await world.until('both are there', () => cancelled.got.length === 2);
      cancelled.cancel();
      await world.until('it is cancelled', () => cancelled.ends.length === 1);
      const other = consume('other', 10);
      await world.until('its message is there', () => other.got.length === 1);
      expect(told).toEqual([]);
      await world.disconnect();
      await world.until('the consumer is told', () => other.ends.length === 1);
      expect(told[0]).toBe('lost, ends: 0');
      expect(told).not.toContain('a listener that was replaced');
      for (const { token } of [...cancelled.got, ...other.got]) expect(lost.has(token.channel)).toBe(true);
    });

    test('publications are confirmed in order and stored as they are', async () => {
      await world.declare('out');
      const { outcomes, publish } = publisher('out');
      publish(...Array.from({ length: 100 }, (_, index) => ({ id: index })));
      await world.until('all are confirmed', () => outcomes.size === 100);
      expect([...outcomes.values()].every((each) => each.outcome === 'confirmed')).toBe(true);
      const one = consume('out', 200);
      await world.until('all are there', () => one.got.length === 100);
      expect(one.got.map((each) => text(each.body))).toEqual(Array.from({ length: 100 }, (_, index) => `m${index}`));
      expect(Buffer.from(one.got[0]!.properties)).toEqual(Buffer.from(persistent));
    });

    test('an unroutable publication is returned, those around it are confirmed', async () => {
      await world.declare('out');
      const { publish, outcomes, outcome } = publisher('out');
      publish(
        ...Array.from({ length: 60 }, (_, index) =>
          index % 3 === 1 ? { id: index, routingKey: 'nowhere', body: bytes('same') } : { id: index },
        ),
      );
      await world.until('all have an outcome', () => outcomes.size === 60);
      for (let id = 0; id < 60; id++) expect(outcome(id)).toBe(id % 3 === 1 ? 'returned' : 'confirmed');
      expect((await world.drain('out')).length).toBe(40);
    });

    test('a full queue that rejects says refused', async () => {
      await world.declare('small', { maxLength: 2, overflow: 'reject-publish' });
      const { publish, outcomes, outcome } = publisher('small');
      for (let id = 1; id <= 4; id++) {
        publish({ id });
        await world.until('it has an outcome', () => outcomes.has(id));
      }
      expect([1, 2, 3, 4].map(outcome)).toEqual(['confirmed', 'confirmed', 'refused', 'refused']);
    });

    test.runIf(poison)('a poisonous message is found, and the others are stored in order', async () => {
      await world.declare('out');
      const { publish, outcomes, outcome } = publisher('out');
      publish({ id: 1 }, { id: 2 }, { id: 3, ...poison }, { id: 4 }, { id: 5 });
      await world.until('all have an outcome', () => outcomes.size === 5);
      expect([1, 2, 3, 4, 5].map(outcome)).toEqual(['confirmed', 'confirmed', 'poison', 'confirmed', 'confirmed']);
      expect(outcomes.get(3)?.detail).toBeTruthy();
      expect([...new Set(await world.drain('out'))]).toEqual(['m1', 'm2', 'm4', 'm5']);
    });

    test('without a connection a publication is refused, not lost, and a lost one is unknown', async () => {
      await world.declare('out');
      const { publish, outcomes, outcome } = publisher('out');
      publish({ id: 1 });
      const gone = world.disconnect();
      await world.until('the first has an outcome', () => outcomes.has(1));
      await gone;
      expect(['confirmed', 'unknown', 'refused']).toContain(outcome(1));
      await broker.stop();
      publish({ id: 2 });
      await world.until('the second has one', () => outcomes.has(2));
      expect(outcome(2)).toBe('refused');
    });

    test('a second adapter stands by and takes over when the first one stops', async () => {
      const second = world.adapter();
      second.broker.start();
      await world.until('it stands by', () => second.states.at(-1)?.is === 'standby');
      await broker.stop();
      await isMaster(second.states);
      await fill('orders', 1);
      const one = consume('orders', 1, undefined, second.broker);
      await world.until('it consumes', () => one.got.length === 1);
      await second.broker.stop();
    });

    test('a broker that was restarted is found again, with what was unacknowledged', async () => {
      await fill('orders', 2);
      const one = consume('orders', 10);
      await world.until('both are there', () => one.got.length === 2);
      states.length = 0;
      await world.crash();
      await world.until('it was noticed', () => one.ends.length === 1);
      await isMaster(states);
      const again = consume('orders', 10);
      await world.until('both come again', () => again.got.length === 2);
      expect(again.got.every((each) => each.redelivered)).toBe(true);
    });

    describe('demand', () => {
      function watch(matches: (queue: string) => boolean = () => true) {
        const demands = new Map<string, QueueDemand>();
        const created: string[] = [];
        const deleted: string[] = [];
        const visible: boolean[] = [];
        broker.demand.watch(
          { matches, exact: ['orders'] },
          {
            changed: (demand) => demands.set(demand.queue, demand),
            created: (queue) => created.push(queue),
            deleted: (queue) => {
              demands.delete(queue);
              deleted.push(queue);
            },
            visible: (now) => visible.push(now),
          },
        );
        return { demands, created, deleted, visible, of: (queue: string) => demands.get(queue) };
      }

      test('an application consumer is told with what it can take, its end too', async () => {
        await world.declare('orders');
        const seen = watch();
        await world.until('the broker is visible', () => seen.visible.at(-1));
        const consumer = await world.addConsumer('orders', { prefetch: 7 });
        await world.until('it is told', () => seen.of('orders')?.consumers === 1);
        expect(seen.of('orders')).toMatchObject({ capacity: 7 });
        const greedy = await world.addConsumer('orders', { prefetch: 0 });
        await world.until('two', () => seen.of('orders')?.consumers === 2);
        expect(seen.of('orders')?.capacity).toBe(Number.POSITIVE_INFINITY);
        await greedy.remove();
        await consumer.remove();
        await world.until('none', () => seen.of('orders')?.consumers === 0);
      });

      test('bridges and consumers of negative priority are no demand', async () => {
        await fill('orders', 1);
        const seen = watch();
        await world.until('the broker is visible', () => seen.visible.at(-1));
        const one = consume('orders', 1, -1);
        await world.until('a bridge is on', () => one.got.length === 1);
        await world.addConsumer('orders', { prefetch: 1, priority: -2 });
        const counted = await world.addConsumer('orders', { prefetch: 5, priority: 3 });
        await world.until('one counts', () => seen.of('orders')?.consumers === 1);
        expect(seen.of('orders')?.capacity).toBe(5);
        await counted.remove();
        await world.until('none counts', () => seen.of('orders')?.consumers === 0);
      });

      test('of a single-active-consumer queue the active one counts', async () => {
        await world.declare('single', { singleActiveConsumer: true });
        const seen = watch();
        await world.until('the broker is visible', () => seen.visible.at(-1));
        const first = await world.addConsumer('single', { prefetch: 3 });
        await world.addConsumer('single', { prefetch: 5 });
        await world.until('one', () => seen.of('single')?.capacity === 3);
        await first.remove();
        await world.until('the other', () => seen.of('single')?.capacity === 5);
        expect(seen.of('single')?.consumers).toBe(1);
      });

      test('a local consumer that waits behind a bridge on a single-active-consumer queue is told', async () => {
        await world.declare('single', { singleActiveConsumer: true });
        await world.publish('single', bytes('m1'));
        const seen = watch();
        await world.until('the broker is visible', () => seen.visible.at(-1));
        const one = consume('single', 1, -1);
        await world.until('the bridge is the active one', () => one.got.length === 1);
        const waiting = await world.addConsumer('single', { prefetch: 4 });
        await world.until('it is told', () => seen.of('single')?.consumers === 1);
        expect(seen.of('single')?.capacity).toBe(4);
        await waiting.remove();
        await world.until('its end too', () => seen.of('single')?.consumers === 0);
      });

      test('queues that come and go are told; names that are not watched are not', async () => {
        const seen = watch((queue) => queue.startsWith('new'));
        await world.until('the broker is visible', () => seen.visible.at(-1));
        await world.declare('new.one');
        await world.declare('other');
        await world.until('it is created', () => seen.created.includes('new.one'));
        await world.deleteQueue('new.one');
        await world.until('it is deleted', () => seen.deleted.includes('new.one'));
        expect(seen.created).not.toContain('other');
      });

      test('what a restart of the broker ended is told after it', async () => {
        await world.declare('orders');
        const seen = watch();
        await world.until('the broker is visible', () => seen.visible.at(-1));
        await world.addConsumer('orders', { prefetch: 1 });
        await world.until('it is told', () => seen.of('orders')?.consumers === 1);
        await world.crash();
        await world.until('it was invisible', () => seen.visible.includes(false));
        await world.until('visible again', () => seen.visible.at(-1));
        await world.until('the consumer is gone', () => seen.of('orders')?.consumers === 0);
      });
    });

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
