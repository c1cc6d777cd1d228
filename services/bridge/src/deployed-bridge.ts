import { Fault } from '@tombolo/kernel/fault';
import { Bridge } from './bridge.ts';
import type { Broker, BrokerListener } from './broker/port.ts';
import { RabbitBroker } from './broker/rabbitmq/rabbit-broker.ts';
import type { BridgeParts } from './host.ts';
import { Links } from './link/links.ts';
import type { LoopbackHub } from './link/loopback-link.ts';
import { brokerConfig, linkPeers, linkTls } from './parts.ts';

/**
 * A bridge with a real broker and real links, as the topology describes them.
 * @param loopback the clusters of this process, linked without sockets
 * @throws Fault when the topology does not say where the broker is, or names one that there is no adapter for
 */
export function deployedBridge(parts: BridgeParts, random: () => number, loopback: LoopbackHub): Bridge {
  const { topology, cluster, instance, clock, log } = parts;
  const own = topology.clusters[cluster];
  if (!own?.broker) throw new Fault('TOMBOLO_USAGE', `The topology does not say where the broker of ${cluster} is.`);
  if (own.broker.type !== 'rabbitmq') {
    throw new Fault(
      'TOMBOLO_USAGE',
      `clusters.${cluster}.broker.type is ${own.broker.type}: this version has no adapter for it.`,
    );
  }
  const config = brokerConfig(own, instance);
  const tls = linkTls(own.bridge.tls);
  return new Bridge({
    ...parts,
    wallClock: () => Date.now(),
    createBroker: (listener: BrokerListener): Broker => new RabbitBroker(config, listener, { clock, random, log }),
    createLinks: (host, peers) =>
      new Links({
        ...host,
        network: topology.network,
        cluster,
        instance,
        ...(own.bridge.listen && { listen: { ...own.bridge.listen, ...(tls && { tls }) } }),
        ...(tls && { tls }),
        loopback,
        peers: linkPeers(topology, cluster, peers),
        clock,
        random,
        log,
      }),
  });
}
