import { clusterSettings, pendingRestart, plain, same, takenUp } from './cluster-settings.ts';
import type { Cluster, Connector, Inclusion, RateLimit, Topology } from './topology.ts';
import { renderBytes, renderDuration } from './units.ts';

/** A setting that is another one now. */
export interface Alteration {
  /** As in the file: `prefetchSize`, `clusters.east.bridge.uris`. */
  readonly path: string;
  /** As people would write it; undefined: a secret, of which nothing but the change is told. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export interface SettingAlteration extends Alteration {
  /** The running bridge goes on with what it was started with. */
  readonly needsRestart: boolean;
}

/** What a change of the file means for one connector. */
export interface ConnectorPlan {
  readonly name: string;
  readonly does: 'start' | 'stop' | 'alter';
  readonly from: string;
  readonly to: string;
  readonly duplex: boolean;
  readonly alterations: readonly Alteration[];
}

/** What a change of the file means for the bridge of one cluster. */
export interface BridgePlan {
  readonly cluster: string;
  readonly does: 'start' | 'stop' | 'alter' | 'stay';
  readonly connectors: readonly ConnectorPlan[];
  readonly settings: readonly SettingAlteration[];
}

export interface Plan {
  /** The network has another name: no bridge of the one speaks to one of the other. */
  readonly network: Alteration | undefined;
  /** Of every cluster in either file, by name. */
  readonly bridges: readonly BridgePlan[];
}

/** What changes from one topology to the other, for every bridge. */
export function planBetween(before: Topology, after: Topology): Plan {
  const names = new Set([...Object.keys(before.clusters), ...Object.keys(after.clusters)]);
  return {
    network:
      before.network === after.network ? undefined : { path: 'network', before: before.network, after: after.network },
    bridges: [...names].sort().map((cluster) => planFor(cluster, before, after)),
  };
}

/** What changes for the bridge of one cluster. */
export function planFor(cluster: string, before: Topology, after: Topology): BridgePlan {
  const old = before.clusters[cluster];
  const now = after.clusters[cluster];
  const connectors = connectorPlans(touching(before, cluster), touching(after, cluster));
  if (!old || !now) return { cluster, does: now ? 'start' : 'stop', connectors, settings: [] };
  const settings = [...ownSettings(old, now), ...peerSettings(cluster, before, after)];
  return { cluster, does: connectors.length + settings.length > 0 ? 'alter' : 'stay', connectors, settings };
}

/** A topology as a process has it that has been running with another one, and what it has not taken up of it. */
export interface InForce {
  readonly topology: Topology;
  /** Paths in the file: what a restart is needed for. */
  readonly pendingRestart: readonly string[];
}

/**
 * What a process that runs the bridges of these clusters makes of a changed file: connectors, peers and all that can be changed
 * live as they are now, the rest of its own clusters as it was. Connectors that are the same as before are the very same objects, so
 * that what is kept by them is kept.
 */
export function inForce(before: Topology, after: Topology, own: readonly string[]): InForce {
  const clusters: Record<string, Cluster> = { ...after.clusters };
  const pending = before.network === after.network ? [] : ['network'];
  for (const name of own) {
    const [old, now] = [before.clusters[name], after.clusters[name]];
    if (!old || !now) continue;
    clusters[name] = takenUp(old, now);
    pending.push(...pendingRestart(old, now));
  }
  const known = new Map(before.connectors.map((connector) => [connector.name, connector]));
  const connectors = after.connectors.map((connector) => {
    const old = known.get(connector.name);
    return old && same(old, connector) ? old : connector;
  });
  return { topology: { ...after, network: before.network, clusters, connectors }, pendingRestart: pending };
}

// ---- connectors ------------------------------------------------------------------------------------------------------------

function touching({ connectors }: Topology, cluster: string): Connector[] {
  return connectors.filter(({ from, to }) => from === cluster || to === cluster);
}

function connectorPlans(before: readonly Connector[], after: readonly Connector[]): ConnectorPlan[] {
  const old = new Map(before.map((connector) => [connector.name, connector]));
  const names = new Set(after.map(({ name }) => name));
  const plans: ConnectorPlan[] = [];
  for (const connector of before) if (!names.has(connector.name)) plans.push(planned(connector, 'stop'));
  for (const connector of after) {
    const former = old.get(connector.name);
    if (!former) plans.push(planned(connector, 'start'));
    else if (former.from !== connector.from || former.to !== connector.to) {
      plans.push(planned(former, 'stop'), planned(connector, 'start'));
    } else {
      const alterations = [...alterationsOf(former, connector), ...precedence(connector, before, after)];
      if (alterations.length > 0) plans.push(planned(connector, 'alter', alterations));
    }
  }
  return plans;
}

function planned(
  { name, from, to, duplex }: Connector,
  does: ConnectorPlan['does'],
  alterations: readonly Alteration[] = [],
): ConnectorPlan {
  return { name, does, from, to, duplex, alterations };
}

