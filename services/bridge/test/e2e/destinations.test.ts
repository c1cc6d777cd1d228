import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import {
  allArrived,
  exactlyOnce,
  Network,
  noNodes,
  Site,
  tally,
  tombolo,
  watchFor,
  westToEast,
  within,
} from './network.ts';

const durable = { durable: true };
const typed = (type: string) => ({ durable: true, arguments: { 'x-queue-type': type } });

describe.skipIf(noNodes())('kinds of queues', () => {
  test('classic, quorum and priority queues are served, whatever kind the other side has', async () => {
    const { west, east } = await westToEast();
    const pairs = [
      ['classic.quorum', durable, typed('quorum')],
      ['quorum.classic', typed('quorum'), durable],
      ['quorum.quorum', typed('quorum'), typed('quorum')],
      ['priority', { durable: true, maxPriority: 5 }, { durable: true, maxPriority: 5 }],
      ['passing', { durable: false }, { durable: false }],
    ] as const;
    for (const [queue, atWest, atEast] of pairs) {
      await Promise.all([west.declare(queue, atWest), east.declare(queue, atEast)]);
      const consumer = await east.consume(queue);
      await west.publish(queue, 500, { properties: (index) => ({ persistent: true, priority: index % 5 }) });
      await consumer.wait(500);
      expect(tally(consumer.bodies(), 500), queue).toEqual(exactlyOnce);
      await awaitUntil(`${queue} is empty`, async () => (await west.ready(queue)) === 0);
    }
  });

  test('a single-active-consumer queue is left to its local consumer, and drained when there is none', async () => {
    const { west, east } = await westToEast();
    const single = { durable: true, arguments: { 'x-single-active-consumer': true } };
    await Promise.all([west.declare('single', single), east.declare('single', durable)]);
    const local = await west.consume('single');
    const remote = await east.consume('single');
    await west.publish('single', 100);
    await local.wait(100);
    expect(remote.got).toHaveLength(0);
    await local.close();
    await west.publish('single', 100, { from: 100 });
    await remote.wait(100);
    expect(tally([...local.bodies(), ...remote.bodies()], 200)).toEqual(exactlyOnce);
  });

  test('what cannot be bridged without loss is refused, and both ends say why', async () => {
    const { west, east, network } = await westToEast();
    const expires = { durable: true, expires: 3_600_000 };
    await west.declare('source.leaving', { durable: true, autoDelete: true });
    await west.declare('source.stream', typed('stream'));
    for (const queue of ['source.leaving', 'source.stream']) await east.declare(queue);
    const sinks = [
      ['sink.leaving', { durable: true, autoDelete: true }, /auto-delete/],
      ['sink.expires', expires, /expires/],
      ['sink.passing', { durable: false }, /not durable/],
    ] as const;
    for (const [queue, options] of sinks) {
      await Promise.all([west.declare(queue), east.declare(queue, options)]);
    }
    const refused = ['source.leaving', 'source.stream', ...sinks.map(([queue]) => queue)];
    for (const queue of refused) {
      if (queue !== 'source.stream') await west.publish(queue, 5);
      await east.consume(queue);
    }
    const reasonAt = async (side: string, queue: string) => {
      const rows = await network.bridge(side).rows('demand', queue);
      return rows.find((row) => row['unserved'] === 'refused')?.['detail'] as string | undefined;
    };
    const says = (side: string, queue: string, why: RegExp) =>
      awaitUntil(
        `${side} says of ${queue} ${why}`,
        async () => why.test((await reasonAt(side, queue)) ?? ''),
        within(60_000),
      );
    await says('west', 'source.leaving', /auto-delete/);
    await says('west', 'source.stream', /stream/);
    for (const [queue, , why] of sinks) await says('east', queue, why);
    // At the source it is the stream that knows.
    const rows = await network.bridge('west').rows('streams', 'sink.leaving');
    expect(String(rows[0]?.['blockedBy'])).toMatch(/auto-delete/);
    for (const queue of refused) if (queue !== 'source.stream') expect(await west.ready(queue), queue).toBe(5);
    const { code, output } = await tombolo(['status', '--url', network.bridge('east').admin]);
    expect(code).toBe(1);
    expect(output).toMatch(/sink\.leaving.*auto-delete/);
  });

  test('volatileDestinations: allow moves messages to a queue that goes with its consumer', async () => {
    const { west, east } = await westToEast({ volatileDestinations: 'allow' });
    await Promise.all([west.declare('q'), east.declare('q', { durable: false, autoDelete: true })]);
    const consumer = await east.consume('q');
    await west.publish('q', 10);
    await consumer.wait(10);
  });

  test('bridges and consumers of negative priority are no demand', async () => {
    const { west, east, network } = await westToEast({ duplex: true });
    await Promise.all([west.declare('q'), east.declare('q')]);
    await east.consume('q', { options: { priority: -1 } });
    await west.publish('q', 50);
    const moved = await watchFor(6_000, () => west.ready('q'));
    expect(new Set(moved)).toEqual(new Set([50]));
    const consumer = await east.consume('q');
    await awaitUntil('all came', async () => (await west.ready('q')) === 0, within(60_000));
    // West's bridge consumes at west; were that demand, east would send to west.
    expect(await network.bridge('east').rows('demand', 'q')).toMatchObject([{ cluster: 'east', consumers: 1 }]);
    await consumer.close();
  });
});

