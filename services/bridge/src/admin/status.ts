import type {
  BridgeView,
  BrokerView,
  ConnectorView,
  DeadLetterView,
  DemandView,
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
  const { broker, links, connectors, deadLetters, notes, demand, streams } = view;
  const identity = { network, cluster, instance, version, role, roleReason, election, draining, drains, incarnation };
  const totals = { demand: demand.length, streams: streams.length };
  return { ...identity, readiness: readiness(view), broker, links, connectors, deadLetters, notes, totals };
}

/** One page of a table, of the rows of one destination when one is asked for; in order of destination. */
export function pageOf<T extends DemandView | StreamView>(
  rows: readonly T[],
  { page, pageSize, destination }: { page: number; pageSize: number; destination?: string },
): Page<T> {
  const wanted = destination === undefined ? rows : rows.filter((row) => row.destination === destination);
  const ordered = wanted.toSorted((a, b) =>
    a.destination < b.destination ? -1 : a.destination > b.destination ? 1 : 0,
  );
  const items = ordered.slice((page - 1) * pageSize, page * pageSize);
  return { items, total: wanted.length, page, pageSize };
}
