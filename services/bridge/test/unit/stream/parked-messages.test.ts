import { ManualClock } from '@tombolo/kernel/clock';
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../../src/broker/memory/memory-broker.ts';
import { MemoryServer } from '../../../src/broker/memory/memory-server.ts';
import { type DeadLetterContext, DeadLetters } from '../../../src/stream/dead-letters.ts';
import type { Taken } from '../../../src/stream/effects.ts';
import { ParkedMessages } from '../../../src/stream/parked-messages.ts';

const queue = 'tombolo.dead-letters';
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Delivery mode 2 and an expiration, raw. */
const expiring = Buffer.from([0x11, 0x00, 2, 4, ...Buffer.from('5000')]);

describe('dead letters', () => {
  let clock: ManualClock;
  let server: MemoryServer;
  let deadLetters: DeadLetters;
  let parked: ParkedMessages;
  let gauge: number | undefined;

  beforeEach(async () => {
    clock = new ManualClock();
    server = new MemoryServer(clock);
    const broker = new MemoryBroker({ cluster: 'west' }, server, { stateChanged: () => {}, blocked: () => {} });
    broker.claim(true);
    broker.start();
    gauge = undefined;
    const metrics = {
      deadLettered: () => {},
      deadLetters: (n: number) => {
        gauge = n;
      },
    };
    deadLetters = new DeadLetters({
      ...{ broker, metrics, log, clock, incarnation: 1, restored: (properties) => properties },
      settings: { queue, maxBytes: 1_000, ttlMs: 1_000 },
      wallClock: () => Date.UTC(2026, 10, 22),
    });
    parked = new ParkedMessages(broker, deadLetters, log);
    await passed(100);
  });

  /** Lets time pass, and what waits for promises go on. */
  async function passed(ms: number): Promise<void> {
    for (let at = 0; at < ms; at++) {
      clock.advance(1);
      await Promise.resolve();
    }
  }

  async function during<Result>(work: Promise<Result>): Promise<Result> {
    let done = false;
    const over = work.finally(() => {
      done = true;
    });
    over.catch(() => {});
    for (let round = 0; round < 5_000 && !done; round++) await passed(1);
    return over;
  }

  function park(body: string, changes: Partial<DeadLetterContext> = {}, properties: Uint8Array = expiring) {
    const context = {
      reason: 'too large',
      peer: 'east',
      destination: 'orders',
      connector: 'c',
      queue: 'orders',
      attempts: 2,
    };
    const message = { original: properties, body: Buffer.from(body), exchange: 'shop', routingKey: 'new' };
    return during(deadLetters.park(message as unknown as Taken, { ...context, ...changes }));
  }

  const bodies = (name: string) => server.queues.get(name)?.ready.map(({ body }) => Buffer.from(body).toString());

  it('are listed page by page with what is known of them, and stay where they are', async () => {
    for (let index = 0; index < 5; index++) await park(`m${index}`, { destination: index === 3 ? 'other' : 'orders' });
    server.publish(queue, { body: Buffer.from('of somebody else') });
    const page = await during(parked.list({ destination: 'orders' }, 2, 3));
    expect(page).toMatchObject({ queue, total: 4, page: 2, pageSize: 3, complete: true });
    expect(page.items).toEqual([
      expect.objectContaining({ id: '1.5', peer: 'east', reason: 'too large', attempts: 2, bytes: 2, queue: 'orders' }),
    ]);
    expect(page.items[0]!.time).toBe('2026-11-22T00:00:00.000Z');
    expect((await during(parked.list({}, 1, 100))).items).toHaveLength(6);
    expect(bodies(queue)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'of somebody else']);
  });

  it('go back to their queues as they were, and what has none any more stays and is told', async () => {
    server.declare('orders');
    await park('m0');
    await park('m1', { queue: 'gone', destination: 'gone' });
    server.publish(queue, { body: Buffer.from('of somebody else') });
    expect(await during(parked.replay({}, true))).toMatchObject({ selected: 3, replayed: 1 });
    expect(bodies('orders')).toEqual([]);
    const result = await during(parked.replay({}, false));
    expect(result.replayed).toBe(1);
    expect(result.kept).toEqual([
      { queue: undefined, why: 'it does not say which queue it was taken from', messages: 1 },
      { queue: 'gone', why: 'there is no such queue', messages: 1 },
    ]);
    expect(bodies('orders')).toEqual(['m0']);
    expect(Buffer.from(server.queues.get('orders')!.ready[0]!.properties)).toEqual(expiring);
    expect(bodies(queue)).toEqual(['m1', 'of somebody else']);
    await passed(10);
    expect(gauge).toBe(2);
  });

  it('are replayed by the hundred without losing or doubling one', async () => {
    server.declare('orders');
    server.declare('small', { maxLength: 3, overflow: 'reject-publish' });
    const body = (index: number) => `${index}`;
    for (let index = 0; index < 250; index++) await park(body(index), { queue: index % 10 === 9 ? 'small' : 'orders' });
    const result = await during(parked.replay({ peer: 'east' }, false));
    const why = 'the queue takes no more';
    expect(result).toEqual({ selected: 250, replayed: 228, kept: [{ queue: 'small', why, messages: 22 }] });
    const all = [...bodies('orders')!, ...bodies('small')!, ...bodies(queue)!];
    expect(all.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 250 }, (_, i) => body(i)));
  });

  it('that are rejected again at once are not replayed in a circle', async () => {
    server.declare('orders');
    await park('m0');
    const parkings: Promise<boolean>[] = [];
    const took = () => queueMicrotask(() => parkings.push(park('m0')));
    server.addConsumer('orders', { prefetch: 1, acknowledges: true, took });
    expect((await during(parked.replay({ destination: 'orders' }, false))).replayed).toBe(1);
    await Promise.all(parkings);
    expect([parkings.length, bodies(queue)]).toEqual([1, ['m0']]);
  });

  it('are dropped by what they are, after a count', async () => {
    for (const destination of ['a', 'b', 'a']) await park(destination, { destination });
    expect(await during(parked.drop({ destination: 'a' }, true))).toEqual({ selected: 2, dropped: 0 });
    expect(await during(parked.drop({ id: '1.2' }, false))).toEqual({ selected: 1, dropped: 1 });
    expect(await during(parked.drop({ destination: 'a', reason: 'too' }, false))).toEqual({ selected: 2, dropped: 2 });
    expect(bodies(queue)).toEqual([]);
    expect(await during(parked.list({}, 1, 10))).toMatchObject({ total: 0, complete: true });
  });

  it('stay in their queue when there is no room for them here, with the advice, until there is', async () => {
    server.declare(queue, { maxLength: 1, overflow: 'reject-publish' });
    expect(await park('m0')).toBe(true);
    expect(deadLetters.view().problem).toBeUndefined();
    expect(await park('m1')).toBe(false);
    expect(deadLetters.view().problem).toMatch(/takes no more dead letters.*replay or drop some/);
    await during(parked.drop({}, false));
    expect(await park('m1')).toBe(true);
    expect(deadLetters.view()).toMatchObject({ problem: undefined });
  });

  it('find their queue declared anew when it was deleted', async () => {
    expect(await park('m0')).toBe(true);
    server.deleteQueue(queue);
    expect(await park('m1')).toBe(false);
    expect(await park('m1')).toBe(true);
    expect(bodies(queue)).toEqual(['m1']);
  });

  it('say what to do when their queue cannot be had', async () => {
    server.disconnect();
    expect(await park('m0')).toBe(false);
    expect(deadLetters.view().problem).toMatch(/^What cannot be delivered stays in its queue: /);
  });
});
