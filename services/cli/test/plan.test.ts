import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { renderSurvey } from '../src/plan-live.ts';
import { call } from './call.ts';

const folder = mkdtempSync(join(tmpdir(), 'tombolo-plan-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fileOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const before = `
version: 1
network: acme
clusters:
  west: {bridge: {listen: '127.0.0.1:7460', uris: ['ws://127.0.0.1:7460'], secret: the-old-secret}}
  east: {bridge: {secret: the-old-secret}}
networkConnectors:
  - {name: orders, from: west, to: east, dynamicallyIncludedDestinations: [{queue: orders.>}]}
  - {name: bills, from: west, to: east, dynamicallyIncludedDestinations: [{queue: bills}]}
`;
const old = fileOf('old.yaml', before);
const next = fileOf(
  'new.yaml',
  before
    .replace('name: bills', 'name: invoices')
    .replace('queue: orders.>}]', 'queue: orders.>}], prefetchSize: 50')
    .replace('secret: the-old-secret', 'secret: the-new-secret')
    .replace('127.0.0.1:7460', '127.0.0.1:7470'),
);

describe('tombolo plan', () => {
  it('tells people, bridge by bridge, what a change does and what needs a restart; never a secret', async () => {
    const { out, code } = await call('plan', '--table', old, next);
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual(
      expect.arrayContaining([
        'network acme',
        'bridge west changes, and needs a restart for some of it',
        '  connector bills stops (west → east)',
        '  connector orders changes (west → east): prefetchSize: 1000, up to 8000 → 50',
        '  connector invoices starts (west → east)',
        '  clusters.west.bridge.listen: 127.0.0.1:7460 → 127.0.0.1:7470 (needs a restart)',
        '  clusters.west.bridge.secret: another value',
        'bridge east changes',
      ]),
    );
    expect(out).not.toMatch(/the-(?:old|new)-secret/);
  });

  it('is JSON for programs, and says what to beware of', async () => {
    const cut = fileOf('cut.yaml', before.replace(/\n {2}- \{name: bills.*/, ''));
    const { out, code } = await call('plan', old, cut);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      name: 'acme',
      bridges: [
        { cluster: 'east', does: 'alter' },
        { cluster: 'west', does: 'alter', connectors: [{ name: 'bills', does: 'stop' }], settings: [] },
      ],
      warnings: [{ kind: 'lost', text: expect.stringContaining('queue bills at east is served by no path any more') }],
    });
  });

  it('exits with 2 for a file that is not valid, with its errors, and for the wrong number of files', async () => {
    const bad = fileOf('bad.yaml', before.replace('from: west', 'from: wset'));
    const { code, err, out } = await call('plan', old, bad);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(`${bad}:8:`);
    expect((await call('plan', old)).code).toBe(2);
    expect((await call('plan', '--live', old, next)).code).toBe(2);
    expect((await call('plan', '--live', old)).err).toContain('does not say where any broker is');
  });

  it('--live says which brokers could not be looked at, and why', async () => {
    const broker = "broker: {type: rabbitmq, uris: ['amqp://127.0.0.1:1'], management: {uris: ['http://127.0.0.1:1']}}";
    const live = fileOf('live.yaml', before.replace('east: {', `east: {${broker}, `));
    const { code, out } = await call('plan', '--live', live);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      clusters: [{ cluster: 'east', problem: expect.stringContaining('GET http://127.0.0.1:1/') }],
      connectors: [],
    });
  });
});

describe('what is found on live brokers', () => {
  it('is shown with what is refused or moved already first', () => {
    const row = { ready: 1, consumers: 2, static: false, refused: undefined, movers: [] };
    const text = renderSurvey({
      clusters: [
        { cluster: 'west', problem: undefined, notes: ['permissions could not be looked at: answered 401'] },
        { cluster: 'east', problem: 'it is away', notes: [] },
      ],
      connectors: [
        {
          ...{ connector: 'orders', from: 'west', to: 'east', exchanges: ['events'], reserved: 3 },
          queues: [
            { ...row, queue: 'fine' },
            { ...row, queue: 'both', movers: ['shovel s (from it)'] },
            { ...row, queue: 'own', refused: 'at west: it is exclusive to one connection' },
          ],
        },
      ],
    });
    expect(text.split('\n')).toEqual([
      'west: looked at',
      '  permissions could not be looked at: answered 401',
      'east: not looked at: it is away',
      '',
      'connector orders (west → east)',
      '  2 of 3 queues would be bridged: 2 messages ready at west, 4 consumers at east',
      '  3 with reserved names are never bridged',
      '  exchanges: events',
      '  QUEUE  READY  CONSUMERS  REFUSED, OR MOVED ALREADY',
      '  own        1          2  refused: at west: it is exclusive to one connection',
      '  both       1          2  moved by shovel s (from it)',
      '  fine       1          2',
      '',
    ]);
  });
});
