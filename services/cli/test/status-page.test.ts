import type { Status } from '@tombolo/bridge/admin/status';
import { describe, expect, it } from 'vitest';
import { coloured, paper, renderBytes } from '../src/display.ts';
import { renderStatus } from '../src/status-page.ts';
import { complaintsAbout } from '../src/verdict.ts';
import { demandFor, healthy, linkTo, streamOf, withStatus } from './snapshots.ts';

describe('the status of a bridge', () => {
  it('is read at a glance when all is well', () => {
    expect(renderStatus(healthy())).toBe(
      [
        'west in network acme',
        '',
        'bridge   west-0, tombolo 0.1.0',
        'role     master (incarnation 3)',
        'broker   connected: 127.0.0.1:5672//, RabbitMQ 3.10.8',
        'demand   management API + events',
        '',
        'All is well.',
        '',
        'Links',
        '  PEER  STATE  ROUND TRIP       IN    OUT  RECONNECTS  ADDRESS',
        '  east  up        12.3 ms  1.5 KiB  200 B           2  ws://127.0.0.1:7460',
        '',
        'Connectors',
        '  NAME          FLOW          STATE  WHY',
        '  west-to-east  west -> east  up',
        '',
        'Demand',
        '  DESTINATION  CONSUMERS  AT    SERVED  WHY',
        '  orders.eu            2  east  yes',
        '',
        'Streams',
        '  DESTINATION  FLOW     STATE    SETTLED  UNSETTLED  CREDIT  RETURNED  WHY NOTHING MOVES',
        '  orders.eu    to east  flowing       95          5      10         0',
        '',
      ].join('\n'),
    );
  });

  it('says first what needs attention, and puts what is stuck before what flows', () => {
    const text = renderStatus({
      ...withStatus({ links: [linkTo('east', { up: false, state: 'backoff', reason: 'wrong secret' })] }),
      demand: [demandFor('a'), demandFor('z', { unserved: 'queue_absent', detail: 'There is no queue z at west.' })],
      streams: [streamOf('a'), streamOf('b', { blockedBy: 'The link to east is down.' })],
    });
    expect(text).toContain(
      [
        'Needs attention',
        '  - The link to east is down: wrong secret',
        '  - 2 consumers of z at east not served: There is no queue z at west.',
      ].join('\n'),
    );
    expect(text.indexOf('  z  ')).toBeLessThan(text.indexOf('  a  '));
    expect(text).toMatch(/b {2,}to east {2,}waiting.*The link to east is down\./);
  });

  it('names at the top what an operator has paused, and calls a stream that cannot move waiting', () => {
    const [connector] = healthy().status.connectors;
    const { status, demand } = withStatus({ connectors: [{ ...connector!, state: 'paused' }] });
    const text = renderStatus({ status, demand, streams: [streamOf('a', { blockedBy: 'no credit' })] });
    expect(text.split('\nAll is well.')[0]).toContain('\npaused   west-to-east\n');
    expect(text).toMatch(/ {2}a {2,}to east {2,}waiting .*no credit/);
  });

  it('does not let the name of a queue write to the terminal', () => {
    const text = renderStatus({ ...healthy(), demand: [demandFor('evil\u001b[2J\nqueue', { unserved: 'no_route' })] });
    expect(text).not.toContain('\u001b');
    expect(text).toContain('evil\ufffd[2J\ufffdqueue');
  });

  it('is coloured on a terminal only', () => {
    expect(renderStatus(healthy(), { ...paper, palette: coloured })).toContain('\u001b[32mAll is well.\u001b[0m');
  });

  it('shows bytes in units for people', () => {
    expect([0, 1023, 1024, 1.5 * 1024 ** 3].map(renderBytes)).toEqual(['0 B', '1023 B', '1.0 KiB', '1.5 GiB']);
  });
});

describe('the verdict on a bridge', () => {
  it('finds nothing wrong with a healthy master, a standby and a paused connector', () => {
    expect(complaintsAbout(healthy())).toEqual([]);
    expect(complaintsAbout(withStatus({ role: 'standby', links: [] }))).toEqual([]);
    const [connector] = healthy().status.connectors;
    const paused = withStatus({ connectors: [{ ...connector!, state: 'paused' }] });
    const wished = ['paused', 'drained'].map((unserved) => demandFor('q', { unserved }));
    expect(complaintsAbout({ ...paused, demand: wished })).toEqual([]);
  });

  it('finds a broker that is down, one that takes no messages, and a bridge that is not ready', () => {
    const { broker } = healthy().status;
    const down = { ...broker, up: false, state: 'down' as const, reason: 'connection refused' };
    const readiness = { ready: false, reasons: ['connection refused'] };
    expect(complaintsAbout(withStatus({ broker: down, readiness }))).toEqual([
      'The broker of west is not connected: connection refused',
    ]);
    expect(complaintsAbout(withStatus({ broker: { ...broker, blocked: 'memory alarm' } }))).toEqual([
      'The broker of west takes no messages: memory alarm',
    ]);
    const draining = { ready: false, reasons: ['The bridge is draining.'] };
    expect(complaintsAbout(withStatus({ readiness: draining }))).toEqual(['The bridge is draining.']);
  });

  it('blames a link once, not also every connector on it', () => {
    const [connector] = healthy().status.connectors;
    const snapshot = withStatus({
      links: [linkTo('east', { up: false, reason: undefined, state: 'backoff' })],
      connectors: [{ ...connector!, state: 'down', reason: 'no link' }],
    });
    expect(complaintsAbout(snapshot)).toEqual(['The link to east is down: backoff']);
  });

  it('finds what the two ends of a stream count differently, and asks no older bridge for it', () => {
    const text = 'The two ends of orders from west to east count differently: …';
    expect(complaintsAbout(withStatus({ differences: [text] }))).toEqual([text]);
    const { differences: _, ...status } = healthy().status;
    expect(complaintsAbout({ ...healthy(), status: status as Status })).toEqual([]);
  });

  it('finds a connector that only one end knows and a stream that was refused', () => {
    const [connector] = healthy().status.connectors;
    const snapshot = withStatus({ connectors: [{ ...connector!, state: 'pending' }] });
    const streams = [streamOf('q', { state: 'refused', blockedBy: 'q at east would be deleted with its consumer' })];
    expect(complaintsAbout({ ...snapshot, streams })).toEqual([
      'Connector west-to-east is pending: east does not know it',
      'The stream of q to east is refused: q at east would be deleted with its consumer',
    ]);
  });
});
