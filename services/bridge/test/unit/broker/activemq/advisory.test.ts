import { describe, expect, test } from 'vitest';
import { readAdvisory } from '../../../../src/broker/activemq/advisory.ts';

/** As ActiveMQ 5.17.2 writes them. */
const read = (json: string) => readAdvisory({ command: 'MESSAGE', headers: new Map(), body: Buffer.from(json) });
const queue = (name: string) =>
  `{"DestinationInfo":{"commandId":0,"destination":{"@class":"ActiveMQQueue","string":${name},"null":""},"operationType":0,"timeout":0}}`;
const consumer = (name: string, selector: string) =>
  `{"ConsumerInfo":{"consumerId":{"connectionId":"ID:vm-1-2-4:3","sessionId":-1,"value":2},"destination":{"@class":"ActiveMQQueue","string":${name},"null":""},"prefetchSize":9,"browser":false,"selector":${selector},"exclusive":false,"priority":0}}`;

describe('an advisory', () => {
  test.each([
    ['"orders"', 'orders'],
    ['"007"', '007'],
    ['4711', '4711'],
    ['-3', '-3'],
    ['true', 'true'],
    ['9007199254740993', '9007199254740993'],
  ])('of a queue whose name comes as %s names it', (written, name) => {
    expect(read(queue(written))).toEqual({ is: 'queue', queue: name });
    expect(read(consumer(written, '"a = 1"'))).toMatchObject({ is: 'consumer', consumer: { queues: [name] } });
  });

  test('of a connection whose client id is a number has it as a text', () => {
    const connection = `{"ConnectionInfo":{"connectionId":{"value":"ID:vm-1-2-4:3"},"clientId":4711,"clientIp":"tcp://localhost:1"}}`;
    expect(read(connection)).toMatchObject({ is: 'connection', clientId: '4711' });
  });

  test('of a durable subscription whose name is a number has it as a text, while its consumer is there and after it', () => {
    const gone = `{"RemoveSubscriptionInfo":{"connectionId":{"value":"ID:vm-1-2-4:3"},"clientId":"me","subscriptionName":12}}`;
    expect(read(gone)).toEqual({ is: 'subscription-gone', clientId: 'me', subscription: '12' });
    const there = consumer('"orders"', '"a = 1"').replace('"prefetchSize"', '"subscriptionName":12,"prefetchSize"');
    expect(read(there)).toMatchObject({ consumer: { subscription: '12' } });
  });

  test('of a consumer with a selector that looks like an advisory leaves it as it is', () => {
    const selector = String.raw`"convert_string_expressions:a = '\"string\":1,'"`;
    expect(read(consumer('"orders"', selector))).toMatchObject({ consumer: { selector: `a = '"string":1,'` } });
  });
});
