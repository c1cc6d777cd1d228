import { Fault } from '@tombolo/kernel/fault';
import { decodeFrame, encodeFrame } from '@tombolo/wire/codec';
import type { CreditFrame, Frame, MessagesFrame } from '@tombolo/wire/frame';
import { limits } from '@tombolo/wire/limits';
import { pack } from '@tombolo/wire/message-pack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frame } from './arbitrary-frames.ts';

const address = { source: 'west', sink: 'east', destination: { kind: 'queue', name: 'orders' } } as const;
const credit: CreditFrame = { kind: 'credit', address, incarnation: 1, epoch: 2, creditVersion: 3, granted: 4 };

describe('the codec', () => {
  it('gives back every frame as it was', () => {
    fc.assert(
      fc.property(frame, (sent) => {
        expect(decodeFrame(encodeFrame(sent))).toEqual(sent);
      }),
      { numRuns: 500 },
    );
  });

  it('answers bytes that were altered, cut or extended with a fault or a sound frame, and with nothing else', () => {
    const alter = fc.oneof(
      fc.record({ at: fc.nat(), value: fc.nat(255) }),
      fc.record({ cut: fc.nat() }),
      fc.record({ more: fc.uint8Array({ minLength: 1, maxLength: 20 }) }),
    );
    fc.assert(
      fc.property(frame, fc.array(alter, { minLength: 1, maxLength: 4 }), (sent, alterations) => {
        let bytes: Buffer = Buffer.from(encodeFrame(sent));
        for (const how of alterations) {
          if ('cut' in how) bytes = bytes.subarray(0, how.cut % (bytes.length + 1));
          else if ('more' in how) bytes = Buffer.concat([bytes, how.more]);
          else if (bytes.length > 0) bytes[how.at % bytes.length] = how.value;
        }
        onlyFaults(() => decodeFrame(bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  it('answers random bytes with a fault', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(30), (noise, kind) => {
        const bytes = Buffer.concat([Buffer.from([1, kind, 0, 0, 0, noise.length]), noise]);
        onlyFaults(() => decodeFrame(bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses announced lengths that the bytes cannot hold before it allocates for them', () => {
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
    for (const head of [
      [0xdd, 0x7f, 0xff, 0xff, 0xff], // a list of 2^31 items
      [0xdf, 0x7f, 0xff, 0xff, 0xff], // a map of as many
      [0xc6, 0x7f, 0xff, 0xff, 0xff], // as many bytes
      [0xdb, 0x7f, 0xff, 0xff, 0xff],
      [0xc9, 0x7f, 0xff, 0xff, 0xff, 0x01], // an extension
      [0xd4, 0x72, 0x40], // a record definition of the library's own
      Array.from({ length: 200 }, () => 0x91), // nested without end
    ]) {
      expect(() => decodeFrame(Buffer.from([1, 1, 0, 0, 0, head.length, ...head]))).toThrow(Fault);
    }
    const lying = withHead(20, { ...credit, count: limits.messages });
    expect(() => decodeFrame(lying)).toThrow(Fault);
    expect(process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000);
  });

  it.each([
    ['a fraction', { granted: 1.5 }],
    ['a negative number', { granted: -1 }],
    ['a number beyond 2^53', { granted: 2 ** 60 }],
    ['a string for a number', { granted: '4' }],
    ['nothing', { granted: undefined }],
    ['an empty cluster', { address: { ...address, sink: '' } }],
    ['a long cluster', { address: { ...address, sink: 'ä'.repeat(128) } }],
    ['a long destination', { address: { ...address, destination: { kind: 'queue', name: 'x'.repeat(256) } } }],
    ['an unknown kind of destination', { address: { ...address, destination: { kind: 'stream', name: 'x' } } }],
  ])('refuses a credit frame with %s', (_, wrong) => {
    expect(() => decodeFrame(withHead(19, { ...credit, ...wrong }))).toThrow(Fault);
  });

  it.each([[[2, 1]], [[1, 2, 2, 3]], [[0, 1]], [[1]], [[5, 6, 1, 2]], [[1, Number.NaN]], ['1,2']])(
    'refuses ranges that do not ascend: %j',
    (missing) => {
      expect(() => decodeFrame(withHead(23, { ...credit, missing }))).toThrow(Fault);
    },
  );

  it('reports a kind that it does not know, so that a newer peer can be listened to', () => {
    expect(decodeFrame(withHead(99, {}))).toEqual({ kind: 'unknown', code: 99 });
  });

  it('ignores fields that it does not know', () => {
    expect(decodeFrame(withHead(19, { ...credit, kind: undefined, novelty: [1] }))).toEqual(credit);
  });

  it('gives slices of the received bytes, not copies', () => {
    const message = {
      sequence: 1,
      redelivered: false,
      resent: false,
      digest: new Uint8Array(16),
      hasId: false,
      exchange: '',
      routingKey: 'orders',
      properties: new Uint8Array(2),
      body: new Uint8Array(1000),
    };
    const bytes = encodeFrame({
      kind: 'messages',
      address,
      incarnation: 1,
      epoch: 1,
      attempt: 1,
      last: 1,
      messages: [message],
    });
    const received = decodeFrame(bytes) as MessagesFrame;
    expect(received.messages[0]!.body.buffer).toBe(bytes.buffer);
  });

  it('cuts a reason that is too long instead of losing the verdict', () => {
    const settle: Frame = {
      kind: 'settle',
      address,
      incarnation: 1,
      epoch: 1,
      accepted: [],
      released: [],
      rejected: [{ sequence: 1, reason: 'ü'.repeat(5_000) }],
    };
    const received = decodeFrame(encodeFrame(settle));
    expect(received.kind === 'settle' && received.rejected[0]!.reason.endsWith('…')).toBe(true);
  });
});

function withHead(kind: number, head: unknown): Buffer {
  const packed = pack(head);
  const prefix = Buffer.from([1, kind, 0, 0, 0, 0]);
  prefix.writeUInt32BE(packed.length, 2);
  return Buffer.concat([prefix, packed]);
}

function onlyFaults(act: () => unknown): void {
  try {
    act();
  } catch (thrown) {
    if (!(thrown instanceof Fault) || thrown.code !== 'TOMBOLO_FRAME_INVALID') throw thrown;
  }
}
