import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import {
  allArrived,
  exactlyOnce,
  Network,
  type NetworkOptions,
  noNodes,
  Site,
  tally,
  watchFor,
  within,
} from './network.ts';

type Connector = NetworkOptions['connectors'][number];

/** Clusters by these names, on the two nodes in turn, with a queue on each. */
async function network<Name extends string>(
  names: readonly Name[],
  connectors: readonly Connector[],
  options: Pick<NetworkOptions, 'proxied'> & { readonly bridges?: Record<string, Record<string, unknown>> } = {},
): Promise<{ net: Network; at: Record<Name, Site> }> {
  const { bridges = {}, proxied } = options;
  const sites = await Promise.all(names.map((_, index) => Site.open(index % 2)));
  await Promise.all(sites.map((site) => site.declare('q')));
  const at = Object.fromEntries(names.map((name, index) => [name, sites[index]!])) as Record<Name, Site>;
  const clusters = Object.fromEntries(names.map((name) => [name, { site: at[name], bridge: bridges[name] ?? {} }]));
  return { net: await Network.open({ clusters, connectors, ...(proxied && { proxied }) }), at };
}

function duplex(from: string, to: string, networkTTL: number): Connector {
  return { name: `${from}-${to}`, from, to, duplex: true, networkTTL };
}

