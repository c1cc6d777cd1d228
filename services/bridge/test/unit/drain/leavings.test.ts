import { ManualClock } from '@tombolo/kernel/clock';
import { describe, expect, it } from 'vitest';
import type { Holding, Holdings } from '../../../src/broker/port.ts';
import { type DrainFacts, drainCheck } from '../../../src/drain/drain-table.ts';
import { type LeavingsOptions, leavings } from '../../../src/drain/leavings.ts';
import { bufferName } from '../../../src/topic/buffer-name.ts';
import { streamOf, viewOf } from '../admin/views.ts';

const holding = (queue: string, ready: number, unacknowledged = 0): Holding => ({
  ...{ queue, ready, unacknowledged, properties: {} },
});

const holdings = (queues: readonly Holding[], changes: Partial<Holdings> = {}): Holdings => ({
  ...{ queues, incomplete: undefined, readyAgeMs: 0, unacknowledgedAgeMs: 0 },
  ...changes,
});

const check = (changes: Partial<DrainFacts> = {}) =>
  drainCheck({
    ...{ cluster: 'west', draining: true, holdings: holdings([]), streams: [], inDoubt: [] },
    ...{ deadLetters: 'tombolo.dead-letters', stays: () => undefined },
    ...changes,
  });

describe('what is left at a site', () => {
  it('is nothing when every number is 0, and that is known of every queue', () => {
    expect(check({ holdings: holdings([holding('q', 0), holding('tombolo.events.a', 3)]) })).toMatchObject({
      left: false,
      items: [],
      notes: [],
    });
    const incomplete = check({ holdings: holdings([], { incomplete: 'no management API' }) });
    expect(incomplete).toMatchObject({ left: true, complete: false, items: [] });
    expect(incomplete.notes).toEqual(['Not every queue could be looked at: no management API']);
    const unseen = { ...holding('q', 0), unacknowledged: undefined };
    expect(check({ holdings: holdings([unseen]) })).toMatchObject({
      left: true,
      items: [{ destination: 'q', unacknowledged: undefined }],
    });
  });

  it('is told by destination, whatever it waits for', () => {
    const { items } = check({
      holdings: holdings([
        holding('orders', 5, 2),
        holding(bufferName('east', 'prices'), 7),
        holding('tombolo.dead-letters', 1),
        holding('tombolo.reply.west.abc', 4),
      ]),
      streams: [
        streamOf('orders', { unsettled: 3 }),
        streamOf('prices', { kind: 'topic', unsettled: 6 }),
        streamOf('calm', { unsettled: 0 }),
      ],
      inDoubt: [
        { kind: 'queue', destination: 'orders', messages: 8 },
        { kind: 'queue', destination: 'calm', messages: 0 },
      ],
    });
    const none = { ready: 0, unacknowledged: 0, unsettled: 0, inDoubt: 0, deadLettered: 0, buffered: 0 };
    const leaves = { peer: undefined, stays: undefined };
    expect(items).toEqual([
      {
        ...{ kind: 'dead-letters', destination: 'tombolo.dead-letters', peer: undefined, ...none, deadLettered: 1 },
        stays: expect.stringContaining('replayed or dropped'),
      },
      {
        kind: 'queue',
        destination: 'orders',
        ...none,
        ready: 5,
        unacknowledged: 2,
        unsettled: 3,
        inDoubt: 8,
        ...leaves,
      },
      { kind: 'topic', destination: 'prices', ...none, buffered: 7, unsettled: 6, ...leaves, peer: 'east' },
      { kind: 'reply', destination: 'tombolo.reply.west.abc', ...none, ready: 4, ...leaves },
    ]);
  });

  it('begins with what will not leave, and says why; and that a cluster which is not drained is filled again', () => {
    const { items, notes } = check({
      draining: false,
      holdings: holdings([holding('a', 1), holding('z', 1)]),
      stays: (queue) => (queue === 'z' ? 'no connector bridges it' : undefined),
    });
    expect(items.map(({ destination, stays }) => [destination, stays])).toEqual([
      ['z', 'no connector bridges it'],
      ['a', undefined],
    ]);
    expect(notes[0]).toContain('tombolo drain --cluster');
  });
});

describe('the look at what is left', () => {
  const options = (takes: readonly Holdings[], clock: ManualClock): LeavingsOptions => {
    const left = [...takes];
    const closed = { open: false, connector: undefined, reason: 'no_route', detail: '' } as const;
    return {
      ...{ cluster: 'west', clock, deadLetters: 'tombolo.dead-letters' },
      broker: { inventory: { take: async () => left.shift()! } },
      agreement: { exactQueues: () => [], outboundPeers: () => ['east'], outbound: () => closed },
      router: { table: { demandsOf: () => [] } },
      sink: { inDoubt: () => [] },
      draining: () => true,
      view: () => viewOf(),
    } as unknown as LeavingsOptions;
  };

  it('says that nothing is left only by numbers that are younger than the question', async () => {
    const clock = new ManualClock();
    const old = { unacknowledgedAgeMs: 10_000 };
    const answer = leavings(options([holdings([holding('q', 0)], old), holdings([holding('q', 0, 3)], old)], clock));
    for (let turn = 0; turn < 10; turn++) await undefined;
    clock.advance(10_000);
    expect(await answer).toMatchObject({ left: true, items: [{ destination: 'q', unacknowledged: 3 }] });
  });

  it('says at once what is known to be left, and why it stays', async () => {
    const old = { unacknowledgedAgeMs: 10_000 };
    const answer = await leavings(options([holdings([holding('q', 2)], old)], new ManualClock()));
    expect(answer).toMatchObject({
      left: true,
      items: [{ destination: 'q', ready: 2, stays: 'no connector bridges it' }],
    });
  });
});
