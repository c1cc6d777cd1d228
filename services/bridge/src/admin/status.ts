import type {
  BridgeView,
  BrokerView,
  ConfigView,
  ConnectorView,
  DeadLetterView,
  DemandView,
  DifferenceView,
  DrainView,
  LinkView,
  StreamView,
} from './view.ts';

/** What `/readyz` answers: whether this bridge does what it is there for, and if not, why. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

/** What `/api/v1/status` answers: the view without its tables, which are paged. */
export interface Status {
  readonly network: string;
  readonly cluster: string;
  readonly instance: string;
  readonly version: string;
  readonly role: BridgeView['role'];
  readonly roleReason?: string | undefined;
  readonly election: BridgeView['election'];
  readonly draining: boolean;
  readonly drains: readonly DrainView[];
  readonly incarnation: number;
  readonly readiness: Readiness;
  readonly broker: BrokerView;
  readonly links: readonly LinkView[];
  readonly connectors: readonly ConnectorView[];
  readonly deadLetters?: DeadLetterView | undefined;
  /** The topology in force, and why the latest change of its file is not. */
  readonly config?: ConfigView | undefined;
  /** What the two ends of a destination count differently, as sentences that say what to do. */
  readonly differences: readonly string[];
  readonly notes: readonly string[];
  readonly totals: { readonly demand: number; readonly streams: number };
}

/** A table's rows `(page-1)·pageSize … page·pageSize`, and how many there are in all. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly total: number;
  readonly page: number;
  readonly pageSize: number;
}

/** Ready: the broker is connected and the role is known, master or standby, and the bridge is not on its way out. */
export function readiness(view: BridgeView): Readiness {
  const { broker, draining } = view;
  const reasons: string[] = [];
  if (draining) reasons.push('The bridge is draining.');
  if (!broker.up) {
    reasons.push(broker.reason ?? `The broker of ${view.cluster} is not connected (${broker.state}).`);
  } else if (broker.state !== 'master' && broker.state !== 'standby') {
    reasons.push('It is not known yet whether this bridge is master or standby.');
  }
  return { ready: reasons.length === 0, reasons };
}

/** The view without demand and streams. */
export function statusOf(view: BridgeView): Status {
  const { network, cluster, instance, version, role, roleReason, election, draining, drains, incarnation } = view;
  const { broker, links, connectors, config, deadLetters, notes, demand, streams } = view;
  const differences = view.differences.map((difference) => differenceText(cluster, difference));
  const identity = { network, cluster, instance, version, role, roleReason, election, draining, drains, incarnation };
  const totals = { demand: demand.length, streams: streams.length };
  const tables = { broker, links, connectors, config, deadLetters, differences, notes };
  return { ...identity, readiness: readiness(view), ...tables, totals };
}

/** What an operator should know of a difference and do about it, as a sentence. */
function differenceText(own: string, { role, peer, destination, connector, lost, doubled }: DifferenceView): string {
  const [from, to] = role === 'source' ? [own, peer] : [peer, own];
  const found = [
    ...(lost > 0
      ? [
          `${messages(lost)} removed from ${from} and never confirmed by ${to}: compare what producers and consumers have logged`,
        ]
      : []),
    ...(doubled > 0
      ? [`${messages(doubled)} confirmed by ${to} and back in the queue of ${from}: consumers may see duplicates`]
      : []),
  ].join('; ');
  return (
    `The two ends of ${destination} from ${from} to ${to} (connector ${connector}) count differently: ${found}. ` +
    'Keep the logs of both bridges and report this; the count begins anew when the bridge is restarted.'
  );
}

function messages(n: number): string {
  return n === 1 ? '1 message' : `${n} messages`;
}

/** Which rows of a table are asked for. */
export interface TableQuery {
  readonly page: number;
  readonly pageSize: number;
  readonly destination?: string;
  /** A part of the destination's name, in capitals or not. */
  readonly search?: string;
  /** Only those, or none of those, of which an operator would ask why nothing moves. */
  readonly stuck?: boolean;
}

/** One page of a table, of the rows that are asked for; in order of destination. */
export function pageOf<T extends DemandView | StreamView>(
  rows: readonly T[],
  { page, pageSize, destination, search, stuck }: TableQuery,
): Page<T> {
  const part = search?.toLowerCase();
  const wanted = rows.filter(
    (row) =>
      (destination === undefined || row.destination === destination) &&
      (part === undefined || row.destination.toLowerCase().includes(part)) &&
      (stuck === undefined || isStuck(row) === stuck),
  );
  const ordered = wanted.toSorted((a, b) =>
    a.destination < b.destination ? -1 : a.destination > b.destination ? 1 : 0,
  );
  const items = ordered.slice((page - 1) * pageSize, page * pageSize);
  return { items, total: wanted.length, page, pageSize };
}

function isStuck(row: DemandView | StreamView): boolean {
  return ('consumers' in row ? row.unserved : row.blockedBy) !== undefined;
}
