import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { chart, ciValues, fetchTools, only, render, run, withValues } from './helm.ts';
import { faultsOf } from './manifest-judge.ts';

beforeAll(fetchTools);
const folder = mkdtempSync(join(tmpdir(), 'tombolo-sidecar-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const brokerPod = {
  metadata: { labels: { 'app.kubernetes.io/name': 'east' } },
  spec: {
    containers: [{ name: 'rabbitmq', image: 'rabbitmq', env: [{ name: 'A', value: 'b' }] }],
    volumes: [{ name: 'data', emptyDir: {} }],
  },
};
/** A StatefulSet as RabbitMQ's cluster operator makes it, in what matters here. */
const brokerSet = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'east-server' },
  spec: {
    serviceName: 'east-nodes',
    selector: { matchLabels: brokerPod.metadata.labels },
    template: brokerPod,
  },
};

/** The strategic merge that Kubernetes does, and RabbitMQ's operator with `override.statefulSet`. */
async function patched(patch: object) {
  const [target, change] = ['target.yaml', 'patch.yaml'].map((name) => join(folder, name)) as [string, string];
  writeFileSync(target, stringify(brokerSet));
  writeFileSync(change, stringify(patch));
  const args = ['patch', '--local', '--filename', target, '--patch-file', change, '--output', 'yaml'];
  const { code, stdout, stderr } = await run('kubectl', args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return parse(stdout);
}

const snippets = async (...values: readonly object[]) => {
  const manifests = await render('helm4', ciValues('sidecar'), ...values);
  const { data } = only(manifests, 'ConfigMap', 'east-tombolo-sidecar') as { data?: Record<string, string> };
  return {
    rabbitmqCluster: parse(data?.['rabbitmqcluster.yaml'] ?? ''),
    bitnami: parse(data?.['bitnami.yaml'] ?? ''),
    statefulSet: parse(data?.['statefulset.yaml'] ?? ''),
  };
};

it('puts the bridge second in the pods of a RabbitmqCluster, for the operator takes the first for the broker', async () => {
  const { rabbitmqCluster } = await snippets();
  expect(Object.keys(rabbitmqCluster.spec)).toEqual(['override']);
  const set = await patched(rabbitmqCluster.spec.override.statefulSet);
  const { metadata, spec } = set.spec.template;
  expect(spec.containers.map(({ name }: { name: string }) => name)).toEqual(['rabbitmq', 'tombolo']);
  expect(spec.containers[0]).toMatchObject(brokerPod.spec.containers[0] as object);
  expect(spec.volumes.map(({ name }: { name: string }) => name).sort()).toEqual(['data', 'tombolo']);
  expect(metadata).toEqual({
    labels: brokerPod.metadata.labels,
    annotations: { 'kubectl.kubernetes.io/default-container': 'rabbitmq' },
  });
  expect(faultsOf(set)).toEqual([]);
});

it('would put a lone container before the broker: that is why it names the broker, too', async () => {
  const { rabbitmqCluster } = await snippets();
  const lone = structuredClone(rabbitmqCluster.spec.override.statefulSet);
  lone.spec.template.spec.containers.shift();
  const { spec } = (await patched(lone)).spec.template;
  expect(spec.containers.map(({ name }: { name: string }) => name)).toEqual(['tombolo', 'rabbitmq']);
});

it('patches a StatefulSet in the same way', async () => {
  const { rabbitmqCluster, statefulSet } = await snippets();
  expect(statefulSet).toEqual({ spec: rabbitmqCluster.spec.override.statefulSet.spec });
  const renamed = await snippets({ sidecar: { brokerContainer: 'activemq' } });
  expect(renamed.statefulSet.spec.template.spec.containers[0]).toEqual({ name: 'activemq' });
});

it("gives Bitnami's chart the same container, and opens its NetworkPolicy to the bridge's ports", async () => {
  const { bitnami, statefulSet } = await snippets();
  const { containers, volumes } = statefulSet.spec.template.spec;
  expect(bitnami).toEqual({
    podAnnotations: statefulSet.spec.template.metadata.annotations,
    sidecars: [containers[1]],
    extraVolumes: volumes,
    networkPolicy: {
      extraIngress: [
        {
          ports: [
            { protocol: 'TCP', port: 7460 },
            { protocol: 'TCP', port: 7462 },
          ],
        },
      ],
    },
  });
});

it('never makes the readiness of the broker depend on the bridge', async () => {
  const [, container] = (await snippets()).statefulSet.spec.template.spec.containers;
  expect(container).not.toHaveProperty('readinessProbe');
  expect(container).not.toHaveProperty('lifecycle');
  expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'tombolo-metrics' });
});

