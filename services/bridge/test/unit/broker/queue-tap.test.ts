import { expect, test } from 'vitest';
import { QueueTap } from '../../../src/broker/activemq/queue-tap.ts';
import type { StompFrame } from '../../../src/broker/activemq/stomp-codec.ts';

const messages = (...texts: string[]): StompFrame[] =>
  texts.map((text) => ({ command: 'MESSAGE', headers: new Map(), body: Buffer.from(text) }));

/** A tap whose effects are carried out at once: what it was handed, by tag from 1 on, and what was written to the broker. */
function opened(prefetch: number) {
  const tap = new QueueTap('orders');
  const handed: string[] = [];
  let subscriptions = 0;
  const act = (does: () => void): string[] => {
    does();
    return tap.take().flatMap((effect) => {
      switch (effect.do) {
        case 'subscribe':
          tap.subscribed(`s${++subscriptions}`, effect.size);
          return [`SUBSCRIBE ${effect.size}`];
        case 'hand':
          for (const { body } of effect.messages) {
            const tag = handed.push(body.toString());
            tap.handed(tag, `a${tag}`);
          }
          return [];
        case 'acknowledge':
          return [`ACK ${effect.ids.join(' ')}`];
        case 'unsubscribe':
          return [...effect.acknowledge.map((id) => `ACK ${id}`), ...effect.ids.map((id) => `UNSUBSCRIBE ${id}`)];
        default:
          throw new Error(`unexpected ${effect satisfies never}`);
      }
    });
  };
  expect(act(() => tap.wake(prefetch))).toEqual([`SUBSCRIBE ${prefetch}`]);
  return { tap, handed, act };
}

test('while a consumer lives it acknowledges at once', () => {
  const { tap, act } = opened(2);
  act(() => tap.arrived(messages('m1', 'm2')));
  expect(act(() => tap.acknowledge([1, 2], false))).toEqual(['ACK a1 a2']);
  act(() => tap.sleep());
  expect(tap.isDecided).toBe(true);
  expect(act(() => tap.end())).toEqual(['UNSUBSCRIBE s1']);
});

test('what a cancelled consumer acknowledges is held back: the broker would send others for it', () => {
  const { tap, act } = opened(3);
  act(() => tap.arrived(messages('m1', 'm2')));
  act(() => tap.sleep());
  expect(act(() => tap.acknowledge([1], true))).toEqual([]);
  expect([tap.isDeferring, tap.isDecided]).toEqual([true, false]);
  expect(act(() => tap.acknowledge([2], true))).toEqual([]);
  expect(tap.isDecided).toBe(true);
  expect(act(() => tap.end())).toEqual(['ACK a1', 'ACK a2', 'UNSUBSCRIBE s1']);
});

test('a consumer that follows takes it over as it is, and what was held back is told', () => {
  const { tap, handed, act } = opened(2);
  act(() => tap.arrived(messages('m1', 'm2')));
  act(() => tap.sleep());
  act(() => tap.acknowledge([1], true));
  expect(act(() => tap.wake(2))).toEqual(['ACK a1']);
  act(() => tap.arrived(messages('m3')));
  expect(handed).toEqual(['m1', 'm2', 'm3']);
});

test('what comes while nobody consumes waits for the next consumer, in order', () => {
  const { tap, handed, act } = opened(2);
  act(() => tap.arrived(messages('m1', 'm2')));
  act(() => tap.sleep());
  act(() => tap.acknowledge([1, 2], true));
  expect(act(() => tap.flush())).toEqual(['ACK a1 a2']);
  act(() => tap.arrived(messages('m3', 'm4')));
  expect(handed).toEqual(['m1', 'm2']);
  act(() => tap.wake(2));
  expect(handed).toEqual(['m1', 'm2', 'm3', 'm4']);
});

test('a consumer that is larger adds what is lacking; all ends together, the last one first', () => {
  const { tap, handed, act } = opened(2);
  act(() => tap.arrived(messages('m1', 'm2')));
  act(() => tap.sleep());
  expect(act(() => tap.wake(5))).toEqual(['SUBSCRIBE 3']);
  act(() => tap.arrived(messages('m3', 'm4', 'm5')));
  expect(handed).toHaveLength(5);
  act(() => tap.sleep());
  act(() => tap.acknowledge([1, 2, 3, 4, 5], true));
  expect(act(() => tap.end()).slice(-2)).toEqual(['UNSUBSCRIBE s2', 'UNSUBSCRIBE s1']);
});

test('a consumer is extended by a subscription of its own, or by what there is already', () => {
  const { tap, act } = opened(2);
  expect(act(() => tap.extend(3))).toEqual(['SUBSCRIBE 3']);
  act(() => tap.sleep());
  expect(act(() => tap.wake(2))).toEqual([]);
  expect(act(() => tap.extend(2))).toEqual([]);
  expect(act(() => tap.extend(2))).toEqual(['SUBSCRIBE 1']);
});

test('one that is larger than the consumer that takes it over hands it no more than its prefetch', () => {
  const { tap, handed, act } = opened(40);
  act(() => tap.sleep());
  expect(act(() => tap.wake(20))).toEqual([]);
  act(() => tap.arrived(messages(...Array.from({ length: 40 }, (_, index) => `m${index + 1}`))));
  expect(handed).toHaveLength(20);
  expect(act(() => tap.acknowledge([3], false))).toEqual(['ACK a3']);
  expect(handed.at(-1)).toBe('m21');
});

test('one that is far larger than a consumer says so: much would be kept from others', () => {
  const { tap, act } = opened(400);
  expect(tap.isFree).toBe(false);
  act(() => tap.sleep());
  expect(tap.isFree).toBe(true);
  expect([1_000, 400, 100, 99, 1].map((prefetch) => tap.isOversized(prefetch))).toEqual([
    false,
    false,
    false,
    true,
    true,
  ]);
});

test('a message that is given back is the queue’s again when all is decided, and nobody takes it over before', () => {
  const { tap, act } = opened(3);
  act(() => tap.arrived(messages('m1', 'm2')));
  act(() => tap.sleep());
  act(() => tap.giveBack([2]));
  expect([tap.isReturning, tap.isDecided, tap.isFree]).toEqual([true, false, false]);
  act(() => tap.acknowledge([1], true));
  expect(tap.isDecided).toBe(true);
  expect(act(() => tap.end())).toEqual(['ACK a1', 'UNSUBSCRIBE s1']);
});

test('of one that has ended nothing can be acknowledged any more', () => {
  const { tap, act } = opened(2);
  act(() => tap.arrived(messages('m1')));
  expect(act(() => tap.end())).toEqual(['UNSUBSCRIBE s1']);
  expect(act(() => tap.acknowledge([1], true))).toEqual([]);
});
