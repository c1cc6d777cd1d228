import type { DemandFrame, Frame, RelayableFrame } from '@tombolo/wire/frame';
import { describe, expect, it } from 'vitest';
import { Testimony } from '../../../src/routing/testimony.ts';

const destination = { kind: 'queue', name: 'orders' } as const;

/** East, with a neighbour whose connectors have this networkTTL; no way leads through it but to those `behind` it. */
const judge = (networkTTL: number, frame: Frame, ...behind: string[]) =>
  new Testimony({
    cluster: 'east',
    farthest: () => networkTTL,
    between: (neighbour, cluster) => neighbour === 'west' && behind.includes(cluster),
  }).judge('west', frame);

function open(source: string, sink: string, hops?: number): RelayableFrame {
  const stream = {
    address: { source, sink, destination },
    incarnation: 1,
    epoch: 1,
    ...(hops !== undefined && { hops }),
  };
  return { kind: 'open', ...stream, connector: 'c', attempt: 1, last: 0, settledThrough: 0, gone: [], queue: {} };
}

function settle(source: string, sink: string, hops?: number): RelayableFrame {
  const stream = {
    address: { source, sink, destination },
    incarnation: 1,
    epoch: 1,
    ...(hops !== undefined && { hops }),
  };
  return { kind: 'settle', ...stream, accepted: [1, 5], released: [], rejected: [] };
}

function demand(...path: string[]): DemandFrame {
  const [sink] = path as [string];
  const rest = { incarnation: 1, version: 1, ttl: 9, connector: 'c', consumers: 1, queue: {}, leaseMs: 1_000 };
  return { kind: 'demand', sink, destination, path, ...rest };
}

describe('a neighbour', () => {
  it('speaks for itself', () => {
    expect(judge(1, open('west', 'east'))).toBe('taken');
    expect(judge(1, settle('east', 'west'))).toBe('taken');
    expect(judge(1, demand('west'))).toBe('taken');
  });

  it('that speaks in the name of another cluster as if that were here loses its link', () => {
    expect(() => judge(9, open('north', 'east'))).toThrow(/west' sent a open frame in the name of cluster 'north'/);
    expect(() => judge(9, settle('east', 'north'))).toThrow(/in the name of cluster 'north'/);
    expect(() => judge(9, settle('west', 'east'))).toThrow(/in the name of cluster 'east'/);
    expect(() => judge(9, { kind: 'collect', source: 'north', sink: 'east', incarnation: 9 })).toThrow(
      /name of cluster 'north'/,
    );
  });

  it('relays for clusters as far away as the connectors with it let something go, and no farther', () => {
    expect(judge(1, open('north', 'east', 1))).toBe('refused');
    expect(judge(2, open('north', 'east', 1))).toBe('taken');
    expect(judge(2, open('north', 'east', 2))).toBe('refused');
    expect(judge(2, open('north', 'south', 1))).toBe('refused');
    expect(judge(3, open('north', 'south', 1))).toBe('taken');
  });

  it('hands over by its own link what it relays on a way that is known, so that settlements are not refused there', () => {
    expect(judge(1, settle('east', 'north', 1))).toBe('refused');
    expect(judge(1, settle('east', 'north', 1), 'north')).toBe('taken');
    expect(judge(1, settle('east', 'north', 1), 'south')).toBe('refused');
  });

  it('has nothing relayed to others by this bridge where no connector goes that far', () => {
    expect(judge(1, open('west', 'south'))).toBe('refused');
    expect(judge(2, open('west', 'south'))).toBe('taken');
  });

  it('cannot play back what this cluster has said', () => {
    expect(judge(9, open('east', 'south', 1))).toBe('ignored');
  });

  it('advertises ways as long as its connectors permit', () => {
    expect(judge(1, demand('north', 'west'))).toBe('refused');
    expect(judge(2, demand('north', 'west'))).toBe('taken');
    const farther = [{ path: ['north', 'south', 'west'], ttl: 3 }];
    expect(judge(2, { ...demand('north', 'west'), farther })).toBe('refused');
  });

  it('ends no demand and no link of clusters that it does not relay for', () => {
    const withdraw = { kind: 'withdraw', sink: 'north', destination, incarnation: 9, version: 9 } as const;
    const lost = { kind: 'hop-lost', cluster: 'north', peer: 'south', incarnation: 9, version: 9, leaseMs: 9 } as const;
    for (const frame of [withdraw, lost]) {
      expect(judge(1, frame)).toBe('ignored');
      expect(judge(2, frame)).toBe('taken');
    }
    expect(judge(1, { ...withdraw, sink: 'west' })).toBe('taken');
    expect(judge(1, { ...lost, cluster: 'west' })).toBe('taken');
  });
});
