import { awaitUntil } from '@tombolo/testing/await-until';
import { secretOf } from '@tombolo/testing/canary';
import type { Destination } from '@tombolo/wire/frame';
import { encodeGreeting } from '@tombolo/wire/greeting';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Claims, HostilePeer, stranger } from './hostile-peer.ts';
import { Network, noNodes, Site } from './network.ts';

const secrets = { west: secretOf('of-west'), north: secretOf('of-north') };
const orders: Destination = { kind: 'queue', name: 'orders.a' };
const bills: Destination = { kind: 'queue', name: 'bills.a' };
const fromWest = { name: 'west-east', from: 'west', to: 'east' };
const toNorth = { name: 'east-north', from: 'east', to: 'north' };

/** The clusters that the test plays. */
interface Played {
  readonly cluster: 'west' | 'north';
}

/**
 * East is a real bridge beside a real broker; west and north are played by the test. West may send `orders.>` to east, which may send
 * `bills.>` to north; none of them relays for another.
 */
async function stage() {
  const [east, other] = await Promise.all([Site.open(1), Site.open(0)]);
  const network = await Network.open({
    clusters: {
      east: {
        site: east,
        bridge: { secret: undefined, peers: { west: { secret: secrets.west }, north: { secret: secrets.north } } },
      },
      west: { site: other, bridge: { secret: secrets.west } },
      north: { site: other, bridge: { secret: secrets.north } },
    },
    connectors: [
      {
        ...fromWest,
        dynamicallyIncludedDestinations: [{ queue: 'orders.>' }, { exchange: 'events' }, { topic: 'prices.>' }],
        excludedDestinations: [{ queue: 'orders.local.>' }],
      },
      { ...toNorth, dynamicallyIncludedDestinations: [{ queue: 'bills.>' }] },
    ],
    start: false,
  });
  const bridge = await network.start('east');
  await bridge.ready();
  const { link: port } = network.ports.get('east')!;
  const dial = async (claims: Partial<Claims> & Played) => {
    const peer = await HostilePeer.dial(port, 'east', { secret: secrets[claims.cluster], ...claims });
    onTestFinished(() => peer.leave());
    return peer;
  };
  /** A peer that was let in and begins as an honest one does. */
  const linked = async (cluster: Played['cluster']) => {
    const peer = await dial({ cluster });
    if (!peer.hello) throw new Error(`not let in: ${peer.refused?.sentence ?? peer.closed}`);
    peer.agree(cluster === 'west' ? fromWest : toNorth);
    return peer;
  };
  const refusedFrames = (peer: string, kind: string) =>
    bridge.metric('tombolo_link_frames_refused_total', { peer, kind });
  return { east, bridge, port, dial, linked, refusedFrames };
}

/** Resolves when the bridge has read everything that was said before. */
async function heard(peer: HostilePeer): Promise<void> {
  const before = peer.of('snapshot-end').length;
  peer.send({ kind: 'snapshot-request' });
  await awaitUntil('the bridge has read all of it', () => peer.of('snapshot-end').length > before);
}

