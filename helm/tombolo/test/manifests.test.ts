import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadTopology } from '@tombolo/topology/load';
import { beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ciValues, fetchTools, kinds, only, render } from './helm.ts';
import { faultsOf } from './manifest-judge.ts';

beforeAll(fetchTools);

const infra = fileURLToPath(new URL('../../../infra', import.meta.url));
const bridge = (settings: object): object => ({ topology: { clusters: { east: { bridge: settings } } } });
const everything = {
  podMonitor: { enabled: true, labels: { release: 'monitoring' } },
  prometheusRule: { enabled: true, labels: { release: 'monitoring' } },
  dashboards: { enabled: true },
  networkPolicy: {
    enabled: true,
    linkFrom: [{ ipBlock: { cidr: '10.0.0.0/8' } }],
    metricsFrom: [{ namespaceSelector: {} }],
  },
};

it('knows a manifest that is wrong', () => {
  const labels = { a: 'b' };
  const container = { name: 'x', image: 'y', livenessProb: {} };
  const manifest = (replicas: unknown) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'x' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  });
  expect(faultsOf(manifest(1))).toEqual(['Deployment x: unknown key .spec.template.spec.containers.0.livenessProb']);
  expect(faultsOf(manifest('two'))).toEqual([expect.stringContaining('/spec/replicas must be integer')]);
});

it.each(['deployment', 'sidecar'] as const)('renders manifests in mode %s that Kubernetes takes', async (mode) => {
  const manifests = await render('helm4', ciValues(mode), everything, {
    extraEnv: [{ name: 'REGION', value: 'eu' }],
    extraVolumes: [{ name: 'more', emptyDir: {} }],
    extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
    imagePullSecrets: ['registry'],
    service: { type: 'LoadBalancer', annotations: { a: 'b' } },
    deployment: {
      serviceAccountName: 'tombolo',
      priorityClassName: 'high',
      podLabels: { team: 'messaging' },
      podAnnotations: { a: 'b' },
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'a', operator: 'Exists' }],
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' }],
    },
  });
  expect(manifests.flatMap(faultsOf)).toEqual([]);
  expect(manifests.map(({ metadata }) => metadata['namespace' as never])).toEqual(manifests.map(() => 'messaging'));
});

it.each(['deployment', 'sidecar'] as const)('renders the same with Helm 3 in mode %s', async (mode) => {
  for (const values of [[ciValues(mode)], [ciValues(mode), everything]]) {
    expect(await render('helm3', ...values)).toEqual(await render('helm4', ...values));
  }
});

it('makes a Deployment with what belongs to it, and nothing that was not asked for', async () => {
  expect(kinds(await render('helm4', ciValues('deployment')))).toEqual([
    'ConfigMap east-tombolo',
    'Deployment east-tombolo',
    'PodDisruptionBudget east-tombolo',
    'Service east-tombolo',
  ]);
});

it('makes what a sidecar needs, and leaves the pods to whoever makes them', async () => {
  expect(kinds(await render('helm4', ciValues('sidecar')))).toEqual([
    'ConfigMap east-tombolo',
    'ConfigMap east-tombolo-sidecar',
    'Service east-tombolo',
  ]);
  expect(kinds(await render('helm4', ciValues('sidecar'), everything))).toEqual([
    'ConfigMap east-tombolo',
    'ConfigMap east-tombolo-dashboards',
    'ConfigMap east-tombolo-sidecar',
    'NetworkPolicy east-tombolo',
    'PodMonitor east-tombolo',
    'PrometheusRule east-tombolo',
    'Service east-tombolo',
  ]);
});

