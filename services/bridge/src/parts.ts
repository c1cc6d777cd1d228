import { Fault } from '@tombolo/kernel/fault';
import type { Broker, Cluster, Topology } from '@tombolo/topology/topology';
import type { ActiveMqBrokerConfig } from './broker/activemq/config.ts';
import type { BrokerTlsSource } from './broker/broker-tls.ts';
import type { RabbitBrokerConfig } from './broker/rabbitmq/config.ts';
import type { PeerOptions } from './link/peer-link.ts';

/**
 * What the RabbitMQ adapter needs of a cluster's section.
 * @param tls of AMQP and of the management API, if the section has any
 */
export function brokerConfig({ name, broker }: Cluster, instance: string, tls?: BrokerTlsSource): RabbitBrokerConfig {
  if (!broker) throw new Fault('TOMBOLO_USAGE', `The topology does not say where the broker of ${name} is.`);
  const { vhost, username, password, management, events, clusterName } = broker;
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

/** What the ActiveMQ adapter needs of a cluster's section. */
export function activeMqConfig({ name, broker }: Cluster, tls?: BrokerTlsSource): ActiveMqBrokerConfig {
  if (!broker) throw new Fault('TOMBOLO_USAGE', `The topology does not say where the broker of ${name} is.`);
  const { username, password } = broker;
  return {
    cluster: name,
    uris: broker.uris.map((uri) => {
      const { protocol, hostname, port } = new URL(uri);
      const secure = protocol !== 'stomp:';
      return {
        host: hostname.replace(/^\[|\]$/g, ''),
        // The ports of the connectors in the activemq.xml that ActiveMQ comes with.
        port: Number(port) || (secure ? 61_612 : 61_613),
        tls: secure,
      };
    }),
    username,
    password,
    ...(tls && { tls }),
  };
}

/** The same, with the user name and password that are in force when they are needed: connections that are made later use those. */
export function followingLogin<T extends Login & { readonly management?: Login }>(
  config: T,
  broker: () => Broker | undefined,
): T {
  const follow = <C extends Login>(fixed: C, now: () => Login | undefined): C =>
    Object.defineProperties(
      { ...fixed },
      {
        username: { enumerable: true, get: () => (now() ?? fixed).username },
        password: { enumerable: true, get: () => (now() ?? fixed).password },
      },
    );
  const { management } = config;
  const both = { ...config, ...(management && { management: follow(management, () => broker()?.management) }) };
  return follow(both, broker);
}

type Login = Pick<Broker, 'username' | 'password'>;

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
