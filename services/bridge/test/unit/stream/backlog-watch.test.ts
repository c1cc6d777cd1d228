import { ManualClock } from '@tombolo/kernel/clock';
import { describe, expect, it } from 'vitest';
import { BacklogWatch, type Wanted } from '../../../src/stream/backlog-watch.ts';

const destination = { kind: 'queue' as const, name: 'q' };
const still: Wanted = {
  ...{ destination, queue: 'q', sink: 'east', connector: 'c' },
  ...{ reason: 'paused', sent: 0, heldMs: undefined },
};

/** A watch of what peers want, and of the ready messages of each queue; `look` asks, and lets the broker answer. */
function watch(initial: readonly Wanted[], ready: Map<string, number | Error>) {
  const clock = new ManualClock();
  const probed: string[] = [];
  let wanted = initial;
  const backlog = new BacklogWatch({
    clock,
    probe: async (queue) => {
      probed.push(queue);
      const found = ready.get(queue);
      if (found instanceof Error) throw found;
      return found === undefined ? undefined : { ready: found };
    },
  });
  const look = async (ms: number) => {
    clock.advance(ms);
    backlog.views(wanted);
    await new Promise(setImmediate);
    return backlog.views(wanted);
  };
  return { look, probed, want: (changed: readonly Wanted[]) => (wanted = changed) };
}

describe('the backlog that peers want', () => {
  it('is as old as it has been seen to wait without a message sent', async () => {
    const { look } = watch([still], new Map([['q', 3]]));
    expect(await look(10_000)).toEqual([]);
    expect(await look(7_000)).toMatchObject([{ destination: 'q', sink: 'east', reason: 'paused', ageMs: 7_000 }]);
    expect(await look(60_000)).toMatchObject([{ ageMs: 67_000 }]);
  });

  it('is young again when a message was sent', async () => {
    const { look, want } = watch([still], new Map([['q', 3]]));
    await look(10_000);
    await look(60_000);
    want([{ ...still, sent: 1 }]);
    expect(await look(6_000)).toEqual([]);
    expect(await look(6_000)).toMatchObject([{ ageMs: 6_000 }]);
  });

  it('is none when the queue is empty or gone, and what it was while the broker does not answer', async () => {
    const ready = new Map<string, number | Error>([['q', 3]]);
    const { look } = watch([still], ready);
    await look(10_000);
    ready.set('q', new Error('not connected'));
    expect(await look(20_000)).toMatchObject([{ ageMs: 20_000 }]);
    ready.set('q', 0);
    expect(await look(6_000)).toEqual([]);
    ready.set('q', 1);
    await look(6_000);
    ready.delete('q');
    expect(await look(6_000)).toEqual([]);
  });

  it('is as old as the oldest message in hand, without a look', async () => {
    const { look } = watch([{ ...still, reason: undefined, heldMs: 3_000 }], new Map());
    expect(await look(1_000)).toMatchObject([{ reason: undefined, ageMs: 3_000 }]);
  });

  it('is looked at every five seconds, at a bounded number of queues in turn, most of them such that do not move', async () => {
    const many = Array.from({ length: 200 }, (_, i) => ({
      ...still,
      queue: `q${i}`,
      reason: i % 2 === 0 ? 'no_credit' : undefined,
    }));
    const { look, probed } = watch(many, new Map());
    await look(5_000);
    expect(probed).toHaveLength(64);
    expect(probed.filter((queue) => Number(queue.slice(1)) % 2 === 0)).toHaveLength(48);
    await look(1_000);
    expect(probed).toHaveLength(64);
    for (let i = 0; i < 7; i++) await look(5_000);
    expect(new Set(probed).size).toBe(200);
  });
});
