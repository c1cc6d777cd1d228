import { describe, expect, it } from 'vitest';
import { brokersOf, networkOf, type Sighting, type Survey } from '../../../src/admin/network.ts';
import { siteOf } from '../../../src/admin/site.ts';
import type { BridgeView } from '../../../src/admin/view.ts';
import { demandOf, streamOf, viewOf } from './views.ts';

const none = new Map<string, number>();
const quiet = { forwarded: none, delivered: none, relayed: none };

type Rates = Partial<Record<keyof typeof quiet, Record<string, number>>>;

/** What the bridge of this cluster tells, which has these peers, each by a connector of both names. */
function told(
  cluster: string,
  peers: readonly string[],
  rates: Rates = {},
  changes: Partial<BridgeView> = {},
): Sighting {
  const { links, connectors } = viewOf();
  const view = viewOf({
    cluster,
    links: peers.map((peer) => ({ ...links[0]!, peer })),
    connectors: peers.map((peer) => {
      const [from = '', to = ''] = [cluster, peer].sort();
      return { ...connectors[0]!, name: `${from}-${to}`, from, to, duplex: true, peer };
    }),
    ...changes,
  });
  const by = (of: Record<string, number> = {}) => new Map(Object.entries(of));
  const { forwarded, delivered, relayed } = rates;
  const site = siteOf(view, [`amqp://${cluster}.rabbit/%2F`], {
    ...{ forwarded: by(forwarded), delivered: by(delivered), relayed: by(relayed) },
  });
  return { seen: 'told', ageMs: 10, site };
}

/** Clusters a, b and c in a row, seen from a. */
function row(sightings: Record<string, Sighting>): Survey {
  const connectors = [
    { name: 'a-b', from: 'a', to: 'b', duplex: true },
    { name: 'b-c', from: 'b', to: 'c', duplex: true },
  ];
  const file = { network: 'acme', clusters: { a: {}, b: {}, c: {} }, connectors } as unknown as Survey['file'];
  return { file, cluster: 'a', sightings: new Map(Object.entries(sightings)) };
}

