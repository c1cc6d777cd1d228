import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { exactlyOnce, noNodes, type Site, tally, tombolo, watchFor, westToEast, within } from './network.ts';

/** Everything of west goes to east, whoever consumes. */
const everything = {
  dynamicallyIncludedDestinations: [],
  staticallyIncludedDestinations: [{ queue: '>' }],
  createDestinations: 'both',
};

interface Queue {
  readonly name: string;
  readonly type: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** The queues of a site that applications know, by name. */
async function queuesOf(site: Site): Promise<Map<string, Queue>> {
  const all = (await site.api('GET', `/queues/${site.vhost}`)) as Queue[];
  return new Map(all.filter(({ name }) => !name.startsWith('tombolo.')).map((queue) => [queue.name, queue]));
}

/** Resolves when this many messages are ready at east and none at west, in each of the queues. */
async function moved(west: Site, east: Site, counts: Readonly<Record<string, number>>): Promise<void> {
  for (const [queue, count] of Object.entries(counts)) {
    const there = () => east.ready(queue).catch(() => 0);
    await awaitUntil(`${count} of ${queue} are at east`, async () => (await there()) === count, within(60_000)).catch(
      async (error) => {
        throw new Error(`${error.message}, but ${await there()}`, { cause: error });
      },
    );
    await awaitUntil(`none of ${queue} is at west`, async () => (await west.ready(queue)) === 0);
  }
}

describe.skipIf(noNodes())('the evacuation of a cluster', () => {
  test('moves 22 messages of 4 queues that nobody consumes to an empty cluster, and makes the queues there', async () => {
    const { west, east, network } = await westToEast({ ...everything, createDestinations: 'sink' }, { start: false });
    const counts = { one: 10, two: 7, 'three.a': 4, 'four-b': 1 };
    for (const [queue, count] of Object.entries(counts)) {
      await west.declare(queue);
      await west.publish(queue, count);
    }
    for (const cluster of ['west', 'east']) await network.start(cluster);
    await moved(west, east, counts);
    expect([...(await queuesOf(east)).keys()].sort()).toEqual(Object.keys(counts).sort());
    expect([...(await queuesOf(west)).keys()].sort()).toEqual(Object.keys(counts).sort());
  });

  test('goes on with messages and queues that come later, also when everything was moved before', async () => {
    const { west, east } = await westToEast(everything);
    await west.declare('early');
    await west.publish('early', 5);
    await moved(west, east, { early: 5 });
    await west.publish('early', 5, { from: 5 });
    await west.declare('late');
    await west.publish('late', 3);
    await moved(west, east, { early: 10, late: 3 });
    const model = await west.connect();
    await (await model.createChannel()).deleteQueue('late');
    await west.declare('late');
    await west.publish('late', 4, { from: 3 });
    await moved(west, east, { late: 7 });
  });

  test('makes quorum, priority and bounded queues alike, and takes those that are there as they are', async () => {
    const { west, east } = await westToEast(everything);
    const kinds: Record<string, Record<string, unknown>> = {
      quorum: { 'x-queue-type': 'quorum' },
      priority: { 'x-max-priority': 5 },
      bounded: { 'x-max-length': 50, 'x-overflow': 'reject-publish' },
      single: { 'x-single-active-consumer': true },
    };
    for (const [queue, args] of Object.entries(kinds)) await west.declare(queue, { durable: true, arguments: args });
    await west.declare('passing', { durable: false });
    await east.declare('other', { durable: true, arguments: { 'x-max-length': 5, 'x-overflow': 'drop-head' } });
    await west.declare('other', { durable: true, arguments: kinds['quorum'] });
    const all = [...Object.keys(kinds), 'passing'];
    for (const queue of [...all, 'other']) await west.publish(queue, 30);
    await moved(west, east, Object.fromEntries(all.map((queue) => [queue, 30])));
    const made = await queuesOf(east);
    for (const [queue, args] of Object.entries(kinds)) expect(made.get(queue)?.arguments, queue).toMatchObject(args);
    // What has no room at east stays at west instead of being dropped there.
    await awaitUntil('there is no more room', async () => (await east.ready('other')) === 5, within(60_000));
    const kept = await watchFor(3_000, async () => (await east.ready('other')) + (await west.ready('other')), 500);
    expect(kept.at(-1)).toBe(30);
    const consumer = await east.consume('other');
    await consumer.wait(30);
    expect(tally(consumer.bodies(), 30)).toEqual(exactlyOnce);
  });

  test('never touches reserved names, and leaves what is not a source where it is', async () => {
    const { west, east } = await westToEast(everything);
    const kept = ['mqtt-subscription-x', 'federation: x', 'tombolo.mine', 'leaving'];
    for (const queue of kept) {
      await west.declare(queue, { durable: true, autoDelete: queue === 'leaving' });
      await west.publish(queue, 2);
    }
    await west.declare('moved');
    await west.publish('moved', 2);
    await moved(west, east, { moved: 2 });
    const seen = await watchFor(3_000, async () => [...(await queuesOf(east)).keys()].join(), 500);
    expect(new Set(seen)).toEqual(new Set(['moved']));
    for (const queue of kept) expect(await west.ready(queue), queue).toBe(2);
  });

  test('leaves what an exclusion names, by its name or by a wildcard', async () => {
    const { west, east } = await westToEast({
      dynamicallyIncludedDestinations: [],
      // S85 of the scenarios: exclusion wins over static inclusion, of exact names and of wildcards.
      staticallyIncludedDestinations: [{ queue: 'TEST.>' }, { queue: 'OTHER.X1' }, { queue: 'OTHER.X2' }],
      excludedDestinations: [{ queue: 'TEST.X1' }, { queue: 'OTHER.X1' }],
      createDestinations: 'sink',
    });
    const queues = ['TEST.X1', 'TEST.X2', 'OTHER.X1', 'OTHER.X2', 'OTHER.X3'];
    for (const queue of queues) {
      await west.declare(queue);
      await west.publish(queue, 2);
    }
    await moved(west, east, { 'TEST.X2': 2, 'OTHER.X2': 2 });
    const seen = await watchFor(3_000, async () => [...(await queuesOf(east)).keys()].sort().join(), 500);
    expect(new Set(seen)).toEqual(new Set(['OTHER.X2,TEST.X2']));
    for (const queue of ['TEST.X1', 'OTHER.X1', 'OTHER.X3']) expect(await west.ready(queue), queue).toBe(2);
  });

  test('of static destinations alone serves no demand of others', async () => {
    const { west, east } = await westToEast({
      dynamicallyIncludedDestinations: [],
      staticallyIncludedDestinations: [{ queue: 'TEST' }],
    });
    for (const queue of ['TEST', 'TEST1']) {
      await Promise.all([west.declare(queue), east.declare(queue)]);
      await west.publish(queue, 1);
    }
    const [included, other] = [await east.consume('TEST'), await east.consume('TEST1')];
    await included.wait(1);
    await watchFor(3_000, () => expect(other.got).toHaveLength(0));
  });

  test('without a management API finds exact names only, and validate, log and status say so', async () => {
    const bare = { broker: { management: undefined, events: false } };
    const statics = { dynamicallyIncludedDestinations: [], createDestinations: 'sink' };
    const { west, east, network } = await westToEast(
      { ...statics, staticallyIncludedDestinations: [{ queue: 'exact' }, { queue: 'wild.>' }] },
      { west: bare },
    );
    for (const queue of ['exact', 'wild.a']) {
      await west.declare(queue);
      await west.publish(queue, 3);
    }
    await moved(west, east, { exact: 3 });
    await watchFor(2_000, async () => expect(await west.ready('wild.a')).toBe(3), 500);
    const warning = 'means queues that west cannot list without a management API';
    const { output: status } = await tombolo(['status', '--url', network.bridge('west').admin]);
    expect(status).toContain(warning);
    expect((await tombolo(['validate', network.file])).errors).toContain(warning);
    expect(await network.bridge('west').output()).toContain(warning);
  });
});