it('gives the bridge the topology that was written, numbers and order included', async () => {
  const values = ciValues('deployment') as { topology: { networkConnectors: object[] } };
  values.topology.networkConnectors.push({
    name: 'a-second',
    from: 'east',
    to: 'west',
    staticallyIncludedDestinations: [
      { queue: 'audit', prefetchSize: 65535, rateLimit: { messages: 0.5, bytes: 1048576 } },
    ],
    prefetchBytes: 1073741824,
    topicBuffer: { maxLength: 2147483647, maxBytes: '10MB' },
  });
  const [configMap] = (await render('helm4', values)).filter(({ kind }) => kind === 'ConfigMap');
  const folder = mkdtempSync(join(tmpdir(), 'tombolo-chart-'));
  const load = (name: string, text: string) => {
    const file = join(folder, name);
    writeFileSync(file, text);
    const { topology, problems } = loadTopology(file, { env: {}, cluster: [] });
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    return topology;
  };
  const rendered = load('rendered.yaml', configMap?.['data']['tombolo.yaml']);
  const written = load('written.yaml', JSON.stringify(values.topology));
  rmSync(folder, { recursive: true });
  expect(rendered?.connectors.map(({ name }) => name)).toEqual(['west-to-east', 'a-second']);
  // Warnings name the line, which is another one.
  expect({ ...rendered, warnings: [] }).toEqual({ ...written, warnings: [] });
});

it('hardens the container, and mounts nothing that it could write', async () => {
  const { spec } = only(await render('helm4', ciValues('deployment')), 'Deployment')['spec'].template;
  const [container] = spec.containers;
  expect(container.securityContext).toEqual({
    runAsNonRoot: true,
    runAsUser: 10001,
    runAsGroup: 10001,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    privileged: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  });
  expect(spec).toMatchObject({
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, fsGroup: 10001, seccompProfile: { type: 'RuntimeDefault' } },
  });
  expect(container.volumeMounts).toEqual([{ name: 'tombolo', mountPath: '/etc/tombolo', readOnly: true }]);
  expect(container.terminationMessagePolicy).toBe('FallbackToLogsOnError');
  expect(container.resources.limits).toEqual({ memory: '768Mi' });
});

it('gives secrets as files, never as environment variables', async () => {
  const { spec } = only(await render('helm4', ciValues('deployment')), 'Deployment')['spec'].template;
  expect(spec.volumes).toEqual([
    {
      name: 'tombolo',
      projected: {
        defaultMode: 0o440,
        sources: [
          { configMap: { name: 'east-tombolo' } },
          { secret: { name: 'tombolo-east' } },
          { secret: { name: 'tombolo-east-tls' } },
        ],
      },
    },
  ]);
  expect(JSON.stringify(spec.containers[0].env)).not.toMatch(/secret|password/i);
});

it('makes a Secret of the values only when they are given here', async () => {
  const inline = {
    secrets: { existingSecret: '', values: { 'link-secret': 'of a trial' } },
    tls: { existingSecret: '' },
  };
  const manifests = await render('helm4', ciValues('deployment'), inline);
  const secret = only(manifests, 'Secret');
  expect(Buffer.from(secret['data']['link-secret'], 'base64').toString()).toBe('of a trial');
  expect(faultsOf(secret)).toEqual([]);
  expect(only(manifests, 'Deployment')['spec'].template.spec.volumes[0].projected.sources).toEqual([
    { configMap: { name: 'east-tombolo' } },
    { secret: { name: secret.metadata.name } },
  ]);
});

it('asks the metrics address for liveness and readiness', async () => {
  const [container] = only(await render('helm4', ciValues('deployment')), 'Deployment')['spec'].template.spec
    .containers;
  expect(container.startupProbe.httpGet).toEqual({ path: '/healthz', port: 'tombolo-metrics' });
  expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'tombolo-metrics' });
  expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'tombolo-metrics' });
  expect(container.ports).toEqual([
    { name: 'tombolo-link', containerPort: 7460, protocol: 'TCP' },
    { name: 'tombolo-metrics', containerPort: 7462, protocol: 'TCP' },
  ]);
});

