import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { takeSnapshot } from '../src/snapshot.ts';
import { demandFor, healthy } from './snapshots.ts';

const servers: Server[] = [];

/** A bridge of which 2,500 queues are in demand, or whatever else `answer` makes of a URL. */
async function serve(answer: (url: URL) => unknown): Promise<string> {
  const server = createServer((request, response) => {
    const body = answer(new URL(request.url ?? '/', 'http://bridge'));
    response.statusCode = body === undefined ? 404 : 200;
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('asking a bridge for its status', () => {
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  it('reads every page of a table', async () => {
    const all = Array.from({ length: 2_500 }, (_, i) => demandFor(`q${i}`));
    const url = await serve(({ pathname, searchParams }) => {
      if (pathname === '/api/v1/status') return healthy().status;
      const [page, pageSize] = [Number(searchParams.get('page')), Number(searchParams.get('pageSize'))];
      const rows = pathname === '/api/v1/demand' ? all : [];
      return { items: rows.slice((page - 1) * pageSize, page * pageSize), total: rows.length, page, pageSize };
    });
    const snapshot = await takeSnapshot(url);
    expect(snapshot.demand).toHaveLength(2_500);
    expect(snapshot.status.cluster).toBe('west');
  });

  it('says in one sentence that nobody answers', async () => {
    const url = await serve(() => ({}));
    const server = servers.pop();
    await new Promise((done) => server?.close(done));
    await expect(takeSnapshot(url)).rejects.toThrow(`No bridge answers at ${url}: connection refused.`);
  });

  it('says that something else answers', async () => {
    await expect(takeSnapshot(await serve(() => undefined))).rejects.toThrow(
      'not the admin address of a Tombolo bridge',
    );
    await expect(takeSnapshot(await serve(() => '<html>'))).rejects.toThrow('does not speak JSON');
    await expect(takeSnapshot(await serve(() => ({ status: 'ok' })))).rejects.toThrow('is not a Tombolo bridge');
    await expect(takeSnapshot('127.0.0.1:7461')).rejects.toThrow('is no URL of a bridge');
  });
});