/** A consumer with prefetch 1 that takes one message and leaves. */
async function takeOne(site: Site): Promise<string> {
  const model = await site.connect();
  const channel = await model.createChannel();
  await channel.prefetch(1);
  const body = await new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no message at ${site.vhost} within 20 s`)), 20_000);
    void channel.consume('q', async (message) => {
      if (!message) return;
      clearTimeout(late);
      await channel.cancel(message.fields.consumerTag);
      channel.ack(message);
      resolve(message.content.toString());
    });
  });
  await channel.close(); // the connection's close would overtake the acknowledgement
  await model.close();
  return body;
}

const chain = (networkTTL: number): Connector[] => [
  { name: 'a-b', from: 'a', to: 'b', networkTTL },
  { name: 'b-c', from: 'b', to: 'c', networkTTL },
];

describe.skipIf(noNodes())('a network of clusters', () => {
  test('over a chain of three with networkTTL 1 nothing reaches the far end, and the demand is not told there', async () => {
    const { net, at } = await network(['a', 'b', 'c'], chain(1));
    const consumer = await at.c.consume('q');
    await at.a.publish('q', 100);
    await awaitUntil('b has heard', async () => (await net.bridge('b').rows('demand', 'q')).length === 1);
    const seen = await watchFor(4_000, async () => [await at.a.ready('q'), consumer.got.length].join());
    expect(new Set(seen)).toEqual(new Set(['100,0']));
    expect(await net.bridge('a').rows('demand', 'q')).toEqual([]);
  });

  test('over a chain of three with networkTTL 2 all 100 arrive once and in order, and the queue in the middle is untouched', async () => {
    const { net, at } = await network(['a', 'b', 'c'], chain(2));
    const consumer = await at.c.consume('q');
    await at.a.publish('q', 100);
    await consumer.wait(100);
    expect(consumer.bodies()).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
    const path = consumer.got[0]!.message.properties.headers?.['x-tombolo-path'];
    expect(path).toEqual(['a', 'b']);
    await awaitUntil('all is settled', async () => (await net.bridge('a').metric('tombolo_messages_unsettled')) === 0);
    expect(await net.bridge('b').metric('tombolo_messages_transit_total', { peer: 'c' })).toBe(100);
    expect(await net.bridge('b').metric('tombolo_messages_delivered_total')).toBe(0);
    expect(await net.bridge('a').metric('tombolo_messages_forwarded_total', { peer: 'c' })).toBe(100);
    const middle = (await at.b.api('GET', `/queues/${at.b.vhost}/q`)) as { message_stats?: { publish?: number } };
    expect(middle.message_stats?.publish ?? 0).toBe(0);
  });

  test('in a full mesh of three with producers and consumers everywhere 3,000 messages are consumed once each', async (context) => {
    const mesh = [duplex('a', 'b', 3), duplex('b', 'c', 3), duplex('a', 'c', 3)];
    const { net, at } = await network(['a', 'b', 'c'], mesh);
    const sites = [at.a, at.b, at.c];
    const consumers = await Promise.all(sites.map((site) => site.consume('q')));
    await Promise.all(sites.map((site, index) => site.publish('q', 1_000, { from: index * 1_000 })));
    await allArrived(consumers, 3_000);
    const bodies = consumers.flatMap((consumer) => consumer.bodies());
    expect(tally(bodies, 3_000)).toEqual(exactlyOnce);
    const forwarded = await Promise.all(
      ['a', 'b', 'c'].map((name) => net.bridge(name).metric('tombolo_messages_forwarded_total')),
    );
    await context.annotate(`forwarded ${forwarded.join(' + ')} of 3000`);
    expect(forwarded.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(3_300);
  });

  test('in a ring whose link is cut the flow goes on by the other way, and nothing is lost or doubled', async (context) => {
    // Only c dials a, through the proxy: what is cut is that link and no other.
    const { net, at } = await network(
      ['a', 'b', 'c'],
      [duplex('a', 'b', 2), duplex('b', 'c', 2), duplex('a', 'c', 2)],
      { proxied: { link: ['a'] }, bridges: { a: { dial: ['b'] }, b: { dial: ['c'] }, c: { dial: ['a', 'b'] } } },
    );
    const consumer = await at.c.consume('q', { prefetch: 50, delayMs: 2 });
    const published = at.a.publish('q', 10_000);
    await consumer.wait(1_000);
    const crossed = (): Promise<number> => net.bridge('b').metric('tombolo_messages_transit_total');
    expect(await crossed()).toBe(0);
    net.linkProxies.get('a')!.down();
    await awaitUntil('messages take the other way', async () => (await crossed()) > 1_000, within(60_000));
    net.linkProxies.get('a')!.up();
    await net.linked('a', 'c');
    const before = await crossed();
    await Promise.all([published, consumer.wait(10_000, 60_000)]);
    expect(tally(consumer.bodies(), 10_000)).toEqual(exactlyOnce);
    expect(consumer.got.filter(({ redelivered }) => redelivered)).toEqual([]);
    await context.annotate(`${before} of 10000 took the other way`);
    expect(await crossed()).toBeLessThan(9_000);
  });

  test('a demand that every way to has ended is told as unreachable, and comes back with a way', async () => {
    const { net, at } = await network(['a', 'b', 'c'], chain(2));
    const consumer = await at.c.consume('q');
    await awaitUntil('a has heard', async () => (await net.bridge('a').rows('demand', 'q')).length === 1);
    await net.bridge('b').kill();
    await awaitUntil(
      'a says why',
      async () => (await net.bridge('a').rows('demand', 'q'))[0]?.['unserved'] === 'no_route',
      within(60_000),
    );
    await at.a.publish('q', 50);
    await net.start('b');
    await consumer.wait(50);
    expect(tally(consumer.bodies(), 50)).toEqual(exactlyOnce);
  });

  test('a transit that is killed in mid-stream loses and doubles nothing', async () => {
    const { net, at } = await network(['a', 'b', 'c'], chain(2));
    const consumer = await at.c.consume('q', { prefetch: 200 });
    const published = at.a.publish('q', 20_000);
    for (const mark of [2_000, 6_000, 10_000]) {
      await consumer.wait(mark, 60_000);
      await net.bridge('b').kill();
      const fresh = await net.start('b');
      await fresh.ready();
    }
    await published;
    await consumer.wait(20_000, 60_000);
    expect(tally(consumer.bodies(), 20_000)).toEqual(exactlyOnce);
    await awaitUntil('nothing is left', async () => (await at.a.ready('q')) === 0);
  });

  test('40 consumers that alternate between two sites take one message each: 40 of 40', async () => {
    const { at } = await network(['a', 'b'], [duplex('a', 'b', 1)]);
    await at.a.publish('q', 40);
    const bodies: string[] = [];
    for (let turn = 0; turn < 40; turn++) bodies.push(await takeOne(turn % 2 === 0 ? at.a : at.b));
    expect(tally(bodies, 40)).toEqual(exactlyOnce);
    expect((await at.a.ready('q')) + (await at.b.ready('q'))).toBe(0);
  });

  test.each([
    [true, 'once each, however many consumers they have', 2],
    [false, 'once for each of their consumers', 7],
  ])(
    'with conduitSubscriptions: %s several sinks take turns at a source %s',
    async (conduitSubscriptions, _, turns) => {
      const options = { conduitSubscriptions, prefetchSize: 50 };
      const { at } = await network(
        ['a', 'b', 'c'],
        [
          { name: 'a-b', from: 'a', to: 'b', ...options },
          { name: 'a-c', from: 'a', to: 'c', ...options },
        ],
      );
      // c has six consumers, b has one; each is fast enough for all.
      const consumers = await Promise.all([at.b, ...Array(6).fill(at.c)].map((site: Site) => site.consume('q')));
      await at.a.publish('q', 10_000);
      await allArrived(consumers, 10_000);
      // The broker gives messages to these in turn; how that comes out depends on who is how fast.
      await awaitUntil('bridges stand for so many consumers', async () => (await at.a.counts('q')).consumers === turns);
      expect(
        tally(
          consumers.flatMap((consumer) => consumer.bodies()),
          10_000,
        ),
      ).toEqual(exactlyOnce);
    },
  );
});
