import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import {
  allArrived,
  exactlyOnce,
  noNodes,
  type Site,
  type TestConsumer,
  tally,
  westToEast,
  within,
} from './network.ts';

const count = 20_000;

/** Numbered messages on their way from west to east, with a consumer that takes all of them. */
async function stream(
  options: Parameters<typeof westToEast>[1] = {},
  connector: Parameters<typeof westToEast>[0] = {},
) {
  const pair = await westToEast(connector, options);
  const { west, east } = pair;
  await Promise.all([west.declare('q'), east.declare('q')]);
  const consumer = await east.consume('q', { prefetch: 300 });
  const published = west.publish('q', count, {
    properties: (index) => ({ persistent: true, messageId: String(index) }),
  });
  published.catch(() => {});
  /** Does something `times` times, spread evenly over the way of the messages. */
  const spread = async (times: number, act: (round: number) => Promise<void> | void) => {
    for (let round = 1; round <= times; round++) {
      await consumer.wait(Math.floor((count * round) / (times + 1)), 60_000);
      await act(round);
    }
  };
  return { ...pair, consumer, published, spread };
}

/** Resolves when nothing is left in the queues, so that no late copy is missed. */
async function settled(west: Site, east: Site, consumer: TestConsumer): Promise<void> {
  await allArrived([consumer], count, 90_000);
  let last = -1;
  await awaitUntil(
    'nothing moves any more',
    async () => {
      const still = consumer.got.length === last;
      last = consumer.got.length;
      return still && (await west.ready('q')) === 0 && (await east.ready('q')) === 0;
    },
    { withinMs: 30_000, everyMs: 500 },
  );
}

/** Both ends have compared all that they counted, and do not differ. */
async function countsAgree({ network }: Awaited<ReturnType<typeof stream>>): Promise<void> {
  const bridges = [network.bridge('west'), network.bridge('east')];
  await awaitUntil(
    'both ends have compared what they counted',
    async () => {
      const rows = (await Promise.all(bridges.map((bridge) => bridge.rows('streams', 'q')))).flat();
      return rows.length === 2 && rows.every(({ comparedThrough, last }) => last === 0 || comparedThrough === last);
    },
    within(60_000),
  );
  for (const bridge of bridges) expect(await bridge.metric('tombolo_reconciliation_difference')).toBe(0);
}

/** Once both bridges have stopped, what they held back would be in the queues again. */
async function nothingComesBack(t: Awaited<ReturnType<typeof stream>>): Promise<void> {
  await awaitUntil(
    'all is acknowledged',
    async () => (await t.network.bridge('west').metric('tombolo_messages_unsettled')) === 0,
    within(60_000),
  );
  await countsAgree(t);
  expect(await Promise.all([t.network.bridge('west').stop(), t.network.bridge('east').stop()])).toEqual([0, 0]);
  expect(await t.west.ready('q')).toBe(0);
}