describe.skipIf(noNodes())('a hostile peer', () => {
  test('is no other cluster than its secret proves, and cannot spoil the numbers by which masters are ordered', async () => {
    const { bridge, dial, port } = await stage();
    const other = await dial({ cluster: 'north', secret: secrets.west });
    expect(other.refused).toMatchObject({ reason: 'secret' });
    expect((await dial({ cluster: 'west', network: 'another' })).refused).toMatchObject({ reason: 'network' });
    expect((await HostilePeer.dial(port, 'east', { cluster: 'south', secret: 'x' })).refused).toMatchObject({
      reason: 'unknown_cluster',
    });

    const { incarnation } = await bridge.status();
    const liar = await dial({ cluster: 'west', seenIncarnation: Number.MAX_SAFE_INTEGER });
    expect(liar.refused).toMatchObject({ reason: 'stale_incarnation' });
    expect((await bridge.status()).incarnation).toBe(incarnation);

    const west = await dial({ cluster: 'west', incarnation: 2_000 });
    expect(west.hello?.cluster).toBe('east');
    expect((await dial({ cluster: 'west', incarnation: 1_000 })).refused).toMatchObject({
      reason: 'stale_incarnation',
    });
    expect(await bridge.metric('tombolo_link_refused_total', { reason: 'secret', peer: 'north' })).toBe(1);
  });

  test('puts messages only where its connector leads, as many as it was granted', async () => {
    const { east, linked } = await stage();
    for (const queue of ['orders.a', 'orders.local.x', 'bills.a', 'victim']) await east.declare(queue);
    const west = await linked('west');

    const refused: Destination[] = [
      ...['orders.local.x', 'bills.a', 'tombolo.dead-letters', 'amq.gen-x', 'tombolo.master'].map(
        (name) => ({ kind: 'queue', name }) as const,
      ),
      { kind: 'topic', name: 'amq.fanout' },
      { kind: 'cluster', name: 'east' },
    ];
    for (const destination of refused) {
      const opening = west.opening(destination);
      west.send(opening);
      expect((await west.awaited('refuse', destination.name)).reason).toMatch(
        /no connector from west to east includes/,
      );
      west.send(west.messages(opening, 1, 10));
    }

    // Nobody consumes it, and no stream was opened.
    west.send(west.messages(west.opening(orders), 1, 10));
    await heard(west);
    for (const queue of ['orders.a', 'orders.local.x', 'bills.a']) expect(await east.ready(queue)).toBe(0);

    const consumer = await east.consume('orders.a', { prefetch: 5, acknowledge: false });
    await awaitUntil('east wants it', () =>
      west.of('demand').some(({ destination }) => destination.name === 'orders.a'),
    );
    const opening = west.opening(orders);
    west.send(opening);
    await west.awaited('resume', 'orders.a');
    const granted = () => west.granted('orders.a');
    await awaitUntil('there is credit', () => granted() > 0);
    west.send(west.messages(opening, 1, 2_000));
    await heard(west);
    await awaitUntil('what was granted has come', () => consumer.got.length > 0);
    expect(consumer.got.length + (await east.ready('orders.a'))).toBeLessThanOrEqual(granted());
    expect(granted()).toBeLessThan(100);
  });

  test('reaches no other queue by headers, exchanges and keys of its messages', async () => {
    const { east, linked } = await stage();
    for (const queue of ['orders.a', 'victim']) await east.declare(queue);
    const model = await east.connect();
    const channel = await model.createChannel();
    await channel.bindQueue('victim', 'amq.fanout', '');
    await channel.assertQueue('keys', { durable: true });
    await channel.bindQueue('keys', 'amq.topic', '#');
    const west = await linked('west');
    const consumer = await east.consume('orders.a', { prefetch: 100 });
    await awaitUntil('east wants both', () =>
      ['orders.a', 'amq.topic'].every((name) => west.of('demand').some(({ destination }) => destination.name === name)),
    );
    const opening = west.opening(orders);
    west.send(opening);
    await awaitUntil('there is credit', () => west.granted('orders.a') >= 4);
    west.send(west.messages(opening, 1, 1, { exchange: 'amq.fanout', routingKey: 'victim' }));
    west.send(west.messages(opening, 2, 1, { properties: routedTo('CC', 'victim') }));
    west.send(west.messages(opening, 3, 1, { properties: routedTo('BCC', 'victim') }));
    west.send(west.messages(opening, 4, 1));
    await consumer.wait(2);
    expect(consumer.bodies()).toEqual(['1', '4']);
    const verdict = () =>
      west.of('settle').flatMap(({ address, rejected }) => (address.destination.name === 'orders.a' ? rejected : []));
    await awaitUntil('both are rejected', () => verdict().length === 2);
    expect(verdict()[0]!.reason).toMatch(/headers CC or BCC name other queues/);

    const topic = west.opening({ kind: 'topic', name: 'amq.topic' });
    west.send(topic);
    await awaitUntil('there is credit', () => west.granted('amq.topic') >= 2);
    west.send(west.messages(topic, 1, 1, { routingKey: 'secrets.x' }));
    west.send(west.messages(topic, 2, 1, { routingKey: 'prices.x' }));
    await awaitUntil('what is included has come', async () => (await east.ready('keys')) === 1);
    expect(await east.ready('victim')).toBe(0);
  });

  test('draws no messages that a connector does not let it have', async () => {
    const { east, bridge, linked, refusedFrames } = await stage();
    for (const queue of ['orders.a', 'bills.a']) await east.declare(queue);
    await east.publish('orders.a', 5);
    await east.publish('bills.a', 5);
    const west = await linked('west');
    const { incarnation } = west.claims;
    const demand = {
      kind: 'demand',
      incarnation,
      version: 1,
      ttl: 9,
      connector: 'west-east',
      consumers: 1,
      queue: {},
      leaseMs: 60_000,
    } as const;
    west.send({ ...demand, sink: 'west', destination: orders, path: ['west'] });
    west.send({ ...demand, sink: 'west', destination: bills, path: ['west'] });
    // As if north were behind it, or it were on a way that it is not on.
    west.send({ ...demand, sink: 'north', destination: bills, path: ['north', 'west'] });
    west.send({ ...demand, sink: 'north', destination: bills, path: ['north'] });
    west.send({ ...demand, sink: 'west', destination: bills, path: ['west', 'east', 'west'] });
    west.send({
      kind: 'bindings-request',
      source: 'west',
      sink: 'east',
      exchange: 'amq.fanout',
      incarnation: 0,
      version: 0,
    });
    await heard(west);
    await awaitUntil('it is counted', async () => (await refusedFrames('west', 'demand')) >= 2);
    for (const queue of ['orders.a', 'bills.a']) expect(await east.counts(queue)).toEqual({ ready: 5, consumers: 0 });
    expect(west.of('open')).toEqual([]);
    expect(west.of('bindings')).toEqual([]);
    expect((await bridge.rows('demand', 'bills.a')).filter(({ cluster }) => cluster === 'north')).toEqual([]);
  });

  test('has no say in streams of others: who speaks in their name is cut off, and who pretends to relay is not heard', async () => {
    const { east, bridge, linked, refusedFrames } = await stage();
    await east.declare('bills.a');
    await east.publish('bills.a', 3);
    const north = await linked('north');
    const west = await linked('west');
    const demand = {
      kind: 'demand',
      sink: 'north',
      destination: bills,
      incarnation: north.claims.incarnation,
      version: 1,
    } as const;
    north.send({
      ...demand,
      path: ['north'],
      ttl: 1,
      connector: 'east-north',
      consumers: 1,
      queue: {},
      leaseMs: 60_000,
    });
    const { address, incarnation, epoch } = await north.awaited('open', 'bills.a');
    const stream = { address, incarnation, epoch };
    const none = { received: [], accepted: [], rejected: [] };
    let answered = 0;
    await awaitUntil('all are on their way', () => {
      // Whatever is opened is answered: while ways are being found that may be more than once.
      for (const { attempt } of north.of('open').slice(answered)) {
        answered++;
        north.send({
          kind: 'resume',
          ...stream,
          attempt,
          sinkIncarnation: north.claims.incarnation,
          ...none,
          creditVersion: answered,
          granted: 3,
        });
      }
      return north.of('messages').flatMap(({ messages }) => messages).length === 3;
    });

    const forged = { kind: 'settle', ...stream, accepted: [1, 3], released: [], rejected: [] } as const;
    west.send({ ...forged, hops: 1 });
    west.send({
      kind: 'closed',
      ...stream,
      reason: 'x',
      hops: 1,
      address: { ...address, source: 'north', sink: 'east' },
    });
    west.send({
      kind: 'withdraw',
      sink: 'north',
      destination: bills,
      incarnation: north.claims.incarnation + 1,
      version: 9,
    });
    west.send({ kind: 'collect', source: 'north', sink: 'east', incarnation: north.claims.incarnation + 1, hops: 1 });
    await awaitUntil('it is counted', async () => (await refusedFrames('west', 'settle')) === 1);
    expect(await refusedFrames('west', 'collect')).toBe(1);

    west.send(forged);
    await awaitUntil('west is cut off', () => west.closed);
    expect(west.closed).toMatch(/Cluster 'west' sent a settle frame in the name of cluster 'north'/);
    await awaitUntil('it is logged', async () => /in the name of cluster 'north'/.test(await bridge.output()));

    // Nothing of it is gone: north gives it back, and all three are in their queue.
    expect((await bridge.rows('streams', 'bills.a'))[0]).toMatchObject({ peer: 'north', unsettled: 3, accepted: 0 });
    north.leave();
    // A stop waits for a link that breaks meanwhile.
    await awaitUntil('north is missed', async () => (await bridge.metric('tombolo_link_up', { peer: 'north' })) === 0);
    await bridge.stop();
    await awaitUntil('all are back', async () => (await east.ready('bills.a')) === 3);
  });

  test('cannot fill memory, log or connections, and honest peers go on', async () => {
    const { bridge, port, linked } = await stage();
    const north = await linked('north');
    const before = await bridge.memory();
    const west = await linked('west');
    for (let index = 0; index < 20_000; index++) west.send(west.opening({ kind: 'queue', name: `none.${index}` }));
    await heard(west);
    const lines = (await bridge.output()).split('\n').filter((line) => /streams? refused/.test(line));
    expect(lines.length).toBeLessThanOrEqual(101);
    west.leave();

    // A frame of which only the beginning ever comes, one that is larger than any may be, and one that is none.
    const beginning = (length: number) => {
      const bytes = Buffer.alloc(5);
      bytes.writeUInt32BE(length);
      return bytes;
    };
    const wrong = [
      { type: 19, content: beginning(200 * 1024 * 1024), says: /a frame above 167772160 bytes/ },
      { type: 18, content: beginning(100 * 1024 * 1024), says: /a control frame that is too large/ },
      { type: 16, content: Buffer.from([1, 3, 0, 0, 0, 1, 0xc1]), says: /not plain MessagePack/ },
      { type: 16, content: Buffer.alloc(300 * 1024), says: /closed \(1009\)/ },
    ];
    for (const { type, content, says } of wrong) {
      const peer = await linked('west');
      peer.sendRecord(type, content);
      await awaitUntil('it is cut off', () => peer.closed);
      expect(peer.closed).toMatch(says);
      await awaitUntil(
        'the bridge has noticed',
        async () => !(await bridge.status()).links.find((link) => link.peer === 'west')?.up,
      );
    }
    const deaf = await linked('west');
    deaf.deafen();
    for (let index = 0; index < 200_000; index++) deaf.sendRecord(1, Buffer.alloc(8));

    const silent = await Promise.all(Array.from({ length: 70 }, () => stranger(port)));
    onTestFinished(() => {
      for (const socket of silent) socket.terminate();
    });
    await awaitUntil(
      'those above the limit are turned away',
      async () => (await bridge.metric('tombolo_link_refused_total', { reason: 'busy' })) > 0,
    );
    silent[0]!.send(encodeGreeting({ is: 'proof', proof: Buffer.alloc(32), refusal: undefined }));
    await heard(north);
    expect(north.closed).toBeUndefined();
    expect((await bridge.memory()) - before).toBeLessThan(100);
  });
});

/** Headers with an array of one queue under this name. */
function routedTo(name: string, queue: string): Buffer {
  const long = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const array = Buffer.concat([Buffer.from('S'), long(Buffer.from(queue))]);
  const field = Buffer.concat([Buffer.from([name.length]), Buffer.from(`${name}A`), long(array)]);
  return Buffer.concat([Buffer.from([0x20, 0x00]), long(field)]);
}
