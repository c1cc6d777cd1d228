import { decodeFrame, encodeFrame } from '@tombolo/wire/codec';
import type { DemandFrame } from '@tombolo/wire/frame';
import { describe, expect, it } from 'vitest';
import { SharedParts } from '../../../src/routing/shared-parts.ts';

const destination = { kind: 'queue', name: 'q' } as const;
const frame: DemandFrame = {
  ...{ kind: 'demand', sink: 'k', destination, incarnation: 1, version: 1, path: ['k', 'n'], ttl: 3, leaseMs: 5 },
  ...{
    connector: 'c',
    consumers: 1,
    queue: { type: 'quorum', durable: true },
    farther: [{ path: ['k', 'x', 'n'], ttl: 4 }],
  },
};
const arrived = (): DemandFrame => decodeFrame(encodeFrame(frame)) as DemandFrame;

describe('the shared parts of advertisements', () => {
  it('are the same objects in frames that arrived one after the other, and change nothing', () => {
    const parts = new SharedParts();
    const [a, b] = [parts.frame(arrived(), destination), parts.frame(arrived(), destination)];
    expect([a, b]).toEqual([frame, frame]);
    expect([a.path === b.path, a.queue === b.queue, a.farther![0]!.path === b.farther![0]!.path]).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('are no more than a bound, however many different ones come', () => {
    const parts = new SharedParts();
    for (let i = 0; i < 50_000; i++) parts.frame({ ...frame, path: ['k', `n${i}`] }, destination);
    expect(parts.size).toBeLessThanOrEqual(60_000);
  });
});
