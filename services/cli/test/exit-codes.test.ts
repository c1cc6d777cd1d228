import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { call } from './call.ts';
import { fakeBridge } from './fake-bridge.ts';
import { demandFor, healthy, withStatus } from './snapshots.ts';

const folder = mkdtempSync(join(tmpdir(), 'tombolo-exit-codes-'));
const tokenFile = join(folder, 'token');
writeFileSync(tokenFile, 'let-me-in\n');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Every command that asks a bridge, and a good answer of its bridge; commands that ask for several pages have a bridge below. */
const operations: readonly [args: readonly string[], answer: object][] = [
  [['trace', 'orders'], { destination: 'orders', items: [], conclusion: 'Nobody was asked.' }],
  [['pause', 'west-to-east'], { connector: 'west-to-east', state: 'paused' }],
  [['resume', 'west-to-east'], { connector: 'west-to-east', state: 'up' }],
  [['resume', '--cluster'], { scope: 'cluster', drains: [] }],
  [['resume', '--process'], { scope: 'process', drains: [] }],
  [['drain'], { scope: 'process', left: [], drains: [{ scope: 'process', text: 'Drained.' }] }],
  [['drain', '--cluster'], { scope: 'cluster', left: [], drains: [{ scope: 'cluster', text: 'Drained.' }] }],
  [
    ['drain', '--check'],
    { ...{ cluster: 'west', draining: true, left: false, complete: true, items: [], notes: [] }, ageMs: {} },
  ],
  [['release', '--peer', 'east'], { items: [{ destination: 'orders', messages: 1, mayBeDoubled: 0 }] }],
  [['cleanup', '--peer', 'east'], { items: [{ queue: 'tombolo.topic.east.events', messages: 1 }] }],
  [['dead-letters', 'list'], { ...{ queue: 'q', items: [], total: 0, page: 1, pageSize: 100, complete: true } }],
  [['dead-letters', 'replay', '--all'], { selected: 0, replayed: 0, kept: [] }],
  [['dead-letters', 'drop', '--all', '--yes'], { selected: 0, dropped: 0 }],
];
const named = operations.map(([args, answer]) => [args.join(' '), args, answer] as const);

