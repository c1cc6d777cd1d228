import type { ControlFrame } from '@tombolo/wire/frame';
import { beforeEach, describe, expect, it } from 'vitest';
import { Advertiser } from '../../../src/routing/advertiser.ts';
import type { Agreement } from '../../../src/routing/agreement.ts';
import type { RouteTable } from '../../../src/routing/route-table.ts';

const demand = (name: string, kind: 'queue' | 'topic' = 'queue') => ({
  ...{ destination: { kind, name }, consumers: 1, queue: {} },
});

describe('the own demand of a cluster that is drained', () => {
  let sent: ControlFrame[];
  let advertiser: Advertiser;

  beforeEach(() => {
    sent = [];
    const connector = { name: 'c', networkTTL: 1 };
    const agreement = { inbound: () => ({ open: true, connector }), farthest: () => 1 } as unknown as Agreement;
    const table = { standing: () => [] } as unknown as RouteTable;
    const send = (_peer: string, frame: ControlFrame) => void sent.push(frame);
    advertiser = new Advertiser({ cluster: 'west', incarnation: 3, agreement, table, send, now: () => 0 });
    advertiser.setSighted(true);
    advertiser.snapshot('east');
    sent = [];
  });

  const told = () =>
    sent.flatMap((frame) =>
      (frame.kind === 'demand' || frame.kind === 'withdraw') && frame.destination.kind !== 'cluster'
        ? [`${frame.kind} ${frame.destination.name}`]
        : [],
    );
  const digest = () => {
    sent = [];
    advertiser.tick();
    const frame = sent.find(({ kind }) => kind === 'digest');
    return frame?.kind === 'digest' ? frame.count : undefined;
  };

  it('is withdrawn, queue by queue; subscriptions stand, so that buffers go on', () => {
    advertiser.advertise(demand('q'));
    advertiser.advertise(demand('events', 'topic'));
    sent = [];
    advertiser.setHushed(true);
    expect(told()).toEqual(['withdraw q']);
    expect(digest()).toBe(2);
  });

  it('is told to nobody while it lasts, neither in changes nor in snapshots', () => {
    advertiser.setHushed(true);
    advertiser.advertise(demand('q'));
    advertiser.snapshot('east');
    advertiser.snapshot('south');
    expect(told()).toEqual([]);
  });

  it('is told again afterwards, as it is then, with higher versions than the withdrawal', () => {
    advertiser.advertise(demand('q'));
    advertiser.advertise(demand('gone'));
    advertiser.setHushed(true);
    advertiser.withdraw(demand('gone').destination);
    advertiser.advertise(demand('new'));
    const withdrawn = Math.max(...sent.flatMap((frame) => (frame.kind === 'withdraw' ? [frame.version] : [])));
    sent = [];
    advertiser.setHushed(false);
    expect(told()).toEqual(['demand q', 'demand new']);
    expect(sent.every((frame) => frame.kind === 'demand' && frame.version > withdrawn)).toBe(true);
    // The cluster itself, and the two.
    expect(digest()).toBe(3);
  });
});

describe('the demand behind a paused connector', () => {
  it('is told as one that nobody may serve by it, and as any other once it is resumed', () => {
    const frames: ControlFrame[] = [];
    let open = false;
    const connector = { name: 'c', networkTTL: 2 };
    const inbound = () => (open ? { open, connector } : { open, connector, reason: 'paused', detail: '' });
    const agreement = { inbound, farthest: () => 2 } as unknown as Agreement;
    const table = { standing: () => [] } as unknown as RouteTable;
    const send = (_peer: string, frame: ControlFrame) => void frames.push(frame);
    const advertiser = new Advertiser({ cluster: 'west', incarnation: 3, agreement, table, send, now: () => 0 });
    advertiser.setSighted(true);
    advertiser.snapshot('east');
    advertiser.advertise(demand('q'));
    open = true;
    advertiser.snapshots();
    const told = frames.flatMap((frame) =>
      frame.kind === 'demand' && frame.destination.kind === 'queue' ? [[frame.connector, frame.ttl]] : [],
    );
    expect(told).toEqual([
      ['c', 0],
      ['c', 2],
    ]);
  });
});
