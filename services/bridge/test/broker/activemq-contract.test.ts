import { ActiveMqNode, activemqMissing } from '@tombolo/testing/activemq';
import { brokerContract } from '@tombolo/testing/broker-contract';
import { consumeFrom, publisherOf } from '@tombolo/testing/contract-handles';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { QueueDemand } from '../../src/broker/port.ts';
import { openActiveMqWorld } from './activemq-world.ts';

describe.skipIf(activemqMissing())('ActiveMQ', () => {
  let node: ActiveMqNode;
  /** As it comes: it has no statistics plugin. */
  let bare: ActiveMqNode;
  beforeAll(async () => {
    const elements = { plugins: '<statisticsBrokerPlugin/>' };
    [node, bare] = await Promise.all([ActiveMqNode.start({ elements }), ActiveMqNode.start()]);
  });
  afterAll(() => Promise.all([node?.stop(), bare?.stop()]));

  brokerContract({
    name: 'a real ActiveMQ with its statistics plugin',
    lacks: ['bounds', 'expiry', 'deletion', 'single-active-consumer'],
    open: () => openActiveMqWorld(node),
  });

  async function master(on: ActiveMqNode) {
    const world = await openActiveMqWorld(on);
    const { broker, states } = world.adapter();
    onTestFinished(async () => {
      await broker.stop();
      await world.close();
    });
    broker.claim(true);
    broker.start();
    await world.until('it is master', () => states.at(-1)?.is === 'master');
    states.length = 0;
    return { world, broker, states };
  }

  test('without the statistics plugin messages are counted by browsing: what consumers may hold is taken to be held', async () => {
    const { world, broker } = await master(bare);
    for (const body of ['a', 'b', 'c', 'd', 'e']) await world.publish('orders', Buffer.from(body));
    expect(await broker.sink.probe('orders')).toEqual({ ready: 5, consumers: 0 });
    const { got } = consumeFrom(broker, 'orders', 2);
    await world.until('two are handed out', () => got.length === 2);
    await world.until('three wait', async () => {
      const counts = await broker.sink.probe('orders');
      return counts?.ready === 3 && counts.consumers === 1;
    });
    const { queues } = await broker.inventory.take([]);
    expect(queues.find(({ queue }) => queue === 'orders')).toMatchObject({ ready: 5, unacknowledged: undefined });
  });

  test('a queue that is called like a topic, or like a temporary queue, is none: only a reply gets there', async () => {
    const { world, broker } = await master(node);
    const client = await world.application();
    const got: string[] = [];
    await client.subscribe('/topic/news', (frame) => void got.push(frame.body.toString()));
    for (const queue of ['/topic/news', '/remote-temp-queue/ID:somebody-1:1']) {
      const { publish, outcomes, outcome } = publisherOf(broker, queue);
      publish({ id: 1 });
      await world.until('it has an outcome', () => outcomes.size === 1);
      expect(outcome(1)).toBe('returned');
    }
    const { publish, outcomes, outcome } = publisherOf(broker, 'tombolo.reply.here.token');
    publish({ id: 2, routingKey: '/topic/news' }, { id: 3, routingKey: '/remote-temp-queue/ID:somebody-1:1' });
    await world.until('both have outcomes', () => outcomes.size === 2);
    expect([outcome(2), outcome(3)]).toEqual(['confirmed', 'returned']);
    await world.until('the reply is there', () => got.length === 1);
    expect(got).toEqual(['m2']);
  });

  describe('what advisories tell', () => {
    /** A master, and all that it is told of demand, in order. */
    async function watching() {
      const { world, broker, states } = await master(node);
      const told: QueueDemand[] = [];
      const names = { matches: () => true, exact: [] };
      const quiet = { created: () => {}, deleted: () => {}, visible: () => {} };
      broker.demand.watch(names, { ...quiet, changed: (demand) => void told.push(demand) });
      const capacity = (queue: string) => told.findLast((each) => each.queue === queue)?.capacity;
      return { world, broker, states, told, capacity };
    }

    test('a queue whose name is a number, or a client id that is one, does not end the connection', async () => {
      const { world, broker, states, capacity } = await watching();
      const client = await world.application([['client-id', '4711']]);
      for (const queue of ['12', 'true', '9007199254740993']) {
        await client.subscribe(`/queue/${queue}`, () => {}, [['activemq.prefetchSize', '9']]);
        await world.until('its consumer is seen', () => capacity(queue) === 9);
      }
      await world.declare('34');
      await world.publish('34', Buffer.from('a message'));
      const { got } = consumeFrom(broker, '34', 1);
      await world.until('it comes', () => got.length === 1);
      expect(states).toEqual([]);
    });

    test('consumers that the broker was just making are told with what they can take, not with one', async () => {
      const { world, capacity } = await watching();
      const queues = Array.from({ length: 50 }, (_, index) => `made.${index}`);
      for (const queue of queues) await world.addConsumer(queue, { prefetch: 7 });
      await world.until('all are right', () => queues.every((queue) => capacity(queue) === 7));
    });

    test('consumers that stay are not taken for gone while everything is asked for anew', async () => {
      const { world, broker, told, capacity } = await watching();
      const queues = Array.from({ length: 100 }, (_, index) => `stays.${index}`);
      for (const queue of queues) await world.addConsumer(queue, { prefetch: 7 });
      await world.until('all are right', () => queues.every((queue) => capacity(queue) === 7));
      told.length = 0;
      for (let round = 0; round < 5; round++) {
        broker.demand.refresh();
        const { remove } = await world.addConsumer(`round.${round}`, { prefetch: 3 });
        await world.until('the new one is seen', () => capacity(`round.${round}`) === 3);
        await remove();
      }
      expect(told.filter(({ queue }) => queue.startsWith('stays.'))).toEqual([]);
    });
  });
});
