import { awaitUntil } from '@tombolo/testing/await-until';
import type { ConsumeMessage } from 'amqplib';
import { describe, expect, test } from 'vitest';
import { Network, type NetworkOptions, noNodes, Site, watchFor, within } from './network.ts';

type Connector = NetworkOptions['connectors'][number];

const events = [{ exchange: 'events' }];

function topicConnector(from: string, to: string, more: object = {}): Connector {
  return { name: `${from}-${to}`, from, to, dynamicallyIncludedDestinations: events, ...more };
}

/** A subscriber: a queue of its own, bound to an exchange. */
interface Subscriber {
  readonly bodies: () => string[];
  readonly got: ConsumeMessage[];
  readonly bind: (key: string, args?: object) => Promise<void>;
  readonly unbind: (key: string, args?: object) => Promise<void>;
  readonly close: () => Promise<void>;
}

async function subscribe(
  site: Site,
  exchange: string,
  keys: readonly string[],
  args: object = {},
): Promise<Subscriber> {
  const model = await site.connect();
  const channel = await model.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (const key of keys) await channel.bindQueue(queue, exchange, key, args);
  const got: ConsumeMessage[] = [];
  await channel.consume(queue, (message) => message && got.push(message), { noAck: true });
  return {
    got,
    bodies: () => got.map(({ content }) => content.toString()),
    bind: async (key, more = {}) => void (await channel.bindQueue(queue, exchange, key, more)),
    unbind: async (key, more = {}) => void (await channel.unbindQueue(queue, exchange, key, more)),
    close: async () => {
      await model.close();
    },
  };
}

async function declareExchange(site: Site, exchange = 'events', type = 'topic'): Promise<void> {
  const model = await site.connect();
  await (await model.createChannel()).assertExchange(exchange, type, { durable: true });
  await model.close();
}

async function publish(
  site: Site,
  key: string,
  bodies: readonly string[],
  { exchange = 'events', headers = {} }: { exchange?: string; headers?: object } = {},
): Promise<void> {
  const model = await site.connect();
  const channel = await model.createConfirmChannel();
  for (const body of bodies) channel.publish(exchange, key, Buffer.from(body), { persistent: true, headers });
  await channel.waitForConfirms();
  await model.close();
}

async function network<Name extends string>(
  names: readonly Name[],
  connectors: readonly Connector[],
  { type = 'topic', proxied }: { type?: string } & Pick<NetworkOptions, 'proxied'> = {},
): Promise<{ net: Network; at: Record<Name, Site> }> {
  const sites = await Promise.all(names.map((_, index) => Site.open(index % 2)));
  await Promise.all(sites.map((site) => declareExchange(site, 'events', type)));
  const at = Object.fromEntries(names.map((name, index) => [name, sites[index]!])) as Record<Name, Site>;
  const clusters = Object.fromEntries(names.map((name) => [name, { site: at[name] }]));
  return { net: await Network.open({ clusters, connectors, ...(proxied && { proxied }) }), at };
}

/** Bindings of the exchange at this site that bridges made: key → sinks. */
async function captured(site: Site, exchange = 'events'): Promise<Map<string, string[]>> {
  const list = (await site.api('GET', `/exchanges/${site.vhost}/${exchange}/bindings/source`)) as {
    destination: string;
    routing_key: string;
  }[];
  const found = new Map<string, string[]>();
  for (const { destination, routing_key } of list) {
    const sink = /^tombolo\.topic\.([^.]+)\./.exec(destination)?.[1];
    if (sink) found.set(routing_key, [...(found.get(routing_key) ?? []), sink].sort());
  }
  return found;
}

const captures = async (site: Site, key: string, sinks: readonly string[]): Promise<void> => {
  await awaitUntil(
    `${key} is captured for ${sinks.join()}`,
    async () => ((await captured(site)).get(key) ?? []).join() === sinks.join(),
    within(60_000),
  );
};

