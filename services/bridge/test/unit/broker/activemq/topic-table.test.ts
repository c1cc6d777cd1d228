import { beforeEach, expect, test } from 'vitest';
import { type Advisory, readAdvisory } from '../../../../src/broker/activemq/advisory.ts';
import { TopicTable } from '../../../../src/broker/activemq/topics/topic-table.ts';

let count = 0;
const advisory = (body: object) =>
  readAdvisory({ command: 'MESSAGE', headers: new Map(), body: Buffer.from(JSON.stringify(body)) }) as Advisory;

function connection(id: string, clientId: string): Advisory {
  return advisory({ ConnectionInfo: { connectionId: { value: id }, clientId, clientIp: 'tcp://127.0.0.1:1' } });
}

/** As ActiveMQ writes it. */
function consumer(topic: string, more: object = {}, on = 'c1', id = ++count): Advisory {
  return advisory({
    ConsumerInfo: {
      consumerId: { '@class': 'ConsumerId', connectionId: on, sessionId: -1, value: id },
      destination: { '@class': 'ActiveMQTopic', string: topic },
      prefetchSize: 100,
      priority: 0,
      exclusive: false,
      browser: false,
      networkSubscription: false,
      ...more,
    },
  });
}

const gone = (id: number, on = 'c1'): Advisory =>
  advisory({ RemoveInfo: { objectId: { '@class': 'ConsumerId', connectionId: on, sessionId: -1, value: id } } });

let table: TopicTable;
beforeEach(() => {
  table = new TopicTable();
  table.take(connection('c1', 'an-application'));
});
const keys = () => [...table.bindingKeys()].sort();

test('demand is what consumers ask for, each once, in the words of AMQP', () => {
  for (const topic of ['prices.>', 'prices.>', 'orders.*', 'one,topic://two,queue://three'])
    table.take(consumer(topic));
  expect(keys()).toEqual(['one', 'orders.*', 'prices.#', 'two']);
});

test('consumers of bridges, of networks and of advisories are no demand, nor are those of queues and temporary topics', () => {
  table.take(connection('c2', 'tombolo.topics'));
  table.take(consumer('bridged', { subscriptionName: 'bridged' }, 'c2'));
  table.take(consumer('networked', { networkSubscription: true }));
  table.take(consumer('ActiveMQ.Advisory.Connection'));
  table.take(consumer('ID:x', { destination: { '@class': 'ActiveMQTempTopic', string: 'ID:x' } }));
  table.take(consumer('q', { destination: { '@class': 'ActiveMQQueue', string: 'q' } }));
  expect(keys()).toEqual([]);
});

test('a consumer whose connection is told of later, and is a bridge, is no demand any more', () => {
  table.take(consumer('a', {}, 'c3'));
  expect(keys()).toEqual(['a']);
  expect(table.take(connection('c3', 'tombolo.topics'))).toBe(true);
  expect(keys()).toEqual([]);
});

test('a consumer that goes takes its demand along', () => {
  table.take(consumer('a', {}, 'c1', 900));
  expect(table.take(gone(900))).toBe(true);
  expect(keys()).toEqual([]);
});

test('a durable subscription stays demand while its consumer is away, until it is removed', () => {
  table.take(consumer('a', { subscriptionName: 's' }, 'c1', 901));
  table.take(gone(901));
  table.take(advisory({ RemoveInfo: { objectId: { '@class': 'ConnectionId', value: 'c1' } } }));
  expect(keys()).toEqual(['a']);
  table = new TopicTable(table);
  expect(keys()).toEqual(['a']);
  table.take(advisory({ RemoveSubscriptionInfo: { clientId: 'an-application', subscriptionName: 's' } }));
  expect(keys()).toEqual([]);
});

test('a durable subscription whose consumer comes back for another topic wants that one only', () => {
  table.take(consumer('a', { subscriptionName: 's' }, 'c1', 902));
  table.take(gone(902));
  table.take(connection('c4', 'an-application'));
  table.take(consumer('b', { subscriptionName: 's' }, 'c4'));
  expect(keys()).toEqual(['b']);
});

test('what is told anew knows the durable subscriptions that were there before, and counts those that are there once', () => {
  table.take(consumer('a', { subscriptionName: 's' }, 'c1', 903));
  const next = new TopicTable(table);
  expect([...next.bindingKeys()]).toEqual(['a']);
  next.take(connection('c1', 'an-application'));
  next.take(consumer('a', { subscriptionName: 's' }, 'c1', 903));
  next.take(gone(903));
  next.take(advisory({ RemoveSubscriptionInfo: { clientId: 'an-application', subscriptionName: 's' } }));
  expect([...next.bindingKeys()]).toEqual([]);
});

test('a durable subscription that was written down is demand while its consumer is away, and is written again', () => {
  table.take(consumer('a', { subscriptionName: 'there' }, 'c1', 904));
  const written = table.durables();
  expect(written).toEqual([{ clientId: 'an-application', subscription: 'there', topics: ['a'] }]);
  const other = { clientId: 'another', subscription: 'away', topics: ['b.*'] };
  const next = new TopicTable();
  next.remember([...written, other]);
  expect([...next.bindingKeys()].sort()).toEqual(['a', 'b.*']);
  next.take(connection('c5', 'another'));
  next.take(consumer('c', { subscriptionName: 'away' }, 'c5'));
  expect([...next.bindingKeys()].sort()).toEqual(['a', 'c']);
  expect(next.durables().map(({ topics }) => topics.join())).toEqual(['a', 'c']);
});