describe.skipIf(noNodes())('filters and connectors', () => {
  test('wildcards and expressions include, exclusion wins, static destinations need no consumer', async () => {
    const { west, east } = await westToEast({
      dynamicallyIncludedDestinations: [{ queue: 'orders.>' }, { queue: 'a.*.c' }, { queueRegex: '^bills[-_]' }],
      excludedDestinations: [{ queue: 'orders.local.>' }, { queue: 'audit.x' }],
      staticallyIncludedDestinations: [{ queue: 'audit.x' }, { queue: 'audit.y' }],
    });
    const included = ['orders.eu', 'a.b.c', 'bills-1', 'audit.y'];
    const excluded = ['orders.local.eu', 'a.b.b.c', 'audit.x', 'paid-bills-1', 'other'];
    for (const queue of [...included, ...excluded]) {
      await Promise.all([west.declare(queue), east.declare(queue)]);
      await west.publish(queue, 5);
    }
    await awaitUntil(
      'the static one needs no consumer',
      async () => (await east.ready('audit.y')) === 5,
      within(60_000),
    );
    const consumers = new Map<string, Awaited<ReturnType<Site['consume']>>>();
    for (const queue of [...included, ...excluded]) consumers.set(queue, await east.consume(queue));
    for (const queue of included) await consumers.get(queue)!.wait(5);
    await watchFor(2_000, () => {
      for (const queue of excluded) expect(consumers.get(queue)!.got, queue).toHaveLength(0);
    });
  });

  test('a duplex connector carries both ways, also at once', async () => {
    const { west, east } = await westToEast({ duplex: true });
    for (const queue of ['there', 'back']) await Promise.all([west.declare(queue), east.declare(queue)]);
    const [there, back] = [await east.consume('there'), await west.consume('back')];
    await Promise.all([west.publish('there', 3_000), east.publish('back', 3_000)]);
    await Promise.all([there.wait(3_000), back.wait(3_000)]);
    expect(tally(there.bodies(), 3_000)).toEqual(exactlyOnce);
    expect(tally(back.bodies(), 3_000)).toEqual(exactlyOnce);
  });

  test('createDestinations declares what one end lacks, as the other has it', async () => {
    const { west, east } = await westToEast({
      createDestinations: 'both',
      staticallyIncludedDestinations: [{ queue: 'at.sink' }],
      dynamicallyIncludedDestinations: [{ queue: 'at.source' }],
    });
    await east.declare('at.source', typed('quorum'));
    const consumer = await east.consume('at.source');
    await awaitUntil('it is declared at the source', () => west.ready('at.source').then(() => true), within(60_000));
    await west.publish('at.source', 5);
    await consumer.wait(5);
    const made = (await west.api('GET', `/queues/${west.vhost}/at.source`)) as { type: string; durable: boolean };
    expect(made).toMatchObject({ type: 'quorum', durable: true });

    await west.declare('at.sink');
    await west.publish('at.sink', 5);
    await awaitUntil('it is declared at the sink', async () => (await east.ready('at.sink')) === 5, within(60_000));
  });

  test('an entry may set a smaller window: no more than that is under way', async () => {
    const { west, east } = await westToEast({
      dynamicallyIncludedDestinations: [{ queue: 'small', prefetchSize: 5 }, { queue: '>' }],
    });
    await Promise.all([west.declare('small'), east.declare('small')]);
    await west.publish('small', 100);
    const consumer = await east.consume('small', { prefetch: 50, acknowledge: false });
    await consumer.wait(5);
    const seen = await watchFor(3_000, async () => (await west.ready('small')) + consumer.got.length);
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(100 - 2 * 5);
  });

  test('a connector that starts paused moves nothing until it is resumed, and pauses again', async () => {
    const { west, east, network } = await westToEast({ autoStart: false });
    await Promise.all([west.declare('q'), east.declare('q')]);
    const consumer = await east.consume('q');
    await west.publish('q', 10);
    const seen = await watchFor(5_000, () => west.ready('q'));
    expect(new Set(seen)).toEqual(new Set([10]));
    expect((await network.bridge('west').status()).connectors).toMatchObject([{ state: 'paused' }]);
    for (const side of ['east', 'west']) await network.bridge(side).post('/api/v1/connectors/west-east/resume');
    await consumer.wait(10, 10_000);
    await network.bridge('west').post('/api/v1/connectors/west-east/pause');
    await west.publish('q', 10, { from: 10 });
    const after = await watchFor(2_000, () => west.ready('q'));
    expect(new Set(after)).toEqual(new Set([10]));
    await network.bridge('west').post('/api/v1/connectors/west-east/resume');
    await allArrived([consumer], 20, 15_000);
  });

  test('a connector that one end does not know yet is pending, and the others run', async () => {
    const [west, east] = await Promise.all([Site.open(0), Site.open(1)]);
    const old = [{ name: 'old', from: 'west', to: 'east', dynamicallyIncludedDestinations: [{ queue: 'old' }] }];
    const fresh = [{ name: 'new', from: 'west', to: 'east', dynamicallyIncludedDestinations: [{ queue: 'new' }] }];
    const network = await Network.open({
      clusters: { west: { site: west }, east: { site: east } },
      connectors: [...old, ...fresh],
      start: false,
    });
    const file = await network.writeCopy('old.yaml', { ...network.topology, networkConnectors: old });
    await network.start('west');
    await network.start('east', { file });
    await network.linked('west', 'east');
    await awaitUntil('one is pending', async () => {
      const { connectors } = await network.bridge('west').status();
      return connectors.map(({ name, state }) => `${name} ${state}`).join() === 'old up,new pending';
    });
    for (const queue of ['old', 'new']) await Promise.all([west.declare(queue), east.declare(queue)]);
    const consumers = [await east.consume('old'), await east.consume('new')];
    await Promise.all([west.publish('old', 10), west.publish('new', 10)]);
    await consumers[0]!.wait(10);
    await watchFor(2_000, () => expect(consumers[1]!.got).toHaveLength(0));
    await network.bridge('east').stop();
    await network.start('east');
    await consumers[1]!.wait(10, 20_000);
  });

  test('without a management API the exact names of the file work', async () => {
    const bare = { broker: { management: undefined, events: false } };
    const connector = { dynamicallyIncludedDestinations: [{ queue: 'exact' }] };
    const { west, east, network } = await westToEast(connector, { west: bare, east: bare });
    await Promise.all([west.declare('exact'), east.declare('exact')]);
    await west.publish('exact', 100);
    const consumer = await east.consume('exact', { prefetch: 10 });
    await consumer.wait(100);
    expect(tally(consumer.bodies(), 100)).toEqual(exactlyOnce);
    expect((await network.bridge('east').status()).broker.demandMethod).toBe('passive declares');
    await consumer.close();
    await awaitUntil(
      'the demand has gone',
      async () => (await network.bridge('west').metric('tombolo_demand_consumers', { peer: 'east' })) === 0,
      within(60_000),
    );
  });
});
