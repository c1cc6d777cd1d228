import { awaitUntil } from '@tombolo/testing/await-until';
import { replyAddressOf, replyKeys, signedReplyAddress } from '@tombolo/wire/reply-address';
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { describe, expect, test } from 'vitest';
import { Network, noNodes, Site, secret, westToEast, within } from './network.ts';

const direct = 'amq.rabbitmq.reply-to';

/** Answers every request with `answer to <body>`, unless told to wait. */
class Replier {
  readonly requests: ConsumeMessage[] = [];
  readonly #channel: Channel;

  private constructor(channel: Channel) {
    this.#channel = channel;
  }

  static async open(site: Site, { answers = true, queue = 'q' } = {}): Promise<Replier> {
    const channel = await (await site.connect()).createChannel();
    const replier = new Replier(channel);
    await channel.prefetch(200);
    await channel.consume(queue, (message) => {
      if (!message) return;
      replier.requests.push(message);
      channel.ack(message);
      if (answers) replier.answer(message);
    });
    return replier;
  }

  answer({ content, properties }: ConsumeMessage, persistent = false): void {
    const { correlationId, replyTo } = properties;
    this.#channel.sendToQueue(String(replyTo), Buffer.from(`answer to ${content}`), { correlationId, persistent });
  }

  async wait(count: number): Promise<void> {
    await awaitUntil(`${count} requests`, () => this.requests.length >= count, within(60_000));
  }
}

/** Sends requests from a connection of its own, with one reply queue. */
class Requester {
  readonly answers: string[] = [];
  readonly address: string;
  readonly #model: ChannelModel;
  readonly #channel: Channel;

  private constructor(model: ChannelModel, channel: Channel, address: string) {
    this.#model = model;
    this.#channel = channel;
    this.address = address;
  }

  static async open(site: Site, address?: string): Promise<Requester> {
    const model = await site.connect();
    const channel = await model.createChannel();
    const its = address ?? (await channel.assertQueue('', { exclusive: true })).queue;
    const requester = new Requester(model, channel, its);
    await channel.consume(its, (message) => void requester.answers.push(String(message?.content)), { noAck: true });
    return requester;
  }

  ask(body: string, queue = 'q'): void {
    this.#channel.sendToQueue(queue, Buffer.from(body), { replyTo: this.address, correlationId: body });
  }

  async answered(count: number): Promise<void> {
    await awaitUntil(`${count} answers`, () => this.answers.length >= count, within(60_000)).catch((error) => {
      throw new Error(`${error.message}, but ${this.answers.length}`, { cause: error });
    });
  }

  close(): Promise<void> {
    return this.#model.close();
  }
}

async function replyQueues(site: Site): Promise<{ readonly name: string; readonly arguments: object }[]> {
  const all = (await site.api('GET', `/queues/${site.vhost}`)) as { name: string; arguments: object }[];
  return all.filter(({ name }) => name.startsWith('tombolo.reply.'));
}

/** The connections that the bridge publishes and consumes by, by the ports they have. */
async function bridgeConnections(site: Site): Promise<string[]> {
  const all = (await site.api('GET', `/vhosts/${site.vhost}/connections`)) as {
    name: string;
    client_properties: { connection_name?: string };
  }[];
  const lasting = all.filter(({ client_properties: { connection_name: name = '' } }) =>
    /^tombolo \w+ (publish|consume)$/.test(name),
  );
  return lasting.map(({ name }) => name).sort();
}

async function pair(options: Parameters<typeof westToEast>[1] = {}) {
  const made = await westToEast({}, options);
  await Promise.all([made.west.declare('q'), made.east.declare('q')]);
  return made;
}

const dropped = 'tombolo_replies_dropped_total';