const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe.skipIf(noNodes())('topics', () => {
  test('a subscriber elsewhere gets what matches its bindings, in order and once, and nothing else crosses', async () => {
    const { net, at } = await network(['west', 'east'], [topicConnector('west', 'east')]);
    await publish(at.west, 'orders.early', ['early']);
    const subscriber = await subscribe(at.east, 'events', ['orders.*']);
    await captures(at.west, 'orders.*', ['east']);
    await publish(at.west, 'orders.new', numbered('m', 500));
    await publish(at.west, 'invoices.new', ['no']);
    await awaitUntil('all came', () => subscriber.got.length >= 500, within(60_000));
    expect(subscriber.bodies()).toEqual(numbered('m', 500));
    expect(subscriber.got[0]!.fields).toMatchObject({ exchange: 'events', routingKey: 'orders.new' });
    expect(subscriber.got[0]!.properties.headers?.['x-tombolo-path']).toEqual(['west']);
    expect(await net.bridge('west').forwarded(500)).toBe(500);
  });

  test('two queues bound alike are one binding and one copy on the link; when one goes the other still gets all', async () => {
    const { net, at } = await network(['west', 'east'], [topicConnector('west', 'east')]);
    const [one, two] = await Promise.all([1, 2].map(() => subscribe(at.east, 'events', ['key'])));
    await captures(at.west, 'key', ['east']);
    await publish(at.west, 'key', numbered('a', 10));
    await awaitUntil('both have all', () => one!.got.length === 10 && two!.got.length === 10);
    expect(await net.bridge('west').forwarded(10)).toBe(10);
    await one!.close();
    await publish(at.west, 'key', ['last']);
    await awaitUntil('the other has it', () => two!.got.length === 11);
  });

  test('a key that the last queue is unbound from does not come any more, the others do', async () => {
    const { at } = await network(['west', 'east'], [topicConnector('west', 'east')]);
    const subscriber = await subscribe(at.east, 'events', ['key1', 'key2']);
    await captures(at.west, 'key2', ['east']);
    await subscriber.unbind('key2');
    await captures(at.west, 'key2', []);
    await publish(at.west, 'key2', ['NO']);
    await publish(at.west, 'key1', ['YES']);
    await awaitUntil('it came', () => subscriber.got.length > 0);
    expect(subscriber.bodies()).toEqual(['YES']);
  });

  test('headers exchanges are bridged by the arguments of their bindings', async () => {
    const { at } = await network(['west', 'east'], [topicConnector('west', 'east')], { type: 'headers' });
    const subscriber = await subscribe(at.east, 'events', [''], { 'x-match': 'all', kind: 'order', urgent: true });
    await captures(at.west, '', ['east']);
    await publish(at.west, '', ['yes'], { headers: { kind: 'order', urgent: true } });
    await publish(at.west, '', ['no'], { headers: { kind: 'order', urgent: false } });
    await awaitUntil('it came', () => subscriber.got.length > 0);
    expect(subscriber.bodies()).toEqual(['yes']);
  });

  test('a queue behind an exchange that is bound to the exchange gets the messages, too', async () => {
    const { at } = await network(['west', 'east'], [topicConnector('west', 'east')], { type: 'fanout' });
    await declareExchange(at.east, 'inner', 'direct');
    const model = await at.east.connect();
    await (await model.createChannel()).bindExchange('inner', 'events', '');
    const subscriber = await subscribe(at.east, 'inner', ['key']);
    await captures(at.west, '', ['east']);
    await publish(at.west, 'key', ['deep']);
    await awaitUntil('it came', () => subscriber.got.length > 0);
    expect(subscriber.bodies()).toEqual(['deep']);
  });

  test('over a chain with networkTTL 1 each site gets its own and its neighbour’s messages: 100, 200, 200', async () => {
    const { at } = await network(['a', 'b', 'c'], [topicConnector('a', 'b'), topicConnector('b', 'c')]);
    const sites = [at.a, at.b, at.c];
    const subscribers = await Promise.all(sites.map((site) => subscribe(site, 'events', ['k'])));
    await Promise.all([captures(at.a, 'k', ['b']), captures(at.b, 'k', ['c'])]);
    await Promise.all(sites.map((site, index) => publish(site, 'k', numbered('abc'[index]!, 100))));
    const counts = () => subscribers.map(({ got }) => got.length).join();
    await awaitUntil('all came', () => counts() === '100,200,200', within(60_000));
    expect(new Set(await watchFor(1_000, counts))).toEqual(new Set(['100,200,200']));
  });

  test('in a duplex mesh and ring of three each site gets each message once', async () => {
    const more = { duplex: true, networkTTL: 3 };
    const mesh = [topicConnector('a', 'b', more), topicConnector('b', 'c', more), topicConnector('c', 'a', more)];
    const { net, at } = await network(['a', 'b', 'c'], mesh);
    const sites = [at.a, at.b, at.c];
    const subscribers = await Promise.all(sites.map((site) => subscribe(site, 'events', ['k'])));
    await Promise.all([
      captures(at.a, 'k', ['b', 'c']),
      captures(at.b, 'k', ['a', 'c']),
      captures(at.c, 'k', ['a', 'b']),
    ]);
    await Promise.all(sites.map((site, index) => publish(site, 'k', numbered('abc'[index]!, 100))));
    const counts = () => subscribers.map(({ got }) => got.length).join();
    await awaitUntil('all came', () => counts() === '300,300,300', within(60_000));
    expect(new Set(await watchFor(1_500, counts))).toEqual(new Set(['300,300,300']));
    for (const { bodies } of subscribers) expect(new Set(bodies()).size).toBe(300);
    const dropped = ['a', 'b', 'c'].map((name) =>
      net.bridge(name).metric('tombolo_messages_not_captured_total', { reason: 'already_bridged' }),
    );
    await awaitUntil('copies are known', async () => (await Promise.all(dropped)).every((count) => count > 0));
  });

  test('in a one-way ring of three with networkTTL 2 each site gets each message once', async () => {
    const ring = [
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'a'],
    ].map(([from, to]) => topicConnector(from!, to!, { networkTTL: 2 }));
    const { at } = await network(['a', 'b', 'c'], ring);
    const sites = [at.a, at.b, at.c];
    const subscribers = await Promise.all(sites.map((site) => subscribe(site, 'events', ['k'])));
    await Promise.all([
      captures(at.a, 'k', ['b', 'c']),
      captures(at.b, 'k', ['a', 'c']),
      captures(at.c, 'k', ['a', 'b']),
    ]);
    await Promise.all(sites.map((site, index) => publish(site, 'k', ['abc'[index]!])));
    const counts = () => subscribers.map(({ got }) => got.length).join();
    await awaitUntil('all came', () => counts() === '3,3,3', within(60_000));
    expect(new Set(await watchFor(1_500, counts))).toEqual(new Set(['3,3,3']));
  });

  test('a new message that an application sent with headers copied from a bridged one travels', async () => {
    const { at } = await network(['a', 'b'], [topicConnector('a', 'b', { duplex: true })]);
    const [near, far] = await Promise.all([subscribe(at.a, 'events', ['k']), subscribe(at.b, 'events', ['k'])]);
    await Promise.all([captures(at.a, 'k', ['b']), captures(at.b, 'k', ['a'])]);
    await publish(at.a, 'k', ['first']);
    await awaitUntil('it came', () => far.got.length === 1);
    const { headers = {} } = far.got[0]!.properties;
    expect(headers).toHaveProperty('x-tombolo-path');
    await publish(at.b, 'k', ['second'], { headers });
    await awaitUntil('it came back', () => near.bodies().includes('second'), within(60_000));
    expect(near.bodies()).toEqual(['first', 'second']);
    expect(near.got[1]!.properties.headers?.['x-tombolo-path']).toEqual(['b']);
  });

  test('while the sink is away the buffer keeps its messages, also over a restart of the source’s bridge', async () => {
    const { net, at } = await network(['west', 'east'], [topicConnector('west', 'east')]);
    const subscriber = await subscribe(at.east, 'events', ['k']);
    await captures(at.west, 'k', ['east']);
    await net.bridge('east').stop();
    await publish(at.west, 'k', numbered('x', 50));
    await net.bridge('west').kill();
    await publish(at.west, 'k', numbered('y', 50));
    await (await net.start('west')).ready();
    await publish(at.west, 'k', numbered('z', 50));
    await (await net.start('east')).ready();
    await awaitUntil('all came', () => subscriber.got.length >= 150, within(60_000));
    expect(subscriber.bodies()).toEqual([...numbered('x', 50), ...numbered('y', 50), ...numbered('z', 50)]);
  });

  test('3,000 bindings over a link of 100 ms round trip are made in seconds', async (context) => {
    const { net, at } = await network(['west', 'east'], [topicConnector('west', 'east')], {
      proxied: { link: ['west', 'east'] },
    });
    for (const proxy of net.linkProxies.values()) proxy.delay(50);
    const model = await at.east.connect();
    const channels = await Promise.all(Array.from({ length: 16 }, () => model.createChannel()));
    const { queue } = await channels[0]!.assertQueue('', { exclusive: true });
    await Promise.all(
      channels.map(async (channel, index) => {
        for (let key = index; key < 3_000; key += 16) await channel.bindQueue(queue, 'events', `key.${key}`);
      }),
    );
    const before = performance.now();
    await awaitUntil('all are made', async () => (await captured(at.west)).size === 3_000, within(60_000));
    await context.annotate(`${Math.round(performance.now() - before)} ms after the last was made at the sink`);
  });

  test('tombolo cleanup says what a peer’s buffers hold, and deletes them once the peer is away', async () => {
    const { net, at } = await network(['west', 'east'], [topicConnector('west', 'east')]);
    await subscribe(at.east, 'events', ['k']);
    await captures(at.west, 'k', ['east']);
    await net.bridge('east').kill();
    await publish(at.west, 'k', numbered('x', 7));
    const { tombolo } = await import('./network.ts');
    const url = net.bridge('west').admin;
    const dry = await tombolo(['cleanup', '--peer', 'east', '--dry-run', '--url', url]);
    expect(dry).toMatchObject({ code: 0 });
    expect(dry.output).toContain('tombolo.topic.east.events');
    expect(dry.output).toMatch(/\b7\b/);
    expect((await captured(at.west)).size).toBe(1);
    expect(await tombolo(['cleanup', '--peer', 'east', '--url', url])).toMatchObject({ code: 0 });
    await awaitUntil('it is gone', async () => (await captured(at.west)).size === 0);
  });
});
