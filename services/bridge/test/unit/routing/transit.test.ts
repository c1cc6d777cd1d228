import { weightOf } from '@tombolo/wire/codec';
import type { MessagesFrame } from '@tombolo/wire/frame';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RELAY_WINDOW_BYTES, RelayWindow } from '../../../src/routing/relay-window.ts';
import { Transit } from '../../../src/routing/transit.ts';

const MIB = 1024 * 1024;

function frameTo(sink: string, number: number, bytes = 0): MessagesFrame {
  const message = {
    ...{ sequence: 1, redelivered: false, resent: false, digest: Buffer.alloc(16), hasId: false },
    ...{ exchange: '', routingKey: 'q', properties: Buffer.alloc(0), body: Buffer.alloc(bytes) },
  };
  const address = { source: 's', sink, destination: { kind: 'queue', name: 'q' } } as const;
  return { kind: 'messages', address, incarnation: 1, epoch: 1, attempt: 1, last: number, messages: [message] };
}

/** A transit whose way out is as fast as the test says. */
function transit(largest = 64 * MIB) {
  const fates = new Map<string, 'gone' | 'wait' | 'drop'>();
  const gone: string[] = [];
  const reports: [string, string, number][] = [];
  const relay = new Transit({
    forward: (_from, { address, last }) => {
      const fate = fates.get(address.sink) ?? 'gone';
      if (fate === 'gone') gone.push(`${address.sink}${last}`);
      return fate;
    },
    report: (neighbour, sink, bytes) => reports.push([neighbour, sink, bytes]),
    largest,
  });
  let consumed = 0;
  const send = (sink: string, number: number, bytes = 0, from = 'n') =>
    relay.relay(from, frameTo(sink, number, bytes), () => {
      consumed++;
    });
  return { relay, fates, gone, reports, send, consumed: () => consumed };
}

describe('a transit', () => {
  it('hands on at once what can go, and holds nothing', () => {
    const { relay, gone, send, consumed } = transit();
    send('k', 1);
    send('k', 2);
    expect([gone, relay.bytes, consumed()]).toEqual([['k1', 'k2'], 0, 2]);
  });

  it('keeps the order of each sink, also of frames that come when there is room again', () => {
    const { relay, fates, gone, send } = transit();
    fates.set('k', 'wait');
    send('k', 1);
    fates.set('k', 'gone');
    send('k', 2);
    expect(gone).toEqual([]);
    relay.pump();
    send('k', 3);
    expect(gone).toEqual(['k1', 'k2', 'k3']);
    expect(relay.bytes).toBe(0);
  });

  it('lets a sink that is slow hold up no other', () => {
    const { relay, fates, gone, send } = transit();
    fates.set('k', 'wait');
    send('k', 1);
    send('l', 2);
    relay.pump();
    expect(gone).toEqual(['l2']);
  });

  it('consumes a frame of the link once, when it has gone or is dropped, and not before', () => {
    const { relay, fates, send, consumed } = transit();
    fates.set('k', 'wait');
    send('k', 1);
    relay.pump();
    expect(consumed()).toBe(0);
    fates.set('k', 'drop');
    relay.pump();
    relay.pump();
    expect(consumed()).toBe(1);
  });

  it('holds one window of a neighbour for each sink, and drops what comes beyond it', () => {
    const { relay, fates, send, consumed } = transit();
    fates.set('k', 'wait');
    for (let i = 0; i < 8; i++) send('k', i, MIB);
    expect(consumed()).toBe(4);
    expect(relay.bytes).toBeLessThanOrEqual(RELAY_WINDOW_BYTES + 2 * MIB);
    send('k', 9, MIB, 'm');
    expect(consumed()).toBe(4);
  });

  it('holds for all together no more than it may', () => {
    const { relay, fates, send } = transit(2 * MIB);
    for (const sink of ['k', 'l', 'm', 'o', 'p']) {
      fates.set(sink, 'wait');
      send(sink, 1, MIB);
    }
    expect(relay.bytes).toBeLessThan(3 * MIB + 1_000);
  });

  it('reports what has left, whether it was handed on or dropped, in steps', () => {
    const { reports, fates, send } = transit();
    for (let i = 0; i < 4; i++) send('k', i, MIB / 2);
    expect(reports.map(([neighbour, sink]) => `${neighbour} ${sink}`)).toEqual(['n k', 'n k']);
    expect(reports[0]![2]).toBeGreaterThan(MIB);
    fates.set('k', 'drop');
    for (let i = 0; i < 4; i++) send('k', i, MIB / 2);
    expect(reports.at(-1)![2]).toBeGreaterThan(3 * MIB);
  });

  it('still hands on what a lost link has brought, and reports nothing of it to the next', () => {
    const { relay, fates, gone, reports, send } = transit();
    fates.set('k', 'wait');
    send('k', 1, 2 * MIB);
    relay.lost('n');
    fates.set('k', 'gone');
    relay.pump();
    expect([gone, reports]).toEqual([['k1'], []]);
    send('k', 2, 2 * MIB);
    expect(reports).toEqual([['n', 'k', weightOf(frameTo('k', 2, 2 * MIB))]]);
  });

  it('lets go of everything when it is cleared', () => {
    const { relay, fates, send, consumed } = transit();
    fates.set('k', 'wait');
    send('k', 1, 10);
    relay.clear();
    expect([relay.bytes, consumed()]).toEqual([0, 1]);
  });

  it('and the window of the neighbour before it never come to a halt while the sink takes, and hold no more than the window', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 6 * MIB }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sizes, fc.array(fc.boolean(), { maxLength: 40, size: 'max' }), (frames, turns) => {
        const window = new RelayWindow();
        let open = true;
        let arrived = 0;
        const relay = new Transit({
          forward: () => {
            if (!open) return 'wait';
            arrived++;
            return 'gone';
          },
          report: (_neighbour, sink, bytes) => window.relayed('t', sink, bytes),
          largest: Number.POSITIVE_INFINITY,
        });
        let next = 0;
        const push = () => {
          for (; next < frames.length; next++) {
            const frame = frameTo('k', next, 0);
            const bytes = frames[next]! + weightOf(frame);
            if (!window.fits('t', 'k', bytes)) return;
            window.sent('t', 'k', bytes);
            relay.relay('s', frameTo('k', next, frames[next]!), () => {});
          }
        };
        for (const turn of turns) {
          open = turn;
          push();
          if (open) relay.pump();
          expect(relay.bytes).toBeLessThanOrEqual(RELAY_WINDOW_BYTES + 6 * MIB + 1_000);
        }
        open = true;
        for (let i = 0; i <= frames.length; i++) {
          relay.pump();
          push();
        }
        expect([next, arrived]).toEqual([frames.length, frames.length]);
      }),
      { numRuns: 60 },
    );
  });
});
