import type { Cluster, RedisServer, TlsFiles } from './topology.ts';
import { type Address, renderBytes, renderDuration } from './units.ts';

/**
 * A setting of a cluster, and how the cluster's own bridge takes up a change of it while it runs.
 * `live`: it holds for what happens from then on (the next connection, the next handshake), and nothing that runs is disturbed.
 * `restart`: the bridge goes on with what it was started with, and says that a restart is needed.
 */
export interface ClusterSetting {
  /** As in the file, below `clusters.NAME`. */
  readonly path: string;
  readonly change: 'live' | 'restart';
  /** For comparison; may be a secret. */
  readonly value: (cluster: Cluster) => unknown;
  /** For people; undefined: it is a secret, of which only the change is told. */
  readonly show: ((cluster: Cluster) => string) | undefined;
}

type Value = (cluster: Cluster) => unknown;
type Show = (cluster: Cluster) => string;

const shown = (value: Value, show?: Show): Show => show ?? ((cluster) => plain(value(cluster)));
const live = (path: string, value: Value, show?: Show): ClusterSetting => {
  return { path, change: 'live', value, show: shown(value, show) };
};
const restart = (path: string, value: Value, show?: Show): ClusterSetting => {
  return { path, change: 'restart', value, show: shown(value, show) };
};
const secret = (path: string, value: Value): ClusterSetting => ({ path, change: 'live', value, show: undefined });

/** Every setting of a cluster. */
export const clusterSettings: readonly ClusterSetting[] = [
  restart('broker.type', ({ broker }) => broker?.type),
  restart('broker.uris', ({ broker }) => broker?.uris),
  restart('broker.clusterName', ({ broker }) => broker?.clusterName),
  restart('broker.management', ({ broker }) => broker?.management?.uris),
  restart('broker.events', ({ broker }) => (broker?.events ? broker.events.vhost : broker?.events)),
  restart(
    'broker.tls',
    ({ broker }) => broker?.tls,
    ({ broker }) => filesText(broker?.tls, broker?.tls?.serverName),
  ),
  secret('broker.username', ({ broker }) => [broker?.username, broker?.management?.username]),
  secret('broker.password', ({ broker }) => [broker?.password, broker?.management?.password]),
  restart(
    'bridge.listen',
    ({ bridge }) => bridge.listen,
    ({ bridge }) => addressText(bridge.listen),
  ),
  live('bridge.uris', ({ bridge }) => bridge.uris),
  live('bridge.dial', ({ bridge }) => bridge.dial),
  restart(
    'bridge.metrics.listen',
    ({ bridge }) => bridge.metrics.listen,
    ({ bridge }) => addressText(bridge.metrics.listen),
  ),
  live('bridge.metrics.destinations', ({ bridge }) => bridge.metrics.destinations),
  live('bridge.metrics.maxDestinations', ({ bridge }) => bridge.metrics.maxDestinations),
  restart(
    'bridge.admin',
    ({ bridge }) => bridge.admin,
    ({ bridge }) => addressText(bridge.admin),
  ),
  secret('bridge.adminToken', ({ bridge }) => bridge.adminToken),
  restart(
    'bridge.tls',
    ({ bridge }) => bridge.tls,
    ({ bridge }) => filesText(bridge.tls, undefined),
  ),
  live('bridge.tls.identity', ({ bridge }) => bridge.identity),
  secret('bridge.secret', ({ bridge }) => bridge.secrets),
  secret('bridge.peers', ({ bridge }) => bridge.peers),
  restart(
    'bridge.election',
    ({ bridge }) => bridge.election,
    ({ bridge: { election } }) =>
      election.type === 'redis'
        ? `${redisText(election.redis)}, lease ${renderDuration(election.leaseMs)}, prefix ${election.prefix}`
        : election.type,
  ),
  restart(
    'bridge.deduplication',
    ({ bridge }) => bridge.deduplication,
    ({ bridge: { deduplication } }) =>
      deduplication.type === 'redis' ? redisText(deduplication.redis) : deduplication.type,
  ),
  restart(
    'bridge.deadLetters',
    ({ bridge }) => bridge.deadLetters,
    ({ bridge: { deadLetters } }) =>
      `${deadLetters.queue}, ${renderBytes(deadLetters.maxBytes)}, ${renderDuration(deadLetters.ttlMs)}`,
  ),
  restart(
    'bridge.inFlightBytes',
    ({ bridge }) => bridge.inFlightBytes,
    ({ bridge }) => renderBytes(bridge.inFlightBytes),
  ),
  live(
    'bridge.drainTimeout',
    ({ bridge }) => bridge.drainTimeoutMs,
    ({ bridge }) => renderDuration(bridge.drainTimeoutMs),
  ),
  restart('bridge.insecure', ({ bridge }) => bridge.insecure),
];

/**
 * The cluster as its running bridge has it after a change of the file: settings that can be changed live as they are now, the others
 * as they were. It says nothing of `restart` settings; see `pendingRestart`.
 */
export function takenUp(before: Cluster, now: Cluster): Cluster {
  const { uris, dial, identity, secrets, peers, drainTimeoutMs } = now.bridge;
  // The address stays until a restart, and others may reach it: it keeps its token.
  const bared = now.bridge.adminToken === undefined && !same(before.bridge.admin, now.bridge.admin);
  const { adminToken } = bared ? before.bridge : now.bridge;
  const metrics = { ...now.bridge.metrics, listen: before.bridge.metrics.listen };
  const login = ({ username, password }: { readonly username: string; readonly password: string }) => ({
    username,
    password,
  });
  return {
    ...now,
    broker: before.broker && {
      ...before.broker,
      ...login(now.broker ?? before.broker),
      management: before.broker.management && {
        ...before.broker.management,
        ...login(now.broker?.management ?? before.broker.management),
      },
    },
    bridge: { ...before.bridge, metrics, uris, dial, adminToken, identity, secrets, peers, drainTimeoutMs },
  };
}

/** The settings, as paths in the file, that need a restart of the cluster's bridge to change from the one to the other. */
export function pendingRestart(before: Cluster, now: Cluster): string[] {
  return clusterSettings
    .filter(({ change, value }) => change === 'restart' && !same(value(before), value(now)))
    .map(({ path }) => `clusters.${now.name}.${path}`);
}

/** Whether two pieces of a topology say the same. */
export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A value of the topology as people would write it. */
export function plain(value: unknown): string {
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) return 'nothing';
  return Array.isArray(value) ? value.join(', ') : String(value);
}

function addressText(address: Address | undefined): string {
  return address ? `${address.host}:${address.port}` : 'nothing';
}

function redisText({ uri, tls }: RedisServer): string {
  return tls ? `redis ${uri} with ${filesText(tls, tls.serverName)}` : `redis ${uri}`;
}

function filesText(files: TlsFiles | undefined, serverName: string | undefined): string {
  return plain([files?.ca, files?.cert, files?.key, serverName].filter((part) => part !== undefined));
}
