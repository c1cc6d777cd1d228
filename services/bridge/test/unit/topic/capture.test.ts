import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryExchanges } from '../../../src/broker/memory/memory-exchanges.ts';
import { type CapturedExchange, isForwardedElsewhere } from '../../../src/topic/capture.ts';

const message = (exchange: string, routingKey: string) => ({ exchange, routingKey, properties: Uint8Array.of(0, 0) });
const keys = (...routingKeys: string[]) => routingKeys.map((routingKey) => ({ routingKey, arguments: {} }));
const topic = (...routingKeys: string[]): CapturedExchange => ({ type: 'topic', bindings: keys(...routingKeys) });
const route = (from: string, to: string, routingKey = '#', type = 'topic') => ({
  from,
  type,
  to,
  binding: { routingKey, arguments: {} },
});

describe('a message that several buffers of a sink hold', () => {
  test('is forwarded from that of the exchange it was published to', () => {
    const captures = new Map([
      ['first', topic('a.#')],
      ['second', topic('#')],
    ]);
    const routes = [route('first', 'second')];
    expect(isForwardedElsewhere(message('first', 'a.b'), 'first', captures, routes)).toBe(false);
    expect(isForwardedElsewhere(message('first', 'a.b'), 'second', captures, routes)).toBe(true);
  });

  test('is forwarded from where it is when that exchange is not captured, or not with its key', () => {
    const captures = new Map([
      ['first', topic('a.#')],
      ['second', topic('#')],
    ]);
    const routes = [route('first', 'second'), route('origin', 'second')];
    expect(isForwardedElsewhere(message('first', 'b'), 'second', captures, routes)).toBe(false);
    expect(isForwardedElsewhere(message('origin', 'a.b'), 'second', captures, routes)).toBe(false);
  });

  test('is forwarded from the first by name when it was published to an exchange that is not captured', () => {
    const captures = new Map([
      ['first', topic('a.#')],
      ['second', topic('#')],
    ]);
    const routes = [route('origin', 'middle'), route('middle', 'first'), route('origin', 'second')];
    const forwardedElsewhere = (key: string, heldBy: string) =>
      isForwardedElsewhere(message('origin', key), heldBy, captures, routes);
    expect(forwardedElsewhere('a', 'first')).toBe(false);
    expect(forwardedElsewhere('a', 'second')).toBe(true);
    expect(forwardedElsewhere('b', 'second')).toBe(false);
  });

  test('is forwarded when what is known does not explain how it came here', () => {
    const captures = new Map([
      ['first', topic('#')],
      ['second', topic('#')],
    ]);
    expect(isForwardedElsewhere(message('origin', 'a'), 'second', captures, [route('origin', 'first')])).toBe(false);
  });

  test('is forwarded exactly once, whatever exchanges are bound to each other', () => {
    const exchanges = ['a', 'b', 'c', 'd'];
    const name = fc.constantFrom(...exchanges);
    const key = fc.constantFrom('x', 'y', 'x.y');
    const pattern = fc.constantFrom('x', 'y', '#', 'x.#', '*');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, name, pattern), { maxLength: 6 }),
        fc.array(fc.tuple(name, pattern), { minLength: 1, maxLength: 4 }),
        name,
        key,
        (bound, captured, origin, routingKey) => {
          const broker = new MemoryExchanges(() => {});
          for (const exchange of exchanges) broker.declare(exchange, { type: 'topic' });
          for (const [from, to, each] of bound) {
            broker.bind(from, { kind: 'exchange', name: to }, { routingKey: each, arguments: {} });
          }
          const captures = new Map<string, CapturedExchange>();
          for (const [exchange, each] of captured) {
            broker.bind(exchange, { kind: 'queue', name: exchange }, { routingKey: each, arguments: {} });
            captures.set(exchange, topic(...(captures.get(exchange)?.bindings ?? []).map((b) => b.routingKey), each));
          }
          const sent = message(origin, routingKey);
          const buffers = [...(broker.route(origin, sent) ?? [])];
          const forwarding = buffers.filter((heldBy) => !isForwardedElsewhere(sent, heldBy, captures, broker.routes()));
          expect(forwarding).toHaveLength(buffers.length > 0 ? 1 : 0);
        },
      ),
    );
  });
});
