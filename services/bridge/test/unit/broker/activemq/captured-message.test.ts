import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mayHideBody, toEnvelope } from '../../../../src/broker/activemq/mapping/to-envelope.ts';
import { toFrame } from '../../../../src/broker/activemq/mapping/to-frame.ts';
import { readRecord, recordText } from '../../../../src/broker/activemq/topics/capture-record.ts';
import { captured, released } from '../../../../src/broker/activemq/topics/captured-message.ts';
import { body, properties } from './arbitrary-message.ts';
import { shownByBroker } from './shown-by-broker.ts';

const now = 1_800_000_000_000;
const buffer = 'tombolo.topic.east.amq%2Etopic';

/** Through a buffer: what its consumer makes of it. */
function throughBuffer(headers: ReadonlyMap<string, string>, its: Buffer) {
  const kept = captured({ command: 'MESSAGE', headers, body: its }, now);
  const sent = new Map([['destination', `/queue/${buffer}`], ...kept.headers]);
  const [frame] = released(buffer, [{ command: 'MESSAGE', headers: shownByBroker(sent), body: kept.body }]);
  return { ...toEnvelope(frame!.headers, frame!.body), hidden: mayHideBody(frame!.headers, frame!.body) };
}

test('a message that a bridge published to a topic comes out of a buffer as it was, to the byte: it is known again', () => {
  fc.assert(
    fc.property(properties, body, (its, content) => {
      const { headers, body: sent } = toFrame(
        { exchange: 'amq.topic', routingKey: 'a.b', properties: its, body: content },
        now,
      );
      const out = throughBuffer(shownByBroker(headers), sent);
      expect(out).toMatchObject({ exchange: 'amq.topic', routingKey: 'a.b' });
      expect(Buffer.from(out.properties).equals(its)).toBe(true);
      expect(Buffer.from(out.body).equals(content)).toBe(true);
    }),
  );
});

test('a message of an application comes out of a buffer as it comes from its topic', () => {
  const shown = new Map([
    ['destination', '/topic/prices.eu'],
    ['message-id', 'ID:host-1:1:1:7'],
    ['subscription', '1'],
    ['ack', 'a1'],
    ['expires', '1700000060123'],
    ['timestamp', '1700000000123'],
    ['priority', '7'],
    ['persistent', 'true'],
    ['type', 'quote'],
    ['region', 'eu'],
  ]);
  for (const text of ['42', '']) {
    const { hidden, ...out } = throughBuffer(shown, Buffer.from(text));
    expect(out).toEqual(toEnvelope(shown, Buffer.from(text)));
    expect(hidden).toBe(false);
  }
});

test('what is no buffer is left alone', () => {
  const frames = [{ command: 'MESSAGE', headers: new Map([['tombolo_topic', 'x']]), body: Buffer.alloc(0) }];
  expect(released('orders', frames)).toBe(frames);
});

test('what is written of captures is read again; of what is no record nothing is known', () => {
  const buffers = [{ buffer, bindingKeys: new Set(['b.#', 'a']), ttlMs: 5, maxLength: 7 }];
  const text = recordText({ buffers, topics: ['b.>', 'a'] });
  expect(readRecord(text)).toMatchObject({
    buffers: [{ buffer, bindingKeys: ['a', 'b.#'], ttlMs: 5, maxLength: 7 }],
    topics: ['a', 'b.>'],
  });
  for (const none of [undefined, '', '{}', 'null', '{"version":2,"buffers":[],"topics":["a"]}'])
    expect(readRecord(none)).toEqual({ buffers: [], topics: [] });
});
