import { ActiveMqNode, activemqMissing } from '@tombolo/testing/activemq';
import { awaitUntil } from '@tombolo/testing/await-until';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { StompClient } from '../broker/stomp-client.ts';
import { ActiveMqSite } from './activemq-site.ts';
import { Network, noNodes, Site, watchFor, within } from './network.ts';

const nodes: ActiveMqNode[] = [];
beforeAll(async () => {
  if (activemqMissing()) return;
  const elements = { plugins: '<statisticsBrokerPlugin/>' };
  nodes.push(...(await Promise.all([ActiveMqNode.start({ elements }), ActiveMqNode.start({ elements })])));
});
afterAll(() => Promise.all(nodes.map((node) => node.stop())));

let bases = 0;
/** The nodes are shared: every test has topics of its own. */
const fresh = () => `topics${process.pid}.${++bases}`;
const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

async function connect(node: ActiveMqNode, headers: readonly (readonly [string, string])[] = []): Promise<StompClient> {
  const client = await StompClient.open(node.stompPort, headers);
  onTestFinished(() => client.close());
  return client;
}

/** A subscriber's connection, and what it got. */
async function subscribe(node: ActiveMqNode, topic: string, durable?: { clientId: string; name: string }) {
  const client = await connect(node, durable && [['client-id', durable.clientId]]);
  const got: { topic: string; body: string }[] = [];
  const end = await client.subscribe(
    `/topic/${topic}`,
    ({ headers, body }) => got.push({ topic: headers.get('destination')!.slice('/topic/'.length), body: String(body) }),
    durable && [['activemq.subscriptionName', durable.name]],
  );
  return { got, client, end, bodies: () => got.map(({ body }) => body) };
}

/** The durable subscriptions of bridges at this node that have a consumer, as the broker tells of them. */
async function capturesAt(node: ActiveMqNode): Promise<ReadonlySet<string>> {
  const client = await connect(node);
  const topics = new Set<string>();
  const byConsumer = new Map<string, string>();
  await client.subscribe(
    '/topic/ActiveMQ.Advisory.Consumer.Topic.>',
    ({ body }) => {
      const told = JSON.parse(String(body)) as {
        ConsumerInfo?: { consumerId: object; subscriptionName?: string };
        RemoveInfo?: { objectId: { '@class'?: string } };
      };
      const idOf = ({ '@class': _, ...id }: { '@class'?: string }) => JSON.stringify(id);
      if (told.ConsumerInfo?.subscriptionName) {
        byConsumer.set(idOf(told.ConsumerInfo.consumerId), told.ConsumerInfo.subscriptionName);
        topics.add(told.ConsumerInfo.subscriptionName);
      }
      if (told.RemoveInfo) topics.delete(byConsumer.get(idOf(told.RemoveInfo.objectId)) ?? '');
    },
    [['transformation', 'jms-advisory-json']],
  );
  return topics;
}

async function captures(captured: ReadonlySet<string>, ...topics: readonly string[]): Promise<void> {
  const all = () => topics.every((topic) => captured.has(topic));
  await awaitUntil(`${topics.join()} is captured`, all, within(60_000)).catch((error) => {
    throw new Error(`${error.message}, but ${[...captured].join()}`, { cause: error });
  });
}

async function bridged(base: string, west: ActiveMqSite | Site, east: ActiveMqSite | Site, connector: object = {}) {
  const dynamicallyIncludedDestinations = [{ topic: `${base}.>` }];
  return Network.open({
    clusters: { west: { site: west }, east: { site: east } },
    connectors: [{ name: 'west-east', from: 'west', to: 'east', dynamicallyIncludedDestinations, ...connector }],
  });
}