it('is an ordinary container with a security context of its own, and leaves that of the pod alone', async () => {
  const { spec, metadata } = (await snippets()).statefulSet.spec.template;
  expect(Object.keys(spec)).toEqual(['containers', 'volumes']);
  expect(metadata.annotations).not.toHaveProperty('checksum/config');
  expect(spec.containers[1].securityContext).toMatchObject({ runAsUser: 10001, readOnlyRootFilesystem: true });
  // The pod's groups are not ours to choose.
  expect(spec.volumes[0].projected.defaultMode).toBe(0o444);
});

it('is the same container as that of a Deployment, but for its readiness', async () => {
  const [, beside] = (await snippets()).statefulSet.spec.template.spec.containers;
  const [alone] = only(await render('helm4', ciValues('deployment')), 'Deployment')['spec'].template.spec.containers;
  const { readinessProbe: _, ...rest } = alone;
  expect(beside).toEqual(rest);
});

it('is a template that a parent chart can include', async () => {
  const parent = join(folder, 'parent');
  mkdirSync(join(parent, 'charts'), { recursive: true });
  mkdirSync(join(parent, 'templates'));
  cpSync(chart, join(parent, 'charts/tombolo'), { recursive: true, dereference: true });
  writeFileSync(join(parent, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: 'broker', version: '1.0.0' }));
  writeFileSync(
    join(parent, 'templates/pod.yaml'),
    `apiVersion: v1
kind: Pod
metadata: {name: broker}
spec:
  containers:
    - name: rabbitmq
    - {{ include "tombolo.container" .Subcharts.tombolo | nindent 6 | trim }}
  volumes:
    {{- include "tombolo.volumes" .Subcharts.tombolo | nindent 4 }}
`,
  );
  const outcome = await withValues('helm4', ['template', 'east', parent], { tombolo: ciValues('sidecar') });
  expect(outcome).toEqual(expect.objectContaining({ code: 0, stderr: '' }));
  const manifests = parseAllDocuments(outcome.stdout).map((document) => document.toJS());
  const { spec } = only(manifests, 'Pod') as { spec?: { containers: object[]; volumes: object[] } };
  const { containers, volumes } = (await snippets()).statefulSet.spec.template.spec;
  expect(spec).toEqual({ containers, volumes });
});

it('prints the snippets that the ConfigMap keeps, and what to do with them', async () => {
  // Helm 3 asks a cluster before it shows notes; the templates are the same.
  const install = ['install', 'east', chart, '--namespace', 'messaging', '--dry-run=client'];
  const { stdout } = await withValues('helm4', install, ciValues('sidecar'));
  const notes = stdout.slice(stdout.indexOf('NOTES:'));
  const { data } = only(await render('helm4', ciValues('sidecar')), 'ConfigMap', 'east-tombolo-sidecar') as {
    data?: Record<string, string>;
  };
  for (const [name, snippet] of Object.entries(data ?? {})) {
    expect(notes).toContain(`--- ${name}\n${snippet.trimEnd()}\n`);
    expect(notes).toMatch(new RegExp(`(--patch-file|--values) ${name}`));
  }
  expect(notes).toContain('kubectl --namespace messaging patch rabbitmqcluster NAME --type merge');
  expect(notes).toContain('terminationGracePeriodSeconds of 30 at least');
  const deployed = await withValues('helm4', install, ciValues('deployment'));
  expect(deployed.stdout).toContain('rollout status deployment/east-tombolo');
});

it('warns in its notes of secrets that Helm keeps', async () => {
  const values = { secrets: { existingSecret: '', values: { a: 'b' } } };
  const { stdout } = await withValues(
    'helm4',
    ['install', 'east', chart, '--dry-run=client'],
    ciValues('deployment'),
    values,
  );
  expect(stdout).toContain("kept in Helm's release record");
});
