import { isExact, matches } from './pattern.ts';
import type { Connector, Inclusion, Topology } from './topology.ts';

/** A destination by kind and name. Of a topic on RabbitMQ the name is the routing key. */
export interface Destination {
  readonly kind: 'queue' | 'exchange' | 'topic';
  readonly name: string;
}

export type Refusal = 'reserved' | 'excluded' | 'not_included' | 'paused';

export type Permission =
  | {
      readonly permitted: true;
      /** The first entry that includes it: its prefetch and rate limit apply. */
      readonly entry: Inclusion;
      /** Forwarded without demand. */
      readonly static: boolean;
    }
  | {
      readonly permitted: false;
      readonly reason: Refusal;
      /** The reason as a sentence for `tombolo trace`. */
      readonly detail: string;
    };

const reservedPrefixes = ['amq.', 'tombolo.', 'federation:', 'mqtt-subscription-'] as const;

/** True for what no connector may touch, whatever its filters say: the brokers' own names, the plugins', and ours. */
export function isReserved({ kind, name }: Destination): boolean {
  // A topic's name is a routing key or an ActiveMQ topic, not an object of RabbitMQ's; ActiveMQ's advisories are its own.
  if (kind === 'topic') return name.startsWith('ActiveMQ.Advisory.') || name.startsWith('tombolo.');
  return reservedPrefixes.some((prefix) => name.startsWith(prefix));
}

/**
 * Whether a connector's filters let a destination pass, and how. Reserved names never pass; exclusion wins over both
 * kinds of inclusion; among inclusions the first in file order counts, static ones before dynamic ones. A paused
 * connector permits nothing, and says so only of what it would otherwise permit.
 */
export function permits(connector: Connector, destination: Destination): Permission {
  const selected = selects(connector, destination);
  if (selected.permitted && connector.paused) {
    return { permitted: false, reason: 'paused', detail: `connector ${connector.name} is paused in the topology` };
  }
  return selected;
}

/** As `permits`, whether or not the connector is paused. */
export function selects(connector: Connector, destination: Destination): Permission {
  if (isReserved(destination)) {
    return { permitted: false, reason: 'reserved', detail: 'the name is reserved: no connector may bridge it' };
  }
  const exclusion = connector.excluded.find((entry) => isMeant(entry, destination));
  if (exclusion) {
    const detail = `connector ${connector.name} excludes ${exclusion.kind} ${exclusion.pattern}`;
    return { permitted: false, reason: 'excluded', detail };
  }
  const fixed = connector.staticallyIncluded.find((entry) => isMeant(entry, destination));
  if (fixed) return { permitted: true, entry: fixed, static: true };
  const entry = connector.dynamicallyIncluded.find((candidate) => isMeant(candidate, destination));
  if (entry) return { permitted: true, entry, static: false };
  return { permitted: false, reason: 'not_included', detail: `connector ${connector.name} does not include it` };
}

function isMeant(entry: Inclusion | Connector['excluded'][number], { kind, name }: Destination): boolean {
  return (entry.kind === kind || (entry.kind === 'queueRegex' && kind === 'queue')) && matches(entry, name);
}

/** One direction of a connector; a duplex connector has two. */
export interface DirectedConnector {
  readonly connector: Connector;
  readonly from: string;
  readonly to: string;
}

/** Every direction in which messages may flow, in file order. */
export function directedConnectors(topology: Topology): DirectedConnector[] {
  return topology.connectors.flatMap((connector) => {
    const forth = { connector, from: connector.from, to: connector.to };
    return connector.duplex ? [forth, { connector, from: connector.to, to: connector.from }] : [forth];
  });
}

/**
 * The connector that owns a destination between two clusters: the first in file order whose filters mean it. A paused one
 * still owns it: pausing a connector must not send its messages through another.
 */
export function connectorFor(
  topology: Topology,
  from: string,
  to: string,
  destination: Destination,
): Connector | undefined {
  return directedConnectors(topology).find(
    (way) => way.from === from && way.to === to && selects(way.connector, destination).permitted,
  )?.connector;
}

/** The queues that a connector names without a wildcard: all that can be watched without a management API. */
export function exactQueues(connector: Connector): string[] {
  const entries = [...connector.dynamicallyIncluded, ...connector.staticallyIncluded];
  const names = entries
    .filter(({ kind, pattern }) => kind === 'queue' && isExact(pattern))
    .map(({ pattern }) => pattern);
  return [...new Set(names)].filter((name) => selects(connector, { kind: 'queue', name }).permitted);
}
