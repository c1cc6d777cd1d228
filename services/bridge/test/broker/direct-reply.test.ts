import { awaitUntil } from '@tombolo/testing/await-until';
import { type RabbitNode, rabbitMissing, startRabbit } from '@tombolo/testing/rabbitmq';
import type { ChannelModel } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { directReplyQueue, isSoundDirectReply } from '../../src/reply/direct-reply.ts';
import { ReplyOrigin } from '../../src/reply/reply-origin.ts';
import { openRabbitWorld, type RabbitWorld } from './rabbit-world.ts';

/** What replying to requesters of RabbitMQ relies on; each of these was different from what one would think. */
describe.skipIf(rabbitMissing())('direct reply-to on RabbitMQ', () => {
  let node: RabbitNode;
  let world: RabbitWorld;
  let requester: ChannelModel;
  let answers: string[];
  let address: string;

  beforeAll(async () => {
    node = await startRabbit();
  });
  afterAll(() => node.stop());

  beforeEach(async () => {
    world = await openRabbitWorld(node);
    await world.declare('requests');
    requester = await world.application();
    answers = [];
    const channel = await requester.createChannel();
    await channel.consume(directReplyQueue, (message) => void answers.push(String(message?.content)), { noAck: true });
    const sent = { replyTo: directReplyQueue };
    for (const request of ['1', '2']) channel.sendToQueue('requests', Buffer.from(request), sent);
    const addresses: string[] = [];
    await awaitUntil('the requests are there', async () => {
      const message = await channel.get('requests', { noAck: true });
      if (message) addresses.push(String(message.properties.replyTo));
      return addresses.length === 2;
    });
    expect(addresses[0]).toBe(addresses[1]);
    address = addresses[0]!;
  });
  afterEach(async () => {
    await requester.close().catch(() => {});
    await world.close();
  });

  /** Publishes on a connection of its own: how it ended, whether it was returned, and with what the connection was closed. */
  async function published(routingKey: string, body: string, properties: { replyTo?: string } = {}) {
    const connection = await world.application();
    const faults: number[] = [];
    const noted = (error: { code?: number }) => void faults.push(error.code ?? 0);
    connection.on('error', noted);
    const channel = await connection.createConfirmChannel();
    channel.on('error', noted);
    let returned = false;
    channel.on('return', () => {
      returned = true;
    });
    channel.publish('', routingKey, Buffer.from(body), { mandatory: true, ...properties });
    const confirmed = await channel.waitForConfirms().then(
      () => true,
      () => false,
    );
    await connection.close().catch(() => {});
    return { confirmed, returned, faults };
  }

  const publisher = async (routingKey: string) => {
    const { broker, states } = world.adapter();
    broker.claim(true);
    broker.start();
    await awaitUntil('master', () => states.at(-1)?.is === 'master');
    const outcomes: string[] = [];
    const lane = broker.sink.publisher('reply', { outcome: (_ids, outcome) => void outcomes.push(outcome) });
    lane.publish([
      { id: 1, exchange: '', routingKey, properties: Buffer.alloc(2), body: Buffer.from('through the bridge') },
    ]);
    await awaitUntil('it has an outcome', () => outcomes.length === 1);
    await broker.stop();
    return outcomes[0];
  };

  test('the delivered address is short enough for a reply address of any cluster, and of the form that is published to', () => {
    expect(address).toMatch(/^amq\.rabbitmq\.reply-to\.[A-Za-z0-9+/=]+\.[A-Za-z0-9+/=]+$/);
    expect(address.length).toBeLessThanOrEqual(100);
    expect(isSoundDirectReply(address)).toBe(true);
    const origin = new ReplyOrigin({ network: 'acme', cluster: 'w'.repeat(64), secrets: ['s'] });
    const name = origin.rewriter(0)(address)!;
    // Not remembered but in the name itself: another bridge of the cluster knows it too.
    const other = new ReplyOrigin({ network: 'acme', cluster: 'w'.repeat(64), secrets: ['s'] });
    expect(other.judge(name, 0)).toEqual({ is: 'ok', address, direct: true });
  });

  test('it is answered from another connection, and the broker says "returned" although the requester has it', async () => {
    expect(await published(address, 'answer')).toEqual({ confirmed: true, returned: true, faults: [] });
    await awaitUntil('the requester has it', () => answers.length === 1);
    expect(await publisher(address)).toBe('returned');
    await awaitUntil('the requester has it too', () => answers.length === 2);
    expect(answers).toEqual(['answer', 'through the bridge']);
  });

  test('it is returned as well when the requester has gone, and harms nobody', async () => {
    await requester.close();
    expect(await published(address, 'late')).toEqual({ confirmed: true, returned: true, faults: [] });
  });

  test('a temporary queue is different: it is returned only when the requester has gone', async () => {
    const channel = await requester.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    expect(queue).toMatch(/^amq\.gen-[\w-]{22}$/);
    expect((await published(queue, 'answer')).returned).toBe(false);
    await requester.close();
    expect(await published(queue, 'late')).toEqual({ confirmed: true, returned: true, faults: [] });
  });

  /** The same key at a channel of a node that this cluster does not have. */
  function foreignAddress(): string {
    const bytes = Buffer.from(address.split('.')[3]!, 'base64');
    const elsewhere = Buffer.concat([
      Buffer.from([131, 88, 118, 0, 9]),
      Buffer.from('reply@123'),
      bytes.subarray(bytes.length - 12),
    ]);
    return `${directReplyQueue}.${elsewhere.toString('base64')}.${address.split('.')[4]}`;
  }

  test('whoever answers an address of a node that this cluster does not have loses the connection', async () => {
    const foreign = foreignAddress();
    // Sound, as far as can be seen: nodes come and go.
    expect(isSoundDirectReply(foreign)).toBe(true);
    const { confirmed, faults } = await published(foreign, 'x');
    expect([confirmed, faults[0]]).toEqual([false, 541]);
    const unsound = `${directReplyQueue}.a.b`;
    expect(isSoundDirectReply(unsound)).toBe(false);
    expect((await published(unsound, 'x')).faults[0]).toBe(541);
  });

  test('isolated, such an address ends one connection that nothing else uses, and the others of its batch arrive', async () => {
    const { broker, states } = world.adapter();
    broker.claim(true);
    broker.start();
    await awaitUntil('master', () => states.at(-1)?.is === 'master');
    const outcomes = new Map<number, string>();
    const handler = {
      outcome: (ids: readonly number[], outcome: string) => {
        for (const id of ids) {
          expect(outcomes.has(id)).toBe(false);
          outcomes.set(id, outcome);
        }
      },
    };
    const isolated = broker.sink.publisher('reply', handler, { isolated: true });
    const foreign = foreignAddress();
    const batch = [address, foreign, address, foreign, address];
    const properties = Buffer.alloc(2);
    isolated.publish(
      batch.map((routingKey, id) => ({ id, exchange: '', routingKey, properties, body: Buffer.from(String(id)) })),
    );
    await awaitUntil('all have an outcome', () => outcomes.size === 5);
    expect([...outcomes].sort()).toEqual([
      [0, 'confirmed'],
      [1, 'poison'],
      [2, 'confirmed'],
      [3, 'poison'],
      [4, 'confirmed'],
    ]);
    await awaitUntil('the requester has the others', () => new Set(answers).size === 3);
    expect(new Set(answers)).toEqual(new Set(['0', '2', '4']));
    expect(states.at(-1)?.is).toBe('master');
    expect(states.filter(({ is }) => is === 'master').length).toBe(1);
    await broker.stop();
  });

  test('a message whose reply-to is the bare pseudo-queue closes the channel of a publisher that does not consume it', async () => {
    const { confirmed, faults } = await published('requests', 'x', { replyTo: directReplyQueue });
    expect([confirmed, faults[0]]).toEqual([false, 406]);
    const origin = new ReplyOrigin({ network: 'acme', cluster: 'west', secrets: [] });
    const rewritten = origin.rewriter(0)(directReplyQueue)!;
    expect(await published('requests', 'x', { replyTo: rewritten })).toMatchObject({ confirmed: true, faults: [] });
    expect(await published('requests', 'x', { replyTo: `${directReplyQueue}.a.b` })).toMatchObject({ faults: [] });
  });
});
