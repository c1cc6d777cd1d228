import { ManualClock } from '@tombolo/kernel/clock';
import { beforeEach, describe, expect, it } from 'vitest';
import { fenced } from '../../../src/broker/fence.ts';
import { MemoryBroker } from '../../../src/broker/memory/memory-broker.ts';
import { MemoryServer } from '../../../src/broker/memory/memory-server.ts';
import type { Broker, ConsumerEnd, Delivery } from '../../../src/broker/port.ts';

const persistent = Uint8Array.of(0x10, 0x00, 0x02);

describe('a bridge that may not write', () => {
  let clock: ManualClock;
  let server: MemoryServer;
  let broker: Broker;
  let allowed: boolean;
  const got: Delivery[] = [];
  const ends: ConsumerEnd[] = [];
  const handler = {
    delivered: (deliveries: readonly Delivery[]) => got.push(...deliveries),
    ended: (end: ConsumerEnd) => ends.push(end),
  };
  const run = async () => {
    clock.advance(50);
    for (let turn = 0; turn < 5; turn++) await undefined;
  };

  beforeEach(async () => {
    got.length = 0;
    ends.length = 0;
    allowed = true;
    clock = new ManualClock();
    server = new MemoryServer(clock);
    server.declare('orders');
    const memory = new MemoryBroker({ cluster: 'east' }, server, { stateChanged: () => {}, blocked: () => {} });
    broker = fenced(memory, () => allowed);
    broker.claim(true);
    broker.start();
    await run();
  });

  it('begins no consumer', async () => {
    server.publish('orders', { body: Uint8Array.of(1) });
    allowed = false;
    broker.source.consume({ queue: 'orders', prefetch: 1, priority: undefined }, handler);
    await run();
    expect(got).toEqual([]);
    expect(ends).toEqual([{ why: 'lost' }]);
  });

  it('gives back what the broker still hands it, and may acknowledge what it took before', async () => {
    for (const number of [1, 2]) server.publish('orders', { body: Uint8Array.of(number) });
    broker.source.consume({ queue: 'orders', prefetch: 1, priority: undefined }, handler);
    await run();
    expect(got.map(({ body }) => body[0])).toEqual([1]);
    allowed = false;
    broker.source.acknowledge(got.map(({ token }) => token));
    await run();
    expect(got.map(({ body }) => body[0])).toEqual([1]);
    const queue = server.queues.get('orders')!;
    expect([...queue.ready, ...queue.unacknowledged].map(({ body }) => body[0])).toEqual([2]);
  });

  it('publishes nothing: it says that it can be tried later', async () => {
    const outcomes: [readonly number[], string][] = [];
    const publisher = broker.sink.publisher('orders', {
      outcome: (ids, outcome) => outcomes.push([ids, outcome]),
    });
    const publication = { exchange: '', routingKey: 'orders', properties: persistent, body: Uint8Array.of(1) };
    publisher.publish([{ id: 1, ...publication }]);
    await run();
    allowed = false;
    publisher.publish([
      { id: 2, ...publication },
      { id: 3, ...publication },
    ]);
    await run();
    expect(outcomes).toEqual([
      [[1], 'confirmed'],
      [[2, 3], 'postponed'],
    ]);
    expect(server.queues.get('orders')!.ready).toHaveLength(1);
  });

  it('declares, binds and deletes nothing, and says why', async () => {
    allowed = false;
    const buffer = { type: 'classic', ttlMs: 1, maxLength: 1, maxBytes: 1 } as const;
    const forbidden: (() => Promise<unknown>)[] = [
      () => broker.source.declare('new', {}),
      () => broker.source.deleteIfIdle('orders'),
      () => broker.buffers.declare('b', buffer),
      () => broker.buffers.bind('b', 'x', []),
      () => broker.buffers.unbind('b', 'x', []),
      () => broker.buffers.delete('b'),
    ];
    for (const act of forbidden) await expect(act()).rejects.toMatchObject({ code: 'TOMBOLO_NOT_MASTER' });
    expect([...server.queues.keys()]).toEqual(['orders']);
    expect(await broker.source.inspect('orders')).toMatchObject({ ready: 0 });
  });
});
