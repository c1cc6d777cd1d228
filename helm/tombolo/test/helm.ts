import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments, parseDocument, stringify } from 'yaml';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const tools = join(root, '.cache/kubernetes');

/** The chart's folder. */
export const chart = join(root, 'helm/tombolo');

/** The releases of Helm that the chart is tested with. */
export const helms = ['helm3', 'helm4'] as const;
export type Helm = (typeof helms)[number];

/** An object of Kubernetes, as it was rendered. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own, and a validator judges it
  readonly [rest: string]: any;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Downloads Helm and kubectl, once for all runs; fails with the reason when they cannot be had. */
export function fetchTools(): void {
  execFileSync(join(root, 'infra/tools/fetch-helm.sh'), { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Runs one of the tools to its end. */
export function run(tool: Helm | 'kubectl', args: readonly string[], input = ''): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(join(tools, tool), args, { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) || 1 : 0, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}

/** One of the values files in `ci`, as an object to alter; `without` is the path of a key that is left out. */
export function ciValues(name: 'deployment' | 'sidecar', without?: readonly string[]): Record<string, unknown> {
  const document = parseDocument(readFileSync(join(chart, `ci/${name}-values.yaml`), 'utf8'));
  if (without && !document.deleteIn(without)) throw new Error(`${name}-values.yaml has no ${without.join('.')}`);
  return document.toJS();
}

/** Runs `helm COMMAND… --values FILE` with these values on top of each other, in the order given. */
export async function withValues(
  helm: Helm,
  command: readonly string[],
  ...values: readonly object[]
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'tombolo-chart-'));
  const files = values.map((content, index) => {
    const file = join(folder, `${index}.yaml`);
    writeFileSync(file, stringify(content));
    return ['--values', file];
  });
  try {
    return await run(helm, [...command, ...files.flat()]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const rendered = new Map<string, Promise<Manifest[]>>();

/** `helm template` of a release `east` in the namespace `messaging`; rejects with Helm's reason. The same values are rendered once. */
export function render(helm: Helm, ...values: readonly object[]): Promise<Manifest[]> {
  const key = JSON.stringify([helm, values]);
  const manifests = rendered.get(key) ?? renderAnew(helm, values);
  rendered.set(key, manifests);
  return manifests;
}

async function renderAnew(helm: Helm, values: readonly object[]): Promise<Manifest[]> {
  const command = ['template', 'east', chart, '--namespace', 'messaging'];
  const { code, stdout, stderr } = await withValues(helm, command, ...values);
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

/** The only object of this kind (and name); fails when there is none or more than one. */
export function only(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = manifests.filter(
    (manifest) => manifest.kind === kind && (name ?? manifest.metadata.name) === manifest.metadata.name,
  );
  if (found.length !== 1) throw new Error(`${found.length} of kind ${kind}${name ? ` called ${name}` : ''}`);
  return found[0] as Manifest;
}

/** The kinds that were rendered, sorted, with the names. */
export function kinds(manifests: readonly Manifest[]): string[] {
  return manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort();
}
