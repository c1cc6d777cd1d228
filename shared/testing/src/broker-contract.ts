import type {
  Broker,
  BrokerState,
  Browsing,
  Delivery,
  ExchangeProperties,
  QueueDemand,
} from '@tombolo/bridge/broker/port';
import { Fault } from '@tombolo/kernel/fault';
import type { BindingArguments } from '@tombolo/wire/binding';
import type { QueueProperties } from '@tombolo/wire/frame';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bytes, consumeFrom, persistent, publisherOf, text } from './contract-handles.ts';

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
  /** What this broker, or the protocol that it is spoken to by, does not have. */
  readonly lacks?: readonly Feature[];
}

/** Queues with bounds of their own, or an expiry; that a client deletes a queue; queues that only one of their consumers gets messages of. */
export type Feature = 'bounds' | 'expiry' | 'deletion' | 'single-active-consumer';

/** What every adapter of the broker port does, told once and run against each. */
export function brokerContract({ name, open, poison, lacks = [] }: ContractOptions): void {
  const has = (feature: Feature) => !lacks.includes(feature);
  describe(`the broker port on ${name}`, () => {
    let world: ContractWorld;
    let broker: Broker;
    let states: BrokerState[];

    beforeEach(async () => {
      world = await open();
      ({ broker, states } = world.adapter());
      broker.claim(true);
      broker.start();
      await isMaster(states);
    });

    afterEach(async () => {
      await broker.stop();
      await world.close();
    });

    const isMaster = (of: BrokerState[]) => world.until('the adapter is master', () => of.at(-1)?.is === 'master');

    const consume = (queue: string, prefetch: number, priority?: number, by: Broker = broker) =>
      consumeFrom(by, queue, prefetch, priority);
    const publisher = (destination: string) => publisherOf(broker, destination);

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

    test('a consumer that is extended is handed so many more, in order, and exactly so many; cancelled it ends once', async () => {
      await fill('orders', 12);
      const one = consume('orders', 3);
      await world.until('three are there', () => one.got.length === 3);
      one.extend(4);
      await world.until('four more come', () => one.got.length === 7);
      await world.until('five stay', async () => (await broker.sink.probe('orders'))?.ready === 5);
      broker.source.acknowledge(one.tokens().slice(0, 2));
      await world.until('two more come', () => one.got.length === 9);
      await world.until('three stay', async () => (await broker.sink.probe('orders'))?.ready === 3);
      expect(one.got.map((each) => text(each.body))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `m${n}`));
      one.cancel();
      one.extend(5);
      await world.until('it has ended', () => one.ends.length > 0);
      await world.publish('orders', bytes('m13'));
      await world.until('four stay', async () => (await broker.sink.probe('orders'))?.ready === 4);
      expect(one.got).toHaveLength(9);
      expect(one.ends).toEqual([{ why: 'cancelled' }]);
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

    test.runIf(has('bounds'))('a full queue that rejects says refused', async () => {
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

    test.runIf(has('expiry'))(
      'a queue with an expiry is declared, and once more with another one, which changes nothing',
      async () => {
        const alike = { type: 'classic', durable: true };
        await broker.source.declare('replies', { ...alike, expiresMs: 3_600_000 });
        await broker.source.declare('replies', { ...alike, expiresMs: 60_000 });
        expect(await broker.source.inspect('replies')).toMatchObject({ ready: 0, properties: { expires: true } });
      },
    );

    test('fifty queues are declared at once, and deleted when they are idle, if that is possible; what is in use or holds messages stays', async () => {
      const names = Array.from({ length: 50 }, (_, index) => `many.${index}`);
      const declared = names.map((name) => broker.source.declare(name, { type: 'classic', durable: true }));
      await Promise.all(declared);
      await world.publish('many.0', bytes('m1'));
      consume('many.1', 1);
      await world.until('it is consumed', async () => (await broker.sink.probe('many.1'))?.consumers === 1);
      const deleted = await Promise.all(names.map((name) => broker.source.deleteIfIdle(name)));
      expect(deleted).toEqual(names.map((_, index) => has('deletion') && index > 1));
      if (has('deletion')) expect(await broker.source.inspect('many.2')).toBeUndefined();
      expect(await broker.source.inspect('many.0')).toMatchObject({ ready: 1 });
    });

    describe.each(['classic', 'quorum'])('looking into a %s queue', (type) => {
      async function look(count: number): Promise<Browsing> {
        await world.declare('parked', { type });
        for (let index = 1; index <= count; index++) await world.publish('parked', bytes(`m${index}`));
        return broker.browser.browse('parked');
      }
      const readAll = async (browsing: Browsing) => {
        const seen: Delivery[] = [];
        for (let each = await browsing.next(); each; each = await browsing.next()) seen.push(each);
        return seen;
      };
      const ready = async () => (await broker.sink.probe('parked'))?.ready;

      test('shows all in order, and leaves them there in order', async () => {
        const browsing = await look(5);
        expect((await readAll(browsing)).map(({ body }) => text(body))).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
        await world.publish('parked', bytes('m6'));
        await browsing.close();
        await browsing.close();
        await world.until('all are back', async () => (await ready()) === 6);
        const all = await world.drain('parked');
        // On a quorum queue what came meanwhile may come first.
        if (type === 'quorum') all.sort();
        expect(all).toEqual(['m1', 'm2', 'm3', 'm4', 'm5', 'm6']);
      });

      test('removes what it is told to, and gives the rest back', async () => {
        const browsing = await look(4);
        const seen = await readAll(browsing);
        for (const index of [2, 0]) browsing.remove(seen[index]!);
        await browsing.close();
        await world.until('two are back', async () => (await ready()) === 2);
        expect(await world.drain('parked')).toEqual(['m2', 'm4']);
      });

      test('ends with its connection, and then all is back', async () => {
        const browsing = await look(3);
        const first = await browsing.next();
        states.length = 0;
        await world.disconnect();
        await isMaster(states);
        await expect(browsing.next()).rejects.toBeInstanceOf(Fault);
        browsing.remove(first!);
        await browsing.close();
        await world.until('all are back', async () => (await ready()) === 3);
      });
    });

    test('looking into a queue that is not there says so', async () => {
      const browsing = await broker.browser.browse('nothing');
      await expect(browsing.next()).rejects.toMatchObject({ code: 'TOMBOLO_QUEUE_ABSENT' });
      await browsing.close();
    });

    test('a second adapter stands by and takes over when the first one stops', async () => {
      const second = world.adapter();
      second.broker.claim(true);
      second.broker.start();
      await world.until('it stands by', () => second.states.at(-1)?.is === 'standby');
      await broker.stop();
      await isMaster(second.states);
      await fill('orders', 1);
      const one = consume('orders', 1, undefined, second.broker);
      await world.until('it consumes', () => one.got.length === 1);
      await second.broker.stop();
    });

    test('a bridge that does not stand for master is connected and leaves the lock to others', async () => {
      const second = world.adapter();
      second.broker.start();
      await world.until('it stands by', () => second.states.at(-1)?.is === 'standby');
      await broker.stop();
      await world.declare('orders');
      expect(await second.broker.sink.probe('orders')).toMatchObject({ ready: 0 });
      expect(second.states.at(-1)?.is).toBe('standby');
      second.broker.claim(true);
      await isMaster(second.states);
      await second.broker.stop();
    });

    test('a master that gives the lock back has its acknowledgements processed, and what it holds comes to its successor', async () => {
      await fill('orders', 50);
      const one = consume('orders', 50);
      await world.until('all are there', () => one.got.length === 50);
      const second = world.adapter();
      second.broker.claim(true);
      second.broker.start();
      await world.until('the other stands by', () => second.states.at(-1)?.is === 'standby');
      broker.source.acknowledge(one.tokens().slice(0, 47));
      broker.claim(false);
      await isMaster(second.states);
      await world.until('its consumer is told', () => one.ends.length === 1);
      expect(one.ends).toEqual([{ why: 'lost' }]);
      const other = consume('orders', 50, undefined, second.broker);
      await world.until('the rest comes', () => other.got.length === 3);
      expect(other.got.map((each) => text(each.body))).toEqual(['m48', 'm49', 'm50']);
      await world.until('the first one stands by', () => states.at(-1)?.is === 'standby');
      expect(states.slice(-3).map(({ is }) => is)).toEqual(['standby', 'connecting', 'standby']);
      await second.broker.stop();
      broker.claim(true);
      await isMaster(states);
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

    test('what every queue holds is counted: what is ready as of now, what is handed out a moment later', async () => {
      await world.declare('orders');
      await world.declare('empty');
      const { got } = consume('orders', 2);
      for (const body of ['a', 'b', 'c', 'd', 'e']) await world.publish('orders', bytes(body));
      await world.until('two are handed out', () => got.length === 2);
      const { queues, incomplete } = await broker.inventory.take(['absent']);
      const ready = (queue: string) => queues.find((each) => each.queue === queue)?.ready;
      expect([ready('orders'), ready('empty'), ready('absent'), incomplete]).toEqual([3, 0, undefined, undefined]);
      await world.until('they are counted', async () => {
        const now = await broker.inventory.take([]);
        return now.queues.find(({ queue }) => queue === 'orders')?.unacknowledged === 2;
      });
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
        // ActiveMQ may tell of a consumer before it tells what it can take.
        await world.until('what it can take is told', () => seen.of('orders')?.capacity === 7);
        const greedy = await world.addConsumer('orders', { prefetch: 0 });
        await world.until('two', () => seen.of('orders')?.consumers === 2);
        await world.until('without bound', () => seen.of('orders')?.capacity === Number.POSITIVE_INFINITY);
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
        await world.until('with what it can take', () => seen.of('orders')?.capacity === 5);
        await counted.remove();
        await world.until('none counts', () => seen.of('orders')?.consumers === 0);
      });

      test.runIf(has('single-active-consumer'))('of a single-active-consumer queue the active one counts', async () => {
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

      test.runIf(has('single-active-consumer'))(
        'a local consumer that waits behind a bridge on a single-active-consumer queue is told',
        async () => {
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
        },
      );

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
        // Not every broker keeps a queue that never held a message.
        await world.until('the consumer is gone', () => (seen.of('orders')?.consumers ?? 0) === 0);
      });
    });
  });
}
