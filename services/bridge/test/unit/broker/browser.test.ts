import { describe, expect, it } from 'vitest';
import { limitOf, returnsAreFree } from '../../../src/broker/rabbitmq/browser.ts';
import { deliveryLimit } from '../../../src/broker/rabbitmq/queue-properties.ts';

describe('whether looking at messages brings them nearer to being dropped', () => {
  const quorum = { properties: { type: 'quorum' } };

  it('depends on the version and on the limit that is set', () => {
    expect(limitOf(quorum, 'RabbitMQ 3.13.7')).toBe(Number.POSITIVE_INFINITY);
    expect(limitOf({ ...quorum, deliveryLimit: 5 }, 'RabbitMQ 3.13.7')).toBe(5);
    expect(limitOf(quorum, 'RabbitMQ 4.0.2')).toBe(20);
    expect(limitOf({ properties: { type: 'classic' } }, 'RabbitMQ 4.0.2')).toBe(Number.POSITIVE_INFINITY);
    expect(returnsAreFree('RabbitMQ 4.2.6')).toBe(false);
    expect(returnsAreFree('RabbitMQ 4.3.0')).toBe(true);
    expect(returnsAreFree('RabbitMQ 4.10.0')).toBe(true);
  });

  it('takes the lower of argument and policy, and less than 0 for none', () => {
    const set = (argument?: number, policy?: number) =>
      deliveryLimit({
        arguments: argument === undefined ? {} : { 'x-delivery-limit': argument },
        effective_policy_definition: policy === undefined ? {} : { 'delivery-limit': policy },
      });
    expect(set()).toBeUndefined();
    expect(set(7)).toBe(7);
    expect(set(7, 3)).toBe(3);
    expect(set(undefined, -1)).toBe(Number.POSITIVE_INFINITY);
  });
});
