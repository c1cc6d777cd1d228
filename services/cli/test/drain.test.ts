import type { DrainCheck, DrainRow } from '@tombolo/bridge/admin/drain-check';
import { describe, expect, it } from 'vitest';
import { renderDrainCheck, renderDrained } from '../src/drain.ts';
import { renderReleased } from '../src/release.ts';
import { renderStatus } from '../src/status-page.ts';
import { call } from './call.ts';
import { fakeBridge, lineOf } from './fake-bridge.ts';
import { withStatus } from './snapshots.ts';

const row = (destination: string, changes: Partial<DrainRow> = {}): DrainRow => ({
  ...{ kind: 'queue', destination, peer: undefined, ready: 0, unacknowledged: 0, unsettled: 0, inDoubt: 0 },
  ...{ deadLettered: 0, buffered: 0, stays: undefined },
  ...changes,
});

const nothingLeft: DrainCheck = {
  ...{ cluster: 'west', draining: true, left: false, complete: true, items: [], notes: [] },
  ageMs: { ready: 0, unacknowledged: 10_000 },
};

/** A bridge that answers with this; `asked` is what it was asked. */
async function bridge(status: number, answer: object) {
  const { url, asked } = await fakeBridge(() => [status, answer]);
  return { url, asked: () => asked.map(lineOf) };
}

describe('what is left, on the terminal', () => {
  it('is a table with the reasons, how old the numbers are, and the answer', () => {
    const items = [
      row('audit', { ready: 3, stays: 'no connector bridges it' }),
      row('orders', { ready: 12, unacknowledged: 2, unsettled: 4, inDoubt: 1 }),
      row('prices', { kind: 'topic', peer: 'east', buffered: 7, unacknowledged: undefined }),
    ];
    const text = renderDrainCheck({ ...nothingLeft, left: true, items, notes: ['The cluster is not drained.'] });
    expect(text.split('\n')).toEqual([
      'DESTINATION               READY  UNACKNOWLEDGED  UNSETTLED  IN DOUBT  DEAD-LETTERED  BUFFERED  WHY IT WILL NOT LEAVE',
      'audit                         3               0          0         0              0         0  no connector bridges it',
      'orders                       12               2          4         1              0         0',
      'prices (topic, for east)      0       not known          0         0              0         7',
      '',
      'The cluster is not drained.',
      'Ready: as counted now. Unacknowledged: at most 10 s old.',
      'Messages are left at west: do not switch it off.',
      '',
    ]);
  });

  it('is nothing only when that is known', () => {
    expect(renderDrainCheck(nothingLeft)).toContain('Nothing is left at west.');
    const unknown = renderDrainCheck({ ...nothingLeft, left: true, complete: false, notes: ['no management API'] });
    expect(unknown).toContain('Whether anything is left at west is not known.');
    expect(unknown).not.toContain('Nothing is left');
  });
});

describe('tombolo drain', () => {
  it('drains the process, and exits with 1 when something was not settled in time', async () => {
    const drains = [{ scope: 'process', text: 'This bridge is drained.' }];
    const clean = await bridge(200, { scope: 'process', left: [], drains });
    expect(await call('drain', '--url', clean.url)).toMatchObject({ code: 0, err: '' });
    expect(clean.asked()).toEqual(['POST /api/v1/drain {"scope":"process"}']);
    const left = [{ destination: 'orders', peer: 'east', messages: 5 }];
    const late = await bridge(200, { scope: 'process', left, drains });
    const { code, out } = await call('drain', '--url', late.url);
    expect([code, JSON.parse(out).left]).toEqual([1, left]);
    const text = renderDrained({
      scope: 'process',
      left,
      drains: [{ scope: 'process', text: 'This bridge is drained.' }],
    });
    expect(text).toMatch(
      /^This bridge is drained\.\n\nNot settled in time.*\nDESTINATION +PEER +MESSAGES\norders +east +5\n$/,
    );
  });

  it('drains the cluster, and undoes both', async () => {
    const { url, asked } = await bridge(200, { scope: 'cluster', left: [], drains: [] });
    expect((await call('drain', '--cluster', '--url', url)).code).toBe(0);
    expect(JSON.parse((await call('resume', '--cluster', '--url', url)).out)).toMatchObject({ drains: [] });
    expect((await call('resume', '--cluster', '--table', '--url', url)).out).toBe('cluster: not drained any more\n');
    expect((await call('resume', '--process', '--url', url)).code).toBe(0);
    expect(asked()).toEqual([
      'POST /api/v1/drain {"scope":"cluster"}',
      'POST /api/v1/resume {"scope":"cluster"}',
      'POST /api/v1/resume {"scope":"cluster"}',
      'POST /api/v1/resume {"scope":"process"}',
    ]);
  });

  it('only looks with --check: JSON where there is no terminal, 0 when nothing is left, 1 otherwise', async () => {
    const empty = await bridge(200, nothingLeft);
    const { code, out } = await call('drain', '--check', '--url', empty.url);
    expect([code, JSON.parse(out)]).toEqual([0, nothingLeft]);
    expect(empty.asked()).toEqual(['GET /api/v1/drain']);
    const full = await bridge(200, { ...nothingLeft, left: true, items: [row('q', { ready: 1 })] });
    expect((await call('drain', '--check', '--json', '--url', full.url)).code).toBe(1);
  });

  it('says what a standby says, and exits with 1', async () => {
    const message = 'This bridge is a standby: west-1 is master. Ask the master.';
    const { url } = await bridge(409, { error: 'not_master', message });
    expect(await call('drain', '--check', '--url', url)).toEqual({ code: 1, out: '', err: `tombolo: ${message}\n` });
  });

  it('exits with 2 when it is not clear what is meant', async () => {
    expect((await call('drain', '--cluster', '--check')).code).toBe(2);
    expect((await call('resume')).code).toBe(2);
    expect((await call('resume', 'west-east', '--cluster')).code).toBe(2);
    expect((await call('release')).code).toBe(2);
  });
});

describe('tombolo release', () => {
  const items = [{ destination: 'orders', messages: 5, mayBeDoubled: 4 }];

  it('says by destination what went back and what may be doubled', async () => {
    const { url, asked } = await bridge(200, { items });
    const { code, out } = await call('release', '--peer', 'east', '--dry-run', '--url', url);
    expect([code, JSON.parse(out)]).toEqual([0, { items }]);
    expect(asked()).toEqual(['POST /api/v1/release {"peer":"east","dryRun":true}']);
    expect(renderReleased('east', items, false)).toBe(
      'DESTINATION  GIVEN BACK  MAY BE DOUBLED\norders                5               4\n',
    );
    expect(renderReleased('east', items, true)).toContain('WOULD GO BACK');
    expect(renderReleased('east', [], false)).toBe('nothing is held for east\n');
  });
});

describe('the status of what is drained', () => {
  it('says it, and how to undo it', () => {
    const text = 'Cluster west is drained. `tombolo resume --cluster` undoes it.';
    expect(renderStatus(withStatus({ drains: [{ scope: 'cluster', text }] }))).toContain(`drained  ${text}`);
  });
});
