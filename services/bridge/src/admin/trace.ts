import type { QueueProperties } from '@tombolo/wire/frame';
import type { BrokerView, LinkView, StreamView } from './view.ts';

/** One thing that a bridge knows of a destination: `stops` when messages wait because of it. */
export interface TraceFinding {
  readonly code: string;
  readonly state: 'ok' | 'info' | 'stops';
  /** A sentence for people. */
  readonly text: string;
}

/** A connector of the own cluster, and what it makes of the destination, in one direction. */
export interface ConnectorFact {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly permitted: boolean;
  /** Which entry includes or excludes it, and where the connector stands, as words. */
  readonly detail: string;
  readonly state: 'open' | 'paused' | 'pending' | 'refused';
  /** Forwarded without demand. */
  readonly static: boolean;
}

/** A demand that is known, with the neighbours that are not told of it. */
export interface DemandFact {
  readonly cluster: string;
  readonly consumers: number;
  /** The clusters that a message crosses from here, the sink last; undefined: there is no way; empty: the own demand. */
  readonly path: readonly string[] | undefined;
  /** Ways that are known besides. */
  readonly alternatives: number;
  readonly unserved: { readonly reason: string; readonly detail: string } | undefined;
  /** Neighbours that networkTTL keeps from hearing of it, and why. */
  readonly tooFar: readonly { readonly peer: string; readonly detail: string }[];
}

/** The queue of this name at the own broker. */
export type QueueFact =
  | {
      readonly is: 'found';
      readonly ready: number;
      /** All consumers, bridges' own included. */
      readonly consumers: number;
      readonly properties: QueueProperties;
      /** Why nothing can be taken from it. */
      readonly refused: string | undefined;
    }
  | { readonly is: 'absent' }
  | { readonly is: 'unknown'; readonly reason: string };

/** All that one bridge knows of one destination. */
export interface TraceFacts {
  readonly cluster: string;
  readonly destination: string;
  readonly draining: boolean;
  readonly reserved: boolean;
  /** False: the own broker's consumers are not known. */
  readonly sighted: boolean;
  readonly broker: Pick<BrokerView, 'up' | 'reason' | 'blocked' | 'demandMethod'>;
  /** Undefined: nobody here may look, because no connector of this cluster means it. */
  readonly queue: QueueFact | undefined;
  readonly connectors: readonly ConnectorFact[];
  readonly demands: readonly DemandFact[];
  readonly streams: readonly StreamView[];
  readonly links: readonly Pick<LinkView, 'peer' | 'up' | 'reason' | 'state'>[];
}

const ok = (code: string, text: string): TraceFinding => ({ code, state: 'ok', text });
const info = (code: string, text: string): TraceFinding => ({ code, state: 'info', text });
const stops = (code: string, text: string): TraceFinding => ({ code, state: 'stops', text });

/** What the facts mean, from the broker to the streams. Pure. */
export function findingsOf(facts: TraceFacts): TraceFinding[] {
  if (facts.reserved)
    return [stops('reserved', `the name ${facts.destination} is reserved: no connector may bridge it`)];
  return [
    ...brokerFindings(facts),
    ...queueFindings(facts),
    ...facts.connectors.map((connector) => connectorFinding(connector, facts)),
    ...linkFindings(facts),
    ...facts.demands.flatMap((demand) => demandFindings(demand, facts)),
    ...facts.streams.map(streamFinding),
  ];
}

function brokerFindings({ cluster, broker, draining, sighted }: TraceFacts): TraceFinding[] {
  const found: TraceFinding[] = [];
  if (draining) found.push(stops('draining', `the bridge of ${cluster} is draining: it takes no more messages`));
  if (!broker.up) found.push(stops('broker_down', `its broker is not connected: ${broker.reason ?? 'not known why'}`));
  else if (broker.blocked !== undefined)
    found.push(stops('broker_blocked', `its broker takes no messages: ${broker.blocked}`));
  else if (!sighted)
    found.push(stops('unsighted', `the broker's consumers are not seen at present (${broker.demandMethod})`));
  return found;
}

