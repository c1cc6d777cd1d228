import {
  type DirectedConnector,
  directedConnectors,
  exactQueues,
  type Permission,
  selects,
} from '@tombolo/topology/filter';
import type { Connector, Inclusion, Topology } from '@tombolo/topology/topology';
import type { ConnectorsFrame, Destination } from '@tombolo/wire/frame';

export type Passage =
  | { readonly open: true; readonly connector: Connector; readonly entry: Inclusion; readonly static: boolean }
  | {
      readonly open: false;
      readonly connector: Connector | undefined;
      readonly reason: 'no_route' | 'paused';
      readonly detail: string;
    };

/**
 * What may flow between the own cluster and its peers: this end's file, what each peer said of its own file, and what an
 * operator has paused. What flows is what both ends permit; a connector that only one end knows is pending.
 */
export class Agreement {
  readonly cluster: string;
  #file: Terms;
  #said = new Map<string, Set<string>>();
  #paused = new Map<string, boolean>();

  constructor(topology: Topology, cluster: string) {
    this.cluster = cluster;
    this.#file = termsOf(topology, cluster);
  }

  get peers(): readonly string[] {
    return this.#file.peers;
  }

  get ways(): readonly DirectedConnector[] {
    return this.#file.ways;
  }

  /** Clusters whose consumers may come to draw messages from here, over however many connectors; by name. */
  get sinks(): readonly string[] {
    return this.#file.sinks;
  }

  /** The own file has changed. What peers have said stands; what an operator has paused too, unless the file now says otherwise. */
  amended(topology: Topology): void {
    const halted = (ways: readonly DirectedConnector[]) =>
      new Map(ways.map(({ connector }) => [connector.name, isHalted(connector)]));
    const before = halted(this.ways);
    this.#file = termsOf(topology, this.cluster);
    const now = halted(this.ways);
    for (const name of [...this.#paused.keys()]) if (now.get(name) !== before.get(name)) this.#paused.delete(name);
  }

  /** This end's connectors with `peer`, to be told to it. */
  frameFor(peer: string): ConnectorsFrame {
    return {
      kind: 'connectors',
      connectors: this.#between(peer).map(({ connector, from, to }) => ({ name: connector.name, from, to })),
    };
  }

  /** What `peer` says of its file. True when that changes what may flow (before it is heard, it is taken to agree). */
  heard(peer: string, frame: ConnectorsFrame): boolean {
    const before = this.#between(peer).map((way) => !this.known(peer) || this.agreed(way));
    this.#said.set(peer, new Set(frame.connectors.map(({ name, from, to }) => wayKey(name, from, to))));
    return this.#between(peer).some((way, i) => this.agreed(way) !== before[i]);
  }

  linkLost(peer: string): void {
    this.#said.delete(peer);
  }

  /** True when the peer has said what connectors it knows. */
  known(peer: string): boolean {
    return this.#said.has(peer);
  }

  agreed({ connector, from, to }: DirectedConnector): boolean {
    const peer = from === this.cluster ? to : from;
    return this.#said.get(peer)?.has(wayKey(connector.name, from, to)) ?? false;
  }

  /** Until the bridge stops; `undefined` returns to what the file says. */
  setPaused(connector: string, paused: boolean): void {
    this.#paused.set(connector, paused);
  }

  paused(connector: Connector): boolean {
    return this.#paused.get(connector.name) ?? isHalted(connector);
  }

  /** The way by which messages of `destination` may come from `peer`. */
  inbound(peer: string, destination: Destination): Passage {
    return this.#passage(peer, this.cluster, peer, destination);
  }

  /** The way by which messages of `destination` may go to `peer`. */
  outbound(peer: string, destination: Destination): Passage {
    return this.#passage(this.cluster, peer, peer, destination);
  }

  /** True when some connector, either way, means this queue: whether it is worth watching. */
  concerns(queue: string): boolean {
    return this.ways.some(({ connector }) => selects(connector, { kind: 'queue', name: queue }).permitted);
  }

  /** True when some connector, either way, means this exchange. */
  concernsExchange(exchange: string): boolean {
    return this.ways.some(({ connector }) => means(connector, { kind: 'topic', name: exchange })?.permitted);
  }

  /** True when some connector, either way, could mean an exchange or a topic. */
  get concernsExchanges(): boolean {
    return this.ways.some(({ connector: { dynamicallyIncluded, staticallyIncluded } }) =>
      [...dynamicallyIncluded, ...staticallyIncluded].some(({ kind }) => kind !== 'queue'),
    );
  }

  /** Queues that are named without a wildcard. */
  exactQueues(): string[] {
    return [...new Set(this.ways.flatMap(({ connector }) => exactQueues(connector)))];
  }

  outboundPeers(): string[] {
    return [...new Set(this.ways.filter(({ from }) => from === this.cluster).map(({ to }) => to))];
  }

  /** The largest networkTTL of the connectors between the own cluster and `peer`, either way; 0: there is none. */
  farthest(peer: string): number {
    return this.#file.farthest.get(peer) ?? 0;
  }

  #between(peer: string): readonly DirectedConnector[] {
    return this.#file.byPeer.get(peer) ?? [];
  }

  /** The first connector in file order that means the destination owns it, paused or not. */
  #passage(from: string, to: string, peer: string, destination: Destination): Passage {
    if (destination.kind === 'reply') return replyPassage;
    for (const way of this.#between(peer)) {
      if (way.from !== from || way.to !== to) continue;
      const permission = means(way.connector, destination);
      if (!permission?.permitted) continue;
      const { connector } = way;
      if (this.known(peer) && !this.agreed(way)) {
        const detail = `connector ${connector.name} is not in the file of ${peer} yet`;
        return { open: false, connector, reason: 'no_route', detail };
      }
      if (this.paused(connector)) {
        return { open: false, connector, reason: 'paused', detail: `connector ${connector.name} is paused` };
      }
      return { open: true, connector, entry: permission.entry, static: permission.static };
    }
    const detail = `no connector from ${from} to ${to} includes ${destination.kind} ${destination.name}`;
    return { open: false, connector: undefined, reason: 'no_route', detail };
  }
}

