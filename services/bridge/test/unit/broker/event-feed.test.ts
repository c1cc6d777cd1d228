import { Fault } from '@tombolo/kernel/fault';
import { expect, test } from 'vitest';
import { isLasting } from '../../../src/broker/rabbitmq/event-feed.ts';

const closed = (code: number, words: string) =>
  Object.assign(new Error(`Channel closed by server: ${code} with message "${words}"`), { code });

test('after a node has died its bridge does without events for a moment, not for a minute', () => {
  expect(isLasting(closed(405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'"))).toBe(false);
  expect(isLasting(closed(404, "NOT_FOUND - home node 'a@b' of queue 'q' in vhost '/' is down or inaccessible"))).toBe(
    false,
  );
  expect(isLasting(new Fault('TOMBOLO_BROKER_UNREACHABLE', 'It did not answer in time.'))).toBe(false);
  expect(isLasting(undefined)).toBe(false);
});

test('what only people can mend is seldom tried again', () => {
  expect(isLasting(closed(404, "NOT_FOUND - no exchange 'amq.rabbitmq.event' in vhost '/'"))).toBe(true);
  expect(isLasting(closed(403, "ACCESS_REFUSED - access to exchange 'amq.rabbitmq.event' refused"))).toBe(true);
  expect(isLasting(new Fault('TOMBOLO_BROKER_ACCESS_REFUSED', 'It refused the user.'))).toBe(true);
});
