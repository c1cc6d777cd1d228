import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { clusterSettings } from '../src/cluster-settings.ts';
import { loadTopology } from '../src/load.ts';
import { inForce, planBetween, planFor } from '../src/plan.ts';
import { planLines } from '../src/plan-text.ts';
import { bridgeSchema, brokerSchema, jsonSchema } from '../src/schema.ts';
import type { Topology } from '../src/topology.ts';

const file = `
version: 1
network: acme
clusters:
  west:
    broker: {type: rabbitmq, uris: ['amqp://west:5672/%2F'], username: bridge, password: pw-old}
    bridge: {listen: 127.0.0.1:7460, uris: ['ws://127.0.0.1:7460'], admin: 127.0.0.1:7461, secret: old-secret}
  east:
    bridge: {listen: 127.0.0.1:7470, uris: ['ws://127.0.0.1:7470'], secret: old-secret}
  north:
    bridge: {secret: old-secret}
networkConnectors:
  - {name: orders, from: west, to: east, dynamicallyIncludedDestinations: [{queue: orders.>}], rateLimit: {messages: 50/s}}
  - {name: prices, from: west, to: east, dynamicallyIncludedDestinations: [{topic: prices.>}]}
  - {name: news, from: north, to: east, dynamicallyIncludedDestinations: [{queue: news}]}
`;

function read(text: string): Topology {
  const { topology, problems } = loadTopology('t.yaml', { env: {}, readFile: () => text, cluster: ['west'] });
  if (!topology) throw new Error(JSON.stringify(problems));
  return topology;
}

/** The lines for west's bridge after the replacements. */
function linesAfter(...replacements: readonly (readonly [string, string])[]): string[] {
  let changed = file;
  for (const [from, to] of replacements) {
    expect(changed).toContain(from);
    changed = changed.replace(from, to);
  }
  return planLines(planFor('west', read(file), read(changed)));
}

describe('the plan of a change', () => {
  it('says nothing of a file that says the same in other words', () => {
    expect(linesAfter(['networkConnectors:', '# a comment\nx-unused: 1\nnetworkConnectors:'])).toEqual([]);
    expect(planBetween(read(file), read(file)).bridges.map(({ does }) => does)).toEqual(['stay', 'stay', 'stay']);
  });

  it('says what starts, stops and changes, as the file names it', () => {
    expect(
      linesAfter(
        ['  - {name: prices, from: west, to: east, dynamicallyIncludedDestinations: [{topic: prices.>}]}\n', ''],
        ['queue: orders.>}]', 'queue: orders.>}, {queue: bills, prefetchSize: 5}], holdWhenLinkLost: 90s'],
        ['rateLimit: {messages: 50/s}', 'prefetchBytes: 1MiB'],
        ['from: north, to: east', 'from: west, to: north'],
        [
          'bridge: {secret: old-secret}',
          "bridge: {secret: old-secret, listen: 127.0.0.1:7480, uris: ['ws://127.0.0.1:7480']}",
        ],
      ),
    ).toEqual([
      'connector prices stops (west → east)',
      'connector orders changes (west → east): dynamicallyIncludedDestinations: queue orders.> → queue orders.>, queue bills (prefetchSize 5)',
      'connector orders changes (west → east): prefetchBytes: 32MiB → 1MiB',
      'connector orders changes (west → east): rateLimit: 50 messages/s → nothing',
      'connector orders changes (west → east): holdWhenLinkLost: 1m → 90s',
      'connector news starts (west → north)',
      'clusters.north.bridge.uris: nothing → ws://127.0.0.1:7480',
    ]);
  });

  it('tells that a secret has changed, and not what it is', () => {
    const lines = linesAfter(
      ['password: pw-old', 'password: pw-new'],
      ['secret: old-secret', 'secret: [new, old-secret]'],
    );
    expect(lines).toEqual([
      'clusters.west.broker.password: another value',
      'clusters.west.bridge.secret: another value',
    ]);
  });

  it('says that another comes first now, since the first that means a destination owns it', () => {
    const [orders, prices] = file.split('\n').filter((line) => /name: (?:orders|prices)/.test(line));
    expect(linesAfter([`${orders}\n${prices}`, `${prices}\n${orders}`])).toEqual([
      'connector prices changes (west → east): comes after: orders → nothing',
      'connector orders changes (west → east): comes after: nothing → prices',
    ]);
  });

  it('of a cluster that is new or gone is a start or a stop of its bridge', () => {
    const more = file.replace('  north:', '  south:\n    bridge: {secret: s}\n  north:');
    const bridge = (before: string, after: string) =>
      planBetween(read(before), read(after)).bridges.find(({ cluster }) => cluster === 'south');
    expect(bridge(file, more)?.does).toBe('start');
    expect(bridge(more, file)?.does).toBe('stop');
  });
});