/** Every cluster that connectors join with this one, over however many others, whichever way they lead; the nearest first. */
export function joinedClusters({ connectors }: Pick<Topology, 'connectors'>, cluster: string): string[] {
  const found = new Set([cluster]);
  for (const name of found) {
    for (const { from, to } of connectors) {
      if (from === name) found.add(to);
      if (to === name) found.add(from);
    }
  }
  return [...found].slice(1);
}

/** What the own file says of the connectors with peers. */
interface Terms {
  readonly peers: readonly string[];
  readonly ways: readonly DirectedConnector[];
  readonly sinks: readonly string[];
  readonly byPeer: ReadonlyMap<string, readonly DirectedConnector[]>;
  readonly farthest: ReadonlyMap<string, number>;
}

function termsOf(topology: Topology, cluster: string): Terms {
  const all = directedConnectors(topology);
  const ways = all.filter(({ from, to }) => from === cluster || to === cluster);
  const peers = [...new Set(ways.map(({ from, to }) => (from === cluster ? to : from)))];
  const byPeer = new Map(peers.map((peer) => [peer, ways.filter(({ from, to }) => from === peer || to === peer)]));
  const farthest = new Map(
    [...byPeer].map(([peer, between]) => [peer, Math.max(...between.map((way) => way.connector.networkTTL))]),
  );
  return { peers, ways, sinks: sinksOf(all, cluster), byPeer, farthest };
}

/** The file lets nothing pass by this connector until somebody resumes it. */
function isHalted({ autoStart, paused }: Connector): boolean {
  return paused || !autoStart;
}

/**
 * The clusters that messages of `cluster` can reach. Each connector's networkTTL bounds every path that it is part of: a path of n
 * connectors needs n, or more, of all of them.
 */
function sinksOf(ways: readonly DirectedConnector[], cluster: string): string[] {
  const reached = new Set<string>();
  for (const ttl of new Set(ways.map(({ connector }) => connector.networkTTL))) {
    let frontier = new Set([cluster]);
    const seen = new Set(frontier);
    for (let hops = 0; hops < ttl && frontier.size > 0; hops++) {
      const next = new Set<string>();
      for (const { connector, from, to } of ways) {
        if (connector.networkTTL >= ttl && frontier.has(from) && !seen.has(to)) next.add(to);
      }
      for (const name of next) {
        seen.add(name);
        reached.add(name);
      }
      frontier = next;
    }
  }
  return [...reached].sort();
}

/** ActiveMQ's topics are, on RabbitMQ, the routing keys of this exchange. */
export const keyedExchange = 'amq.topic';

/** Whether the filters of a connector let a destination of a stream pass. */
function means(connector: Connector, { kind, name }: Destination): Permission | undefined {
  if (kind === 'queue') return selects(connector, { kind, name });
  if (kind !== 'topic') return undefined;
  if (name !== keyedExchange) return selects(connector, { kind: 'exchange', name });
  // Which keys may pass is looked at message by message.
  const entry = connector.dynamicallyIncluded.find((inclusion) => inclusion.kind === 'topic');
  return entry && { permitted: true, entry, static: false };
}

const replySizes = { prefetchSize: 1_000, largestWindow: 1_000, prefetchBytes: 32 * 1024 * 1024, rateLimit: undefined };

/**
 * Answers to a request need no connector of their own: the request was permitted, and the address that its origin signed is the
 * permission for the way back.
 */
const replyPassage: Passage = {
  open: true,
  static: true,
  entry: { kind: 'queue', pattern: '>', ...replySizes },
  connector: {
    ...{ name: 'reply', from: '', to: '', duplex: false, autoStart: true, paused: false },
    ...{ dynamicallyIncluded: [], staticallyIncluded: [], excluded: [] },
    ...{ createDestinations: 'none', volatileDestinations: 'allow', networkTTL: 64, ...replySizes },
    ...{ decreaseNetworkConsumerPriority: false, conduitSubscriptions: true, holdWhenLinkLostMs: 60_000 },
    topicBuffer: { ttlMs: 0, maxLength: 0, maxBytes: 0, queueType: 'classic' },
  },
};

function wayKey(name: string, from: string, to: string): string {
  return `${name}\u0000${from}\u0000${to}`;
}
