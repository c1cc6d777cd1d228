/* biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is how a reference is written */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LoadOptions, loadTopology, topologyFault } from '@tombolo/topology/load';
import { renderProblem } from '@tombolo/topology/problem';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** Two sound clusters and a connector, in flow style: eight lines before anything that a test adds. */
const sound = `version: 1
network: acme
clusters:
  east:
    broker: {type: rabbitmq, uris: ["amqp://east:5672/%2F"]}
    bridge: {listen: "127.0.0.1:7460", uris: ["ws://127.0.0.1:7460"]}
  west:
    broker: {type: rabbitmq, uris: ["amqp://west:5672/%2F"]}
networkConnectors:
  - {name: w2e, from: west, to: east, dynamicallyIncludedDestinations: [{queue: a}]}
`;

function load(source: string, options: Partial<LoadOptions> = {}) {
  const readFile = (path: string): string => {
    if (path === 'f.yaml') return source;
    if (path.endsWith('/token')) return 'from-the-file\n';
    throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' });
  };
  return loadTopology('f.yaml', { env: {}, readFile, ...options });
}
const lines = (result: ReturnType<typeof load>): string[] => result.problems.map(renderProblem);
const errors = (result: ReturnType<typeof load>): string[] =>
  lines(result).filter((line) => line.includes(': error: '));
const edit = (from: string, to: string): string => {
  expect(sound).toContain(from);
  return sound.replace(from, to);
};

describe('a sound topology', () => {
  it('has its defaults filled in and its units in their base', () => {
    const { topology, problems } = load(sound);
    expect(problems).toEqual([]);
    expect(topology!.clusters['west']!.bridge).toMatchObject({
      identity: 'west',
      inFlightBytes: 2 ** 28,
      drainTimeoutMs: 20_000,
    });
    expect(topology!.clusters['west']!.bridge.election).toEqual({ type: 'broker' });
    expect(topology!.clusters['east']!.bridge.listen).toEqual({ host: '127.0.0.1', port: 7460 });
    expect(topology!.clusters['east']!.broker).toMatchObject({ vhost: '/', events: { vhost: '/' }, username: 'guest' });
    expect(topology!.connectors[0]).toMatchObject({
      name: 'w2e',
      prefetchSize: 1000,
      prefetchBytes: 2 ** 25,
      networkTTL: 1,
      holdWhenLinkLostMs: 60_000,
      topicBuffer: { ttlMs: 1_800_000, maxLength: 1_000_000, maxBytes: 2 ** 30, queueType: 'quorum' },
      dynamicallyIncluded: [{ kind: 'queue', pattern: 'a', prefetchSize: 1000, rateLimit: undefined }],
    });
  });

  it('may be JSON', () => {
    const broker = (name: string) => ({
      type: 'rabbitmq',
      uris: [`amqp://127.0.0.1:5672/${name}`],
      username: 'guest',
      password: 'guest',
    });
    const bridge = { listen: '127.0.0.1:1', uris: ['ws://127.0.0.1:1234'], admin: '127.0.0.1:2', secret: 's' };
    const clusters = { a: { broker: broker('a'), bridge }, b: { broker: broker('b'), bridge } };
    const source = { version: 1, network: 'n', clusters, networkConnectors: [{ name: 'x', from: 'a', to: 'b' }] };
    const { topology, problems } = load(JSON.stringify(source, null, 2), { cluster: ['a'] });
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(topology!.clusters['a']!.broker!.vhost).toBe('a');
    expect(topology!.connectors[0]!.dynamicallyIncluded).toMatchObject([{ kind: 'queue', pattern: '>' }]);
  });

  it('may keep anchors under x- keys and merge them, and a problem points at the anchor', () => {
    const anchors = 'x-common: &common\n  prefetchSize: 7\n  networkTTL: 3\n';
    const merged = sound.replace('- {name', '- {<<: *common, name');
    expect(load(anchors + merged).topology!.connectors[0]).toMatchObject({ prefetchSize: 7, networkTTL: 3 });
    expect(errors(load(anchors.replace('7', '0') + merged))).toEqual([
      'f.yaml:2:17: error: networkConnectors[0].prefetchSize: is not valid; expected a whole number from 1 to 65535',
    ]);
  });

  it('keeps credentials apart from URIs, and warns of those in clear text', () => {
    const result = load(edit('amqp://west:5672/%2F', 'amqp://u:p%40ss@west:5672/%2F'));
    expect(result.topology!.clusters['west']!.broker).toMatchObject({
      uris: ['amqp://west:5672/%2F'],
      username: 'u',
      password: 'p@ss',
    });
    expect(lines(result)).toEqual([
      'f.yaml:8:37: warning: clusters.west.broker.uris[0]: has credentials in clear text; expected ${NAME} in their place',
    ]);
  });
});

