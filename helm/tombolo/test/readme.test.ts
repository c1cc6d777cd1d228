import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { chart, ciValues, fetchTools, only, render } from './helm.ts';
import { faultsOf } from './manifest-judge.ts';

beforeAll(fetchTools);

const readme = readFileSync(join(chart, 'README.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, text = '']) => text);
const values = blocks('yaml').map((text) => [/^# values: (\S+)/.exec(text)?.[1] ?? text, parse(text)] as const);

describe('the README', () => {
  it('shows values for both modes, and says of each block that it is one', () => {
    expect(values.map(([name]) => name)).toEqual(['east.yaml', 'east.yaml', 'monitoring.yaml', 'policy.yaml']);
    expect(values.map(([, { mode }]) => mode)).toEqual(['deployment', 'sidecar', undefined, undefined]);
  });

  it.each(values)('shows values that the chart takes: %s', async (_, shown) => {
    const manifests = await render('helm4', ...(shown.topology ? [] : [ciValues('sidecar')]), shown);
    expect(manifests.flatMap(faultsOf)).toEqual([]);
    expect(manifests.length).toBeGreaterThan(2);
  });

  it('names objects that the release has', async () => {
    const [, deployment] = values[0] ?? [];
    const [, sidecar] = values[1] ?? [];
    const commands = blocks('sh').join('\n');
    only(await render('helm4', deployment), 'Deployment', 'east-tombolo');
    expect(commands).toContain('deployment/east-tombolo');
    const { data } = only(await render('helm4', sidecar), 'ConfigMap', 'east-tombolo-sidecar') as { data?: object };
    expect(commands).toContain('configmap east-tombolo-sidecar');
    for (const [, key = ''] of readme.matchAll(/`([a-z]+\.yaml)`/g)) {
      if (key !== 'values.yaml') expect(Object.keys(data ?? {})).toContain(key);
    }
    expect(commands).toContain('{.data.rabbitmqcluster\\.yaml}');
    expect(Object.keys(data ?? {})).toContain('rabbitmqcluster.yaml');
  });

  it('leads to pages that exist', () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, link = '']) => link);
    expect(links.filter((link) => !existsSync(join(chart, link)))).toEqual([]);
  });
});