function queueFindings({ cluster, queue, demands, destination }: TraceFacts): TraceFinding[] {
  if (!queue) return [];
  if (queue.is === 'unknown')
    return [info('queue_unknown', `queue ${destination} could not be looked at: ${queue.reason}`)];
  if (queue.is === 'absent') return [info('no_queue', `queue ${destination} does not exist here`)];
  const { ready, consumers, properties, refused } = queue;
  const what = describe(properties);
  const counts = `${counted(ready, 'message')} ready, ${counted(consumers, 'consumer')}, a bridge's own included`;
  const found = [info(ready > 0 ? 'backlog' : 'empty', `queue ${destination}: ${counts}${what && `; ${what}`}`)];
  const wanted = demands.some((demand) => demand.cluster !== cluster);
  if (refused) {
    const text = `nothing is taken from it: ${refused}`;
    found.push(ready > 0 || wanted ? stops('source_refused', text) : info('source_refused', text));
  }
  return found;
}

function describe({ type, durable, autoDelete, ...more }: QueueProperties): string {
  const words: (string | undefined | false)[] = [
    type,
    durable === false && 'not durable',
    autoDelete && 'auto-delete',
    more.exclusive && 'exclusive',
    more.expires && 'expires when unused',
    more.singleActiveConsumer && 'single active consumer',
    more.maxPriority !== undefined && `priorities up to ${more.maxPriority}`,
    more.deliveryLimit !== undefined && `delivery limit ${more.deliveryLimit}`,
    more.maxLength !== undefined && `max-length ${more.maxLength}`,
    more.maxLengthBytes !== undefined && `max-length-bytes ${more.maxLengthBytes}`,
    (more.maxLength ?? more.maxLengthBytes) !== undefined && more.overflow,
  ];
  return words.filter((word) => word).join(', ');
}

/** A connector that does not let it pass stops messages unless another one between the same two does. */
function connectorFinding({ name, from, to, ...fact }: ConnectorFact, { connectors }: TraceFacts): TraceFinding {
  const text = `connector ${name} (${from} -> ${to}): ${fact.detail}`;
  if (fact.state === 'open') return ok(fact.static ? 'static' : 'included', text);
  if (fact.state !== 'refused') return stops(fact.state, text);
  const other = connectors.some((each) => each.permitted && each.from === from && each.to === to);
  return other ? info('not_permitted', text) : stops('not_permitted', text);
}

function linkFindings({ links, connectors }: TraceFacts): TraceFinding[] {
  return links
    .filter(({ peer }) => connectors.some(({ from, to, permitted }) => permitted && (from === peer || to === peer)))
    .map(({ peer, up, reason, state }) =>
      up ? ok('link', `link to ${peer}: up`) : stops('link_down', `link to ${peer}: down (${reason ?? state})`),
    );
}

function demandFindings(demand: DemandFact, { cluster }: TraceFacts): TraceFinding[] {
  const { consumers, path, alternatives, unserved, tooFar } = demand;
  const who = counted(consumers, 'consumer');
  const found: TraceFinding[] = [];
  if (demand.cluster === cluster) found.push(ok('local_demand', `${who} here, which come before remote ones`));
  else {
    const by = path && path.length > 1 ? `, by ${path.slice(0, -1).join(', ')}` : '';
    const more = alternatives > 0 ? `; ${counted(alternatives, 'other way')} known` : '';
    found.push(ok('remote_demand', `${who} at ${demand.cluster}${by}${more}`));
    if (!path) found.push(stops('no_route', unserved?.detail ?? `no way to ${demand.cluster} is known at present`));
    else if (unserved) found.push(stops(unserved.reason, `not served: ${unserved.detail}`));
  }
  if (demand.cluster === cluster && unserved) {
    const what = unserved.reason === 'drained' ? '' : 'a stream was refused: ';
    found.push(stops(unserved.reason, `${what}${unserved.detail}`));
  }
  for (const { peer, detail } of tooFar)
    found.push(stops('network_ttl', `the demand of ${demand.cluster} is not told to ${peer}: ${detail}`));
  return found;
}

function streamFinding({ role, peer, state, blockedBy, credit, unsettled, accepted }: StreamView): TraceFinding {
  const what = `stream ${role === 'source' ? 'to' : 'from'} ${peer}`;
  const counts = `${accepted} settled, ${unsettled} unsettled, credit ${credit}`;
  const moves = state === 'flowing' && (blockedBy === undefined || (role === 'source' && unsettled > 0));
  if (moves) return ok(`${role}_flows`, `${what}: flows; ${counts}`);
  return stops(`${role}_waits`, `${what} waits: ${blockedBy ?? state}; ${counts}`);
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