describe('the network as one bridge sees it', () => {
  it('has the state of every link and connector as their ends say it', () => {
    const seen = networkOf(row({ a: told('a', ['b']), b: told('b', ['a', 'c']), c: told('c', ['b']) }));
    expect(seen.links.map(({ between, state }) => [between.join(' '), state])).toEqual([
      ['a b', 'up'],
      ['b c', 'up'],
    ]);
    expect(seen.connectors.map(({ name, state }) => [name, state])).toEqual([
      ['a-b', 'up'],
      ['b-c', 'up'],
    ]);
  });

  it('says of what nobody told that it is not known', () => {
    const seen = networkOf(row({ a: told('a', ['b']), b: { seen: 'silent' }, c: { seen: 'unreachable' } }));
    expect(seen.clusters.map((cluster) => [cluster.name, cluster.seen, cluster.site?.broker.up])).toEqual([
      ['a', 'told', true],
      ['b', 'silent', undefined],
      ['c', 'unreachable', undefined],
    ]);
    expect(seen.links.map(({ state }) => state)).toEqual(['up', 'unknown']);
    expect(seen.connectors.map(({ state }) => state)).toEqual(['up', 'unknown']);
  });

  it('takes the worse word where the two ends differ', () => {
    const b = told('b', ['a', 'c']);
    const links = b.site!.links.map((link) => (link.peer === 'c' ? { ...link, up: false, reason: 'refused' } : link));
    const connectors = b.site!.connectors.map((each) => ({ ...each, state: 'paused' as const }));
    const sightings = {
      a: told('a', ['b']),
      b: { ...b, site: { ...b.site!, links, connectors } },
      c: told('c', ['b']),
    };
    const seen = networkOf(row(sightings));
    expect(seen.links[1]).toMatchObject({ between: ['b', 'c'], state: 'down', reason: 'refused' });
    expect(seen.connectors.map(({ state }) => state)).toEqual(['paused', 'paused']);
  });

  it('counts what flows between neighbours once, at the sender, with what it relays', () => {
    const sightings = {
      a: told('a', ['b'], { forwarded: { 'a-b': 50 } }),
      b: told('b', ['a', 'c'], { relayed: { c: 40 }, forwarded: { 'b-c': 2 }, delivered: { 'a-b': 10 } }),
      c: told('c', ['b'], { delivered: { 'b-c': 42 } }),
    };
    expect(networkOf(row(sightings)).flows).toEqual([
      { from: 'a', to: 'b', perSecond: 50, relayed: 0, connectors: [{ name: 'a-b', perSecond: 50 }] },
      { from: 'b', to: 'c', perSecond: 42, relayed: 40, connectors: [{ name: 'b-c', perSecond: 2 }] },
    ]);
  });

  it('counts at the receiver what a sender sends that was not heard', () => {
    const sightings = { a: told('a', ['b'], { delivered: { 'a-b': 7 } }), b: { seen: 'silent' as const } };
    expect(networkOf(row(sightings)).flows).toMatchObject([{ from: 'b', to: 'a', perSecond: 7 }]);
  });

  it('has the connectors and clusters that only another bridge knows', () => {
    const seen = networkOf(row({ a: told('a', ['b']), b: told('b', ['a', 'd']) }));
    expect(seen.clusters.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd']);
    expect(seen.connectors.map(({ name }) => name)).toContain('b-d');
  });

  it('counts what needs attention at each cluster', () => {
    const demand = [demandOf('q'), demandOf('r', { unserved: 'no_route' })];
    const streams = [streamOf('q'), streamOf('r', { blockedBy: 'nobody' })];
    const drains = [{ scope: 'cluster' as const, text: 'Drained.' }];
    const seen = networkOf(row({ a: told('a', ['b'], {}, { demand, streams, drains }) }));
    expect(seen.clusters[0]!.site).toMatchObject({
      demand: 2,
      unserved: 1,
      streams: 2,
      waiting: 1,
      drains: ['cluster'],
    });
  });
});

describe('the addresses of brokers', () => {
  const at = (address: string | undefined, uris: string[], up = true): Survey => {
    const { broker } = viewOf();
    const view = viewOf({ cluster: 'a', broker: { ...broker, up, address } });
    return row({ a: { seen: 'own', ageMs: 0, site: siteOf(view, uris, quiet) } });
  };

  it('begin with the one that the bridge is connected to, whatever the default port is', () => {
    const { items } = brokersOf(at('two:5672//', ['amqp://one:5672/%2F', 'amqp://two/%2F']));
    expect(items[0]).toMatchObject({ cluster: 'a', seen: 'own', up: true });
    expect(items[0]!.uris).toEqual([
      { uri: 'amqp://two/%2F', inUse: true },
      { uri: 'amqp://one:5672/%2F', inUse: false },
    ]);
    expect(items[0]!.note).toBeUndefined();
  });

  it('are recognised when the bridge names its scheme too', () => {
    const { items } = brokersOf(at('amqp://two:5672/v', ['amqp://two:5672/v', 'amqp://two:5673/v']));
    expect(items[0]!.uris.map(({ inUse }) => inUse)).toEqual([true, false]);
  });

  it('are none in use while the broker is down, and none at all where the bridge was not heard', () => {
    const { items } = brokersOf(at('one:5672//', ['amqp://one:5672/%2F'], false));
    expect(items.map(({ up, uris }) => [up, uris])).toEqual([
      [false, [{ uri: 'amqp://one:5672/%2F', inUse: false }]],
      [undefined, []],
      [undefined, []],
    ]);
  });

  it('are told with what they are worth where they name the bridge’s own machine', () => {
    const { items } = brokersOf(at('localhost:5672//', ['amqp://localhost:5672/%2F']));
    expect(items[0]!.note).toContain('the machine of a’s bridge');
  });
});
