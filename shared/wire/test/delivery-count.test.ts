import { deliveryCount } from '@tombolo/wire/delivery-count';
import { expect, test } from 'vitest';
import { encodeProperties } from './reference-properties.ts';

test('a count is read whatever integer it is, and is 0 where there is none or no number', () => {
  const count = (type: string, value: Buffer) =>
    deliveryCount(encodeProperties({ headers: [['x-delivery-count', type, value]] }));
  expect(count('l', Buffer.from([0, 0, 0, 0, 0, 0, 0, 3]))).toBe(3);
  expect(count('I', Buffer.from([0, 0, 1, 0]))).toBe(256);
  expect(count('s', Buffer.from([0, 2]))).toBe(2);
  expect(count('b', Buffer.from([1]))).toBe(1);
  expect(count('S', Buffer.from([0, 0, 0, 1, 51]))).toBe(0);
  expect(deliveryCount(encodeProperties({}))).toBe(0);
});