it('takes the ports from the topology, and needs no Service where no peer dials', async () => {
  const moved = await render(
    'helm4',
    ciValues('deployment'),
    bridge({ listen: '[::]:17460', metrics: { listen: '[::]:17462' } }),
  );
  expect(only(moved, 'Service')['spec'].ports).toMatchObject([{ port: 17460, targetPort: 'tombolo-link' }]);
  const [container] = only(moved, 'Deployment')['spec'].template.spec.containers;
  expect(container.ports.map(({ containerPort }: { containerPort: number }) => containerPort)).toEqual([17460, 17462]);
  const dialling = await render('helm4', ciValues('deployment', ['topology', 'clusters', 'east', 'bridge', 'listen']));
  expect(kinds(dialling)).not.toContain('Service east-tombolo');
});

it('kills a pod only after the bridge had its time to drain', async () => {
  const grace = async (drainTimeout?: string): Promise<number> => {
    const manifests = await render('helm4', ciValues('deployment'), drainTimeout ? bridge({ drainTimeout }) : {});
    return only(manifests, 'Deployment')['spec'].template.spec.terminationGracePeriodSeconds;
  };
  expect([await grace(), await grace('1m30s'), await grace('500ms')]).toEqual([30, 100, 11]);
});

it('derives the heap from the memory limit', async () => {
  const heap = async (memory: string | null): Promise<string | undefined> => {
    const manifests = await render('helm4', ciValues('deployment'), { resources: { limits: { memory } } });
    const { env } = only(manifests, 'Deployment')['spec'].template.spec.containers[0];
    return env.find(({ name }: { name: string }) => name === 'NODE_OPTIONS')?.value;
  };
  expect(await heap('768Mi')).toBe('--max-old-space-size=256');
  expect(await heap('3Gi')).toBe('--max-old-space-size=1024');
  expect(await heap('1G')).toBe('--max-old-space-size=317');
  expect(await heap(null)).toBeUndefined();
});

