import { expect, test } from 'vitest';
import { readAdvisory } from '../../../src/broker/activemq/advisory.ts';
import { ConsumerTable } from '../../../src/broker/activemq/consumer-table.ts';
import { readStatistics } from '../../../src/broker/activemq/statistics.ts';

const frame = (body: object) => ({ command: 'MESSAGE', headers: new Map(), body: Buffer.from(JSON.stringify(body)) });

let consumers = 0;
const consumerInfo = (queue: string, more: object = {}, connectionId = 'ID:app-1') => ({
  ConsumerInfo: {
    consumerId: { connectionId, sessionId: -1, value: ++consumers },
    destination: { '@class': 'ActiveMQQueue', string: queue, null: '' },
    prefetchSize: 10,
    priority: 0,
    exclusive: false,
    browser: false,
    ...more,
  },
});
const removal = (info: ReturnType<typeof consumerInfo>) => ({
  RemoveInfo: { objectId: { '@class': 'ConsumerId', ...info.ConsumerInfo.consumerId } },
});
const queueInfo = (queue: string, operationType = 0) => ({
  DestinationInfo: { destination: { '@class': 'ActiveMQQueue', string: queue }, operationType },
});
const connectionInfo = (id: string, clientId: string) => ({
  ConnectionInfo: { connectionId: { value: id }, clientId, clientIp: 'tcp://10.0.0.7:4711' },
});

function table(...told: object[]) {
  const its = new ConsumerTable(['ID:own']);
  const take = (body: object) => [...its.take(readAdvisory(frame(body))!)];
  for (const body of told) take(body);
  return { its, take };
}

test('consumers of a queue are demand with what they can hold, and gone with their removal', () => {
  const first = consumerInfo('orders');
  const { its, take } = table(queueInfo('orders'), first, consumerInfo('orders', { prefetchSize: 5 }));
  expect(its.wanted('orders')).toEqual({ consumers: 2, capacity: 15, selective: 0 });
  expect(take(removal(first))).toEqual(['orders']);
  expect(its.wanted('orders')).toEqual({ consumers: 1, capacity: 5, selective: 0 });
});

test('networks of brokers, bridges, browsers, consumers behind everybody, and the own connection are no demand', () => {
  const { its } = table(
    connectionInfo('ID:bridge-1', 'tombolo.master'),
    consumerInfo('orders', {}, 'ID:bridge-1'),
    consumerInfo('orders', { networkSubscription: true }),
    consumerInfo('orders', { browser: true }),
    consumerInfo('orders', { priority: -5 }),
    consumerInfo('orders', {}, 'ID:own'),
  );
  expect(its.wanted('orders').consumers).toBe(0);
});

test('a bridge whose consumer is told before its connection is known as one as soon as that is told', () => {
  const { its, take } = table(queueInfo('orders'), consumerInfo('orders', {}, 'ID:bridge-1'));
  expect(its.wanted('orders').consumers).toBe(1);
  expect(take(connectionInfo('ID:bridge-1', 'tombolo.master'))).toEqual(['orders']);
  expect(its.wanted('orders').consumers).toBe(0);
  expect(its.holder('tombolo.master')).toBe('tcp://10.0.0.7:4711');
});

test('a consumer with a selector is no demand, and is counted apart', () => {
  const { its } = table(
    consumerInfo('orders', { selector: "convert_string_expressions:kind = 'a'" }),
    consumerInfo('orders', { prefetchSize: 3 }),
  );
  expect(its.wanted('orders')).toEqual({ consumers: 1, capacity: 3, selective: 1 });
});

test('of exclusive consumers the foremost is the only one that takes', () => {
  const { its } = table(
    consumerInfo('orders', { prefetchSize: 7 }),
    consumerInfo('orders', { exclusive: true, prefetchSize: 2 }),
    consumerInfo('orders', { exclusive: true, prefetchSize: 4, priority: 3 }),
  );
  expect(its.wanted('orders')).toEqual({ consumers: 1, capacity: 4, selective: 0 });
});

test('a composite consumer is demand on each of its queues, and no topic of it', () => {
  const { its } = table(consumerInfo('orders,queue://bills,topic://prices'));
  expect(['orders', 'bills', 'prices'].map((queue) => its.wanted(queue).consumers)).toEqual([1, 1, 0]);
});

test('a consumer with a wildcard is demand on the queues that it matches and that exist', () => {
  const wild = consumerInfo('orders.>');
  const { its, take } = table(queueInfo('orders.eu'), queueInfo('bills'));
  expect(take(wild)).toEqual(['orders.eu']);
  expect([its.wanted('orders.eu').consumers, its.wanted('bills').consumers]).toEqual([1, 0]);
  expect(take(queueInfo('orders.us'))).toEqual(['orders.us']);
  expect(its.wanted('orders.us').consumers).toBe(1);
  expect(take(removal(wild))).toEqual(['orders.eu', 'orders.us']);
});

test('what is no advisory of interest is passed over', () => {
  expect(readAdvisory(frame({ ProducerInfo: {} }))).toBeUndefined();
  expect(readAdvisory({ command: 'MESSAGE', headers: new Map(), body: Buffer.from('no JSON') })).toBeUndefined();
  const topic = { DestinationInfo: { destination: { '@class': 'ActiveMQTopic', string: 't' }, operationType: 0 } };
  expect(readAdvisory(frame(topic))).toBeUndefined();
});

test('the statistics plugin tells sizes in a map of its own kind', () => {
  const body = Buffer.from(
    '{"map":{"entry":[{"string":"size","long":5},{"string":"inflightCount","long":2},{"string":"minEnqueueTime","double":0.5},{"string":["destinationName","queue:\\/\\/st1"]},{"string":"consumerCount","long":1}]}}',
  );
  expect(readStatistics(body)).toEqual({ destination: 'queue://st1', size: 5, inflight: 2, consumers: 1 });
  expect(readStatistics(Buffer.from('{"map":{"entry":[{"string":["brokerName","a"]}]}}'))).toBeUndefined();
  expect(readStatistics(Buffer.from('nonsense'))).toBeUndefined();
});
