import { ActiveMqNode, activemqMissing } from '@tombolo/testing/activemq';
import { consumeFrom } from '@tombolo/testing/contract-handles';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Broker, BrokerState, BufferProperties } from '../../src/broker/port.ts';
import { type ActiveMqWorld, openActiveMqWorld } from './activemq-world.ts';

const exchange = 'amq.topic';
const properties: BufferProperties = { type: 'classic', ttlMs: 60_000, maxLength: 1_000, maxBytes: 1_000_000 };
const key = (routingKey: string) => ({ routingKey, arguments: {} });

let node: ActiveMqNode;
beforeAll(async () => {
  if (!activemqMissing()) node = await ActiveMqNode.start({ elements: { plugins: '<statisticsBrokerPlugin/>' } });
});
afterAll(() => node?.stop());

describe.skipIf(activemqMissing())('buffers of topics on ActiveMQ', () => {
  let world: ActiveMqWorld;
  let broker: Broker;
  let names = 0;
  let base: string;
  let buffer: string;

  async function master(): Promise<Broker> {
    const adapter: { readonly broker: Broker; readonly states: BrokerState[] } = world.adapter();
    adapter.broker.claim(true);
    adapter.broker.start();
    await world.until('the adapter is master', () => adapter.states.at(-1)?.is === 'master');
    return adapter.broker;
  }
  beforeEach(async () => {
    world = await openActiveMqWorld(node);
    broker = await master();
    base = `t${++names}`;
    buffer = `tombolo.topic.${base}.amq%2Etopic`;
  });
  afterEach(async () => {
    await broker.buffers.delete(buffer);
    await broker.stop();
    await world.close();
  });

  async function publish(topic: string, ...bodies: readonly string[]): Promise<void> {
    await (await world.application()).sendAll(`/topic/${topic}`, bodies);
  }
  const ready = async () => (await broker.source.inspect(buffer))?.ready;
  async function captured(bindingKeys: readonly string[], more: Partial<BufferProperties> = {}): Promise<void> {
    await broker.buffers.declare(buffer, { ...properties, ...more });
    await broker.buffers.bind(buffer, exchange, bindingKeys.map(key));
  }

  test('a buffer takes what its keys take, each message once, and gives it as the topic was given it', async () => {
    await captured([`${base}.a.*`, `${base}.#`, `${base}.*.b`]);
    await publish(`${base}.a.b`, '1', '2');
    await publish('elsewhere', 'no');
    await publish(base, '3');
    const { got, cancel, tokens } = consumeFrom(broker, buffer, 10);
    await world.until('all came', () => got.length === 3);
    expect(got.map(({ exchange: its, routingKey, body }) => [its, routingKey, String(body)])).toEqual([
      [exchange, `${base}.a.b`, '1'],
      [exchange, `${base}.a.b`, '2'],
      [exchange, base, '3'],
    ]);
    broker.source.acknowledge(tokens());
    cancel();
  });

  test('a buffer of all topics does not take what the broker tells of itself', async () => {
    await captured(['#']);
    await world.declare(`${base}.queue`);
    await publish(`${base}.x`, '1');
    await world.until('it is captured', async () => (await ready()) === 1);
    await broker.buffers.bind(buffer, exchange, [key(`${base}.#`)]);
    await publish(`${base}.x`, '2');
    await world.until('that, too, and nothing else', async () => (await ready()) === 2);
  });

  test('a bridge that starts anew finds buffers and bindings, and what was published meanwhile', async () => {
    await captured([`${base}.x`, `${base}.y.#`]);
    await broker.stop();
    await publish(`${base}.x`, '1', '2');
    broker = await master();
    const bindings = (await broker.buffers.bindings(buffer)) ?? [];
    expect(bindings.map(({ binding }) => binding.routingKey).sort()).toEqual([`${base}.x`, `${base}.y.#`]);
    expect(await broker.buffers.list()).toContain(buffer);
    await world.until('it is captured', async () => (await ready()) === 2);
  });

  test('a buffer that nobody draws on for its time to live is gone, and takes nothing more', async () => {
    await captured([`${base}.x`], { ttlMs: 1_000 });
    await publish(`${base}.x`, '1');
    await world.until('it is gone', async () => (await ready()) === undefined);
    expect(await broker.buffers.list()).not.toContain(buffer);
    await publish(`${base}.x`, '2');
    await captured([]);
    expect(await ready()).toBe(0);
    expect(world.log.lines.some(({ message }) => message.includes('time to live'))).toBe(true);
  });

  test('beyond its length a buffer drops the oldest', async () => {
    await captured([`${base}.x`], { ttlMs: 4_000, maxLength: 5 });
    await publish(`${base}.x`, ...Array.from({ length: 12 }, (_, index) => String(index)));
    await world.until('it is shortened', async () => (await ready()) === 5);
    const { got } = consumeFrom(broker, buffer, 10);
    await world.until('the rest came', () => got.length === 5);
    expect(got.map(({ body }) => String(body))).toEqual(['7', '8', '9', '10', '11']);
  });

  test('a buffer that holds messages is deleted only when it may be, and nothing else can be bound', async () => {
    await captured([`${base}.x`]);
    await publish(`${base}.x`, '1');
    await world.until('it is captured', async () => (await ready()) === 1);
    expect(await broker.buffers.delete(buffer, { ifEmpty: true })).toBe('not-empty');
    expect(await broker.buffers.delete(buffer)).toBe('deleted');
    expect(await broker.buffers.delete(buffer)).toBe('absent');
    expect(await ready()).toBeUndefined();
    await expect(broker.buffers.bind(buffer, exchange, [key('x')])).rejects.toMatchObject({
      code: 'TOMBOLO_QUEUE_ABSENT',
    });
    await expect(broker.buffers.bind(buffer, 'events', [key('x')])).rejects.toMatchObject({
      code: 'TOMBOLO_EXCHANGE_ABSENT',
    });
  });
});
