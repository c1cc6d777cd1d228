import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ContentReader } from '../../../src/broker/rabbitmq/data-path/content-reader.ts';
import { FrameReader, frameType } from '../../../src/broker/rabbitmq/data-path/frame-reader.ts';
import { encodeAcks, encodePublications } from '../../../src/broker/rabbitmq/data-path/frame-writer.ts';
import { readExpiration } from '../../../src/broker/rabbitmq/property-list.ts';

/** Cuts the bytes at these places. */
function chunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

test('what is written is read again, however the stream is cut, also from a buffer that is used again', () => {
  const message = fc.record({
    key: fc.string({ maxLength: 20 }),
    properties: fc.uint8Array({ minLength: 2, maxLength: 300 }),
    body: fc.uint8Array({ maxLength: 20_000 }),
  });
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 40 }),
      (messages, cuts) => {
        const publications = messages.map((each, id) => ({
          id,
          exchange: 'ex',
          routingKey: each.key,
          properties: each.properties,
          body: each.body,
        }));
        const buffers = encodePublications(3, publications, 4_096);
        const reader = new FrameReader(1_000_000);
        const content = new ContentReader();
        const read: { properties: Buffer; body: Buffer }[] = [];
        let methods = 0;
        for (const bytes of chunks(Buffer.concat(buffers), cuts)) {
          const chunk = Buffer.from(bytes);
          reader.push(chunk);
          for (let frame = reader.next(); frame; frame = reader.next()) {
            expect(frame.channel).toBe(3);
            expect(frame.length).toBeLessThanOrEqual(4_096);
            if (frame.type === frameType.method) {
              methods++;
              continue;
            }
            const whole = content.take(frame);
            if (whole) read.push(whole);
          }
          chunk.fill(0xff);
        }
        expect(methods).toBe(messages.length);
        expect(read.map((each) => each.properties)).toEqual(messages.map((each) => Buffer.from(each.properties)));
        expect(read.map((each) => each.body)).toEqual(messages.map((each) => Buffer.from(each.body)));
      },
    ),
    { numRuns: 200 },
  );
});

test('every buffer holds whole frames: other channels write between them', () => {
  const body = Buffer.alloc(500_000, 1);
  const buffers = encodePublications(
    1,
    [{ id: 1, exchange: '', routingKey: 'q', properties: Buffer.of(0, 0), body }],
    131_072,
  );
  expect(buffers.length).toBeGreaterThan(3);
  for (const buffer of buffers) {
    const reader = new FrameReader(200_000);
    reader.push(buffer);
    let length = 0;
    for (let frame = reader.next(); frame; frame = reader.next()) length += frame.length;
    expect(length).toBe(buffer.length);
  }
});

test('acknowledgements are one buffer of method frames', () => {
  const bytes = encodeAcks(2, [
    { kind: 'ack', tag: 2 ** 33 + 1, multiple: true },
    { kind: 'nack', tag: 7, multiple: false },
  ]);
  expect(bytes.toString('hex')).toBe(
    '01000200' +
      '00000d' +
      '003c0050' +
      '0000000200000001' +
      '01' +
      'ce' +
      '01000200' +
      '00000d' +
      '003c0078' +
      '0000000000000007' +
      '02' +
      'ce',
  );
});

test('a stream out of step is noticed', () => {
  const reader = new FrameReader(100);
  reader.push(Buffer.of(1, 0, 1, 0, 0, 0, 1, 0, 0));
  expect(() => reader.next()).toThrow(/end/);
  const other = new FrameReader(100);
  other.push(Buffer.of(1, 0, 1, 0, 1, 0, 0));
  expect(() => other.next()).toThrow(/frame_max/);
});

test('the expiration is found behind what precedes it', () => {
  const short = (text: string) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
  expect(readExpiration(Buffer.of(0, 0))).toBeUndefined();
  expect(readExpiration(Buffer.concat([Buffer.of(0x01, 0x00), short('60000')]))).toBe('60000');
  const all = Buffer.concat([
    Buffer.of(0xff, 0x00),
    short('a'),
    short('b'),
    Buffer.of(0, 0, 0, 3, 1, 65, 86),
    Buffer.of(2),
    Buffer.of(9),
    short('c'),
    short('d'),
    short('soon'),
  ]);
  expect(readExpiration(all)).toBe('soon');
});