describe('an error', () => {
  it.each<[string, string, string, string]>([
    [
      'unknown top-level key',
      'network: acme',
      'netwrk: acme',
      '2:1: error: netwrk: unknown key; did you mean "network"?',
    ],
    ['wrong version', 'version: 1', 'version: 2', '1:10: error: version: is not valid; expected 1'],
    [
      'unknown key',
      '{type: rabbitmq, uris: ["amqp://east',
      '{tipe: 1, type: rabbitmq, uris: ["amqp://east',
      '5:14: error: clusters.east.broker.tipe: unknown key; did you mean "type"?',
    ],
    [
      'enum typo',
      'type: rabbitmq, uris: ["amqp://east',
      'type: rabitmq, uris: ["amqp://east',
      '5:20: error: clusters.east.broker.type: "rabitmq" is not known; expected rabbitmq or activemq; did you mean "rabbitmq"?',
    ],
    [
      'unknown cluster',
      'from: west',
      'from: wst',
      '10:23: error: networkConnectors[0].from: there is no cluster called "wst"; expected one of east, west; did you mean "west"?',
    ],
    [
      'from is to',
      'from: west',
      'from: east',
      '10:33: error: networkConnectors[0].to: is the same cluster as from; expected another',
    ],
    [
      'networkTTL below 1',
      '{name: w2e',
      '{networkTTL: 0, name: w2e',
      '10:18: error: networkConnectors[0].networkTTL: is not valid; expected a whole number from 1 to 255',
    ],
    [
      'prefetchSize below 1',
      '{name: w2e',
      '{prefetchSize: 0, name: w2e',
      '10:20: error: networkConnectors[0].prefetchSize: is not valid; expected a whole number from 1 to 65535',
    ],
    [
      'duration without unit',
      '{name: w2e',
      '{holdWhenLinkLost: 60, name: w2e',
      '10:24: error: networkConnectors[0].holdWhenLinkLost: is a number; expected a duration such as 500ms, 60s, 30m or 30d, 49d at most',
    ],
    [
      'two kinds in an entry',
      '{queue: a}',
      '{queue: a, topic: b}',
      '10:73: error: networkConnectors[0].dynamicallyIncludedDestinations[0]: is not valid; expected exactly one of queue, queueRegex, exchange and topic',
    ],
    [
      'ws off loopback',
      'ws://127.0.0.1:7460',
      'ws://10.0.0.1:7460',
      '6:47: error: clusters.east.bridge.uris[0]: is ws:// off loopback: links would cross the network in clear text; expected wss://, or insecure: true in this bridge',
    ],
    [
      'admin off loopback',
      'bridge: {',
      'bridge: {admin: "0.0.0.0:1", ',
      '6:21: error: clusters.east.bridge.admin: is off loopback, and there is no adminToken; expected adminToken beside it, or 127.0.0.1',
    ],
    [
      'the same broker',
      'amqp://west:5672',
      'amqp://EAST',
      "8:37: error: clusters.west.broker.uris[0]: is the same broker and virtual host as cluster east's",
    ],
    [
      'nobody listens',
      'listen: "127.0.0.1:7460", ',
      '',
      '10:5: error: networkConnectors[0]: neither west nor east listens: no link can come about; expected bridge.listen and bridge.uris in one of them',
    ],
    [
      'nobody can dial',
      '    broker: {type: rabbitmq, uris: ["amqp://west:5672/%2F"]}',
      '    bridge: {dial: []}',
      '10:5: error: networkConnectors[0]: neither west nor east can dial the other: no link can come about; expected bridge.uris in the one that listens, and the other without dial or with it in dial',
    ],
    [
      'missing name',
      '{name: w2e, ',
      '{',
      '10:5: error: networkConnectors[0].name: is missing; expected a name of at most 64 letters, digits, dots, dashes and underscores',
    ],
    [
      'a duplicate key',
      'network: acme',
      'network: acme\nnetwork: acme',
      '3:1: error: this key was given before in the same map',
    ],
    [
      'broken syntax',
      'network: acme',
      'network: [acme',
      '3:1: error: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'an unknown alias',
      'network: acme',
      'network: *acme',
      '2:10: error: no anchor of this name stands before this alias',
    ],
    [
      'an unquoted !',
      'network: acme',
      'network: !acme x',
      '2:10: error: a value that begins with ! is a tag, and this one is not known: put it in quotes',
    ],
    [
      'a wrong scheme',
      'amqp://west:5672/%2F',
      'stomp://west:61613',
      '8:37: error: clusters.west.broker.uris[0]: is no URI of rabbitmq; expected amqp://, amqps://',
    ],
    [
      'a look-ahead',
      '{queue: a}',
      '{queueRegex: "(?=a)"}',
      "10:86: error: networkConnectors[0].dynamicallyIncludedDestinations[0].queueRegex: is not valid; expected a regular expression in RE2's syntax (no look-around, no back-references)",
    ],
    [
      'an unknown peer',
      'bridge: {',
      'bridge: {dial: [wets], ',
      '6:21: error: clusters.east.bridge.dial[0]: there is no cluster called "wets"; expected one of west; did you mean "west"?',
    ],
    [
      'redis without uri',
      'bridge: {',
      'bridge: {election: {type: redis}, ',
      '6:14: error: clusters.east.bridge.election.uri: is missing; expected redis://host:port for type redis',
    ],
  ])('for %s names line and column, what is wrong, and what was expected', (_, from, to, rendered) => {
    const found = errors(load(edit(from, to)));
    expect(found).toContain(`f.yaml:${rendered}`);
  });

  it('is not the last: all of them are reported, in reading order', () => {
    const source = sound
      .replace('version: 1', 'version: 3')
      .replace('from: west', 'from: wst')
      .replace('{type:', '{tls: 1, type:');
    expect(load(source).problems.map(({ line }) => line)).toEqual([1, 5, 10]);
    expect(load(source).topology).toBeUndefined();
    expect(topologyFault(load(source).problems)).toMatchObject({ code: 'TOMBOLO_TOPOLOGY_INVALID' });
  });

  it('never shows a secret, whatever shape the mistake has', () => {
    const source = edit(
      'bridge: {',
      'bridge: {secret:hunter2, adminToken: {fil: hunter2}, peers: {west: hunter2}, election: {type: redis, uri: "hunter2"}, dial: ["${PW}"], ',
    );
    for (const text of [
      source,
      `${source}\nx: !hunter2 x`,
      `${source}\n*hunter2`,
      `${source}\n"hunter2`,
      `${source}\n  hunter2`,
    ]) {
      const result = load(text, { env: { PW: 'hunter2' } });
      expect(result.topology).toBeUndefined();
      expect(lines(result).join('\n')).not.toContain('hunter2');
    }
  });

  it('in any shape is a problem in the result, never an exception', () => {
    const words = sound.match(/\w+|[^\w]/g)!;
    const junk = fc.constantFrom(
      '',
      ' ',
      ':',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '"',
      '\n',
      '&a ',
      '*a',
      '<<: ',
      'null',
      '0',
      '${X}',
      '{file: x}',
      '__proto__',
    );
    const index = fc.nat({ max: words.length - 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(index, junk), { minLength: 1, maxLength: 4 }), (changes) => {
        const changed = [...words];
        for (const [at, replacement] of changes) changed[at] = replacement;
        for (const options of [{}, { cluster: ['west'] }]) {
          const { topology, problems } = load(changed.join(''), options);
          expect(topology === undefined).toBe(problems.some(({ severity }) => severity === 'error'));
          for (const { line, column } of problems) expect(Math.min(line, column)).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1500 },
    );
  });

  it('for a file that is not there is a problem like any other', () => {
    expect(lines(loadTopology('/nowhere/at/all.yaml', { env: {} }))).toEqual([
      '/nowhere/at/all.yaml:1:1: error: the file cannot be read (ENOENT); expected a topology file',
    ]);
    for (const empty of ['', '- 1', 'text']) expect(load(empty).topology).toBeUndefined();
  });
});

describe('references', () => {
  const withSecrets = edit('bridge: {', 'bridge: {secret: ["${NEW}", "${OLD:-old}"], adminToken: {file: token}, ');

  it('are replaced from the environment, by their default, and from files next to the topology', () => {
    const { topology } = load(withSecrets, { env: { NEW: 'new' }, cluster: ['east'] });
    expect(topology!.clusters['east']!.bridge).toMatchObject({ secrets: ['new', 'old'], adminToken: 'from-the-file' });
  });

  it('that cannot be resolved are errors of the cluster that runs, warnings of validation, and nothing to others', () => {
    const message = 'clusters.east.bridge.secret[0]: the environment has no NEW; expected NEW to be set, or a default';
    expect(errors(load(withSecrets, { cluster: ['east'] }))).toEqual([`f.yaml:6:23: error: ${message}`]);
    expect(lines(load(withSecrets))).toEqual([`f.yaml:6:23: warning: ${message}, where this bridge runs`]);
    expect(lines(load(withSecrets, { cluster: ['west'] }))).toEqual([]);
  });

  it('do not hide other mistakes beside them', () => {
    const found = errors(load(withSecrets.replace('{secret', '{foo: 1, secret')));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain('clusters.east.bridge.foo: unknown key');
  });

  it('in the uris of a peer are resolved too, since this cluster dials them', () => {
    const source = edit('"ws://127.0.0.1:7460"', '"ws://127.0.0.1:${PORT:-7460}", "wss://${HOST}/link"');
    const { topology, problems } = load(source, { cluster: ['west'] });
    expect(topology!.clusters['east']!.bridge.uris).toEqual(['ws://127.0.0.1:7460']);
    expect(problems.map(({ message }) => message)).toEqual(['the environment has no HOST, so it is not dialled']);
  });
});

describe('running one cluster of several', () => {
  it('takes for warnings what touches neither it nor a connector that names it', () => {
    const third = `${sound.replace('  west:', '  north: {bridge: {foo: 1}}\n  west:')}  - {name: n2w, from: north, to: west, networkTTL: 0}\n`;
    expect(errors(load(third))).toHaveLength(3);
    const east = load(third, { cluster: ['east'] });
    expect(errors(east)).toEqual([]);
    expect(east.topology!.warnings).toHaveLength(5);
    expect(east.topology!.connectors.map(({ name }) => name)).toContain('w2e');
    expect(errors(load(third, { cluster: ['west'] }))).toHaveLength(2);
  });

  it('refuses a name that the file does not have, and says which it has', () => {
    expect(errors(load(sound, { cluster: ['wset'] }))).toEqual([
      'f.yaml:3:1: error: clusters: there is no cluster "wset" to run; expected one of east, west; did you mean "west"?',
    ]);
  });

  it('needs to know its broker', () => {
    const source = edit('    broker: {type: rabbitmq, uris: ["amqp://west:5672/%2F"]}', '    bridge: {}');
    expect(errors(load(source))).toEqual([]);
    expect(errors(load(source, { cluster: ['west'] }))).toHaveLength(1);
  });
});

describe('a directory', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'topology-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);

  it('is one topology: clusters merge by name, connectors append in the order of the files', () => {
    write('a.yaml', sound);
    write('b.yml', 'version: 1\nnetworkConnectors:\n  - {name: e2w, from: east, to: west, paused: true}\n');
    write('c.json', '{"clusters": {"north": {}}}');
    write('.hidden.yaml', 'foo: 1');
    write('readme.md', 'foo: 1');
    const { topology, problems, files } = loadTopology(directory, { env: {} });
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(topology!.connectors.map(({ name }) => name)).toEqual(['w2e', 'e2w']);
    expect(Object.keys(topology!.clusters)).toEqual(['east', 'west', 'north']);
    expect(files).toContain(join(directory, 'c.json'));
  });

  it('in which something is said twice is refused, naming both files', () => {
    write('a.yaml', sound);
    write('b.yaml', sound.replace('acme', 'other'));
    const found = loadTopology(directory, { env: {} }).problems.filter(({ severity }) => severity === 'error');
    const both = found.filter(({ message }) => message.includes('a.yaml') && message.includes('b.yaml'));
    expect(both.map(({ path }) => path)).toEqual([
      'network',
      'clusters.east.broker',
      'clusters.east.bridge',
      'clusters.west.broker',
      'networkConnectors[0].name',
    ]);
  });

  it('without a topology in it is an error', () => {
    expect(loadTopology(directory, { env: {} }).problems[0]!.message).toBe('there is no topology in this directory');
  });
});
