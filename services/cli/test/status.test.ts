import { freePorts } from '@tombolo/testing/free-port';
import { describe, expect, it } from 'vitest';
import { takeSnapshot } from '../src/snapshot.ts';
import { screenOf } from '../src/status.ts';
import { fakeBridge } from './fake-bridge.ts';
import { demandFor, healthy } from './snapshots.ts';

/** Whatever `answer` makes of a URL; undefined: nothing is there. */
async function serve(answer: (url: URL) => object | string | undefined): Promise<string> {
  const { url } = await fakeBridge(({ url: asked }) => {
    const body = answer(asked);
    return body === undefined ? [404, '{}'] : [200, body];
  });
  return url;
}

describe('asking a bridge for its status', () => {
  it('reads every page of a table', async () => {
    const all = Array.from({ length: 2_500 }, (_, i) => demandFor(`q${i}`));
    const url = await serve(({ pathname, searchParams }) => {
      if (pathname === '/api/v1/status') return healthy().status;
      const [page, pageSize] = [Number(searchParams.get('page')), Number(searchParams.get('pageSize'))];
      const rows = pathname === '/api/v1/demand' ? all : [];
      return { items: rows.slice((page - 1) * pageSize, page * pageSize), total: rows.length, page, pageSize };
    });
    const snapshot = await takeSnapshot({ url });
    expect(snapshot.demand).toHaveLength(2_500);
    expect(snapshot.status.cluster).toBe('west');
  });

  it('says in one sentence that nobody answers', async () => {
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    await expect(takeSnapshot({ url })).rejects.toThrow(`No bridge answers at ${url}: connection refused.`);
  });

  it('says that something else answers', async () => {
    for (const answer of [undefined, '<html>', { status: 'ok' }]) {
      const url = await serve(() => answer);
      await expect(takeSnapshot({ url })).rejects.toThrow(/is not a Tombolo bridge/);
    }
    const metrics = await fakeBridge(() => [404, { error: 'not_found', message: 'There is nothing here.' }]);
    await expect(takeSnapshot(metrics)).rejects.toThrow(/serves no API \(bridge\.metrics\?\)/);
    await expect(takeSnapshot({ url: '127.0.0.1:7461' })).rejects.toThrow('is no URL of a bridge');
  });
});

describe('watching a bridge', () => {
  const at = new Date(2026, 0, 2, 3, 4, 5);

  it('shows what fits on the screen, the most urgent first, and says what does not', () => {
    expect(screenOf('a\nb\n', 24, at)).toBe('03:04:05, every 2 s, Ctrl-C ends\na\nb\n');
    expect(screenOf('a\nb\nc\nd\n', 4, at)).toBe(
      '03:04:05, every 2 s, Ctrl-C ends; 2 more lines without --watch\na\nb\n',
    );
  });
});
