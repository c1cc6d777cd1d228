import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type MetricDefinition, metricTable } from '../../../src/telemetry/metric-table.ts';
import { infra, queriesOf, readDashboard } from '../../dashboard.ts';

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string };
}

const root = new URL('../', infra);
const metrics = new Map<string, MetricDefinition>(Object.entries(metricTable));
const dashboard = readDashboard();
const ruleFiles = files('prometheus/', '.yml');
const ruleTests = files('prometheus/test/', '.yml');
const alerts = ruleFiles.flatMap((file) =>
  (parse(text(file)) as { groups: { rules: Alert[] }[] }).groups.flatMap(({ rules }) => rules),
);
const headings = [...text(new URL('docs/runbook.md', infra)).matchAll(/^### (\S+)$/gm)].map((match) => match[1]!);

function files(folder: string, ending: string): URL[] {
  const names = readdirSync(new URL(folder, infra)).filter((name) => name.endsWith(ending));
  return names.sort().map((name) => new URL(folder + name, infra));
}

function text(file: URL): string {
  return readFileSync(file, 'utf8');
}

/** The names of metrics in a text, without what histograms and globs append. */
function named(source: string): string[] {
  const found = source.match(/\btombolo_[a-z][a-z_]*[a-z]\b/g) ?? [];
  return [...new Set(found)].map((name) => {
    const base = name.replace(/_(bucket|sum|count)$/, '');
    return metrics.get(base)?.type === 'histogram' ? base : name;
  });
}

/** Properties that a bridge sets on messages at ActiveMQ (infra/docs/activemq.md): their names begin as those of metrics do. */
const properties = new Set(['message_id', 'app_id', 'cluster_id', 'properties'].map((name) => `tombolo_${name}`));

const promtool = (...args: string[]) => execFileSync('promtool', args, { encoding: 'utf8', stdio: 'pipe' });

describe('dashboard, alerts and docs', () => {
  const pages = [...files('docs/', '.md'), new URL('README.md', root), new URL('services/bridge/README.md', root)];
  const documents = [new URL('grafana/tombolo.json', infra), ...ruleFiles, ...ruleTests, ...pages];

  it.each(documents.map((file) => [file.pathname.slice(root.pathname.length), file] as const))(
    'name in %s only metrics that exist',
    (_name, file) => {
      expect(named(text(file)).filter((name) => !metrics.has(name) && !properties.has(name))).toEqual([]);
    },
  );

  it('show every metric somewhere on the dashboard', () => {
    const shown = new Set(named(JSON.stringify(dashboard)));
    expect([...metrics.keys()].filter((name) => !shown.has(name))).toEqual([]);
  });

  it('have a page of all metrics that is as the table says (vitest -u writes it)', async () => {
    await expect(metricsPage()).toMatchFileSnapshot(fileURLToPath(new URL('docs/metrics.md', infra)));
  });
});

describe('the dashboard', () => {
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');

  it('has rows that are questions', () => {
    const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
    expect(rows).toHaveLength(5);
    for (const title of rows) expect(title).toMatch(/\?$/);
  });

  it('can be provisioned anywhere: an id of its own, the data source a variable', () => {
    expect([dashboard.uid, dashboard.id]).toEqual(['tombolo', null]);
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual([
      ...['DS_PROMETHEUS', 'network', 'cluster', 'connector', 'destination'],
    ]);
    for (const { datasource, title } of panels) expect(datasource?.uid, title).toBe('$' + '{DS_PROMETHEUS}');
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });

  it.each(panels.map((panel) => [panel.title, panel] as const))('explains and labels what it shows: %s', (_, panel) => {
    expect(panel.description).toMatch(/^[A-Z].{30,}\.$/s);
    expect(panel.fieldConfig?.defaults.unit).toMatch(/./);
    expect(panel.targets?.length).toBeGreaterThan(0);
    for (const { legendFormat, expr } of panel.targets ?? []) {
      if (panel.type !== 'table' && / by |rate\(/.test(expr)) expect(legendFormat).toMatch(/./);
    }
  });

  it('lays no panel over another', () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...cells.map((cell) => Number(cell.split(',')[0])))).toBeLessThan(24);
  });

  it('has queries that Prometheus can read', () => {
    const rules = queriesOf(dashboard).map(({ expression }, i) => ({ record: `panel:${i}`, expr: expression }));
    const file = join(mkdtempSync(join(tmpdir(), 'tombolo-panels-')), 'panels.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
    promtool('check', 'rules', file);
    rmSync(dirname(file), { recursive: true });
  });
});

describe('alerts', () => {
  it('are accepted by promtool, and fire and keep silent when they should', () => {
    promtool('check', 'rules', '--lint-fatal', ...ruleFiles.map((file) => fileURLToPath(file)));
    promtool('test', 'rules', ...ruleTests.map((file) => fileURLToPath(file)));
  });

  it.each(alerts.map((alert) => [alert.alert, alert] as const))(
    'have a summary, a description, a runbook entry and a test: %s',
    (name, { labels, annotations }) => {
      expect(['critical', 'warning', 'info']).toContain(labels.severity);
      expect(annotations.summary).toMatch(/^.{10,}[^.]$/);
      expect(annotations.description).toMatch(/^.{80,}\.$|^.{80,}\?$/s);
      expect(annotations.runbook_url).toBe(`https://tombolo.example/docs/runbook.md#${name.toLowerCase()}`);
      expect(headings).toContain(name);
      expect(ruleTests.some((file) => new RegExp(`alertname[:=] ?"?${name}\\b`).test(text(file)))).toBe(true);
    },
  );

  it('are all that the runbook speaks of', () => {
    expect(headings.filter((name) => !alerts.some(({ alert }) => alert === name))).toEqual([]);
  });
});

/** infra/docs/metrics.md. */
function metricsPage(): string {
  const row = ([name, { type, labels, help, shown }]: [string, MetricDefinition]) =>
    `| \`${name}\` | ${type} | ${labels.join(', ')} | ${shown === 'master' ? 'master' : ''} | ${help} |`;
  return [
    '# Metrics',
    '',
    'Every series carries `network` and `broker_cluster` besides the labels below. Those marked *master* are shown by the master of a',
    'cluster only. Destinations that `bridge.metrics.destinations` does not name are counted together as `other`;',
    '`/metrics/detailed?destination=NAME` has them apart. Process and event-loop metrics are those of prom-client.',
    '',
    '| name | type | labels | shown by | meaning |',
    '| --- | --- | --- | --- | --- |',
    ...[...metrics].map(row),
    '',
  ].join('\n');
}
