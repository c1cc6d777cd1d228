import { ManualClock } from '@tombolo/kernel/clock';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Source, TopicBuffers } from '../../../src/broker/port.ts';
import { ClusterDrain, drainMarker } from '../../../src/drain/cluster-drain.ts';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await undefined;
};

describe('a drained cluster', () => {
  let queues: Set<string>;
  let reachable: boolean;
  let did: string[];
  let quiet: () => void;
  let drain: ClusterDrain;

  const receiver = {
    sink: {
      setReceiving: (receiving: boolean) => void did.push(receiving ? 'credit' : 'no credit'),
      quiet: () => {
        did.push('awaits');
        return new Promise<void>((resolve) => {
          quiet = resolve;
        });
      },
      visible: (visible: boolean) => void did.push(visible ? 'sees' : 'is blind'),
    },
    router: { setHushed: (hushed: boolean) => void did.push(hushed ? 'withdraws' : 'tells') },
  };

  beforeEach(() => {
    queues = new Set();
    reachable = true;
    did = [];
    const asked = async (queue: string) => {
      if (!reachable) throw new Error('no connection');
      return queues.has(queue) ? { ready: 0, consumers: 0, properties: {} } : undefined;
    };
    const source = {
      inspect: asked,
      declare: async (queue: string) => void queues.add(queue),
    } as unknown as Source;
    const buffers = {
      delete: async (queue: string) => (queues.delete(queue) ? 'deleted' : 'absent'),
    } as unknown as TopicBuffers;
    drain = new ClusterDrain({
      ...{ broker: { source, buffers }, log: silent },
      deadline: () => new ManualClock().now() + 20_000,
    });
  });

  it('gives credit and tells its demand once it is known that it is not drained', async () => {
    drain.serve(receiver);
    expect(did).toEqual(['no credit', 'tells', 'is blind']);
    did = [];
    await turns();
    drain.visible(true);
    expect(did).toEqual(['is blind', 'tells', 'credit', 'sees']);
  });

  it('withdraws its demand only after what sources had taken is settled, so that nothing goes back', async () => {
    drain.serve(receiver);
    drain.visible(true);
    did = [];
    let told = false;
    const set = drain.set(true).then(() => {
      told = true;
    });
    await turns();
    expect([queues, told]).toEqual([new Set([drainMarker]), false]);
    expect(did.filter((what) => what !== 'sees')).toEqual(['no credit', 'awaits']);
    quiet();
    await set;
    expect(did.at(-1)).toBe('withdraws');
  });

  it('tells its demand again when that is undone, also by another bridge', async () => {
    queues.add(drainMarker);
    drain.seen(true);
    drain.serve(receiver);
    await turns();
    expect(drain.on).toBe(true);
    expect(did).toEqual(['no credit', 'withdraws', 'is blind']);
    did = [];
    await drain.set(false);
    expect(queues.size).toBe(0);
    expect(did).toEqual(['is blind', 'tells', 'credit']);
  });

  it('is not undone by a list that lags behind', async () => {
    drain.serve(receiver);
    drain.visible(true);
    const set = drain.set(true);
    await turns();
    quiet();
    await set;
    drain.seen(false);
    await turns();
    expect(drain.on).toBe(true);
    queues.delete(drainMarker);
    drain.seen(false);
    await turns();
    expect(drain.on).toBe(false);
  });

  it('stays what it was last known to be while that cannot be known', async () => {
    queues.add(drainMarker);
    drain.serve(receiver);
    await turns();
    reachable = false;
    queues.clear();
    drain.visible(false);
    drain.serve(undefined);
    drain.serve(receiver);
    await turns();
    expect(drain.on).toBe(true);
    reachable = true;
    await drain.look();
    expect(drain.on).toBe(false);
  });

  it('that is undone while it waits for what is under way keeps its demand', async () => {
    drain.serve(receiver);
    drain.visible(true);
    const set = drain.set(true);
    await turns();
    await drain.set(false);
    did = [];
    quiet();
    await set;
    expect(did).not.toContain('withdraws');
  });

  it('ends as the last word has it, however long the broker takes for the one before', async () => {
    drain.serve(receiver);
    drain.visible(true);
    const words = Promise.all([drain.set(true), drain.set(false)]);
    await turns();
    quiet();
    await words;
    expect([queues.size, drain.on]).toEqual([0, false]);
  });
});
