/* biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is how a reference is written */
import { loadTopology } from '@tombolo/topology/load';
import { jsonSchema } from '@tombolo/topology/schema';
import { describe, expect, it } from 'vitest';

const bridge = { listen: '127.0.0.1:1', uris: ['ws://127.0.0.1:1'] };
const include = [{ queue: 'orders.>' }];

function judged(clusters: object, networkConnectors: object[], cluster?: string[]) {
  const source = JSON.stringify({ version: 1, network: 'n', clusters, networkConnectors });
  const { problems } = loadTopology('f.json', {
    env: { PW: 'x' },
    readFile: () => source,
    ...(cluster ? { cluster } : {}),
  });
  return problems.map(({ severity, path, message }) => `${severity} ${path} ${message}`);
}
const advised = (...connectors: object[]) =>
  judged(
    { a: { bridge }, b: {} },
    connectors.map((more, index) => ({
      name: `c${index}`,
      from: 'a',
      to: 'b',
      dynamicallyIncludedDestinations: include,
      ...more,
    })),
  );

describe('a warning', () => {
  it('is given for exclusions that cover an inclusion', () => {
    expect(advised({ excludedDestinations: [{ queue: '>' }] })).toEqual([
      'warning networkConnectors[0].dynamicallyIncludedDestinations[0].queue is wholly covered by the exclusion of queue >',
    ]);
    expect(advised({ excludedDestinations: [{ queue: 'orders.local.>' }] })).toEqual([]);
    expect(advised({ excludedDestinations: [{ topic: '>' }] })).toEqual([]);
  });

  it('is given for a duplex pair declared twice, and not for a division of labour', () => {
    const message =
      'warning networkConnectors[1].name joins b and a as connector c0 already does, and one of them is duplex';
    expect(advised({ duplex: true }, { duplex: true, from: 'b', to: 'a' })).toEqual([message]);
    expect(advised({ duplex: true }, { from: 'b', to: 'a' })).toEqual([message]);
    expect(advised({}, { from: 'b', to: 'a' })).toEqual([]);
    expect(advised({ duplex: true }, { duplex: true, dynamicallyIncludedDestinations: [{ queue: 'x' }] })).toEqual([]);
  });

  it('is given for a connector that does not say what it includes', () => {
    expect(advised({ dynamicallyIncludedDestinations: undefined })[0]).toContain(
      'has no dynamicallyIncludedDestinations',
    );
  });

  it('is given for wildcards where a broker has no management API that could list its queues', () => {
    const broker = { type: 'rabbitmq', uris: ['amqp://x/%2F'] };
    const management = { uris: ['http://x:15672'] };
    const warned = (a: object, b: object, more: object) =>
      judged({ a: { bridge, broker: a }, b: { broker: b } }, [
        { name: 'c', from: 'a', to: 'b', dynamicallyIncludedDestinations: [], ...more },
      ]).filter((line) => line.includes('management'));
    const seeing = { ...broker, management };
    const wild = [{ queue: 'exact' }, { queue: 'a.>' }, { queueRegex: '^a' }, { exchange: '>' }];
    const at = (key: string, index: number, kind: string, where: string) =>
      `warning networkConnectors[0].${key}[${index}].${kind} means queues that ${where} cannot list without a management API`;
    const both = (key: string, where: string) => [at(key, 1, 'queue', where), at(key, 2, 'queueRegex', where)];
    const [dynamic, fixed] = ['dynamicallyIncludedDestinations', 'staticallyIncludedDestinations'] as const;
    expect(warned(broker, seeing, { [dynamic]: wild })).toEqual([]);
    expect(warned(seeing, broker, { [dynamic]: wild })).toEqual(both(dynamic, 'b'));
    expect(warned(broker, seeing, { [fixed]: wild })).toEqual(both(fixed, 'a'));
    expect(warned(seeing, broker, { [fixed]: wild })).toEqual([]);
    expect(warned(broker, broker, { [fixed]: wild, duplex: true })).toEqual(both(fixed, 'a and b'));
  });

  it('is given for wildcards that are none, and for reserved names', () => {
    expect(advised({ dynamicallyIncludedDestinations: [{ queue: 'orders-*' }, { queue: 'amq.gen' }] })).toHaveLength(2);
  });

  it('is given for every secret in clear text, wherever it stands', () => {
    const broker = { type: 'rabbitmq', uris: ['amqp://u:p@x/%2F'], username: 'u', password: 'p' };
    const secrets = { adminToken: 't', secret: ['n', '${PW}'], peers: { b: { secret: 's' } } };
    const found = judged({ a: { broker, bridge: { ...bridge, ...secrets } }, b: {} }, []);
    expect(found.map((line) => line.split(' ')[1]).sort()).toEqual([
      'clusters.a.bridge.adminToken',
      'clusters.a.bridge.peers.b.secret',
      'clusters.a.bridge.secret[0]',
      'clusters.a.broker.password',
      'clusters.a.broker.uris[0]',
    ]);
    expect(found.every((line) => line.startsWith('warning'))).toBe(true);
  });

  it('is given for a link address that anybody may use', () => {
    expect(judged({ a: { bridge: { listen: '0.0.0.0:1' } } }, [])).toHaveLength(2);
    expect(judged({ a: { bridge: { listen: '0.0.0.0:1', insecure: true, secret: '${PW}' } } }, [])).toEqual([]);
  });
});

describe('two clusters at one address', () => {
  const at = (uri: string, more = {}) => ({ broker: { type: 'rabbitmq', uris: [uri], ...more } });
  const severities = (a: object, b: object, own?: string[]) =>
    judged({ a, b }, [], own).map((line) => line.split(' ')[0]);

  it('are an error when the virtual host is the same too, default ports and spellings of it included', () => {
    expect(severities(at('amqp://x/%2F'), at('amqp://x:5672'))).toEqual(['error']);
    expect(severities(at('amqp://x/%2F'), at('amqp://x/other'))).toEqual([]);
    expect(severities(at('amqp://127.0.0.1/v'), at('amqp://127.0.0.1/v'))).toEqual(['error']);
  });

  it('may be sidecars on two machines, each with its own localhost, unless one process runs both', () => {
    expect(severities(at('amqp://localhost/v'), at('amqp://localhost/v'))).toEqual(['warning']);
    expect(
      severities(at('amqp://localhost/v', { clusterName: 'p' }), at('amqp://localhost/v', { clusterName: 'q' })),
    ).toEqual([]);
    expect(severities(at('amqp://localhost/v'), at('amqp://localhost/v'), ['a', 'b'])).toEqual(['error']);
  });
});

describe('the JSON Schema', () => {
  it('describes the file as it is written: units as text, references allowed, x- keys too', () => {
    const schema = JSON.parse(JSON.stringify(jsonSchema()));
    expect(schema.$schema).toBe('http://json-schema.org/draft-07/schema#');
    expect(schema.patternProperties).toHaveProperty('^x-');
    expect(schema.required).toEqual(['version', 'network', 'clusters']);
    const connector = schema.properties.networkConnectors.items;
    expect(connector.required).toEqual(['name', 'from', 'to']);
    expect(connector.additionalProperties).toBe(false);
    expect(connector.properties.holdWhenLinkLost).toMatchObject({ type: 'string', default: '60s' });
    expect(connector.properties.prefetchBytes.default).toBe('32MiB');
    const cluster = schema.properties.clusters.additionalProperties.properties;
    expect(new RegExp(cluster.bridge.properties.drainTimeout.pattern).test('${DRAIN}')).toBe(true);
  });
});
