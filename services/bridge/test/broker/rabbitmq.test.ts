import { awaitUntil } from '@tombolo/testing/await-until';
import { type RabbitNode, rabbitMissing, startRabbit } from '@tombolo/testing/rabbitmq';
import { connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Broker, BrokerState, Delivery, QueueDemand } from '../../src/broker/port.ts';
import type { RabbitBrokerConfig } from '../../src/broker/rabbitmq/config.ts';
import { seamProblems } from '../../src/broker/rabbitmq/seam.ts';
import { openRabbitWorld, type RabbitWorld } from './rabbit-world.ts';

/** Raw properties: headers with every field type that RabbitMQ writes, and most basic properties. */
function allFieldTypes(): Buffer {
  const name = (text: string) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
  const long = (bytes: Buffer) =>
    Buffer.concat([Buffer.from([0, 0, 0, 0].map((_, i) => (bytes.length >> (24 - 8 * i)) & 255)), bytes]);
  const number = (size: number, write: (buffer: Buffer) => void) => {
    const buffer = Buffer.alloc(size);
    write(buffer);
    return buffer;
  };
  const field = (type: string, value: Buffer) => Buffer.concat([Buffer.from(type), value]);
  const fields: [string, Buffer][] = [
    ['bool', field('t', Buffer.of(1))],
    ['int8', field('b', Buffer.of(0x80))],
    ['uint8', field('B', Buffer.of(0xff))],
    [
      'int16',
      field(
        's',
        number(2, (b) => b.writeInt16BE(-2)),
      ),
    ],
    [
      'uint16',
      field(
        'u',
        number(2, (b) => b.writeUInt16BE(65_535)),
      ),
    ],
    [
      'int32',
      field(
        'I',
        number(4, (b) => b.writeInt32BE(-3)),
      ),
    ],
    [
      'uint32',
      field(
        'i',
        number(4, (b) => b.writeUInt32BE(4_294_967_295)),
      ),
    ],
    [
      'int64',
      field(
        'l',
        number(8, (b) => b.writeBigInt64BE(9_007_199_254_740_993n)),
      ),
    ],
    [
      'small64',
      field(
        'l',
        number(8, (b) => b.writeBigInt64BE(5n)),
      ),
    ],
    [
      'float',
      field(
        'f',
        number(4, (b) => b.writeFloatBE(0.1)),
      ),
    ],
    [
      'double',
      field(
        'd',
        number(8, (b) => b.writeDoubleBE(0.1)),
      ),
    ],
    ['decimal', field('D', Buffer.of(2, 0, 0, 1, 58))],
    ['text', field('S', long(Buffer.from('grüße')))],
    ['no-utf8', field('S', long(Buffer.of(0xff, 0xfe, 0)))],
    ['bytes', field('x', long(Buffer.of(0, 1, 0xff)))],
    [
      'time',
      field(
        'T',
        number(8, (b) => b.writeBigUInt64BE(1_700_000_000n)),
      ),
    ],
    ['void', field('V', Buffer.alloc(0))],
    ['list', field('A', long(Buffer.concat([field('t', Buffer.of(0)), field('l', Buffer.alloc(8))])))],
    ['table', field('F', long(Buffer.concat([name('in'), field('f', Buffer.alloc(4))])))],
  ];
  const table = long(Buffer.concat(fields.flatMap(([key, value]) => [name(key), value])));
  // content-type, headers, delivery-mode, correlation-id, message-id
  return Buffer.concat([Buffer.of(0xb4, 0x80), name('text/x'), table, Buffer.of(2), name('corr'), name('id-1')]);
}