describe.skipIf(activemqMissing())('topics from ActiveMQ to ActiveMQ', () => {
  test('a subscriber elsewhere gets what its topic takes, in order and once; without demand nothing crosses', async () => {
    const base = fresh();
    const network = await bridged(base, ActiveMqSite.open(nodes[0]!), ActiveMqSite.open(nodes[1]!));
    const [producer, captured] = [await connect(nodes[0]!), await capturesAt(nodes[0]!)];
    await producer.sendAll(`/topic/${base}.prices.eu`, ['early']);
    const subscriber = await subscribe(nodes[1]!, `${base}.prices.>`);
    const direct = await subscribe(nodes[0]!, `${base}.prices.>`);
    await captures(captured, `${base}.prices.>`);
    await producer.sendAll(`/topic/${base}.prices.eu`, numbered('m', 500));
    await producer.sendAll(`/topic/${base}.orders.eu`, ['unwanted']);
    await producer.sendAll(`/topic/${base}.prices.us.ny`, ['other']);
    await awaitUntil('all came', () => subscriber.got.length >= 501, within(60_000));
    const of = (topic: string) => subscriber.got.filter((each) => each.topic === topic).map(({ body }) => body);
    expect(of(`${base}.prices.eu`)).toEqual(numbered('m', 500));
    expect(of(`${base}.prices.us.ny`)).toEqual(['other']);
    expect(subscriber.got).toHaveLength(501);
    expect(direct.got).toHaveLength(501);
    expect(await network.bridge('west').forwarded(501)).toBe(501);
  });

  test('subscribers whose topics overlap get each message once, also while one of them comes and goes', async () => {
    const base = fresh();
    const network = await bridged(base, ActiveMqSite.open(nodes[0]!), ActiveMqSite.open(nodes[1]!));
    const [producer, captured] = [await connect(nodes[0]!), await capturesAt(nodes[0]!)];
    const narrow = await subscribe(nodes[1]!, `${base}.a.*`);
    await captures(captured, `${base}.a.*`);
    let sent = 0;
    let go = true;
    const producing = (async () => {
      for (; go; sent += 5) await producer.sendAll(`/topic/${base}.a.b`, numbered('', sent + 5).slice(sent));
    })();
    for (const _ of [1, 2]) {
      const wide = await subscribe(nodes[1]!, `${base}.>`);
      await captures(captured, `${base}.>`);
      await awaitUntil('the narrow one is not needed', () => !captured.has(`${base}.a.*`), within(60_000));
      await awaitUntil('the other gets some', () => wide.got.length > 20, within(60_000));
      wide.client.close();
      await captures(captured, `${base}.a.*`);
      await awaitUntil('the wide one is not needed', () => !captured.has(`${base}.>`), within(60_000));
      expect(new Set(wide.bodies()).size).toBe(wide.got.length);
    }
    go = false;
    await producing;
    await awaitUntil('all came', () => narrow.got.length >= sent, within(60_000)).catch((error) => {
      const got = new Set(narrow.bodies());
      const missing = numbered('', sent).filter((body) => !got.has(body));
      throw new Error(
        `${error.message}: ${missing.length} of ${sent} are missing, from ${missing[0]} to ${missing.at(-1)}`,
      );
    });
    expect(narrow.bodies()).toEqual(numbered('', sent));
    expect(await network.bridge('west').forwarded(sent)).toBe(sent);
  });

  test('what is published while a bridge is down comes after it, once, in order from the source, and to new topics too', async () => {
    const base = fresh();
    const network = await bridged(base, ActiveMqSite.open(nodes[0]!), ActiveMqSite.open(nodes[1]!));
    const [producer, captured] = [await connect(nodes[0]!), await capturesAt(nodes[0]!)];
    const subscriber = await subscribe(nodes[1]!, `${base}.>`);
    await captures(captured, `${base}.>`);
    await producer.sendAll(`/topic/${base}.x`, numbered('', 100));
    await awaitUntil('the first came', () => subscriber.got.length >= 50, within(60_000));
    await network.bridge('west').kill();
    await producer.sendAll(`/topic/${base}.x`, numbered('', 300).slice(100));
    // A topic that did not exist before.
    await producer.sendAll(`/topic/${base}.new`, ['new']);
    await network.start('west');
    await awaitUntil('all came', () => subscriber.got.length >= 301, within(60_000));
    await network.bridge('east').kill();
    await producer.sendAll(`/topic/${base}.x`, numbered('', 500).slice(300));
    await network.start('east');
    await awaitUntil('all came again', () => subscriber.got.length >= 501, within(60_000));
    const others = subscriber.bodies().filter((body) => body !== 'new');
    // What the bridge held when it was killed may come back in another order: ActiveMQ gives it back subscription by subscription.
    expect(others.slice(0, 100).toSorted((a, b) => Number(a) - Number(b))).toEqual(numbered('', 100));
    expect(others.slice(100, 300)).toEqual(numbered('', 300).slice(100));
    // What was under way when the sink's bridge went may come behind the rest.
    expect(others.toSorted((a, b) => Number(a) - Number(b))).toEqual(numbered('', 500));
  });

  test('a durable subscriber that is away gets what was published meanwhile, also after a restart, until it is removed', async () => {
    const base = fresh();
    const network = await bridged(base, ActiveMqSite.open(nodes[0]!), ActiveMqSite.open(nodes[1]!));
    const [producer, captured] = [await connect(nodes[0]!), await capturesAt(nodes[0]!)];
    const who = { clientId: `${base}-app`, name: 'nightly' };
    const [before, other] = [await subscribe(nodes[1]!, `${base}.a`, who), await subscribe(nodes[1]!, `${base}.b`)];
    await captures(captured, `${base}.a`, `${base}.b`);
    before.client.close();
    // It would be withdrawn with any other consumer.
    other.client.close();
    await awaitUntil('the other is withdrawn', () => !captured.has(`${base}.b`), within(90_000)).catch(
      async (error) => {
        const told = await network.bridge('east').rows('demand', 'amq.topic');
        throw new Error(`${error.message}, but ${[...captured].join()}; at the sink ${JSON.stringify(told)}`);
      },
    );
    await network.bridge('east').kill();
    await producer.sendAll(`/topic/${base}.a`, numbered('', 25));
    await network.start('east');
    await awaitUntil('the bridge works', async () => (await network.bridge('east').status()).role === 'master');
    await producer.sendAll(`/topic/${base}.a`, numbered('', 50).slice(25));
    await awaitUntil(
      'all went',
      async () => (await network.bridge('west').metric('tombolo_messages_forwarded_total')) >= 50,
    );
    const after = await subscribe(nodes[1]!, `${base}.a`, who);
    await awaitUntil('all came', () => after.got.length >= 50, within(60_000));
    expect(after.bodies()).toEqual(numbered('', 50));
    const last = await subscribe(nodes[1]!, `${base}.c`);
    await captures(captured, `${base}.c`);
    await after.end();
    await after.client.remove(who.name);
    await awaitUntil('it is not captured any more', () => !captured.has(`${base}.a`), within(60_000));
    expect(last.got).toEqual([]);
  });
});