describe.skipIf(noNodes())('request and reply across clusters', () => {
  test('a requester with a temporary queue is answered one hop away, by a connector that permits no way back', async () => {
    const { west, east, network } = await pair();
    const replier = await Replier.open(east);
    const requester = await Requester.open(west);
    for (const body of ['1', '2', '3']) requester.ask(body);
    await requester.answered(3);
    expect(requester.answers).toEqual(['answer to 1', 'answer to 2', 'answer to 3']);
    const seen = replier.requests.map(({ properties }) => String(properties.replyTo));
    expect(new Set(seen).size).toBe(1);
    expect(replyAddressOf(seen[0]!)?.origin).toBe('west');
    const queues = await replyQueues(east);
    expect(queues).toMatchObject([{ name: seen[0], arguments: { 'x-expires': 3_600_000 } }]);
    expect(await network.bridge('east').metric('tombolo_reply_queues')).toBe(1);
    expect(await network.bridge('west').metric(dropped)).toBe(0);
  });

  test('a requester with direct reply-to is answered, and nobody loses a connection', async () => {
    const { west, east } = await pair();
    await Replier.open(east);
    const requester = await Requester.open(west, direct);
    for (let index = 0; index < 20; index++) requester.ask(String(index));
    await requester.answered(20);
    expect(requester.answers).toEqual(Array.from({ length: 20 }, (_, index) => `answer to ${index}`));
  });

  test('over a chain of three with networkTTL 2 requests of both kinds are answered, though no connector leads back', async () => {
    const sites = await Promise.all([Site.open(0), Site.open(1), Site.open(0)]);
    await Promise.all(sites.map((site) => site.declare('q')));
    const [a, b, c] = sites as [Site, Site, Site];
    const network = await Network.open({
      clusters: { a: { site: a }, b: { site: b }, c: { site: c } },
      connectors: [
        { name: 'a-b', from: 'a', to: 'b', networkTTL: 2 },
        { name: 'b-c', from: 'b', to: 'c', networkTTL: 2 },
      ],
    });
    await Replier.open(c);
    const requesters = await Promise.all([Requester.open(a), Requester.open(a, direct)]);
    for (const requester of requesters) {
      for (let index = 0; index < 10; index++) requester.ask(String(index));
      await requester.answered(10);
    }
    expect(await network.bridge('b').metric('tombolo_messages_transit_total', { peer: 'a' })).toBe(20);
    expect(await replyQueues(b)).toEqual([]);
  });

  test('from edge to edge over three hops, both ways at once, all are answered', async () => {
    const names = ['edge1', 'core1', 'core2', 'edge2'] as const;
    const sites = await Promise.all(names.map((_, index) => Site.open(index % 2)));
    const [near, , , far] = sites as [Site, Site, Site, Site];
    await Promise.all([near.declare('q'), far.declare('q2'), near.declare('q2'), far.declare('q')]);
    const connectors = [0, 1, 2].map((at) => {
      const [from, to] = [names[at]!, names[at + 1]!];
      return { name: `${from}-${to}`, from, to, duplex: true, networkTTL: 3 };
    });
    const clusters = Object.fromEntries(names.map((name, index) => [name, { site: sites[index]! }]));
    await Network.open({ clusters, connectors });
    await Promise.all([Replier.open(far), Replier.open(near, { queue: 'q2' })]);
    const requesters = await Promise.all(
      [near, far].flatMap((site) => [Requester.open(site), Requester.open(site, direct)]),
    );
    for (const [index, requester] of requesters.entries())
      for (let body = 0; body < 25; body++) requester.ask(String(body), index < 2 ? 'q' : 'q2');
    await Promise.all(requesters.map((requester) => requester.answered(25)));
  });

  test('two threads of 100 requests with a fresh temporary queue each are all answered', async (context) => {
    const { west, east, network } = await pair();
    await Replier.open(east);
    const began = performance.now();
    const thread = async (name: string): Promise<number> => {
      const model = await west.connect();
      const channel = await model.createChannel();
      let answered = 0;
      for (let index = 0; index < 100; index++) {
        const { queue } = await channel.assertQueue('', { exclusive: true });
        const answer = new Promise<string>((resolve) => {
          void channel.consume(queue, (message) => message && resolve(String(message.content)), { noAck: true });
        });
        channel.sendToQueue('q', Buffer.from(`${name}${index}`), { replyTo: queue });
        expect(await answer).toBe(`answer to ${name}${index}`);
        answered++;
        await channel.deleteQueue(queue);
      }
      return answered;
    };
    expect(await Promise.all([thread('x'), thread('y')])).toEqual([100, 100]);
    await context.annotate(`200 in ${Math.round(performance.now() - began)} ms`);
    expect(await network.bridge('west').metric(dropped)).toBe(0);
    expect(await network.bridge('east').metric('tombolo_reply_queues')).toBe(200);
  });

  test('bridges at both ends are killed and started again between request and reply: the reply arrives', async () => {
    const { west, east, network } = await pair();
    const replier = await Replier.open(east, { answers: false });
    const requesters = await Promise.all([Requester.open(west), Requester.open(west, direct)]);
    for (const requester of requesters) requester.ask('late');
    await replier.wait(2);
    for (const name of ['west', 'east']) await network.bridge(name).kill();
    for (const request of replier.requests) replier.answer(request, true);
    for (const name of ['east', 'west']) await (await network.start(name)).ready();
    await Promise.all(requesters.map((requester) => requester.answered(1)));
    expect(requesters.map(({ answers }) => answers)).toEqual([['answer to late'], ['answer to late']]);
  });

  test('a reply whose requester has gone is counted as late and dropped, and others go on', async () => {
    const { west, east, network } = await pair();
    const replier = await Replier.open(east, { answers: false });
    const [gone, stays] = await Promise.all([Requester.open(west), Requester.open(west)]);
    gone.ask('too late');
    await replier.wait(1);
    await gone.close();
    replier.answer(replier.requests[0]!);
    const late = () => network.bridge('west').metric(dropped, { reason: 'late' });
    await awaitUntil('it is counted', async () => (await late()) === 1);
    stays.ask('in time');
    await replier.wait(2);
    replier.answer(replier.requests[1]!);
    await stays.answered(1);
    await awaitUntil('nothing is stuck', async () => {
      const counts = await Promise.all((await replyQueues(east)).map(({ name }) => east.ready(name)));
      return counts.every((ready) => ready === 0);
    });
    await awaitUntil(
      'all is settled',
      async () => (await network.bridge('east').metric('tombolo_messages_unsettled')) === 0,
    );
  });

  test('replies to forged and expired addresses are dropped with the reason, a persistent expired one is parked', async () => {
    const { west, east, network } = await pair();
    const good = await Requester.open(west);
    // An address that has expired in this minute is still served beside the replier; the origin has to refuse it.
    await awaitUntil('the minute is young', () => new Date().getSeconds() < 30, { withinMs: 40_000, everyMs: 200 });
    const expiresAt = Math.floor(Date.now() / 60_000) * 60_000;
    const address = (secrets: string[], expires: number): string => {
      const keys = replyKeys({ network: 'e2e', cluster: 'west', secrets });
      return signedReplyAddress(keys, { origin: 'west', expiresAt: expires, target: { address: good.address } })!;
    };
    const forged = address(['not the secret'], expiresAt + 1_800_000);
    const expired = address([secret], expiresAt);
    for (const name of [forged, expired]) await east.declare(name);
    await east.publish(forged, 1);
    await east.publish(expired, 1, { properties: () => ({ persistent: false }) });
    const count = (reason: string) => network.bridge('west').metric(dropped, { reason });
    await awaitUntil('the forged one is counted', async () => (await count('forged')) === 1, within(60_000));
    await awaitUntil('the expired one is counted', async () => (await count('expired')) === 1, within(60_000));
    await east.publish(expired, 1);
    await awaitUntil(
      'the persistent one is parked',
      async () => (await network.bridge('east').metric('tombolo_messages_dead_lettered_total')) === 1,
      within(60_000),
    );
    expect(await east.ready('tombolo.dead-letters')).toBe(1);
    expect(good.answers).toEqual([]);
  });

  test('direct addresses that an application made up harm nobody', async () => {
    const { west, east, network } = await pair();
    await Replier.open(east);
    const [one, other] = await Promise.all([Requester.open(west, direct), Requester.open(west)]);
    const pid = Buffer.concat([Buffer.from([131, 88, 119, 9]), Buffer.from('reply@123'), Buffer.alloc(12, 1)]);
    // The broker's list lags behind.
    await awaitUntil('they are shown', async () => (await bridgeConnections(west)).length === 2, within(60_000));
    const connections = await bridgeConnections(west);
    const invented = [`${direct}.a.b`, `${direct}.${pid.toString('base64')}.abcdef==`];
    for (let round = 0; round < 5; round++) {
      for (const replyTo of invented) await west.publish('q', 1, { properties: () => ({ replyTo }) });
      one.ask(String(round));
      other.ask(String(round));
    }
    await Promise.all([one.answered(5), other.answered(5)]);
    const count = () => network.bridge('west').metric(dropped, { reason: 'unroutable' });
    await awaitUntil('the invented ones are counted', async () => (await count()) === 10, within(60_000));
    expect(await network.outputs()).toContain('the broker ended the connection for direct replies');
    expect(await bridgeConnections(west)).toEqual(connections);
  });

  test('a request that comes home is answered at home, by the address that it was sent with', async () => {
    const { west, east } = await westToEast({ duplex: true });
    await Promise.all([west.declare('q'), east.declare('q')]);
    const away = await east.consume('q', { acknowledge: false });
    const requester = await Requester.open(west);
    requester.ask('back');
    await away.wait(1);
    await away.close();
    const replier = await Replier.open(west);
    await requester.answered(1);
    expect(replier.requests[0]!.properties.replyTo).toBe(requester.address);
  });

  test('a thousand requesters at once are all answered, and the bridges still stop in good time', async (context) => {
    const { west, east, network } = await pair();
    await Replier.open(east);
    const before = await Promise.all(['west', 'east'].map((name) => network.bridge(name).processorSeconds()));
    const began = performance.now();
    const model = await west.connect();
    const channel = await model.createChannel();
    const answers = new Set<string>();
    const queues: string[] = [];
    for (let index = 0; index < 1_000; index++) {
      const { queue } = await channel.assertQueue('', { exclusive: true });
      queues.push(queue);
      await channel.consume(queue, (message) => message && void answers.add(String(message.content)), { noAck: true });
    }
    const asked = performance.now();
    for (const [index, replyTo] of queues.entries()) channel.sendToQueue('q', Buffer.from(String(index)), { replyTo });
    await awaitUntil('all are answered', () => answers.size === 1_000, within(50_000)).catch((error) => {
      throw new Error(`${error.message}, but ${answers.size}`, { cause: error });
    });
    const first = performance.now();
    for (const [index, replyTo] of queues.entries())
      channel.sendToQueue('q', Buffer.from(`again ${index}`), { replyTo });
    await awaitUntil('all are answered again', () => answers.size === 2_000, within(50_000));
    const second = performance.now();
    const after = await Promise.all(['west', 'east'].map((name) => network.bridge(name).processorSeconds()));
    const memory = await Promise.all(['west', 'east'].map((name) => network.bridge(name).peakMemory()));
    const used = after.map((seconds, index) => (seconds - before[index]!).toFixed(1));
    const stopping = performance.now();
    expect(await network.bridge('east').stop()).toBe(0);
    const stopped = Math.round(performance.now() - stopping);
    expect(stopped).toBeLessThan(15_000);
    await context.annotate(
      `stopped in ${stopped} ms; declared in ${Math.round(asked - began)} ms, first answers in ${Math.round(first - asked)} ms, second in ` +
        `${Math.round(second - first)} ms; processor ${used.join('/')} s, memory ${memory.map(Math.round).join('/')} MiB`,
    );
  });
});
