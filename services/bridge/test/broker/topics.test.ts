import { type RabbitNode, rabbitMissing, startRabbit } from '@tombolo/testing/rabbitmq';
import type { Binding } from '@tombolo/wire/binding';
import { forwardedProperties } from '@tombolo/wire/forwarded-properties';
import { header } from '@tombolo/wire/header-table';
import { proofKeys, provenPath, withProof } from '@tombolo/wire/proof';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BindingListener, Broker, Delivery } from '../../src/broker/port.ts';
import { openRabbitWorld, type RabbitWorld } from './rabbit-world.ts';

/** Headers that are not in the order of their names, a 64-bit integer among them, and one that RabbitMQ writes differently. */
const table = Buffer.from('\x01zl\0\0\0\0\0\0\0\x07\x01at\x01\x01mV\x01kF\0\0\0\x0b\x01aL\0\0\0\0\0\0\0\x09');
const bounds = { ttlMs: 60_000, maxLength: 1_000_000, maxBytes: 1_000_000_000 } as const;

/** Keeps what a watch tells of one exchange. */
function watch(broker: Broker) {
  const told = { bindings: new Set<string>(), visible: [] as [boolean, string | undefined][] };
  const keep = (added: readonly Binding[], removed: readonly Binding[]) => {
    for (const { routingKey } of added) told.bindings.add(routingKey);
    for (const { routingKey } of removed) told.bindings.delete(routingKey);
  };
  const listener: BindingListener = {
    exchange: (_exchange, _properties, bindings) => keep(bindings, []),
    changed: (_exchange, added, removed) => keep(added, removed),
    deleted: () => {},
    routes: () => {},
    visible: (visible, reason) => void told.visible.push([visible, reason]),
  };
  broker.bindings.watch((exchange) => exchange === 'events', listener);
  return told;
}

async function open(world: RabbitWorld): Promise<Broker> {
  const { broker, states } = world.adapter();
  broker.claim(true);
  broker.start();
  await world.until('the adapter is master', () => states.at(-1)?.is === 'master');
  return broker;
}

describe.skipIf(rabbitMissing())('topics on RabbitMQ', () => {
  let node: RabbitNode;
  beforeAll(async () => {
    node = await startRabbit();
  });
  afterAll(() => node?.stop());

  test('without the management API bindings cannot be seen, and the reason says what to configure', async () => {
    const world = await openRabbitWorld(node, { management: { uris: [], username: '', password: '' } });
    const broker = await open(world);
    const told = watch(broker);
    expect(told.visible).toEqual([[false, expect.stringContaining('broker.management.uris')]]);
    expect(await broker.buffers.bindings('tombolo.topic.east.events')).toBeUndefined();
    await broker.stop();
    await world.close();
  });

  test('while events come a binding is known long before the next look', async () => {
    const world = await openRabbitWorld(node);
    const broker = await open(world);
    await world.declareExchange('events', 'topic');
    await world.declare('one');
    const told = watch(broker);
    await world.until('events flow', () => broker.bindings.method === 'management API + events');
    await world.until('they are visible', () => told.visible.length > 0);
    const asked = Date.now();
    await world.bind('events', { queue: 'one' }, 'a');
    await world.until('it is known', () => told.bindings.has('a'));
    expect(Date.now() - asked).toBeLessThan(10_000); // the next look would be in 30 s
    await broker.stop();
    await world.close();
  });

  test('thousands of bindings are told, captured and undone, none of them twice', async () => {
    const world = await openRabbitWorld(node);
    const broker = await open(world);
    await world.declareExchange('events', 'topic');
    await world.declare('one');
    const told = watch(broker);
    await world.until('they are visible', () => told.visible.length > 0);
    const keys = Array.from({ length: 1_000 }, (_, index) => `area.${index}.#`);
    const wanted = keys.map((routingKey) => ({ routingKey, arguments: {} }));
    // Through the port as well: an application's binding is made the same way.
    await broker.buffers.bind('one', 'events', wanted);
    await world.until('all are told', () => told.bindings.size === keys.length);
    const buffer = 'tombolo.topic.east.events';
    await broker.buffers.declare(buffer, { ...bounds, type: 'classic' });
    await broker.buffers.bind(buffer, 'events', wanted);
    expect((await broker.buffers.bindings(buffer))?.length).toBe(keys.length);
    await broker.buffers.unbind('one', 'events', wanted);
    await world.until('none is told any more', () => told.bindings.size === 0);
    expect((await broker.buffers.bindings(buffer))?.length).toBe(keys.length);
    await broker.stop();
    await world.close();
  });

  test.each(['classic', 'quorum'] as const)(
    'a proof survives a %s buffer, and a second delivery from it',
    async (type) => {
      const world = await openRabbitWorld(node);
      const broker = await open(world);
      const keys = proofKeys('acme', 'here', ['secret']);
      const buffer = 'tombolo.topic.west.events';
      await world.declareExchange('events', 'topic');
      await broker.buffers.declare(buffer, { ...bounds, type });
      await broker.buffers.bind(buffer, 'events', [{ routingKey: '#', arguments: {} }]);
      const message = {
        exchange: 'events',
        routingKey: 'a.b',
        properties: forwardedProperties(
          Buffer.concat([Buffer.of(0x30, 0x00, 0, 0, 0, table.length), table, Buffer.of(2)]),
          { path: ['west'] },
        ),
        body: Buffer.from('body'),
      };
      const publisher = broker.sink.publisher('events', { outcome: () => {} });
      publisher.publish([{ id: 1, ...message, properties: withProof(message, keys) }]);
      const take = () => {
        const got: Delivery[] = [];
        const handler = {
          delivered: (deliveries: readonly Delivery[]) => void got.push(...deliveries),
          ended: () => {},
        };
        broker.source.consume({ queue: buffer, prefetch: 1, priority: undefined }, handler);
        return got;
      };
      const got = take();
      await world.until('it is captured', () => got.length === 1);
      expect(provenPath(got[0] as Delivery, keys)).toEqual(['west']);
      broker.source.requeue([(got[0] as Delivery).token]);
      await world.until('it comes again', () => got.length === 2);
      const again = got[1] as Delivery;
      expect(again.redelivered).toBe(true);
      // RabbitMQ counts the deliveries of quorum queues, in a header, and so writes the headers anew.
      expect(header(again.properties, 'x-delivery-count') !== undefined).toBe(type === 'quorum');
      expect(provenPath(again, keys)).toEqual(['west']);
      expect(provenPath({ ...again, routingKey: 'a.c' }, keys)).toBeUndefined();
      await broker.stop();
      await world.close();
    },
  );
});
