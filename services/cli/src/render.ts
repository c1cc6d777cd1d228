import type { DemandView, StreamView } from '@tombolo/bridge/admin/view';
import type { Snapshot } from './snapshot.ts';
import { complaintsAbout } from './verdict.ts';

/** How a mood is shown: in colour on a terminal, as it is elsewhere. */
export interface Palette {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly quiet: (text: string) => string;
  readonly strong: (text: string) => string;
}

const asItIs = (text: string): string => text;
const ansi = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`;

/** No colours: for files and pipes. */
export const plain: Palette = { good: asItIs, bad: asItIs, quiet: asItIs, strong: asItIs };

/** ANSI colours, for terminals. */
export const coloured: Palette = { good: ansi(32), bad: ansi(31), quiet: ansi(2), strong: ansi(1) };

/** Colours where standard output is a terminal and the user wants them. */
export function terminalPalette(): Palette {
  return process.stdout.isTTY && !process.env['NO_COLOR'] ? coloured : plain;
}

type Align = 'left' | 'right';

interface Column<T> {
  readonly title: string;
  readonly align?: Align;
  readonly cell: (row: T) => string | number | undefined;
}

/** Control characters could move the cursor of the operator's terminal: names of queues are anybody's. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** Rows under their titles, each column as wide as its widest cell; the last one is not padded. */
export function renderTable<T>(rows: readonly T[], columns: readonly Column<T>[], palette: Palette = plain): string[] {
  const cells = rows.map((row) => columns.map(({ cell }) => printable(String(cell(row) ?? '–'))));
  const titles = columns.map(({ title }) => title);
  const widths = titles.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => {
        if (columns[i]?.align === 'right') return text.padStart(widths[i] ?? 0);
        return i === texts.length - 1 ? text : text.padEnd(widths[i] ?? 0);
      })
      .join('  ')
      .trimEnd();
  return [palette.quiet(line(titles)), ...cells.map(line)];
}

/** `1.5 MiB`: bytes for people. */
export function renderBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A bridge for somebody who was woken by it: what is wrong first, then what there is. */
export function renderStatus(snapshot: Snapshot, palette: Palette = plain): string {
  const { status, demand, streams } = snapshot;
  const { broker } = status;
  const complaints = complaintsAbout(snapshot).map(printable);
  const role = status.role === 'master' ? `master (incarnation ${status.incarnation})` : 'standby';
  const because = status.roleReason === undefined ? '' : `: ${printable(status.roleReason)}`;
  const brokerText = [broker.address, broker.product].filter((part) => part !== undefined).join(', ');
  const lines = [
    palette.strong(`${status.cluster} in network ${status.network}`),
    '',
    `bridge   ${printable(status.instance)}, tombolo ${status.version}${status.draining ? ', draining' : ''}`,
    `role     ${role}${because}`,
    `broker   ${broker.up ? palette.good('connected') : palette.bad('not connected')}${brokerText && `: ${printable(brokerText)}`}`,
    `demand   ${printable(broker.demandMethod)}`,
    // A bridge of an older version does not tell.
    ...(status.drains ?? []).map(({ text }) => `drained  ${palette.bad(printable(text))}`),
  ];
  if (complaints.length === 0) lines.push('', palette.good('All is well.'));
  else lines.push('', palette.bad('Needs attention'), ...complaints.map((text) => `  - ${text}`));

  const { deadLetters } = status;
  if (deadLetters?.messages) {
    const what = `${deadLetters.messages} parked in ${printable(deadLetters.queue)} (tombolo dead-letters list)`;
    lines.push('', `${palette.strong('Dead letters')}  ${what}`);
  }

  const section = <T>(title: string, rows: readonly T[], columns: readonly Column<T>[]): void => {
    if (rows.length === 0) lines.push('', `${palette.strong(title)}  ${palette.quiet('none')}`);
    else lines.push('', palette.strong(title), ...renderTable(rows, columns, palette).map((row) => `  ${row}`));
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
    { title: 'STATE', cell: ({ state }) => state },
    { title: 'SETTLED', align: 'right', cell: ({ accepted }) => accepted },
    { title: 'UNSETTLED', align: 'right', cell: ({ unsettled }) => unsettled },
    { title: 'CREDIT', align: 'right', cell: ({ credit }) => credit },
    { title: 'RETURNED', align: 'right', cell: ({ returned }) => returned },
    { title: 'WHY NOTHING MOVES', cell: ({ blockedBy }) => blockedBy ?? '' },
  ]);
  if (status.notes.length > 0) {
    lines.push('', palette.strong('Notes'), ...status.notes.map((note) => `  - ${printable(note)}`));
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