const connectorFields: readonly { readonly path: string; readonly show: (connector: Connector) => string }[] = [
  { path: 'duplex', show: ({ duplex }) => plain(duplex) },
  { path: 'autoStart', show: ({ autoStart }) => plain(autoStart) },
  { path: 'paused', show: ({ paused }) => plain(paused) },
  {
    path: 'dynamicallyIncludedDestinations',
    show: (one) => plain(one.dynamicallyIncluded.map((e) => entryText(e, one))),
  },
  {
    path: 'excludedDestinations',
    show: ({ excluded }) => plain(excluded.map(({ kind, pattern }) => `${kind} ${pattern}`)),
  },
  {
    path: 'staticallyIncludedDestinations',
    show: (one) => plain(one.staticallyIncluded.map((e) => entryText(e, one))),
  },
  { path: 'createDestinations', show: ({ createDestinations }) => createDestinations },
  { path: 'volatileDestinations', show: ({ volatileDestinations }) => volatileDestinations },
  { path: 'networkTTL', show: ({ networkTTL }) => plain(networkTTL) },
  { path: 'prefetchSize', show: windowText },
  { path: 'prefetchBytes', show: ({ prefetchBytes }) => renderBytes(prefetchBytes) },
  { path: 'decreaseNetworkConsumerPriority', show: (one) => plain(one.decreaseNetworkConsumerPriority) },
  { path: 'conduitSubscriptions', show: ({ conduitSubscriptions }) => plain(conduitSubscriptions) },
  { path: 'rateLimit', show: ({ rateLimit }) => rateText(rateLimit) },
  { path: 'holdWhenLinkLost', show: ({ holdWhenLinkLostMs }) => renderDuration(holdWhenLinkLostMs) },
  {
    path: 'topicBuffer',
    show: ({ topicBuffer: { ttlMs, maxLength, maxBytes, queueType } }) =>
      `${queueType}, ${renderDuration(ttlMs)}, ${maxLength} messages, ${renderBytes(maxBytes)}`,
  },
];

function alterationsOf(before: Connector, after: Connector): Alteration[] {
  return connectorFields.flatMap(({ path, show }) => {
    const [old, now] = [show(before), show(after)];
    return old === now ? [] : { path, before: old, after: now };
  });
}

/** Sizes and limits of an entry's own are shown; those that are the connector's are its own affair. */
function entryText({ kind, pattern, prefetchSize, prefetchBytes, rateLimit }: Inclusion, connector: Connector): string {
  const own = [
    ...(prefetchSize === connector.prefetchSize ? [] : [`prefetchSize ${prefetchSize}`]),
    ...(prefetchBytes === connector.prefetchBytes ? [] : [`prefetchBytes ${renderBytes(prefetchBytes)}`]),
    ...(rateLimit ? [`rateLimit ${rateText(rateLimit)}`] : []),
  ];
  return own.length === 0 ? `${kind} ${pattern}` : `${kind} ${pattern} (${own.join(', ')})`;
}

/** One that the file does not bound may grow. */
function windowText({ prefetchSize, largestWindow }: Pick<Connector, 'prefetchSize' | 'largestWindow'>): string {
  return largestWindow === prefetchSize ? plain(prefetchSize) : `${prefetchSize}, up to ${largestWindow}`;
}

function rateText(limit: RateLimit | undefined): string {
  const { messagesPerSecond, bytesPerSecond } = limit ?? {};
  return plain([
    ...(messagesPerSecond === undefined ? [] : [`${messagesPerSecond} messages/s`]),
    ...(bytesPerSecond === undefined ? [] : [`${bytesPerSecond} bytes/s`]),
  ]);
}

/** The first connector in file order owns a destination: who stands before this one, the same way, matters. */
function precedence(connector: Connector, before: readonly Connector[], after: readonly Connector[]): Alteration[] {
  const both = new Set(before.map(({ name }) => name).filter((name) => after.some((other) => other.name === name)));
  const ahead = (all: readonly Connector[]): string => {
    const first = all.slice(
      0,
      all.findIndex(({ name }) => name === connector.name),
    );
    const rivals = first.filter((other) => both.has(other.name) && sharesWay(other, connector));
    return plain(rivals.map(({ name }) => name));
  };
  const [old, now] = [ahead(before), ahead(after)];
  return old === now ? [] : [{ path: 'comes after', before: old, after: now }];
}

function sharesWay(a: Connector, b: Connector): boolean {
  if (a.from === b.from && a.to === b.to) return true;
  return (a.duplex || b.duplex) && a.from === b.to && a.to === b.from;
}

// ---- clusters --------------------------------------------------------------------------------------------------------------

function ownSettings(before: Cluster, after: Cluster): SettingAlteration[] {
  return clusterSettings.flatMap(({ path, change, value, show }) => {
    if (same(value(before), value(after))) return [];
    const whole = `clusters.${after.name}.${path}`;
    return { path: whole, before: show?.(before), after: show?.(after), needsRestart: change === 'restart' };
  });
}

/** Where peers are dialled, and what they must prove: settings of theirs that this bridge goes by. */
function peerSettings(cluster: string, before: Topology, after: Topology): SettingAlteration[] {
  const peers = new Set(touching(after, cluster).map(({ from, to }) => (from === cluster ? to : from)));
  return [...peers].sort().flatMap((peer) => {
    const [old, now] = [before.clusters[peer], after.clusters[peer]];
    if (!old || !now) return [];
    return ownSettings(old, now)
      .filter(({ path }) => path === `clusters.${peer}.bridge.uris` || path === `clusters.${peer}.bridge.tls.identity`)
      .map((alteration) => ({ ...alteration, needsRestart: false }));
  });
}
