import type { BridgeView, BrokerView, CertificateView, ConnectorView, DrainView, LinkView } from './admin/view.ts';
import type { BrokerState } from './broker/port.ts';
import type { Candidacy } from './candidacy.ts';
import type { Election } from './election/election.ts';
import type { BridgeParts } from './host.ts';
import type { Mastership } from './mastership.ts';
import type { Agreement } from './routing/agreement.ts';
import type { Differences } from './stream/differences.ts';

/** What is shown of a bridge, as its parts are now. */
export interface ViewedParts extends Pick<BridgeParts, 'topology' | 'cluster' | 'clock' | 'instance' | 'version'> {
  readonly election: Election;
  readonly candidacy: Pick<Candidacy, 'incarnation' | 'reigns'>;
  readonly mastership: Mastership | undefined;
  readonly agreement: Agreement;
  readonly broker: { readonly state: BrokerState; readonly blocked: string | undefined; readonly demandMethod: string };
  readonly links: readonly LinkView[];
  readonly linked: ReadonlySet<string>;
  readonly drains: readonly DrainView[];
  readonly draining: boolean;
  readonly differences: Differences;
  readonly certificates: readonly CertificateView[];
  readonly limitations: readonly string[];
  readonly started: boolean;
  readonly stopping: boolean;
}

export function bridgeView(parts: ViewedParts): BridgeView {
  const { topology, cluster, clock, election, instance, version, mastership } = parts;
  const { certificates, drains, limitations, links } = parts;
  const { incarnation, reigns } = parts.candidacy;
  const works = mastership !== undefined && (reigns || parts.stopping);
  const { holder, type } = election.view;
  const streams = mastership ? [...mastership.source.streamViews(), ...mastership.sink.streamViews()] : [];
  return {
    network: topology.network,
    cluster,
    instance,
    version,
    role: works ? 'master' : 'standby',
    roleReason: works ? undefined : standbyReason(parts),
    election: { type, holder, leaseRemainingMs: election.remainingMs(clock.now()) },
    draining: parts.draining,
    drains,
    incarnation,
    broker: brokerView(parts),
    links,
    connectors: connectorViews(parts),
    demand: mastership ? [...mastership.sink.demandViews(), ...mastership.source.demandViews()] : [],
    topicBuffers: mastership ? mastership.topicSource.views() : [],
    waiting: mastership?.waiting(streams) ?? [],
    deadLetters: mastership?.deadLetters.view(),
    streams,
    differences: parts.differences.views(),
    certificates,
    notes: [
      ...topology.warnings.map(({ message }) => message),
      ...limitations,
      ...certificates.flatMap(({ note }) => note ?? []),
      ...(mastership?.troubles ?? []),
    ],
  };
}

/** Why this bridge is not the master: it is not elected, or waits for the lock of a predecessor. */
function standbyReason({ election, broker: { state } }: ViewedParts): string | undefined {
  const { holder, reason } = election.view;
  if (reason !== undefined) return holder === undefined ? reason : `${reason} (${holder})`;
  return state.is === 'standby' ? state.reason : undefined;
}

function brokerView({ broker, cluster, started, topology }: ViewedParts): BrokerView {
  const { state, blocked, demandMethod } = broker;
  const up = state.is === 'master' || state.is === 'standby';
  const fault = state.is === 'down' ? state.fault : undefined;
  return {
    type: topology.clusters[cluster]?.broker?.type ?? 'rabbitmq',
    up,
    state: state.is,
    address: state.is === 'down' ? undefined : state.uri,
    product: state.is === 'master' ? state.product : undefined,
    reason: fault?.message ?? (state.is === 'down' && started ? 'not connected yet' : undefined),
    blocked,
    demandMethod,
  };
}

function connectorViews({ agreement, cluster, linked, topology }: ViewedParts): ConnectorView[] {
  return topology.connectors
    .filter(({ from, to }) => from === cluster || to === cluster)
    .map((connector) => {
      const { name, from, to, duplex } = connector;
      const peer = from === cluster ? to : from;
      const base = { name, from, to, duplex, peer };
      if (agreement.paused(connector)) {
        return { ...base, state: 'paused' as const, reason: 'paused by an operator or the file' };
      }
      if (!linked.has(peer)) return { ...base, state: 'down' as const, reason: `no link to ${peer}` };
      if (!agreement.agreed({ connector, from, to })) {
        return { ...base, state: 'pending' as const, reason: `not in the file of ${peer} yet` };
      }
      return { ...base, state: 'up' as const, reason: undefined };
    });
}
