import { readFileSync } from 'node:fs';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { Cluster, TlsFiles, Topology } from '@tombolo/topology/topology';
import type { RabbitBrokerConfig, RabbitTls } from './broker/rabbitmq/config.ts';
import type { LinkTls } from './link/link-tls.ts';
import type { PeerOptions } from './link/peer-link.ts';

/** Reads the PEM files of a `tls` section. @throws Fault naming the file that cannot be read */
function readTls(files: TlsFiles): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  const read = (path: string | undefined, what: 'ca' | 'cert' | 'key') => {
    if (path === undefined) return {};
    try {
      return { [what]: readFileSync(path) };
    } catch (thrown) {
      throw new Fault('TOMBOLO_TOPOLOGY_INVALID', `tls.${what}: ${path} cannot be read (${messageOf(thrown)}).`);
    }
  };
  return { ...read(files.ca, 'ca'), ...read(files.cert, 'cert'), ...read(files.key, 'key') };
}

/** What the RabbitMQ adapter needs of a cluster's section. */
export function brokerConfig({ name, broker }: Cluster, instance: string): RabbitBrokerConfig {
  if (!broker) throw new Fault('TOMBOLO_USAGE', `The topology does not say where the broker of ${name} is.`);
  const { vhost, username, password, management, events, clusterName } = broker;
  const tls: RabbitTls | undefined = broker.tls && {
    ...readTls(broker.tls),
    ...(broker.tls.serverName === undefined ? {} : { serverName: broker.tls.serverName }),
  };
  return {
    cluster: name,
    instance,
    uris: broker.uris.map((uri) => {
      const { protocol, hostname, port } = new URL(uri);
      const secure = protocol === 'amqps:';
      return {
        host: hostname.replace(/^\[|\]$/g, ''),
        port: Number(port) || (secure ? 5671 : 5672),
        vhost,
        tls: secure,
      };
    }),
    username,
    password,
    events,
    ...(tls && { tls }),
    ...(clusterName !== undefined && { clusterName }),
    ...(management && { management: { ...management, ...(tls && { tls }) } }),
  };
}

/** Certificates for links, from `bridge.tls`. */
export function linkTls(files: TlsFiles | undefined): LinkTls | undefined {
  return files && readTls(files);
}

/** The peers that this cluster has connectors with, as the links layer wants them. */
export function linkPeers(topology: Topology, cluster: string, peers: readonly string[]): PeerOptions[] {
  const own = topology.clusters[cluster]!.bridge;
  return peers.map((peer) => {
    const bridge = topology.clusters[peer]?.bridge;
    return {
      cluster: peer,
      uris: bridge?.uris ?? [],
      dial: (own.dial === undefined || own.dial.includes(peer)) && (bridge?.uris.length ?? 0) > 0,
      secrets: own.peers[peer] ?? own.secrets,
      tlsIdentity: bridge?.identity ?? peer,
    };
  });
}