describe.skipIf(noNodes())('faults', () => {
  test('a link that is cut ten times loses and doubles nothing', async () => {
    const t = await stream({ proxied: { link: ['west', 'east'] } });
    await t.spread(10, async () => {
      await t.network.linked('west', 'east');
      for (const proxy of t.network.linkProxies.values()) proxy.cut();
    });
    await t.published;
    await settled(t.west, t.east, t.consumer);
    expect(tally(t.consumer.bodies(), count)).toEqual(exactlyOnce);
    // What was under way when it was cut for the last time may have been all that was left.
    await awaitUntil(
      'the link is back for the tenth time',
      async () => (await t.network.bridge('west').metric('tombolo_link_reconnects_total')) >= 10,
      within(60_000),
    );
    await nothingComesBack(t);
  });

  test('a source bridge that is killed three times loses and doubles nothing', async () => {
    const t = await stream();
    await t.spread(3, async () => {
      await t.network.bridge('west').kill();
      await t.network.start('west');
    });
    await t.published;
    await settled(t.west, t.east, t.consumer);
    expect(tally(t.consumer.bodies(), count)).toEqual(exactlyOnce);
    await nothingComesBack(t);
  });

  test('a sink bridge that is killed three times loses nothing, and doubles at most what it had not confirmed', async (context) => {
    const t = await stream({}, { prefetchSize: 1_000 });
    await t.spread(3, async () => {
      await t.network.bridge('east').kill();
      await t.network.start('east');
    });
    await t.published;
    await settled(t.west, t.east, t.consumer);
    const { lost, doubled, strange } = tally(t.consumer.bodies(), count);
    await context.annotate(`${doubled} of ${count} doubled by three kills of the sink`);
    expect({ lost, strange }).toEqual({ lost: 0, strange: 0 });
    expect(doubled).toBeLessThanOrEqual(3 * 1000);
    await nothingComesBack(t);
  });

  test('a source bridge that is stopped in mid-stream settles what it took: exit 0, nothing redelivered', async () => {
    const t = await stream();
    await t.spread(2, async () => {
      expect(await t.network.bridge('west').stop()).toBe(0);
      // A process that hears the signal before it listens for it ends by it.
      await (await t.network.start('west')).ready();
    });
    await t.published;
    await settled(t.west, t.east, t.consumer);
    expect(tally(t.consumer.bodies(), count)).toEqual(exactlyOnce);
    expect(t.consumer.got.filter(({ redelivered }) => redelivered)).toHaveLength(0);
    expect(await t.network.bridge('west').metric('tombolo_duplicates_suppressed_total')).toBe(0);
    await nothingComesBack(t);
  });

  test('a sink bridge that is stopped in mid-stream settles what it was sent: exit 0, nothing doubled', async () => {
    const t = await stream();
    await t.spread(2, async () => {
      expect(await t.network.bridge('east').stop()).toBe(0);
      // A process that hears the signal before it listens for it ends by it.
      await (await t.network.start('east')).ready();
    });
    await t.published;
    await settled(t.west, t.east, t.consumer);
    expect(tally(t.consumer.bodies(), count)).toEqual(exactlyOnce);
    expect(t.consumer.got.filter(({ redelivered }) => redelivered)).toHaveLength(0);
    await nothingComesBack(t);
  });

  test('a source whose connections to its broker break three times loses and doubles nothing', async () => {
    const t = await stream({ proxied: { broker: ['west'] } });
    await t.spread(3, () => t.network.brokerProxies.get('west')!.cut());
    await t.published;
    await settled(t.west, t.east, t.consumer);
    expect(tally(t.consumer.bodies(), count)).toEqual(exactlyOnce);
    await nothingComesBack(t);
  });

  test('a sink whose connections to its broker break three times loses nothing', async (context) => {
    const t = await stream({ proxied: { broker: ['east'] } });
    await t.spread(3, () => t.network.brokerProxies.get('east')!.cut());
    await t.published;
    await settled(t.west, t.east, t.consumer);
    const { lost, doubled, strange } = tally(t.consumer.bodies(), count);
    await context.annotate(`${doubled} of ${count} doubled by three breaks at the sink`);
    expect({ lost, strange }).toEqual({ lost: 0, strange: 0 });
    await nothingComesBack(t);
  });

  test('a consumer that came just before its bridge was started anew is served within ten seconds', async () => {
    // The management API's lists lag by five seconds, and no event tells of what came before.
    const { west, east, network } = await westToEast();
    await Promise.all([west.declare('q'), east.declare('q')]);
    await west.publish('q', 10);
    await network.bridge('east').kill();
    const consumer = await east.consume('q');
    await network.start('east');
    await consumer.wait(10, 10_000);
  });

  test('a link that goes silent is given up and dialled anew, and nothing is lost or doubled', async () => {
    const t = await stream({ proxied: { link: ['west', 'east'] } });
    await t.consumer.wait(5_000);
    const proxies = [...t.network.linkProxies.values()];
    for (const proxy of proxies) proxy.freeze();
    await awaitUntil(
      'the silence is noticed',
      async () => (await t.network.bridge('west').metric('tombolo_link_up', { peer: 'east' })) === 0,
      within(60_000),
    );
    for (const proxy of proxies) proxy.thaw();
    await t.published;
    await settled(t.west, t.east, t.consumer);
    expect(tally(t.consumer.bodies(), count)).toEqual(exactlyOnce);
    await nothingComesBack(t);
  });
});