describe('the exit code and the output of', () => {
  it.each(named)('%s: 0 and JSON when it is done, 0 and text for people with --table', async (_, args, answer) => {
    const { url } = await fakeBridge(() => [200, answer]);
    const done = await call(...args, '--url', url);
    expect([done.code, done.err, JSON.parse(done.out)]).toEqual([0, '', answer]);
    expect(await call(...args, '--json', '--url', url)).toEqual(done);
    const table = await call(...args, '--table', '--url', url);
    expect([table.code, table.err, table.out]).toEqual([0, '', expect.stringMatching(/^[^{}]+\n$/)]);
  });

  it.each(named)('%s: 1 and the standby’s own sentence, which names the master', async (_, args) => {
    const message = 'This bridge is a standby: west-1 is master. Ask the master.';
    const { url } = await fakeBridge(() => [409, { error: 'not_master', message }]);
    expect(await call(...args, '--url', url)).toEqual({ code: 1, out: '', err: `tombolo: ${message}\n` });
  });

  it.each(named)('%s: 2 when it is misspelt, or what it is given is nothing', async (_, args) => {
    expect((await call(...args, '--urll', 'x')).code).toBe(2);
    expect((await call(...args, '--json', '--table')).code).toBe(2);
    expect((await call(...args, '--url', '127.0.0.1:7461')).code).toBe(2);
    expect((await call(...args, '--token-file', join(folder, 'none'))).code).toBe(2);
  });

  it.each(named)('%s: 3 and one sentence when no bridge answers', async (_, args) => {
    const { code, out, err } = await call(...args, '--url', 'http://127.0.0.1:1');
    expect([code, out]).toEqual([3, '']);
    expect(err).toMatch(/^tombolo: No bridge answers at http:\/\/127\.0\.0\.1:1: .*\n$/);
  });

  it.each(named)(
    '%s: the token of --token-file opens the door, and is not shown when it does not',
    async (_, args, answer) => {
      const { url, asked } = await fakeBridge(({ headers }) =>
        headers.authorization === 'Bearer let-me-in' ? [200, answer] : [401, { error: 'unauthorized', message: 'No.' }],
      );
      expect((await call(...args, '--token-file', tokenFile, '--url', url)).code).toBe(0);
      expect(await call(...args, '--url', url)).toEqual({ code: 1, out: '', err: 'tombolo: No.\n' });
      expect(asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer let-me-in', undefined]);
      const wrong = join(folder, 'wrong');
      writeFileSync(wrong, 'two words');
      const { code, err } = await call(...args, '--token-file', wrong, '--url', url);
      expect([code, err]).toEqual([2, expect.not.stringContaining('two words')]);
    },
  );

  it.each([
    ['0 when all is well', healthy(), 0],
    ['1 when something is wrong', withStatus({ readiness: { ready: false, reasons: ['Draining.'] } }), 1],
    ['1 when a demand is not served', { ...healthy(), demand: [demandFor('q', { unserved: 'no_route' })] }, 1],
  ])('status: %s', async (_, { status, demand, streams }, code) => {
    const { url } = await fakeBridge(({ url: { pathname } }) => {
      if (pathname === '/api/v1/status') return [200, status];
      const items = pathname === '/api/v1/demand' ? demand : streams;
      return [200, { items, total: items.length, page: 1, pageSize: 1_000 }];
    });
    const asJson = await call('status', '--url', url);
    expect(asJson.code).toBe(code);
    expect(JSON.parse(asJson.out)).toMatchObject({ cluster: 'west', demand: [{}], streams: [{}] });
    const table = await call('status', '--table', '--url', url);
    expect([table.code, table.out]).toEqual([code, expect.stringMatching(/^west in network acme\n/)]);
  });

  it('status: 3 when no bridge answers, or something else does; 2 when it is misspelt', async () => {
    expect((await call('status', '--url', 'http://127.0.0.1:1')).code).toBe(3);
    const { url } = await fakeBridge(() => [200, '<html>']);
    expect((await call('status', '--url', url)).code).toBe(3);
    expect((await call('status', '--wtach')).code).toBe(2);
  });

  it.each(['release', 'cleanup'])(
    '%s: 0 when there is nothing, with a hint where the peer is not one of the bridge’s',
    async (name) => {
      const { url } = await fakeBridge(({ url: { pathname } }) => [
        200,
        pathname === '/api/v1/status' ? healthy().status : { items: [] },
      ]);
      expect(await call(name, '--peer', 'east', '--url', url)).toEqual({ code: 0, out: '{"items":[]}\n', err: '' });
      const hint = 'tombolo: west has no peer "esat"; there are: east\n';
      expect(await call(name, '--peer', 'esat', '--url', url)).toEqual({ code: 0, out: '{"items":[]}\n', err: hint });
    },
  );

  it('drain: 1 while anything is left', async () => {
    const left = { cluster: 'west', left: true, complete: false, items: [], notes: [], ageMs: {} };
    expect((await call('drain', '--check', '--url', (await fakeBridge(() => [200, left])).url)).code).toBe(1);
    const late = { scope: 'process', left: [{ destination: 'q', peer: 'east', messages: 1 }], drains: [] };
    expect((await call('drain', '--url', (await fakeBridge(() => [200, late])).url)).code).toBe(1);
  });

  it('dead-letters: 2 when nothing is selected, when there is nobody to ask, and for a page that is none', async () => {
    expect((await call('dead-letters', 'replay')).code).toBe(2);
    expect((await call('dead-letters', 'drop', '--all')).code).toBe(2);
    expect((await call('dead-letters', 'list', '--page', '0')).code).toBe(2);
    expect((await call('dead-letters', 'list', '--page-size', 'all')).code).toBe(2);
  });

  it('validate: 0 for a good file, 2 for a bad one and for none', async () => {
    const bad = join(folder, 'bad.yaml');
    writeFileSync(bad, 'version: 1\n');
    expect((await call('validate', bad)).code).toBe(2);
    expect((await call('validate', join(folder, 'no.yaml'))).code).toBe(2);
  });

  it('schema and completion: 0; a shell that is not known: 2', async () => {
    expect((await call('schema')).code).toBe(0);
    for (const shell of ['bash', 'zsh', 'fish']) expect((await call('completion', shell)).code).toBe(0);
    expect((await call('completion', 'tcsh')).code).toBe(2);
  });
});
