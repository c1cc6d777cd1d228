import { randomUUID } from 'node:crypto';
import { Fault } from '@tombolo/kernel/fault';
import type { Bridge as ClusterBridge } from '@tombolo/topology/topology';
import { Bridge } from './bridge.ts';
import { ActiveMqBroker } from './broker/activemq/active-broker.ts';
import type { Broker, BrokerListener } from './broker/port.ts';
import { RabbitBroker } from './broker/rabbitmq/rabbit-broker.ts';
import { RedisRecordStore } from './deduplication/redis-record.ts';
import { BrokerElection } from './election/broker-election.ts';
import type { Election } from './election/election.ts';
import { electionPolicy } from './election/election-machine.ts';
import { LeaseElection } from './election/lease-election.ts';
import { leaseKey, RedisLease } from './election/redis-lease.ts';
import type { BridgeParts } from './host.ts';
import { Links } from './link/links.ts';
import type { LoopbackHub } from './link/loopback-link.ts';
import { activeMqConfig, brokerConfig, followingLogin } from './parts.ts';
import { RedisClient } from './redis/redis-client.ts';
import type { RecordStore } from './stream/record-store.ts';
import { type Certificates, certificatesOf } from './tls/certificates.ts';

/**
 * A bridge with a real broker and real links, as the topology describes them.
 * @param loopback the clusters of this process, linked without sockets
 * @throws Fault when the topology does not say where the broker is
 */
export function deployedBridge(parts: BridgeParts, random: () => number, loopback: LoopbackHub): Bridge {
  const { topology, cluster, instance, clock, log } = parts;
  const own = topology.clusters[cluster];
  if (!own?.broker) throw new Fault('TOMBOLO_USAGE', `The topology does not say where the broker of ${cluster} is.`);
  const certificates = certificatesOf(own, { clock, wallClock: () => Date.now(), log });
  const tls = certificates.link;
  return new Bridge({
    ...parts,
    wallClock: () => Date.now(),
    election: electionOf(parts, certificates, random),
    graceMs: graceOf(own.bridge),
    ...recordsOf(parts, certificates, random),
    certificates: () => certificates.views(),
    createBroker: brokerOf(parts, certificates, random),
    createLinks: (host, peers) =>
      new Links({
        ...host,
        network: topology.network,
        cluster,
        instance,
        ...(own.bridge.listen && { listen: { ...own.bridge.listen, ...(tls && { tls }) } }),
        ...(tls && { tls }),
        loopback,
        peers,
        clock,
        random,
        log,
      }),
  });
}

/** The adapter for the kind of broker that the cluster's section names. */
function brokerOf(
  { topology, inForce, cluster, instance, clock, log }: BridgeParts,
  certificates: Certificates,
  random: () => number,
): (listener: BrokerListener) => Broker {
  const own = topology.clusters[cluster]!;
  const { election } = own.bridge;
  const surroundings = { clock, random, log };
  const inUse = () => inForce().clusters[cluster]?.broker;
  const heartbeat = election.type === 'redis' ? heartbeatFor(election.leaseMs) : {};
  if (own.broker?.type === 'activemq') {
    const config = followingLogin({ ...activeMqConfig(own, certificates.broker), ...heartbeat }, inUse);
    return (listener) => new ActiveMqBroker(config, listener, surroundings);
  }
  const config = followingLogin({ ...brokerConfig(own, instance, certificates.broker), ...heartbeat }, inUse);
  return (listener) => new RabbitBroker(config, listener, surroundings);
}

/** Longer than a connection takes to fail over to the next address of the broker (ms). */
const BROKER_GRACE_MS = 5_000;

/** Who decides which bridge beside this cluster works, as its section says. */
function electionOf(
  { topology, cluster, instance, clock, log }: BridgeParts,
  certificates: Certificates,
  random: () => number,
): Election {
  const election = topology.clusters[cluster]!.bridge.election;
  if (election.type !== 'redis') return new BrokerElection(election.type);
  const { redis, leaseMs, prefix } = election;
  const owner = `${instance}#${randomUUID()}`;
  const { timeoutMs } = electionPolicy(owner, leaseMs);
  const client = new RedisClient({
    server: redis,
    tls: certificates.election,
    commandTimeoutMs: timeoutMs,
    random,
    log,
  });
  const store = new RedisLease(client, leaseKey(prefix, cluster));
  return new LeaseElection({ store, owner, leaseMs, clock, random, wallClock: () => Date.now(), log });
}

/** How long a command of the record may take (ms): a stream that opens waits for one at most. */
const RECORD_TIMEOUT_MS = 1_000;

/** Where the record of what is in doubt lives besides memory, if the cluster's section says so. */
function recordsOf(
  { topology, cluster, log }: BridgeParts,
  certificates: Certificates,
  random: () => number,
): { readonly createRecordStore?: () => RecordStore } {
  const { deduplication } = topology.clusters[cluster]!.bridge;
  if (deduplication.type !== 'redis') return {};
  const { network } = topology;
  const wallClock = () => Date.now();
  return {
    createRecordStore: () => {
      const server = deduplication.redis;
      const tls = certificates.deduplication;
      const client = new RedisClient({ server, tls, commandTimeoutMs: RECORD_TIMEOUT_MS, random, log });
      return new RedisRecordStore({ client, network, cluster, wallClock });
    },
  };
}

/**
 * A bridge whose broker is away leaves peers to another one beside the cluster, if there may be one: with a lease, or when peers know
 * several addresses. One that is alone stays: it relays for others, and tells them why its own demand is unknown.
 */
function graceOf({ election, uris }: ClusterBridge): number {
  if (election.type === 'redis') return election.leaseMs;
  return election.type === 'broker' && uris.length > 1 ? BROKER_GRACE_MS : Number.POSITIVE_INFINITY;
}

/**
 * The broker takes the lock from a process that is frozen, or whose machine is gone, after two to three heartbeats without a word: within
 * two leases, as the lease itself does.
 */
function heartbeatFor(leaseMs: number): { heartbeatSeconds: number } {
  return { heartbeatSeconds: Math.max(2, Math.round(leaseMs / 2000)) };
}
