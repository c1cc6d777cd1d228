import { connectorFor, directedConnectors, exactQueues, permits, selects } from '@tombolo/topology/filter';
import { loadTopology } from '@tombolo/topology/load';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

function topologyOf(networkConnectors: object[]) {
  const bridge = (port: number) => ({ listen: `127.0.0.1:${port}`, uris: [`ws://127.0.0.1:${port}`] });
  const clusters = { east: { bridge: bridge(1) }, west: { bridge: bridge(2) } };
  const source = JSON.stringify({ version: 1, network: 'n', clusters, networkConnectors });
  const { topology, problems } = loadTopology('f.json', { env: {}, readFile: () => source });
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  return topology!;
}
const connectorOf = (more: object) => topologyOf([{ name: 'c', from: 'west', to: 'east', ...more }]).connectors[0]!;
const queue = (name: string) => ({ kind: 'queue', name }) as const;

describe('a connector', () => {
  it('lets every queue pass by default, and no topic and no exchange', () => {
    const connector = connectorOf({});
    expect(permits(connector, queue('any.queue at-all'))).toMatchObject({ permitted: true, static: false });
    expect(permits(connector, { kind: 'topic', name: 'a' })).toMatchObject({ reason: 'not_included' });
    expect(permits(connector, { kind: 'exchange', name: 'a' })).toMatchObject({ reason: 'not_included' });
  });

  it('with an empty list of dynamic inclusions forwards nothing on demand', () => {
    const connector = connectorOf({
      dynamicallyIncludedDestinations: [],
      staticallyIncludedDestinations: [{ queue: 'a' }],
    });
    expect(permits(connector, queue('b'))).toMatchObject({ reason: 'not_included' });
    expect(permits(connector, queue('a'))).toMatchObject({ permitted: true, static: true });
  });

  it('excludes what is excluded, whichever list includes it', () => {
    const connector = connectorOf({
      dynamicallyIncludedDestinations: [{ queue: 'orders.>' }, { queue: 'a.*.c' }],
      excludedDestinations: [{ queue: 'orders.local.>' }, { queue: 'audit.x' }, { queueRegex: '-tmp$' }],
      staticallyIncludedDestinations: [{ queue: 'audit.x' }, { queue: 'audit.y' }],
    });
    const names = [
      'orders.eu',
      'orders.local.eu',
      'orders.local',
      'a.b.c',
      'a.b.b.c',
      'audit.x',
      'audit.y',
      'orders.a-tmp',
      'other',
    ];
    const answers = names.map((name) => permits(connector, queue(name)));
    expect(answers.map((answer) => (answer.permitted ? 'yes' : answer.reason))).toEqual([
      'yes',
      'excluded',
      'excluded',
      'yes',
      'not_included',
      'excluded',
      'yes',
      'excluded',
      'not_included',
    ]);
    expect(answers[1]).toMatchObject({ detail: 'connector c excludes queue orders.local.>' });
  });

  it('never lets a reserved name pass, whatever its filters say', () => {
    const everything = [{ queue: '>' }, { queueRegex: '.*' }, { exchange: '>' }];
    const connector = connectorOf({
      dynamicallyIncludedDestinations: everything,
      staticallyIncludedDestinations: everything,
    });
    const names = ['amq.gen-1', 'tombolo.dead-letters', 'federation: x -> y', 'mqtt-subscription-xqos1'];
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.string(), fc.constantFrom('queue', 'exchange'), (name, rest, kind) => {
        expect(permits(connector, { kind, name: name + rest })).toMatchObject({ permitted: false, reason: 'reserved' });
      }),
    );
    expect(permits(connector, queue('amqp'))).toMatchObject({ permitted: true });
  });

  it('gives an entry the overrides of the first that matches, and its own values for the rest', () => {
    const connector = connectorOf({
      prefetchSize: 100,
      rateLimit: { messages: '5/s' },
      dynamicallyIncludedDestinations: [
        { queue: 'a.>', prefetchSize: 7, rateLimit: { bytes: '1kB/s' } },
        { queue: '>', prefetchBytes: '1MiB' },
      ],
    });
    expect(permits(connector, queue('a.b'))).toMatchObject({
      entry: {
        prefetchSize: 7,
        prefetchBytes: 2 ** 25,
        rateLimit: { messagesPerSecond: undefined, bytesPerSecond: 1000 },
      },
    });
    expect(permits(connector, queue('b'))).toMatchObject({
      entry: { prefetchSize: 100, prefetchBytes: 2 ** 20, rateLimit: undefined },
    });
    // A limit is shared by all that it is given for: the connector's stays with the connector.
    expect(connector.rateLimit).toEqual({ messagesPerSecond: 5, bytesPerSecond: undefined });
  });

  it('that is paused permits nothing, and says so only of what it would permit', () => {
    const connector = connectorOf({ paused: true, dynamicallyIncludedDestinations: [{ queue: 'a' }] });
    expect(permits(connector, queue('a'))).toMatchObject({ permitted: false, reason: 'paused' });
    expect(permits(connector, queue('b'))).toMatchObject({ permitted: false, reason: 'not_included' });
    expect(selects(connector, queue('a'))).toMatchObject({ permitted: true });
  });

  it('names the queues that can be watched without a management API', () => {
    const connector = connectorOf({
      dynamicallyIncludedDestinations: [
        { queue: 'a' },
        { queue: 'b.*' },
        { queueRegex: 'c' },
        { queue: 'x' },
        { topic: 't' },
      ],
      staticallyIncludedDestinations: [{ queue: 'a' }, { queue: 'd.e' }, { queue: 'amq.x' }],
      excludedDestinations: [{ queue: 'x' }],
    });
    expect(exactQueues(connector)).toEqual(['a', 'd.e']);
  });
});

describe('several connectors', () => {
  const topology = topologyOf([
    { name: 'slow', from: 'west', to: 'east', paused: true, dynamicallyIncludedDestinations: [{ queue: 'slow.>' }] },
    {
      name: 'both',
      from: 'east',
      to: 'west',
      duplex: true,
      dynamicallyIncludedDestinations: [{ queue: '>' }],
      excludedDestinations: [{ queue: 'no' }],
    },
  ]);

  it('are listed a direction at a time, in file order', () => {
    expect(directedConnectors(topology).map(({ connector, from, to }) => `${connector.name} ${from} ${to}`)).toEqual([
      'slow west east',
      'both east west',
      'both west east',
    ]);
  });

  it('leave a destination to the first that matches, and a paused one keeps what is its own', () => {
    expect(connectorFor(topology, 'west', 'east', queue('slow.a'))?.name).toBe('slow');
    expect(connectorFor(topology, 'west', 'east', queue('fast'))?.name).toBe('both');
    expect(connectorFor(topology, 'east', 'west', queue('slow.a'))?.name).toBe('both');
    expect(connectorFor(topology, 'east', 'west', queue('no'))).toBeUndefined();
  });
});
