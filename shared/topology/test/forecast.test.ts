import { describe, expect, it } from 'vitest';
import { forecast } from '../src/forecast.ts';
import { loadTopology } from '../src/load.ts';
import type { Topology } from '../src/topology.ts';

/** Clusters a to d that all listen, and these connectors. */
function network(...connectors: readonly string[]): Topology {
  const clusters = ['a', 'b', 'c', 'd'].map(
    (name, index) =>
      `  ${name}: {bridge: {listen: '127.0.0.1:746${index}', uris: ['ws://127.0.0.1:746${index}'], secret: s}}`,
  );
  const text = [
    'version: 1',
    'network: n',
    'clusters:',
    ...clusters,
    'networkConnectors:',
    ...connectors.map((each) => `  - ${each}`),
  ];
  const { topology, problems } = loadTopology('t.yaml', { env: {}, readFile: () => text.join('\n') });
  if (!topology) throw new Error(JSON.stringify(problems));
  return topology;
}

const queue = (name: string, from: string, to: string, pattern: string, more = '') =>
  `{name: ${name}, from: ${from}, to: ${to}, dynamicallyIncludedDestinations: [{queue: '${pattern}'}]${more}}`;

const texts = (topology: Topology, before?: Topology) => forecast(topology, before).map(({ text }) => text);

describe('what a topology would do', () => {
  it('is nothing to beware of where each connector has its own and networkTTL reaches', () => {
    expect(
      texts(
        network(
          queue('ab', 'a', 'b', 'orders.>', ', networkTTL: 2'),
          queue('bc', 'b', 'c', 'orders.>', ', networkTTL: 2'),
          queue('more', 'a', 'b', 'bills.>'),
        ),
      ),
    ).toEqual([]);
  });

  it('is that the later of two connectors owns nothing, where the first means all that it does', () => {
    expect(texts(network(queue('all', 'a', 'b', '>'), queue('some', 'a', 'b', 'orders.*')))).toEqual([
      'connector some: queue orders.* from a to b has no effect, since connector all, which comes first, owns all of it',
    ]);
    // Its own first, the rest after it: a division of labour.
    expect(texts(network(queue('some', 'a', 'b', 'orders.*'), queue('all', 'a', 'b', '>')))).toEqual([]);
    // What the first excludes, the second may have.
    const but = queue('all', 'a', 'b', '>', ', excludedDestinations: [{queue: orders.eu}]');
    expect(texts(network(but, queue('some', 'a', 'b', 'orders.*')))).toEqual([]);
  });

  it('is that a connector lets nothing pass, where its filters cancel each other out', () => {
    const cancelled = queue('none', 'a', 'b', 'orders.*', ', excludedDestinations: [{queue: orders.>}]');
    expect(texts(network(cancelled))).toEqual([
      'connector none lets nothing pass: its exclusions, or reserved names, cover all that it includes',
    ]);
    const partly = queue('some', 'a', 'b', 'orders.*', ', excludedDestinations: [{queue: orders.eu}]');
    expect(texts(network(partly))).toEqual([]);
  });

  it('is that networkTTL keeps messages from consumers that connectors lead to, and says how much it takes', () => {
    const chain = [
      queue('ab', 'a', 'b', 'q', ', networkTTL: 3'),
      queue('bc', 'b', 'c', 'q', ', networkTTL: 2'),
      queue('cd', 'c', 'd', 'q', ', networkTTL: 3'),
    ];
    expect(texts(network(...chain))).toEqual([
      'messages of queue q at a do not reach consumers at d: that takes 3 connectors, and connector bc has networkTTL 2',
    ]);
    // A way round that is long enough will do.
    expect(texts(network(...chain, queue('ad', 'a', 'd', 'q')))).toEqual([]);
  });

  it('is that only paused connectors would serve a demand', () => {
    expect(texts(network(queue('ab', 'a', 'b', 'q', ', paused: true')))).toEqual([
      'demand for queue q at b is served by paused connectors only, until one is resumed',
    ]);
  });

  it('is that demand is served by no path any more which was until now, or not from everywhere', () => {
    const before = network(
      queue('ab', 'a', 'b', 'orders.>', ', networkTTL: 2'),
      queue('bc', 'b', 'c', 'orders.>', ', networkTTL: 2'),
    );
    expect(texts(network(queue('bc', 'b', 'c', 'orders.>')), before)).toEqual([
      'demand for queue orders.> at b is served by no path any more; until now its messages came from a',
      'messages of queue orders.> at a do not reach consumers at c any more',
    ]);
    expect(texts(before, before)).toEqual([]);
  });

  it('says nothing of regular expressions that no obvious name matches, rather than something wrong', () => {
    const regex = (pattern: string) =>
      `{name: ab, from: a, to: b, dynamicallyIncludedDestinations: [{queueRegex: '${pattern}'}], paused: true}`;
    expect(texts(network(regex('^orders[-_]')))).toEqual([
      'demand for queueRegex ^orders[-_] at b is served by paused connectors only, until one is resumed',
    ]);
    expect(texts(network(regex('^(?:a|b){3}x?$')))).toEqual([]);
  });
});
