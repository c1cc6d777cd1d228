import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { metricTable } from '@tombolo/bridge/telemetry/metric-table';
import { loadTopology } from '@tombolo/topology/load';
import { afterAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'tombolo-readme-'));

const docs = readdirSync(join(root, 'infra/docs')).map((name) => join('infra/docs', name));

describe.each(['README.md', ...docs])('%s', (page) => {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map((found) => found[1] ?? '');

  it.each(blocks)('shows a topology that is valid, without a warning', (text) => {
    const file = join(folder, 'tombolo.yaml');
    writeFileSync(file, text);
    const { topology, problems } = loadTopology(file, { env: { TOMBOLO_SECRET: 'a-secret-of-the-test' } });
    // Passwords and certificates are files on the reader's machines, not on this one.
    const faults = problems.filter(({ message }) => !/^the file \S+ cannot be read \(ENOENT\)$/.test(message));
    expect(faults).toEqual([]);
    expect(topology?.connectors).not.toEqual([]);
  });

  it('leads to pages that exist', () => {
    const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map((found) => found[1]!);
    const dead = links.filter((link) => !existsSync(join(root, dirname(page), link)));
    expect(dead).toEqual([]);
  });

  it('names only metrics that exist', () => {
    const named = [...text.matchAll(/`(tombolo_[a-z_]+)`/g)].map((found) => found[1]);
    expect(Object.keys(metricTable)).toEqual(expect.arrayContaining(named));
  });
});

describe('the README', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('shows topologies', () => expect(readme).toContain('```yaml'));

  it('names only targets of the Makefile', () => {
    const makefile = readFileSync(join(root, 'Makefile'), 'utf8');
    const targets = [...makefile.matchAll(/^([a-z]+):/gm)].map((found) => found[1]);
    const named = [...readme.matchAll(/(?:^|`)make ([a-z]+)/gm)].map((found) => found[1]);
    expect(named).toContain('test');
    expect(targets).toEqual(expect.arrayContaining(named));
  });

  it('fits on a few screens', () => expect(readme.split('\n').length).toBeLessThanOrEqual(250));
});
