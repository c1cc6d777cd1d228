import type { Draft } from './draft.ts';
import type { Pattern, PatternKind } from './pattern.ts';
import type { Problem } from './problem.ts';
import { parseRedisUri, redisUriWithoutCredentials } from './redis-uri.ts';
import {
  bridgeSchema,
  type ParsedBridge,
  type ParsedBroker,
  type ParsedConnector,
  type ParsedInclusion,
} from './schema.ts';
import type {
  Bridge,
  Broker,
  ClientTls,
  Cluster,
  Connector,
  Deduplication,
  Election,
  Inclusion,
  Management,
  RateLimit,
  RedisServer,
  TlsFiles,
  Topology,
} from './topology.ts';
import { parseAddress } from './units.ts';

export interface PlainUri {
  /** As written, less the credentials. */
  readonly uri: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** Takes the credentials out of a URI, so that what is left can be logged. */
export function withoutCredentials(written: string): PlainUri {
  const parsed = new URL(written);
  if (parsed.username === '' && parsed.password === '') {
    return { uri: written, username: undefined, password: undefined };
  }
  const username = decode(parsed.username);
  const password = decode(parsed.password);
  parsed.username = '';
  parsed.password = '';
  return { uri: parsed.href, username, password };
}

/** The virtual host of an AMQP URI: `/` when there is no path, empty when the path is `/` (as the AMQP URI spec has it). */
export function vhostOf(uri: string): string {
  const { protocol, pathname } = new URL(uri);
  if (!protocol.startsWith('amqp') || pathname === '') return '/';
  return decode(pathname.slice(1)) ?? '';
}

function decode(encoded: string): string | undefined {
  if (encoded === '') return undefined;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

/** Builds the resolved topology from what could be understood. Clusters without a name or a shape are left out. */
export function resolveTopology(draft: Draft, warnings: readonly Problem[]): Topology {
  const network = draft.network ?? '';
  const clusters: Record<string, Cluster> = {};
  for (const { name, broker, bridge } of draft.clusters.values()) {
    clusters[name] = {
      name,
      broker: broker?.value && broker.value.uris.length > 0 ? resolveBroker(broker.value) : undefined,
      bridge: resolveBridge(bridge?.value ?? bridgeSchema.parse({}), name, network),
    };
  }
  const connectors = draft.connectors.flatMap(({ value }) =>
    value && Object.hasOwn(clusters, value.from) && Object.hasOwn(clusters, value.to) ? [resolveConnector(value)] : [],
  );
  return { network, clusters, connectors, warnings };
}

function resolveBroker(parsed: ParsedBroker): Broker {
  const plain = parsed.uris.map(withoutCredentials);
  const given = plain.find((uri) => uri.username !== undefined);
  // RabbitMQ's own default user, which it accepts from loopback only; ActiveMQ's is nobody.
  const nobody = parsed.type === 'rabbitmq' ? 'guest' : '';
  const username = parsed.username ?? given?.username ?? nobody;
  const password = parsed.password ?? given?.password ?? nobody;
  return {
    type: parsed.type,
    uris: plain.map(({ uri }) => uri),
    vhost: vhostOf(plain[0]!.uri),
    username,
    password,
    clusterName: parsed.clusterName,
    management: parsed.management && resolveManagement(parsed.management, username, password),
    events: parsed.events,
    tls: parsed.tls && clientTls(parsed.tls),
  };
}

function resolveManagement(
  parsed: NonNullable<ParsedBroker['management']>,
  username: string,
  password: string,
): Management | undefined {
  const plain = parsed.uris.map(withoutCredentials);
  if (plain.length === 0) return undefined;
  const given = plain.find((uri) => uri.username !== undefined);
  return {
    uris: plain.map(({ uri }) => uri),
    username: parsed.username ?? given?.username ?? username,
    password: parsed.password ?? given?.password ?? password,
  };
}

function resolveBridge(parsed: ParsedBridge, name: string, network: string): Bridge {
  const address = (text: string | undefined) => (text === undefined ? undefined : parseAddress(text));
  return {
    listen: address(parsed.listen),
    uris: parsed.uris,
    dial: parsed.dial,
    metrics: { ...parsed.metrics, listen: address(parsed.metrics.listen) },
    admin: address(parsed.admin),
    adminToken: parsed.adminToken,
    tls: parsed.tls && tlsFiles(parsed.tls),
    identity: parsed.tls?.identity ?? name,
    secrets: parsed.secret ?? [],
    peers: Object.fromEntries(Object.entries(parsed.peers).map(([peer, { secret }]) => [peer, secret])),
    election: resolveElection(parsed.election, network),
    deduplication: resolveDeduplication(parsed.deduplication),
    deadLetters: {
      queue: parsed.deadLetters.queue,
      maxBytes: parsed.deadLetters.maxBytes,
      ttlMs: parsed.deadLetters.ttl,
    },
    inFlightBytes: parsed.inFlightBytes,
    drainTimeoutMs: parsed.drainTimeout,
    insecure: parsed.insecure,
  };
}

function tlsFiles(parsed: { [K in keyof TlsFiles]?: string | undefined }): TlsFiles {
  return { ca: parsed.ca, cert: parsed.cert, key: parsed.key };
}

function clientTls(parsed: NonNullable<ParsedBroker['tls']>): ClientTls {
  return { ...tlsFiles(parsed), serverName: parsed.serverName };
}

function redisServer(uri: string, tls: ParsedBroker['tls']): RedisServer {
  const { username, password } = parseRedisUri(uri)!;
  return { uri: redisUriWithoutCredentials(uri), username, password, tls: tls && clientTls(tls) };
}

function resolveElection(parsed: ParsedBridge['election'], network: string): Election {
  if (parsed.type !== 'redis') return { type: parsed.type };
  // Without a uri there is no topology, or this is another machine's bridge, whose Redis nobody here asks.
  if (parsed.uri === undefined) return { type: 'broker' };
  const prefix = parsed.prefix ?? `tombolo:${network}`;
  return { type: 'redis', redis: redisServer(parsed.uri, parsed.tls), leaseMs: parsed.lease, prefix };
}

function resolveDeduplication(parsed: ParsedBridge['deduplication']): Deduplication {
  if (parsed.type !== 'redis' || parsed.uri === undefined) return { type: 'memory' };
  return { type: 'redis', redis: redisServer(parsed.uri, parsed.tls) };
}

const kinds: readonly PatternKind[] = ['queue', 'queueRegex', 'exchange', 'topic'];

/** What an entry means by name, whichever of the four keys says so. */
export function patternOf(entry: { [K in PatternKind]?: string | undefined }): Pattern {
  const kind = kinds.find((candidate) => entry[candidate] !== undefined)!;
  return { kind, pattern: entry[kind]! };
}

/** Messages of a window where the file says nothing: what consumers can hold, and what a long round trip needs. */
const USUAL_WINDOW = 1_000;
const LARGEST_WINDOW = 8_000;

const windows = (prefetchSize: number | undefined) => ({
  prefetchSize: prefetchSize ?? USUAL_WINDOW,
  largestWindow: prefetchSize ?? LARGEST_WINDOW,
});

function resolveConnector(parsed: ParsedConnector): Connector {
  const limit = (entry: ParsedInclusion['rateLimit']): RateLimit | undefined =>
    entry && { messagesPerSecond: entry.messages, bytesPerSecond: entry.bytes };
  const inclusion = (entry: ParsedInclusion): Inclusion => ({
    ...patternOf(entry),
    ...windows(entry.prefetchSize ?? parsed.prefetchSize),
    prefetchBytes: entry.prefetchBytes ?? parsed.prefetchBytes,
    rateLimit: limit(entry.rateLimit),
  });
  return {
    name: parsed.name,
    from: parsed.from,
    to: parsed.to,
    duplex: parsed.duplex,
    autoStart: parsed.autoStart,
    paused: parsed.paused,
    dynamicallyIncluded: (parsed.dynamicallyIncludedDestinations ?? [{ queue: '>' }]).map(inclusion),
    excluded: parsed.excludedDestinations.map(patternOf),
    staticallyIncluded: parsed.staticallyIncludedDestinations.map(inclusion),
    createDestinations: parsed.createDestinations,
    volatileDestinations: parsed.volatileDestinations,
    networkTTL: parsed.networkTTL,
    ...windows(parsed.prefetchSize),
    prefetchBytes: parsed.prefetchBytes,
    decreaseNetworkConsumerPriority: parsed.decreaseNetworkConsumerPriority,
    conduitSubscriptions: parsed.conduitSubscriptions,
    rateLimit: limit(parsed.rateLimit),
    holdWhenLinkLostMs: parsed.holdWhenLinkLost,
    topicBuffer: {
      ttlMs: parsed.topicBuffer.ttl,
      maxLength: parsed.topicBuffer.maxLength,
      maxBytes: parsed.topicBuffer.maxBytes,
      queueType: parsed.topicBuffer.queueType,
    },
  };
}
