import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { jsonSchema } from '@tombolo/topology/schema';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { chart, ciValues, fetchTools, helms, run, withValues } from './helm.ts';

beforeAll(fetchTools);

const read = (path: string): string => readFileSync(join(chart, path), 'utf8');

describe('the values', () => {
  it('hold a topology to the schema that `tombolo schema` prints; `make chart` writes it anew', () => {
    const { $schema: _, ...topology } = jsonSchema();
    expect(JSON.parse(read('values.schema.json')).definitions.topology).toEqual(JSON.parse(JSON.stringify(topology)));
  });

  it('are all in the schema, which permits no others', () => {
    const walk = (values: Record<string, unknown>, schema: Record<string, unknown>, path: string): string[] => {
      const properties = schema['properties'] as Record<string, Record<string, unknown>> | undefined;
      // A map of the user's, e.g. labels; or the topology, which has a schema of its own.
      if (!properties) return [];
      if (schema['additionalProperties'] !== false) return [`${path} permits other keys`];
      const missing = Object.keys(values).filter((key) => !properties[key]);
      return [
        ...missing.map((key) => `${path}.${key} is not in the schema`),
        ...Object.keys(properties)
          .filter((key) => !Object.hasOwn(values, key) && key !== 'global')
          .map((key) => `${path}.${key} has no default`),
        ...Object.entries(values).flatMap(([key, value]) =>
          typeof value === 'object' && value !== null && properties[key]
            ? walk(value as Record<string, unknown>, properties[key], `${path}.${key}`)
            : [],
        ),
      ];
    };
    expect(walk(parse(read('values.yaml')), JSON.parse(read('values.schema.json')), '')).toEqual([]);
  });

  it('are few, and each is used by a template', () => {
    const lines = read('values.yaml').split('\n');
    expect(lines.length).toBeLessThan(150);
    const templates = readdirSync(join(chart, 'templates'))
      .map((name) => read(`templates/${name}`))
      .join('\n');
    const leaves = (values: Record<string, unknown>, path: string): string[] =>
      Object.entries(values).flatMap(([key, value]) => {
        const inside = typeof value === 'object' && value !== null && !Array.isArray(value);
        const isGroup = inside && Object.keys(value).length > 0 && !['resources', 'labels'].includes(key);
        return isGroup ? leaves(value as Record<string, unknown>, `${path}${key}.`) : [`${path}${key}`];
      });
    const unused = leaves(parse(read('values.yaml')), '').filter(
      (path) =>
        !templates.includes(`.Values.${path}`) && !templates.includes(`$policy.${path.replace('networkPolicy.', '')}`),
    );
    expect(unused).toEqual([]);
  });
});

it('has the version of the command', () => {
  const { version } = JSON.parse(readFileSync(join(chart, '../../services/cli/package.json'), 'utf8'));
  expect(parse(read('Chart.yaml'))['appVersion']).toBe(version);
});

describe.each(helms)('%s', (helm) => {
  it.each(['deployment', 'sidecar'] as const)('finds nothing to object to in mode %s', async (mode) => {
    const { code, stdout } = await withValues(helm, ['lint', '--strict', chart], ciValues(mode));
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('0 chart(s) failed') });
    expect(stdout).not.toMatch(/WARN|ERROR/);
  });

  it('finds nothing to object to in the defaults, and says what is missing when they are to be installed', async () => {
    expect(await run(helm, ['lint', '--strict', chart])).toMatchObject({ code: 0 });
    const { code, stderr } = await run(helm, ['template', 'east', chart]);
    expect(code).not.toBe(0);
    expect(stderr).toContain('topology: give the network');
  });

  it.each([
    ['a typo in a value', { deployment: { replica: 3 } }, /deployment.*replica/s],
    ['a value of another type', { deployment: { replicas: 'two' } }, /deployment.replicas/],
    ['a mode that does not exist', { mode: 'daemonset' }, /mode/],
    [
      'a typo in the topology',
      { topology: { networkConnectors: [{ name: 'a', from: 'b', to: 'c', prefechSize: 5 }] } },
      /networkConnectors.0.*prefechSize/,
    ],
    ['a topology without clusters', { topology: { clusters: null } }, /clusters/],
    [
      'a duration without a unit',
      { topology: { clusters: { east: { bridge: { drainTimeout: '20' } } } } },
      /drainTimeout/,
    ],
  ])('refuses %s by the schema, and names the place', async (_, values, place) => {
    const outcome = await withValues(helm, ['lint', '--strict', chart], ciValues('deployment'), values);
    expect(outcome.code).not.toBe(0);
    expect(outcome.stdout.replaceAll('/', '.')).toMatch(place);
  });
});

const bridge = (settings: object): object => ({ topology: { clusters: { east: { bridge: settings } } } });
it.each([
  [
    'a cluster that the topology does not have',
    { cluster: 'eats' },
    'cluster: topology.clusters has no "eats"; it has east, west',
  ],
  ['a cluster whose broker is elsewhere', { cluster: 'west' }, 'topology.clusters.west.broker: say where'],
  ['no cluster', { cluster: '' }, 'cluster: say whose bridge this is; topology.clusters has east, west'],
  [
    'metrics that no probe reaches',
    bridge({ metrics: { listen: '127.0.0.1:7462' } }),
    'topology.clusters.east.bridge.metrics.listen: probes',
  ],
  [
    'links that no peer reaches',
    bridge({ listen: 'localhost:7460' }),
    'topology.clusters.east.bridge.listen: no peer reaches',
  ],
  [
    'replicas without an election',
    bridge({ election: { type: 'none' } }),
    'type none promises that there is one bridge',
  ],
  ['two sources of secrets', { secrets: { values: { a: 'b' } } }, 'secrets: either existingSecret or values'],
  [
    'less memory than what may be in flight',
    { resources: { limits: { memory: '512Mi' } } },
    'resources.limits.memory: 512Mi is too little',
  ],
  ['a sidecar whose pods have no labels', { mode: 'sidecar' }, 'sidecar.podSelector:'],
])('refuses %s, and says what to do', async (_, values, reason) => {
  const outcome = await withValues('helm4', ['template', 'east', chart], ciValues('deployment'), values);
  expect(outcome.code).not.toBe(0);
  expect(outcome.stderr).toContain(reason);
});