describe.skipIf(rabbitMissing())('the RabbitMQ adapter', () => {
  let node: RabbitNode;
  let world: RabbitWorld;
  let broker: Broker;
  let states: BrokerState[];
  let startedAt: number;

  beforeAll(async () => {
    startedAt = performance.now();
    node = await startRabbit();
  });
  afterAll(() => node?.stop());
  beforeEach(async () => {
    world = await openRabbitWorld(node);
    ({ broker, states } = world.adapter());
    broker.claim(true);
    broker.start();
    await awaitUntil('master', () => states.at(-1)?.is === 'master');
  });
  afterEach(async () => {
    await broker.stop();
    await world.close();
  });

  function consume(queue: string, prefetch: number) {
    const got: Delivery[] = [];
    broker.source.consume(
      { queue, prefetch, priority: -1 },
      { delivered: (list) => got.push(...list), ended: () => {} },
    );
    return got;
  }

  test('a lock that is still held just after the connection died is no reason to stand by; one that stays held is', async () => {
    const lock = async () => {
      const model = await world.application();
      await (await model.createChannel()).assertQueue('tombolo.master', { exclusive: true, durable: false });
      return model;
    };
    const refused = () =>
      world.log.lines.filter(({ message }) => message === 'the lock is held by another bridge').length;
    world.proxy.down();
    const held = await awaitUntil('the dead connection has lost it', lock);
    world.proxy.up();
    await awaitUntil('the lock is refused', () => refused() > 0);
    await held.close();
    const before = states.length;
    await awaitUntil('master again', () => states.at(-1)?.is === 'master');
    expect(states.slice(before).map(({ is }) => is)).toEqual(['master']);
    expect(states.map(({ is }) => is).slice(0, before)).not.toContain('standby');

    world.proxy.down();
    const other = await awaitUntil('the dead connection has lost it', lock);
    world.proxy.up();
    await awaitUntil('it stands by', () => states.at(-1)?.is === 'standby');
    await other.close();
  });

  test('for how long the node has been running is told, never as longer than it is', async () => {
    await awaitUntil('the node tells', async () => ((await broker.runningFor()) ?? 0) > 0, { withinMs: 15_000 });
    expect(await broker.runningFor()).toBeLessThan(performance.now() - startedAt);
  });

  test('amqplib has the internals that the data path stands on', async () => {
    const model = await connect({ hostname: '127.0.0.1', port: node.amqpPort });
    expect(seamProblems(model, await model.createChannel())).toEqual([]);
    await model.close();
  });

  test('properties and bodies travel as they are, from nothing to 16 MiB', async () => {
    await world.declare('in');
    const properties = allFieldTypes();
    const large = Buffer.alloc(16 * 1024 * 1024, 'abcdefg');
    const bodies = [Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(131_064, 1), Buffer.alloc(131_065, 2), large];
    const confirmed: number[] = [];
    const publisher = broker.sink.publisher('in', {
      outcome: (ids, outcome) => outcome === 'confirmed' && confirmed.push(...ids),
    });
    publisher.publish(bodies.map((body, id) => ({ id, exchange: '', routingKey: 'in', properties, body })));
    await awaitUntil('all are stored', () => confirmed.length === bodies.length, { withinMs: 30_000 });
    const got = consume('in', 10);
    await awaitUntil('all are there', () => got.length === bodies.length, { withinMs: 30_000 });
    for (const [index, delivery] of got.entries()) {
      expect(Buffer.compare(delivery.properties, properties)).toBe(0);
      expect(Buffer.compare(delivery.body, bodies[index] as Buffer)).toBe(0);
    }
    // A small message keeps no chunk of the socket alive.
    expect(got[1]?.body.buffer.byteLength).toBeLessThanOrEqual(8_192);
  });

  test('the broker believes that all is as an amqplib publisher would send it', async () => {
    await world.declare('in');
    const model = await world.application();
    const channel = await model.createConfirmChannel();
    channel.sendToQueue('in', Buffer.from('hello'), { headers: { a: 1 }, messageId: 'm', persistent: true });
    await channel.waitForConfirms();
    const [first] = await awaitUntil('it is there', async () => {
      const got = consume('in', 1);
      await awaitUntil('one', () => got.length === 1);
      return got;
    });
    await world.declare('out');
    const publisher = broker.sink.publisher('out', { outcome: () => {} });
    publisher.publish([{ id: 1, exchange: '', routingKey: 'out', properties: first!.properties, body: first!.body }]);
    const message = await awaitUntil('it is in the other queue', () => channel.get('out'));
    expect(message).toMatchObject({ properties: { headers: { a: 1 }, messageId: 'm', deliveryMode: 2 } });
    await model.close();
  });

  test('a refused consumer that takes the channel of a cancelled one with it: the channel is told lost, first', async () => {
    await world.declare('in');
    await world.declare('other');
    for (let index = 0; index < 2; index++) await world.publish('in', Buffer.from('x'));
    const told: unknown[] = [];
    broker.source.onChannelLost((channel) => told.push(channel));
    const on = (queue: string) => {
      const got: Delivery[] = [];
      const consumer = broker.source.consume(
        { queue, prefetch: 10, priority: -1 },
        { delivered: (list) => got.push(...list), ended: ({ why }) => told.push(`${queue} ${why}`) },
      );
      return { got, consumer };
    };
    const cancelled = on('in');
    await awaitUntil('both are there', () => cancelled.got.length === 2);
    cancelled.consumer.cancel();
    await awaitUntil('it is cancelled', () => told.length === 1);
    on('missing');
    await awaitUntil('it is refused', () => told.length === 3);
    const channel = cancelled.got[0]!.token.channel;
    expect(told).toEqual(['in cancelled', channel, 'missing refused']);
    expect(told[1]).toBe(channel);
    await awaitUntil('the broker has them again', async () => (await broker.sink.probe('in'))?.ready === 2);
  });

  test('an idle channel that the adapter closes is not told lost, one that dies is told once and first', async () => {
    await world.declare('in');
    const ends: string[] = [];
    const on = (queue: string) =>
      broker.source.consume(
        { queue, prefetch: 1, priority: -1 },
        { delivered: () => {}, ended: (e) => ends.push(e.why) },
      );
    on('late');
    await awaitUntil('it is refused', () => ends.length === 1);
    const lost: object[] = [];
    broker.source.onChannelLost((channel) => lost.push(channel));
    const consumers = async () => (await broker.sink.probe('in'))?.consumers;
    for (let index = 0; index < 32; index++) on('in');
    await awaitUntil('the pool is full', async () => (await consumers()) === 32);
    await world.declare('late');
    // After a refusal it gets a channel of its own, one more than the pool keeps.
    const late = on('late');
    await awaitUntil('it is on', async () => (await broker.sink.probe('late'))?.consumers === 1);
    late.cancel();
    await awaitUntil('it is cancelled', () => ends.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ends).toEqual(['refused', 'cancelled']);
    expect(lost).toEqual([]);
    expect(await consumers()).toBe(32);

    // One more shares a channel, and ends it for both: lost comes before either end.
    const before = ends.length;
    broker.source.onChannelLost(() => lost.push({ ends: ends.length }));
    on('absent');
    await awaitUntil('both have ended', () => ends.length === before + 2);
    expect(lost).toEqual([{ ends: before }]);
    expect(ends.slice(before)).toEqual(['refused', 'lost']);
  });

  test('an alarm on the publishing side is told, and acknowledgements still flow', async () => {
    await world.declare('in');
    for (let index = 0; index < 3; index++) await world.publish('in', Buffer.from('x'));
    const blocked: (string | undefined)[] = [];
    await broker.stop();
    const { RabbitBroker } = await import('../../src/broker/rabbitmq/rabbit-broker.ts');
    const { systemClock } = await import('@tombolo/kernel/clock');
    let master = false;
    broker = new RabbitBroker(
      world.config,
      {
        stateChanged: (state) => {
          master = state.is === 'master';
        },
        blocked: (reason) => void blocked.push(reason),
      },
      { clock: systemClock, random: Math.random, log: world.log },
    );
    broker.claim(true);
    broker.start();
    await awaitUntil('master', () => master);
    await node.control('set_vm_memory_high_watermark', '0.00001');
    try {
      const publisher = broker.sink.publisher('in', { outcome: () => {} });
      publisher.publish([
        { id: 1, exchange: '', routingKey: 'in', properties: Buffer.alloc(2), body: Buffer.alloc(1) },
      ]);
      await awaitUntil('it is told', () => blocked.length === 1 && blocked[0] !== undefined);
      const got = consume('in', 1);
      await awaitUntil('one is there', () => got.length === 1);
      broker.source.acknowledge([got[0]!.token]);
      await awaitUntil('the next is there', () => got.length === 2);
    } finally {
      await node.control('set_vm_memory_high_watermark', '0.4');
    }
    await awaitUntil('the end is told', () => blocked.length === 2 && blocked[1] === undefined);
  });

  test('a lock that a policy has expired under its master does not leave two masters', async () => {
    const [first, second] = [world.adapter(), world.adapter()];
    await broker.stop();
    for (const each of [first, second]) each.broker.claim(true);
    first.broker.start();
    await awaitUntil('one is the master', () => first.states.at(-1)?.is === 'master');
    second.broker.start();
    await awaitUntil('the other stands by', () => second.states.at(-1)?.is === 'standby');
    // As by a policy for all queues that nobody uses.
    const policy = `/policies/${world.vhost}/unused`;
    await node.api('PUT', policy, { pattern: '^tombolo', definition: { expires: 700 }, 'apply-to': 'queues' });
    await awaitUntil('the other took it', () => second.states.some(({ is }) => is === 'master'), { withinMs: 30_000 });
    await node.api('DELETE', policy);
    await awaitUntil('the first knows', () => first.states.some(({ is }) => is === 'connecting' || is === 'down'));
    const masters = () => [first, second].filter(({ states }) => states.at(-1)?.is === 'master').length;
    const standbys = () => [first, second].filter(({ states }) => states.at(-1)?.is === 'standby').length;
    await awaitUntil('one is the master, and one stands by', () => masters() === 1 && standbys() === 1, {
      withinMs: 20_000,
    });
    expect(world.log.lines.find(({ message }) => message === 'the lock is lost')?.fields).toMatchObject({
      reason: expect.stringMatching(/"tombolo\.master(\.publish)?" was deleted \(by hand, by a policy with expires/),
    });
    await Promise.all([first.broker.stop(), second.broker.stop()]);
  });

  test('a new consumer is told within milliseconds of its event, for quorum queues and priorities too', async () => {
    const demands = new Map<string, QueueDemand>();
    let visible = false;
    broker.demand.watch(
      { matches: () => true, exact: [] },
      {
        changed: (demand) => demands.set(demand.queue, demand),
        created: () => {},
        deleted: () => {},
        visible: (now) => {
          visible = now;
        },
      },
    );
    await awaitUntil('it sees', () => visible && broker.demand.method === 'management API + events');
    await world.declare('classic');
    await world.declare('quorum', { type: 'quorum' });
    const latencies: number[] = [];
    for (const queue of ['classic', 'quorum']) {
      for (let index = 1; index <= 5; index++) {
        await world.addConsumer(queue, { prefetch: 10, priority: 5 });
        const from = performance.now();
        await awaitUntil('it is told', () => demands.get(queue)?.consumers === index, { everyMs: 1 });
        latencies.push(performance.now() - from);
      }
    }
    expect(demands.get('quorum')).toMatchObject({ capacity: 50, properties: { type: 'quorum', durable: true } });
    expect(latencies.sort((a, b) => a - b)[5]).toBeLessThan(50);
    // A later snapshot, which may lag behind, takes none of it back.
    broker.demand.refresh();
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect([demands.get('classic')?.consumers, demands.get('quorum')?.consumers]).toEqual([5, 5]);
  });

  test('without management, passive declares tell of exact names', async () => {
    await broker.stop();
    const { management: _, ...without } = world.config;
    const other = await openRabbitWorld(node, { events: false });
    const { RabbitBroker } = await import('../../src/broker/rabbitmq/rabbit-broker.ts');
    const { systemClock } = await import('@tombolo/kernel/clock');
    broker = new RabbitBroker(
      { ...without, events: false },
      { stateChanged: () => {}, blocked: () => {} },
      { clock: systemClock, random: Math.random, log: world.log },
    );
    const told: string[] = [];
    broker.demand.watch(
      { matches: () => true, exact: ['orders'] },
      {
        changed: (demand) => told.push(`${demand.queue}:${demand.consumers}`),
        created: (queue) => told.push(`+${queue}`),
        deleted: (queue) => told.push(`-${queue}`),
        visible: () => {},
      },
    );
    broker.claim(true);
    broker.start();
    await world.declare('orders');
    const consumer = await world.addConsumer('orders', { prefetch: 1 });
    await awaitUntil('one', () => told.at(-1) === 'orders:1');
    await consumer.remove();
    await awaitUntil('none', () => told.at(-1) === 'orders:0');
    await world.deleteQueue('orders');
    await awaitUntil('gone', () => told.at(-1) === '-orders');
    await other.close();
  });

  test.each([
    [
      'a wrong password',
      'TOMBOLO_BROKER_ACCESS_REFUSED',
      (config: RabbitBrokerConfig) => ({ ...config, password: 'wr0ng' }),
    ],
    [
      'an unknown virtual host',
      'TOMBOLO_BROKER_ACCESS_REFUSED',
      (config: RabbitBrokerConfig) => ({ ...config, uris: [{ ...config.uris[0]!, vhost: 'no/such' }] }),
    ],
    [
      'a port where nothing listens',
      'TOMBOLO_BROKER_UNREACHABLE',
      (config: RabbitBrokerConfig) => ({ ...config, uris: [{ ...config.uris[0]!, port: 1 }] }),
    ],
    [
      'another cluster than meant',
      'TOMBOLO_BROKER_MISMATCH',
      (config: RabbitBrokerConfig) => ({ ...config, clusterName: 'elsewhere' }),
    ],
  ] as const)('%s is a fault that names the address and keeps the secret', async (_, code, change) => {
    const { RabbitBroker } = await import('../../src/broker/rabbitmq/rabbit-broker.ts');
    const { systemClock } = await import('@tombolo/kernel/clock');
    const seen: BrokerState[] = [];
    const wrong = new RabbitBroker(
      change(world.config),
      { stateChanged: (state) => void seen.push(state), blocked: () => {} },
      { clock: systemClock, random: Math.random, log: world.log },
    );
    wrong.claim(true);
    wrong.start();
    await awaitUntil('it has tried twice', () => seen.filter((state) => state.is === 'down').length >= 2, {
      withinMs: 20_000,
    });
    await wrong.stop();
    const down = seen.find((state) => state.is === 'down');
    expect(down).toMatchObject({ fault: { code } });
    const text = down?.is === 'down' ? String(down.fault?.message) : '';
    expect(text).toContain('127.0.0.1:');
    expect(text).not.toContain('wr0ng');
  });

  test('what was published into silence is unknown when the broker is stopped, not without an outcome', async () => {
    await world.declare('out');
    const outcomes: string[] = [];
    const publisher = broker.sink.publisher('out', { outcome: (ids, outcome) => outcomes.push(`${ids} ${outcome}`) });
    const publish = (id: number) =>
      publisher.publish([{ id, exchange: '', routingKey: 'out', properties: Buffer.of(0, 0), body: Buffer.of(1) }]);
    publish(1);
    await awaitUntil('the channel is open', () => outcomes.length === 1);
    world.proxy.freeze();
    publish(2);
    await broker.stop();
    expect(outcomes).toEqual(['1 confirmed', '2 unknown']);
  });

  test('fails over to the next address', async () => {
    await broker.stop();
    const { RabbitBroker } = await import('../../src/broker/rabbitmq/rabbit-broker.ts');
    const { systemClock } = await import('@tombolo/kernel/clock');
    const uri = world.config.uris[0]!;
    let now: BrokerState | undefined;
    broker = new RabbitBroker(
      { ...world.config, uris: [{ ...uri, port: 1 }, { ...uri, port: 2 }, uri] },
      {
        stateChanged: (state) => {
          now = state;
        },
        blocked: () => {},
      },
      { clock: systemClock, random: Math.random, log: world.log },
    );
    const from = performance.now();
    broker.claim(true);
    broker.start();
    await awaitUntil('master', () => now?.is === 'master');
    expect(performance.now() - from).toBeLessThan(1_500);
  });

  test('a returned message whose headers the broker altered is still attributed', async () => {
    await world.declare('out');
    const outcomes = new Map<number, string>();
    const publisher = broker.sink.publisher('out', {
      outcome: (ids, outcome) => {
        for (const id of ids) outcomes.set(id, outcome);
      },
    });
    // headers {BCC: ["nowhere-else"]}: RabbitMQ strips it before it routes.
    const inner = Buffer.concat([Buffer.from('S'), Buffer.of(0, 0, 0, 4), Buffer.from('none')]);
    const table = Buffer.concat([
      Buffer.of(3),
      Buffer.from('BCC'),
      Buffer.from('A'),
      Buffer.of(0, 0, 0, inner.length),
      inner,
    ]);
    const properties = Buffer.concat([Buffer.of(0x20, 0x00), Buffer.of(0, 0, 0, table.length), table]);
    publisher.publish([
      { id: 1, exchange: '', routingKey: 'out', properties, body: Buffer.from('a') },
      { id: 2, exchange: '', routingKey: 'gone', properties, body: Buffer.from('b') },
      { id: 3, exchange: '', routingKey: 'gone', properties, body: Buffer.from('c') },
      { id: 4, exchange: '', routingKey: 'out', properties, body: Buffer.from('d') },
    ]);
    await awaitUntil('all have an outcome', () => outcomes.size === 4);
    expect([...outcomes].sort()).toEqual([
      [1, 'confirmed'],
      [2, 'returned'],
      [3, 'returned'],
      [4, 'confirmed'],
    ]);
    expect(world.log.lines.filter((line) => line.level === 'error')).toEqual([]);
  });
});
