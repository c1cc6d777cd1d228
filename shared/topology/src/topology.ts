import type { Pattern } from './pattern.ts';
import type { Problem } from './problem.ts';
import type { Address } from './units.ts';

/*
 * The network as the rest of Tombolo sees it: judged, with every default filled in, units in the names. Plain data
 * without functions, so that two topologies can be compared. What is really optional is `| undefined`, never absent.
 */

export interface Topology {
  readonly network: string;
  readonly clusters: Readonly<Record<string, Cluster>>;
  /** In file order, which decides who owns a destination. */
  readonly connectors: readonly Connector[];
  readonly warnings: readonly Problem[];
}

export interface Cluster {
  readonly name: string;
  /** Undefined when this cluster's bridge runs elsewhere and the file does not say. */
  readonly broker: Broker | undefined;
  /** Always there: a cluster without a `bridge` section dials out, with the defaults. */
  readonly bridge: Bridge;
}

export type BrokerType = 'rabbitmq' | 'activemq';

/** Paths of PEM files, absolute. */
export interface TlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** For connections that this bridge makes. */
export interface ClientTls extends TlsFiles {
  /** The name that the server's certificate must show; undefined: the host that is dialled. */
  readonly serverName: string | undefined;
}

export interface Broker {
  readonly type: BrokerType;
  /** Without credentials: fit to be logged. At least one. */
  readonly uris: readonly string[];
  /** The same for all `uris`; `/` unless they name one. */
  readonly vhost: string;
  /** Empty for an ActiveMQ that asks for none. */
  readonly username: string;
  readonly password: string;
  readonly clusterName: string | undefined;
  readonly management: Management | undefined;
  readonly events: { readonly vhost: string } | false;
  readonly tls: ClientTls | undefined;
}

export interface Management {
  /** Without credentials. At least one. */
  readonly uris: readonly string[];
  readonly username: string;
  readonly password: string;
}

export interface Bridge {
  readonly listen: Address | undefined;
  /** Where peers dial, in order; ws:// or wss://. */
  readonly uris: readonly string[];
  /** Which peers this side dials; undefined: every one that has `uris`. */
  readonly dial: readonly string[] | undefined;
  readonly metrics: {
    readonly listen: Address | undefined;
    readonly destinations: readonly string[];
    readonly maxDestinations: number;
  };
  readonly admin: Address | undefined;
  readonly adminToken: string | undefined;
  readonly tls: TlsFiles | undefined;
  /** The SAN that peers must see in this bridge's certificate. */
  readonly identity: string;
  /** Prove with the first, accept all. Empty: none is configured. */
  readonly secrets: readonly string[];
  /** By peer: a secret of this pair goes before `secrets`. */
  readonly peers: Readonly<Record<string, readonly string[]>>;
  readonly election: Election;
  readonly deduplication: Deduplication;
  readonly deadLetters: { readonly queue: string; readonly maxBytes: number; readonly ttlMs: number };
  readonly inFlightBytes: number;
  readonly drainTimeoutMs: number;
  readonly insecure: boolean;
}

/** Redis, with the credentials kept apart from the URI. */
export interface RedisServer {
  /** In one of the forms of redis-uri.ts. */
  readonly uri: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** For rediss. */
  readonly tls: ClientTls | undefined;
}

export type Election =
  | { readonly type: 'broker' }
  | { readonly type: 'none' }
  | { readonly type: 'redis'; readonly redis: RedisServer; readonly leaseMs: number; readonly prefix: string };

export type Deduplication = { readonly type: 'memory' } | { readonly type: 'redis'; readonly redis: RedisServer };

/** Undefined: no limit. */
export interface RateLimit {
  readonly messagesPerSecond: number | undefined;
  readonly bytesPerSecond: number | undefined;
}

/** An entry of an inclusion; sizes that it does not give are filled in from the connector. */
export interface Inclusion extends Pattern {
  readonly prefetchSize: number;
  /** What a window may grow to where the round trip is seen to need it: `prefetchSize`, unless the file leaves that open. */
  readonly largestWindow: number;
  readonly prefetchBytes: number;
  /** Of this entry alone, shared by all that it includes, instead of the connector's; undefined: the connector's holds. */
  readonly rateLimit: RateLimit | undefined;
}

export interface Connector {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly duplex: boolean;
  readonly autoStart: boolean;
  readonly paused: boolean;
  readonly dynamicallyIncluded: readonly Inclusion[];
  readonly excluded: readonly Pattern[];
  readonly staticallyIncluded: readonly Inclusion[];
  readonly createDestinations: 'none' | 'source' | 'sink' | 'both';
  readonly volatileDestinations: 'refuse' | 'allow';
  readonly networkTTL: number;
  readonly prefetchSize: number;
  readonly largestWindow: number;
  readonly prefetchBytes: number;
  readonly decreaseNetworkConsumerPriority: boolean;
  readonly conduitSubscriptions: boolean;
  /** Shared by all destinations that are included by an entry without a limit of its own. */
  readonly rateLimit: RateLimit | undefined;
  readonly holdWhenLinkLostMs: number;
  readonly topicBuffer: {
    readonly ttlMs: number;
    readonly maxLength: number;
    readonly maxBytes: number;
    readonly queueType: 'quorum' | 'classic';
  };
}
