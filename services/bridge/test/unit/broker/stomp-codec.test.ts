import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, StompReader } from '../../../src/broker/activemq/stomp-codec.ts';

/** Cuts the bytes at these places. */
function chunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

const header = fc.tuple(fc.string({ minLength: 1, unit: 'binary' }), fc.string({ unit: 'binary' }));
const frame = fc.record({
  headers: fc.uniqueArray(header, { selector: ([name]) => name, maxLength: 6 }),
  body: fc.uint8Array({ maxLength: 5_000 }),
  binary: fc.boolean(),
});

test('what is written is read again, whatever is in headers and body, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(), { maxLength: 40 }),
      (given, cuts) => {
        const frames = given.map(({ headers, body, binary }) => ({
          headers: new Map([
            ...headers.filter(([name]) => name !== 'content-length'),
            ...(binary ? [['content-length', String(body.length)] as const] : []),
          ]),
          // A text has no zero byte.
          body: Buffer.from(binary ? body : body.filter((byte) => byte !== 0)),
        }));
        const bytes = Buffer.concat(frames.map(({ headers, body }) => encodeFrame('MESSAGE', headers, body)));
        const reader = new StompReader();
        const read = chunks(bytes, cuts).flatMap((chunk) => reader.read(chunk));
        expect(read).toEqual(frames.map((each) => ({ command: 'MESSAGE', ...each })));
      },
    ),
    { numRuns: 300 },
  );
});

test('heartbeats between frames, and lines that end with a carriage return, are no part of a frame', () => {
  const reader = new StompReader();
  const bytes = Buffer.from('\n\r\n\nRECEIPT\r\nreceipt-id:7\r\n\r\n\0\n\n');
  expect(reader.read(bytes)).toEqual([
    { command: 'RECEIPT', headers: new Map([['receipt-id', '7']]), body: Buffer.alloc(0) },
  ]);
  expect(reader.read(Buffer.from('\n'))).toEqual([]);
});

test('of a header that comes twice the first counts, and those of CONNECTED are as they are', () => {
  const reader = new StompReader();
  const [message, connected] = reader.read(
    Buffer.from('MESSAGE\nfoo:one\\c1\nfoo:two\n\n\0CONNECTED\nserver:Active\\cMQ\n\n\0'),
  );
  expect(message?.headers.get('foo')).toBe('one:1');
  expect(connected?.headers.get('server')).toBe('Active\\cMQ');
});

test.each([
  ['a header without a colon', 'MESSAGE\nfoo\n\n\0'],
  ['a length that is none', 'MESSAGE\ncontent-length:-1\n\n\0'],
  ['a body that goes on behind its length', 'MESSAGE\ncontent-length:1\n\nab\0'],
])('%s is no STOMP', (_, bytes) => {
  expect(() => new StompReader().read(Buffer.from(bytes))).toThrow();
});
