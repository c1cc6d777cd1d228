import { Fault } from '@tombolo/kernel/fault';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Incoming, type Lane, type LaneHandler, laneLimits, Outgoing } from '../../../src/link/lanes.ts';

function handler(over: Partial<LaneHandler> = {}): LaneHandler {
  const ignore = () => {};
  return { frame: ignore, ping: ignore, pong: ignore, goodbye: ignore, granted: ignore, wanted: ignore, ...over };
}

const frameOf = (length: number, fill = 7) => Buffer.alloc(length, fill);

describe('the lanes of a link', () => {
  it('deliver every frame whole and in the order of its lane', () => {
    const length = fc.oneof(fc.nat(300), fc.integer({ min: 60_000, max: 140_000 }));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom<Lane>('control', 'data'), length, fc.boolean()), { maxLength: 12 }),
        (plan) => {
          const outgoing = new Outgoing();
          const incoming = new Incoming();
          const sent: Record<Lane, Buffer[]> = { control: [], data: [] };
          const got: Record<Lane, Buffer[]> = { control: [], data: [] };
          const read = handler({ frame: (lane, bytes) => got[lane].push(Buffer.from(bytes)) });
          outgoing.granted(0, laneLimits.windowBytes);
          let fill = 0;
          const pump = () => {
            const batch = outgoing.next();
            if (!batch) return false;
            expect(batch.length).toBeLessThanOrEqual(laneLimits.batchBytes);
            incoming.batch(batch, read);
            return true;
          };
          for (const [lane, size, flush] of plan) {
            const bytes = frameOf(size, fill++ % 256);
            if (lane === 'control') outgoing.control(bytes);
            else if (outgoing.offer(size)) outgoing.data(bytes);
            else continue;
            sent[lane].push(bytes);
            if (flush) pump();
          }
          while (pump());
          for (const lane of ['control', 'data'] as const) {
            expect(got[lane].length).toBe(sent[lane].length);
            expect(got[lane].every((bytes, i) => bytes.equals(sent[lane][i]!))).toBe(true);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('let heartbeats and control pass between the parts of a large message', () => {
    const outgoing = new Outgoing();
    outgoing.granted(0, laneLimits.windowBytes);
    expect(outgoing.offer(1_000_000)).toBe(true);
    outgoing.data(frameOf(1_000_000));
    outgoing.next();
    outgoing.control(frameOf(10));
    outgoing.ping(42);
    const seen: string[] = [];
    const incoming = new Incoming();
    const read = handler({ ping: (at) => seen.push(`ping ${at}`), frame: (lane) => seen.push(lane) });
    expect(() => incoming.batch(outgoing.next()!, read)).toThrow(Fault); // the first part went elsewhere
    expect(seen).toEqual(['ping 42', 'control']);
  });

  it('never send more data than was granted, but always one message when nothing is outstanding', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 3_000 }), fc.boolean()), { maxLength: 100 }), (plan) => {
        const outgoing = new Outgoing();
        const incoming = new Incoming(2_000);
        const held: number[] = [];
        const read = handler({ frame: (_, bytes) => held.push(bytes.length) });
        outgoing.granted(0, 2_000);
        for (const [size, consume] of plan) {
          const nothingOutstanding = held.length === 0;
          if (outgoing.offer(size)) outgoing.data(frameOf(size));
          else expect(nothingOutstanding).toBe(false);
          for (let batch = outgoing.next(); batch; batch = outgoing.next()) incoming.batch(batch, read);
          if (consume && held.length > 0) {
            incoming.consume(held.shift()!);
            outgoing.granted(incoming.consumed, incoming.window);
          }
          const outstanding = held.reduce((sum, each) => sum + each, 0);
          expect(outstanding <= 2_000 || held.length === 1).toBe(true);
        }
      }),
    );
  });

  it('ask for a grant once when data has to wait, and say when it can go', () => {
    const outgoing = new Outgoing();
    outgoing.granted(0, 100);
    expect(outgoing.offer(60)).toBe(true);
    outgoing.data(frameOf(60));
    expect(outgoing.offer(60)).toBe(false);
    expect(outgoing.offer(60)).toBe(false);
    let wants = 0;
    new Incoming().batch(outgoing.next()!, handler({ wanted: () => wants++ }));
    expect(wants).toBe(1);
    expect(outgoing.granted(60, 100)).toBe(true);
    expect(outgoing.granted(60, 100)).toBe(false);
  });

  it('refuse a frame that announces more than the limit before they allocate for it', () => {
    const announce = (type: number, total: number) => {
      const bytes = Buffer.alloc(5 + 4 + 10);
      bytes[0] = type;
      bytes.writeUInt32BE(14, 1);
      bytes.writeUInt32BE(total, 5);
      return bytes;
    };
    for (const type of [18, 19]) {
      expect(() => new Incoming().batch(announce(type, 0xffffffff), handler())).toThrow(Fault);
    }
    const incoming = new Incoming(1_000);
    incoming.batch(announce(19, 100_000), handler());
    expect(() => incoming.batch(announce(19, 100), handler())).toThrow(/within another/);
  });

  it('refuse a peer that sends beyond its grant or grants what was never sent', () => {
    const outgoing = new Outgoing();
    outgoing.granted(0, 1_000_000);
    for (let i = 0; i < 3; i++) outgoing.data(frameOf(600));
    expect(() => new Incoming(1_000).batch(outgoing.next()!, handler())).toThrow(/more data than was granted/);
    expect(() => outgoing.granted(1_801, 1_000)).toThrow(Fault);
    expect(() => outgoing.granted(Number.NaN, 1_000)).toThrow(Fault);
  });

  it('answer altered bytes with a fault and nothing else', () => {
    const outgoing = new Outgoing();
    outgoing.granted(0, 1_000_000);
    outgoing.ping(1);
    outgoing.grant(5, 6);
    outgoing.goodbye('stop');
    outgoing.control(frameOf(20));
    outgoing.data(frameOf(70_000));
    const batch = outgoing.next()!;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { minLength: 1, maxLength: 5 }), (changes) => {
        const bytes = Buffer.from(batch);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          new Incoming().batch(bytes, handler());
        } catch (thrown) {
          if (!(thrown instanceof Fault)) throw thrown;
        }
      }),
    );
  });

  it('stop taking control when the connection is hopelessly behind', () => {
    const outgoing = new Outgoing();
    const large = frameOf(laneLimits.controlBytes);
    expect(outgoing.control(large)).toBe(true);
    expect(outgoing.control(frameOf(1))).toBe(false);
  });
});
