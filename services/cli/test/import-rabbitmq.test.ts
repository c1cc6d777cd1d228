import { loadTopology } from '@tombolo/topology/load';
import { describe, expect, it } from 'vitest';
import { topologyFromDefinitions } from '../src/import-rabbitmq.ts';
import { renderImport } from '../src/import-yaml.ts';

const upstream = (name: string, value: object, vhost = '/') => {
  return { component: 'federation-upstream', vhost, name, value };
};
const policy = (name: string, pattern: string, appliesTo: string, definition: object, more: object = {}) => {
  return { vhost: '/', name, pattern, 'apply-to': appliesTo, definition, priority: 0, ...more };
};

/** The file that is written, and what Tombolo makes of it. */
function imported(definitions: object) {
  const text = renderImport(topologyFromDefinitions(definitions, { file: 'definitions.json' }));
  const { topology, problems } = loadTopology('t.yaml', { env: {}, readFile: () => text });
  const errors = problems.filter(({ severity }) => severity === 'error');
  return { text, topology, errors, connectors: topology?.connectors ?? [] };
}

describe('the import of RabbitMQ definitions', () => {
  const federation = {
    global_parameters: [{ name: 'cluster_name', value: 'rabbit@east' }],
    exchanges: [
      { vhost: '/', name: 'events' },
      { vhost: '/', name: 'events.eu' },
      { vhost: '/', name: 'other' },
    ],
    parameters: [
      upstream('west', {
        uri: ['amqps://fed:p4ssw0rd@west-0.rabbit/%2f', 'amqps://fed:p4ssw0rd@west-1.rabbit:5673'],
        'prefetch-count': 250,
        'max-hops': 3,
        expires: 3_600_000,
        'message-ttl': 60_000,
        'ack-mode': 'on-confirm',
        'queue-type': 'quorum',
        'some-new-key': { secret: 'p4ssw0rd' },
      }),
      upstream('unused', { uri: 'amqp://nowhere' }),
    ],
    policies: [
      policy('low', '^orders\\.', 'queues', { 'federation-upstream-set': 'all' }),
      policy('high', '^events', 'exchanges', { 'federation-upstream': 'west' }, { priority: 9 }),
      policy('ha', '.*', 'all', { 'ha-mode': 'all' }),
    ],
  };

  it('makes a connector of each policy and upstream, the policy of the highest priority first', () => {
    const { errors, connectors } = imported(federation);
    expect(errors).toEqual([]);
    expect(connectors.map(({ name, from, to }) => [name, from, to])).toEqual([
      ['west-high', 'west', 'rabbit-east'],
      ['west-low', 'west', 'rabbit-east'],
      ['unused-low', 'unused', 'rabbit-east'],
    ]);
    expect(connectors[0]).toMatchObject({
      dynamicallyIncluded: [
        { kind: 'exchange', pattern: 'events' },
        { kind: 'exchange', pattern: 'events.eu' },
      ],
      networkTTL: 3,
      prefetchSize: 250,
      topicBuffer: { ttlMs: 3_600_000, queueType: 'quorum' },
    });
    expect(connectors[1]?.dynamicallyIncluded).toMatchObject([{ kind: 'queueRegex', pattern: '^orders\\.' }]);
  });

  it('has a comment for every key that has no equivalent, and no credentials', () => {
    const { text, topology } = imported(federation);
    for (const key of ['message-ttl: 60000', 'ack-mode: on-confirm', 'some-new-key:']) {
      expect(text).toContain(`# No equivalent of ${key}`);
    }
    expect(text).not.toContain('p4ssw0rd');
    expect(text).not.toContain('fed:');
    expect(topology?.clusters['west']?.broker?.uris).toEqual([
      'amqps://west-0.rabbit:5671/%2F',
      'amqps://west-1.rabbit:5673/%2F',
    ]);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is how a reference is written
    expect(text).toContain('password: ${WEST_PASSWORD}');
  });

  it('takes sets of upstreams with what they say otherwise, and upstreams by pattern', () => {
    const { errors, connectors } = imported({
      parameters: [
        upstream('a', { uri: 'amqp://a', 'max-hops': 1 }),
        upstream('b', { uri: 'amqp://b' }),
        { component: 'federation-upstream-set', vhost: '/', name: 's', value: [{ upstream: 'a', 'max-hops': 2 }] },
      ],
      policies: [
        policy('set', '^x', 'queues', { 'federation-upstream-set': 's' }),
        policy('pattern', '^y', 'queues', { 'federation-upstream-pattern': '^b' }),
      ],
    });
    expect(errors).toEqual([]);
    expect(connectors.map(({ name, networkTTL }) => [name, networkTTL])).toEqual([
      ['a-set', 2],
      ['b-pattern', 1],
    ]);
  });

  it('makes a static connector of a shovel between queues of one name, whichever end is the cluster itself', () => {
    const shovel = (name: string, value: object) => ({ component: 'shovel', vhost: '/', name, value });
    const { errors, connectors, text } = imported({
      global_parameters: [{ name: 'cluster_name', value: 'hub' }],
      parameters: [
        shovel('out', {
          ...{
            'src-uri': 'amqp://',
            'src-queue': 'audit',
            'dest-uri': 'amqp://u:s3cret@far:5672/prod',
            'dest-queue': 'audit',
          },
          ...{ 'src-prefetch-count': 50, 'dest-add-forward-headers': true, 'ack-mode': 'on-publish' },
        }),
        shovel('in', { 'src-uri': 'amqp://near', 'src-queue': 'q', 'dest-uri': 'amqp:///other', 'dest-queue': 'q' }),
        shovel('renames', { 'src-uri': 'amqp://', 'src-queue': 'a', 'dest-uri': 'amqp://far', 'dest-queue': 'b' }),
        shovel('once', {
          'src-uri': 'amqp://',
          'src-queue': 'a',
          'dest-uri': 'amqp://far',
          'dest-queue': 'a',
          'src-delete-after': 'queue-length',
        }),
      ],
      policies: [],
    });
    expect(errors).toEqual([]);
    expect(
      connectors.map(({ name, from, to, staticallyIncluded }) => [name, from, to, staticallyIncluded[0]?.pattern]),
    ).toEqual([
      ['out', 'hub', 'out-destination', 'audit'],
      ['in', 'in-source', 'hub-other', 'q'],
    ]);
    expect(connectors[0]).toMatchObject({ prefetchSize: 50, createDestinations: 'both', dynamicallyIncluded: [] });
    expect(text).toContain('# No equivalent of ack-mode: on-publish');
    expect(text).toContain('# Not imported: shovel renames of virtual host /: queue a goes to b');
    expect(text).toContain('# Not imported: shovel once of virtual host /: it was made to end by itself');
    expect(text).not.toContain('s3cret');
  });

  it('says what it leaves out: patterns that are not RE2, other names upstream, upstreams that no policy uses', () => {
    const { errors, connectors, text } = imported({
      parameters: [
        upstream('a', { uri: 'amqp://a' }),
        upstream('renamed', { uri: 'amqp://b', queue: 'elsewhere' }),
        upstream('idle', { uri: 'amqp://c' }),
      ],
      policies: [
        policy('ahead', '^(?!local\\.)', 'queues', { 'federation-upstream': 'a' }),
        policy('named', '^q$', 'queues', { 'federation-upstream': 'renamed' }),
      ],
    });
    expect(errors).toEqual([]);
    expect(connectors).toEqual([]);
    expect(text).toMatch(/# Not imported: policy ahead .*look-around/);
    expect(text).toMatch(/# Not imported: policy named .*another name upstream \(elsewhere\)/);
    expect(text).toContain('# Not imported: upstream idle of virtual host /: no policy uses it');
  });

  it('refuses what is no export', () => {
    expect(() => imported({ anything: 1 })).toThrow(/^definitions.json:1:1: there are no definitions in it; expected/);
  });
});
