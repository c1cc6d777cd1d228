import type { DemandView, StreamView } from '@tombolo/bridge/admin/view';
import { type Display, paper, printable, renderBytes, renderSentence } from './display.ts';
import type { Snapshot } from './snapshot.ts';
import { type Column, renderTable } from './table.ts';
import { complaintsAbout } from './verdict.ts';

/** A bridge for somebody who was woken by it: what is wrong first, then what there is. */
export function renderStatus(snapshot: Snapshot, display: Display = paper): string {
  const { palette } = display;
  const { status, demand, streams } = snapshot;
  const { broker } = status;
  const complaints = complaintsAbout(snapshot).map(printable);
  const role = status.role === 'master' ? `master (incarnation ${status.incarnation})` : 'standby';
  const because = status.roleReason === undefined ? '' : `: ${printable(status.roleReason)}`;
  const brokerText = [broker.address, broker.product].filter((part) => part !== undefined).join(', ');
  const paused = status.connectors.filter(({ state }) => state === 'paused').map(({ name }) => name);
  const field = (lead: string, text: string): string[] => renderSentence(lead, text, display);
  const state = broker.up ? palette.good('connected') : palette.bad('not connected');
  const lines = [
    palette.strong(`${status.cluster} in network ${status.network}`),
    '',
    ...field(
      'bridge   ',
      `${printable(status.instance)}, tombolo ${status.version}${status.draining ? ', draining' : ''}`,
    ),
    ...field('role     ', role + because),
    ...field('broker   ', state + (brokerText && `: ${printable(brokerText)}`)),
    ...field('demand   ', printable(broker.demandMethod)),
    // A bridge of an older version does not tell.
    ...(status.drains ?? []).flatMap(({ text }) => field('drained  ', palette.bad(printable(text)))),
    ...(paused.length > 0 ? field('paused   ', palette.bad(printable(paused.join(', ')))) : []),
  ];
  if (complaints.length === 0) lines.push('', palette.good('All is well.'));
  else lines.push('', palette.bad('Needs attention'), ...complaints.flatMap((text) => field('  - ', text)));

  const { deadLetters } = status;
  if (deadLetters?.messages) {
    const what = `${deadLetters.messages} parked in ${printable(deadLetters.queue)} (tombolo dead-letters list)`;
    lines.push('', `${palette.strong('Dead letters')}  ${what}`);
  }

  const indented = { palette, columns: display.columns - 2 };
  const section = <T>(title: string, rows: readonly T[], columns: readonly Column<T>[]): void => {
    if (rows.length === 0) lines.push('', `${palette.strong(title)}  ${palette.quiet('none')}`);
    else lines.push('', palette.strong(title), ...renderTable(rows, columns, indented).map((row) => `  ${row}`));
  };
  section('Links', status.links, [
    { title: 'PEER', cell: ({ peer }) => peer },
    { title: 'STATE', cell: ({ state, up }) => (up ? 'up' : state) },
    { title: 'ROUND TRIP', align: 'right', cell: ({ roundTripMs }) => roundTripMs && `${roundTripMs.toFixed(1)} ms` },
    { title: 'IN', align: 'right', cell: ({ bytesIn }) => renderBytes(bytesIn) },
    { title: 'OUT', align: 'right', cell: ({ bytesOut }) => renderBytes(bytesOut) },
    { title: 'RECONNECTS', align: 'right', cell: ({ reconnects }) => reconnects },
    { title: 'ADDRESS', cell: ({ address }) => address },
  ]);
  section('Connectors', status.connectors, [
    { title: 'NAME', cell: ({ name }) => name },
    { title: 'FLOW', cell: ({ from, to, duplex }) => `${from} ${duplex ? '<->' : '->'} ${to}` },
    { title: 'STATE', cell: ({ state }) => state },
    { title: 'WHY', cell: ({ reason }) => reason ?? '' },
  ]);
  section('Demand', inOrder(demand), [
    { title: 'DESTINATION', cell: nameOf },
    { title: 'CONSUMERS', align: 'right', cell: ({ consumers }) => consumers },
    { title: 'AT', cell: ({ cluster }) => (cluster === status.cluster ? `${cluster} (here)` : cluster) },
    { title: 'SERVED', cell: ({ unserved }) => unserved ?? 'yes' },
    { title: 'WHY', cell: ({ detail }) => detail ?? '' },
  ]);
  section('Streams', inOrder(streams), [
    { title: 'DESTINATION', cell: nameOf },
    { title: 'FLOW', cell: ({ role: end, peer }) => (end === 'source' ? `to ${peer}` : `from ${peer}`) },
    // Open, and nothing can move: people call that waiting.
    { title: 'STATE', cell: ({ state, blockedBy }) => (state === 'flowing' && blockedBy ? 'waiting' : state) },
    { title: 'SETTLED', align: 'right', cell: ({ accepted }) => accepted },
    { title: 'UNSETTLED', align: 'right', cell: ({ unsettled }) => unsettled },
    { title: 'CREDIT', align: 'right', cell: ({ credit }) => credit },
    { title: 'RETURNED', align: 'right', cell: ({ returned }) => returned },
    { title: 'WHY NOTHING MOVES', cell: ({ blockedBy }) => blockedBy ?? '' },
  ]);
  if (status.notes.length > 0) {
    lines.push('', palette.strong('Notes'), ...status.notes.flatMap((note) => field('  - ', printable(note))));
  }
  return `${lines.join('\n')}\n`;
}

function nameOf({ kind, destination }: DemandView | StreamView): string {
  return kind === 'topic' ? `${destination} (topic)` : destination;
}

/** What is stuck comes first, then by name. */
function inOrder<T extends DemandView | StreamView>(rows: readonly T[]): T[] {
  const isStuck = (row: T): boolean => ('unserved' in row ? row.unserved : row.blockedBy) !== undefined;
  return rows.toSorted(
    (a, b) => Number(isStuck(b)) - Number(isStuck(a)) || a.destination.localeCompare(b.destination, 'en'),
  );
}
