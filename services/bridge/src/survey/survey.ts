import { connectorFor, type DirectedConnector, directedConnectors, selects } from '@tombolo/topology/filter';
import { compileRegex, type Matcher } from '@tombolo/topology/pattern';
import type { Connector, Topology } from '@tombolo/topology/topology';
import type { QueueProperties } from '@tombolo/wire/frame';
import { volatileSink } from '../stream/sink-openings.ts';
import { refusedSource } from '../stream/source-queues.ts';

/** A queue as the management API shows it. */
export interface FoundQueue {
  readonly name: string;
  readonly properties: QueueProperties;
  readonly ready: number;
  readonly consumers: number;
  /** What moves its messages to or from another cluster already, as words: a federation policy, a shovel. */
  readonly movers: readonly string[];
}

/** What was found at one broker. */
export interface Findings {
  readonly queues: readonly FoundQueue[];
  readonly exchanges: readonly string[];
  /** What the bridge's user may do there; undefined: it may not ask. */
  readonly permissions: { readonly read: string; readonly write: string; readonly configure: string } | undefined;
}

/** How it went with one cluster. */
export interface ClusterSurvey {
  readonly cluster: string;
  /** Why its broker could not be looked at; undefined: it was. */
  readonly problem: string | undefined;
  readonly notes: readonly string[];
}

/** A queue that a connector means, one way. */
export interface QueueSurvey {
  readonly queue: string;
  /** At the source, and at the sink; undefined: there is no such queue there, or it could not be looked at. */
  readonly ready: number | undefined;
  readonly consumers: number | undefined;
  /** Forwarded without demand. */
  readonly static: boolean;
  /** Why it would not be bridged, as a sentence; undefined: it would. */
  readonly refused: string | undefined;
  readonly movers: readonly string[];
}

/** What one connector means, one way. */
export interface ConnectorSurvey {
  readonly connector: string;
  readonly from: string;
  readonly to: string;
  readonly queues: readonly QueueSurvey[];
  /** Exchanges that it means. */
  readonly exchanges: readonly string[];
  /** How many queues it would mean if their names were not reserved. */
  readonly reserved: number;
}

export interface TopologySurvey {
  readonly clusters: readonly ClusterSurvey[];
  readonly connectors: readonly ConnectorSurvey[];
}

/** What the connectors would do with what was found, by cluster; a cluster that was not looked at is not in it. */
export function surveyConnectors(topology: Topology, found: ReadonlyMap<string, Findings>): readonly ConnectorSurvey[] {
  return directedConnectors(topology)
    .filter(({ from, to }) => found.has(from) || found.has(to))
    .map((way) => surveyWay(topology, way, found.get(way.from), found.get(way.to)));
}

function surveyWay(
  topology: Topology,
  way: DirectedConnector,
  source: Findings | undefined,
  sink: Findings | undefined,
): ConnectorSurvey {
  const { connector, from, to } = way;
  const names = new Set([source, sink].flatMap((site) => site?.queues.map(({ name }) => name) ?? []));
  const queues: QueueSurvey[] = [];
  let reserved = 0;
  for (const name of [...names].sort()) {
    const destination = { kind: 'queue' as const, name };
    const permission = selects(connector, destination);
    if (!permission.permitted) {
      if (permission.reason === 'reserved') reserved++;
      continue;
    }
    const [here, there] = [source, sink].map((site) => site?.queues.find((queue) => queue.name === name));
    const owner = connectorFor(topology, from, to, destination);
    queues.push({
      queue: name,
      ready: here?.ready,
      consumers: there?.consumers,
      static: permission.static,
      refused:
        owner && owner !== connector
          ? `connector ${owner.name}, which comes first, owns it`
          : refusalOf(way, name, [source, here], [sink, there]),
      movers: [...new Set([...(here?.movers ?? []), ...(there?.movers ?? [])])],
    });
  }
  const exchanges = new Set([source, sink].flatMap((site) => site?.exchanges ?? []));
  const meant = [...exchanges].filter((name) => selects(connector, { kind: 'exchange', name }).permitted).sort();
  return { connector: connector.name, from, to, queues, exchanges: meant, reserved };
}

type Side = readonly [site: Findings | undefined, queue: FoundQueue | undefined];

/** Why a queue would not be bridged; the first reason. */
function refusalOf(
  { connector, from, to }: DirectedConnector,
  name: string,
  source: Side,
  sink: Side,
): string | undefined {
  const [sourceSite, here] = source;
  const [sinkSite, there] = sink;
  const refused = here && refusedSource(here.properties);
  if (refused) return `at ${from}: ${refused}`;
  if (there?.properties.type === 'stream') return `at ${to}: it is a stream, which cannot be bridged`;
  if (sourceSite && !here && !creates(connector, 'source')) return `it does not exist at ${from}`;
  if (sinkSite && !there && !creates(connector, 'sink')) return `it does not exist at ${to}`;
  const volatile =
    here && there && connector.volatileDestinations === 'refuse' && volatileSink(there.properties, here.properties);
  if (volatile) return `at ${to}: ${volatile}`;
  if (here && !may(sourceSite?.permissions?.read, name)) return `the bridge's user may not read it at ${from}`;
  if (there && !may(sinkSite?.permissions?.write, 'amq.default')) {
    return `the bridge's user may not write to amq.default at ${to}`;
  }
  return undefined;
}

function creates({ createDestinations }: Connector, side: 'source' | 'sink'): boolean {
  return createDestinations === side || createDestinations === 'both';
}

/** Whether a permission's expression lets this name pass. RabbitMQ's are not anchored; one that cannot be read is not judged. */
function may(expression: string | undefined, name: string): boolean {
  if (expression === undefined) return true;
  const matches: Matcher | undefined = expression === '' ? () => false : compileRegex(expression);
  return matches?.(name) ?? true;
}