describe.skipIf(activemqMissing())('a source of topics', () => {
  test('that is killed and restarted in mid-stream loses nothing that somebody elsewhere wants', async (context) => {
    const [base, node] = [fresh(), nodes[0]!];
    await bridged(base, ActiveMqSite.open(node), ActiveMqSite.open(nodes[1]!));
    const [producer, captured] = [await connect(node), await capturesAt(node)];
    const subscriber = await subscribe(nodes[1]!, `${base}.>`);
    await captures(captured, `${base}.>`);
    await producer.sendAll(`/topic/${base}.x`, numbered('', 1_000));
    await awaitUntil('it is under way', () => subscriber.got.length >= 100, within(60_000));
    await node.kill();
    await node.restart();
    // Before the bridge is there again, most likely.
    await (await connect(node)).sendAll(`/topic/${base}.x`, numbered('', 1_100).slice(1_000));
    const distinct = () => new Set(subscriber.bodies()).size;
    await awaitUntil('all came', () => distinct() === 1_100, within(60_000)).catch((error) => {
      throw new Error(`${error.message}, but ${distinct()}`, { cause: error });
    });
    await context.annotate(`${subscriber.got.length - 1_100} of 1,100 doubled`);
  });
});

describe.skipIf(activemqMissing() || noNodes())('topics between ActiveMQ and RabbitMQ', () => {
  /** A queue of its own, bound to amq.topic. */
  async function bound(site: Site, key: string) {
    const channel = await (await site.connect()).createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'amq.topic', key);
    const got: { key: string; body: string }[] = [];
    const take = (message: { fields: { routingKey: string }; content: Buffer } | null) =>
      message && got.push({ key: message.fields.routingKey, body: String(message.content) });
    await channel.consume(queue, take, { noAck: true });
    return { got, bodies: () => got.map(({ body }) => body) };
  }

  async function publish(site: Site, key: string, bodies: readonly string[]): Promise<void> {
    const channel = await (await site.connect()).createConfirmChannel();
    for (const body of bodies) channel.publish('amq.topic', key, Buffer.from(body), { persistent: true });
    await channel.waitForConfirms();
  }

  test('both ways, subscribers get each message once, wildcards and all, and none goes back', async () => {
    const base = fresh();
    const [west, east] = [ActiveMqSite.open(nodes[0]!), await Site.open(1)];
    const network = await bridged(base, west, east, { duplex: true });
    const [producer, captured] = [await connect(nodes[0]!), await capturesAt(nodes[0]!)];
    const atRabbit = await bound(east, `${base}.#`);
    const atActive = await subscribe(nodes[0]!, `${base}.*.eu`);
    await captures(captured, `${base}.>`);
    await awaitUntil(
      'the other way is captured',
      async () => {
        const list = (await east.api('GET', `/exchanges/${east.vhost}/amq.topic/bindings/source`)) as {
          destination: string;
          routing_key: string;
        }[];
        return list.some((each) => each.destination.startsWith('tombolo.') && each.routing_key === `${base}.*.eu`);
      },
      within(60_000),
    );
    await producer.sendAll(`/topic/${base}.prices.eu`, numbered('a', 200));
    await producer.sendAll(`/topic/${base}.prices.eu.deep`, ['deep']);
    await publish(east, `${base}.orders.eu`, numbered('r', 200));
    await publish(east, `${base}.orders.us`, ['rabbit only']);
    await awaitUntil('all came', () => atRabbit.got.length >= 402 && atActive.got.length >= 400, within(60_000));
    const counts = await watchFor(1_000, () => `${atRabbit.got.length} ${atActive.got.length}`, 250);
    expect(new Set(counts)).toEqual(new Set(['402 400']));
    const [fromActive, fromRabbit] = [/^a/, /^r\d/].map((of) => (body: string) => of.test(body));
    expect(atRabbit.bodies().filter(fromActive!)).toEqual(numbered('a', 200));
    expect(atActive.bodies().filter(fromRabbit!)).toEqual(numbered('r', 200));
    expect(atRabbit.got.find(({ body }) => body === 'deep')?.key).toBe(`${base}.prices.eu.deep`);
    expect(atActive.got.find(({ body }) => body === 'r0')?.topic).toBe(`${base}.orders.eu`);
    const dropped = (name: string) =>
      network.bridge(name).metric('tombolo_messages_not_captured_total', { reason: 'already_bridged' });
    await awaitUntil('what came through a bridge was dropped', async () => (await dropped('west')) === 200);
    await awaitUntil('at the other end, too', async () => (await dropped('east')) === 200);
  });
});