it('keeps replicas apart, and one of them in service while a node is maintained', async () => {
  const manifests = await render('helm4', ciValues('deployment'));
  const { spec } = only(manifests, 'Deployment');
  const own = { 'app.kubernetes.io/name': 'tombolo', 'app.kubernetes.io/instance': 'east' };
  expect(spec.replicas).toBe(2);
  expect(spec.selector.matchLabels).toEqual(own);
  expect(spec.template.metadata.labels).toMatchObject(own);
  expect(spec.strategy.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
  const [preferred] = spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution;
  expect(preferred.podAffinityTerm).toEqual({
    topologyKey: 'kubernetes.io/hostname',
    labelSelector: { matchLabels: own },
  });
  expect(only(manifests, 'PodDisruptionBudget')['spec']).toEqual({
    maxUnavailable: 1,
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
    selector: { matchLabels: own },
  });

  const apart = await render('helm4', ciValues('deployment'), { deployment: { antiAffinity: 'required' } });
  const { affinity } = only(apart, 'Deployment')['spec'].template.spec;
  expect(affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels).toEqual(
    own,
  );
  const alone = await render('helm4', ciValues('deployment'), { deployment: { replicas: 1, antiAffinity: 'none' } });
  expect(kinds(alone)).not.toContain('PodDisruptionBudget east-tombolo');
  expect(only(alone, 'Deployment')['spec'].template.spec.affinity).toBeUndefined();
});

it('leads peers to bridges that are not ready, too', async () => {
  for (const [mode, selector] of [
    ['deployment', { 'app.kubernetes.io/name': 'tombolo', 'app.kubernetes.io/instance': 'east' }],
    ['sidecar', { 'app.kubernetes.io/name': 'east' }],
  ] as const) {
    expect(only(await render('helm4', ciValues(mode)), 'Service')['spec']).toEqual({
      type: 'ClusterIP',
      publishNotReadyAddresses: true,
      ports: [{ name: 'tombolo-link', port: 7460, targetPort: 'tombolo-link', protocol: 'TCP' }],
      selector,
    });
  }
});

it('restarts the pods of a Deployment when the topology changes, so that the rollout shows a bad one', async () => {
  const checksum = async (values: object): Promise<string> =>
    only(await render('helm4', ciValues('deployment'), values), 'Deployment')['spec'].template.metadata.annotations[
      'checksum/config'
    ];
  expect(await checksum({})).toBe(await checksum({ logLevel: 'debug' }));
  expect(await checksum({})).not.toBe(await checksum(bridge({ drainTimeout: '10s' })));
});

it('closes nothing but what it says: a NetworkPolicy of a sidecar names the ports of the broker', async () => {
  const alone = only(await render('helm4', ciValues('deployment'), everything), 'NetworkPolicy')['spec'];
  expect(alone).toEqual({
    podSelector: { matchLabels: { 'app.kubernetes.io/name': 'tombolo', 'app.kubernetes.io/instance': 'east' } },
    policyTypes: ['Ingress'],
    ingress: [
      { ports: [{ port: 7460, protocol: 'TCP' }], from: everything.networkPolicy.linkFrom },
      { ports: [{ port: 7462, protocol: 'TCP' }], from: everything.networkPolicy.metricsFrom },
    ],
  });
  const beside = only(
    await render('helm4', ciValues('sidecar'), { networkPolicy: { enabled: true } }),
    'NetworkPolicy',
  )['spec'];
  expect(beside.podSelector).toEqual({ matchLabels: { 'app.kubernetes.io/name': 'east' } });
  expect(beside.ingress).toEqual([
    { ports: [{ port: 7460, protocol: 'TCP' }] },
    { ports: [{ port: 7462, protocol: 'TCP' }] },
    { ports: [5672, 5671, 15672, 15671, 15692, 15691, 4369, 25672].map((port) => ({ port, protocol: 'TCP' })) },
  ]);
});

it('lets Prometheus scrape the pods by the port that the container has', async () => {
  for (const mode of ['deployment', 'sidecar'] as const) {
    const manifests = await render('helm4', ciValues(mode), everything);
    const { metadata, spec } = only(manifests, 'PodMonitor');
    expect(metadata.labels).toMatchObject({ release: 'monitoring' });
    expect(spec.podMetricsEndpoints).toEqual([{ port: 'tombolo-metrics', path: '/metrics', interval: '30s' }]);
    expect(spec.selector).toEqual({ matchLabels: only(manifests, 'Service')['spec'].selector });
  }
});

it('carries the alerts and dashboards of infra, all of them and as they are', async () => {
  const manifests = await render('helm4', ciValues('deployment'), everything);
  const files = (folder: string, suffix: string) =>
    readdirSync(join(infra, folder))
      .filter((name) => name.endsWith(suffix))
      .map((name) => [name, readFileSync(join(infra, folder, name), 'utf8')] as const);
  const groups = files('prometheus', '.yml').flatMap(([, text]) => parse(text).groups ?? []);
  expect(groups).not.toEqual([]);
  expect(only(manifests, 'PrometheusRule')['spec'].groups).toEqual(groups);
  const elsewhere = await render('helm4', ciValues('deployment'), {
    prometheusRule: { enabled: true, runbookUrl: 'https://docs.example/tombolo' },
  });
  const links = JSON.stringify(only(elsewhere, 'PrometheusRule')['spec'].groups).match(/"runbook_url":"[^#]*/g);
  expect(new Set(links)).toEqual(new Set(['"runbook_url":"https://docs.example/tombolo']));
  const dashboards = only(manifests, 'ConfigMap', 'east-tombolo-dashboards');
  expect(dashboards.metadata.labels).toMatchObject({ grafana_dashboard: '1' });
  expect(Object.keys(dashboards['data'])).not.toEqual([]);
  expect(
    Object.fromEntries(Object.entries(dashboards['data']).map(([name, text]) => [name, JSON.parse(text as string)])),
  ).toEqual(Object.fromEntries(files('grafana', '.json').map(([name, text]) => [name, JSON.parse(text)])));
});