describe('what a running bridge makes of a change', () => {
  const after = read(
    file
      .replace('listen: 127.0.0.1:7460', 'listen: 127.0.0.1:9460')
      .replace('password: pw-old', 'password: pw-new')
      .replace('network: acme', 'network: acme2')
      .replace('topic: prices.>', 'topic: prices.eu.>')
      .replace("uris: ['amqp://west:5672/%2F']", "uris: ['amqp://other:5672/%2F']"),
  );

  it('is all that can be changed live; the rest stays as it was, and is named', () => {
    const before = read(file);
    const { topology, pendingRestart } = inForce(before, after, ['west']);
    expect(pendingRestart).toEqual(['network', 'clusters.west.broker.uris', 'clusters.west.bridge.listen']);
    expect(topology.clusters['west']?.broker).toMatchObject({ uris: ['amqp://west:5672/%2F'], password: 'pw-new' });
    expect(topology.network).toBe('acme');
    expect(planFor('west', before, topology).settings.map(({ needsRestart }) => needsRestart)).toEqual([false]);
    expect(planFor('west', topology, after).settings.every(({ needsRestart }) => needsRestart)).toBe(true);
    expect(planFor('west', topology, after).connectors).toEqual([]);
  });

  it('has the very same connectors where nothing was changed, so that what is kept by them is kept', () => {
    const before = read(file);
    const { topology } = inForce(before, after, ['west']);
    expect(topology.connectors.map((connector, index) => connector === before.connectors[index])).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('never takes the token from an admin address that stays until a restart', () => {
    const open = file.replace('admin: 127.0.0.1:7461', 'admin: 0.0.0.0:7461, adminToken: t');
    const { topology } = inForce(read(open), read(file), ['west']);
    expect(topology.clusters['west']?.bridge).toMatchObject({ admin: { host: '0.0.0.0' }, adminToken: 't' });
    const moved = file.replace('admin: 127.0.0.1:7461', 'admin: 127.0.0.1:7461, adminToken: t');
    expect(inForce(read(moved), read(file), ['west']).topology.clusters['west']?.bridge.adminToken).toBeUndefined();
  });
});

describe('the settings of a cluster', () => {
  it('are all decided upon: every key of the schema is live or needs a restart', () => {
    const decided = clusterSettings.map(({ path }) => path);
    for (const [section, schema] of [
      ['broker', brokerSchema],
      ['bridge', bridgeSchema],
    ] as const) {
      for (const key of Object.keys(schema.shape)) {
        expect(
          decided.some((path) => path === `${section}.${key}` || path.startsWith(`${section}.${key}.`)),
          `${section}.${key}`,
        ).toBe(true);
      }
    }
  });

  it('are in the page for operators, each with how a change of it is taken up', async () => {
    const page = await readFile(new URL('../../../infra/docs/changing-the-file.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `((?:broker|bridge)\.[^`]+)` \| (.*) \|$/gm)].map(([, path, how]) => [
      path,
      how,
    ]);
    expect(rows).toEqual(
      clusterSettings.map(({ path, change }) => [path, change === 'live' ? 'live' : 'after a restart']),
    );
  });

  it('say in the schema when a change of them needs a restart', () => {
    const cluster = (jsonSchema() as { properties: { clusters: { additionalProperties: Described } } }).properties
      .clusters.additionalProperties;
    for (const { path, change } of clusterSettings) {
      const found = path.split('.').reduce<Described | undefined>((schema, key) => schema?.properties?.[key], cluster);
      expect(/restart/.test(found?.description ?? ''), `${path}: ${found?.description}`).toBe(change === 'restart');
    }
  });
});

interface Described {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Described>>;
}
