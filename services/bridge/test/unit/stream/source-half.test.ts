import { ManualClock } from '@tombolo/kernel/clock';
import { describe, expect, it } from 'vitest';
import type { ConsumerHandler, DeliveryToken } from '../../../src/broker/port.ts';
import { SourceHalf, type SourceHalfOptions } from '../../../src/stream/source-half.ts';

/** West's half with one stream that consumes queue `q` for east; `ended` tells that its consumer is off. */
function consuming() {
  const clock = new ManualClock();
  let handler: ConsumerHandler | undefined;
  const requeued: number[] = [];
  const passage = {
    ...{ open: true, static: true, entry: { prefetchSize: 10, largestWindow: 10, prefetchBytes: 1e6 } },
    connector: { name: 'c', holdWhenLinkLostMs: 60_000, conduitSubscriptions: true },
  };
  const options = {
    ...{ spared: () => {}, screen: () => undefined, replyTo: () => undefined },
    ...{ clock, cluster: 'west', incarnation: 7, inFlightBytes: 1e6 },
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    differences: { of: () => ({ lost: 0, doubled: 0 }) },
    agreement: {
      outbound: () => passage,
      outboundPeers: () => ['east'],
      peers: ['east'],
      sinks: [],
      exactQueues: () => [],
    },
    router: {
      ...{ hop: () => 'east', controlHop: () => 'east', dataHop: () => 'east', isLinked: () => true, send: () => {} },
      ...{ transits: () => [], sendData: () => false },
      table: { get: () => undefined, demandsOf: () => [], standing: () => [] },
    },
    broker: {
      source: {
        onChannelLost: () => {},
        requeue: (tokens: readonly DeliveryToken[]) => requeued.push(...tokens.map(({ tag }) => tag)),
        consume: (_request: object, given: ConsumerHandler) => {
          handler = given;
          return { extend: () => {}, cancel: () => {} };
        },
      },
    },
  };
  const half = new SourceHalf(options as unknown as SourceHalfOptions);
  half.brokerUp(true);
  half.queueCreated('q', { durable: true });
  const [view] = half.streamViews();
  expect(view).toMatchObject({ state: 'opening', epoch: '7.1' });
  half.frame({
    ...{ kind: 'resume', incarnation: 7, epoch: 1, attempt: 1, sinkIncarnation: 1, creditVersion: 1, granted: 5 },
    ...{ received: [], accepted: [], rejected: [] },
    address: { source: 'west', sink: 'east', destination: { kind: 'queue', name: 'q' } },
  });
  const delivered = (tag: number) =>
    handler!.delivered([
      {
        ...{ token: { channel: {}, tag }, redelivered: false, exchange: '', routingKey: 'q' },
        ...{ properties: new Uint8Array(2), body: new Uint8Array(3) },
      },
    ]);
  return { half, clock, delivered, requeued, ended: () => handler!.ended({ why: 'cancelled' }) };
}

describe('the source’s half', () => {
  it('ends a drain at once when it is over, also when another was asked for meanwhile', async () => {
    const { half, clock, ended } = consuming();
    const over: string[] = [];
    const first = half.drain(clock.now() + 20_000).then(() => over.push('drain'));
    const second = half.drain(clock.now() + 20_000).then(() => over.push('stop'));
    ended();
    await second;
    await Promise.race([first, new Promise((resolve) => setImmediate(resolve))]);
    expect(over.toSorted()).toEqual(['drain', 'stop']);
  });

  it('gives back what the broker hands over after it was closed: its connection may live on under the next mastership', () => {
    const { half, delivered, requeued } = consuming();
    half.close();
    delivered(1);
    expect(requeued).toEqual([1]);
  });
});
