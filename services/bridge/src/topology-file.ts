import { createHash } from 'node:crypto';
import { Fault } from '@tombolo/kernel/fault';
import { loadTopology, topologyFault } from '@tombolo/topology/load';
import type { Cluster, Topology } from '@tombolo/topology/topology';
import { type Address, isLoopback, parseAddress } from '@tombolo/topology/units';
import { renderAddress } from './admin/address.ts';

/** The topology of a process: where it is, and what its own clusters have otherwise than it says. */
export interface TopologySource {
  /** The topology: a file, or a directory of files. */
  readonly configPath: string;
  /** The clusters whose bridges run in this process; at least one. */
  readonly clusters: readonly string[];
  /** Instead of `bridge.listen`, `host:port`; for one cluster. */
  readonly listen?: string | undefined;
  /** Instead of `bridge.admin`, `host:port`; for one cluster. */
  readonly admin?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Reads the topology for the bridges of a process.
 * @param looked called with the absolute paths of all that was read, or looked for, also when that ends in a fault
 * @throws Fault TOMBOLO_TOPOLOGY_INVALID with every error, a line each; TOMBOLO_USAGE
 */
export function readTopology(source: TopologySource, looked: (files: readonly string[]) => void = () => {}): Topology {
  const { configPath, clusters, env } = source;
  if (clusters.length > 1 && (source.listen !== undefined || source.admin !== undefined)) {
    const advice = 'with several clusters in one process, set bridge.listen and bridge.admin in the file';
    throw new Fault('TOMBOLO_USAGE', `--listen and --admin are for one cluster; ${advice}.`);
  }
  const { topology, problems, files } = loadTopology(configPath, { env, cluster: clusters });
  looked(files);
  if (!topology) throw topologyFault(problems);
  for (const name of clusters) {
    if (topology.clusters[name]?.broker) continue;
    const advice = `add clusters.${name}.broker with its uris`;
    throw new Fault('TOMBOLO_USAGE', `${configPath} does not say where the broker of ${name} is; ${advice}.`);
  }
  const [only = ''] = clusters;
  const listen = addressFrom(source.listen, '--listen');
  const admin = addressFrom(source.admin, '--admin');
  if (admin) refuseOpenAdmin(topology, only, admin);
  return listen || admin ? withAddresses(topology, only, listen, admin) : topology;
}

function withAddresses(
  topology: Topology,
  name: string,
  listen: Address | undefined,
  admin: Address | undefined,
): Topology {
  const cluster = topology.clusters[name] as Cluster;
  const bridge = { ...cluster.bridge, listen: listen ?? cluster.bridge.listen, admin: admin ?? cluster.bridge.admin };
  return { ...topology, clusters: { ...topology.clusters, [name]: { ...cluster, bridge } } };
}

function addressFrom(text: string | undefined, flag: string): Address | undefined {
  if (text === undefined) return undefined;
  const address = parseAddress(text);
  if (address) return address;
  throw new Fault('TOMBOLO_USAGE', `${flag} is "${text}"; expected host:port, for example 127.0.0.1:7461.`);
}

/**
 * An admin address that others can reach needs a token, also when it was given by `--admin`.
 * @throws Fault TOMBOLO_USAGE
 */
export function refuseOpenAdmin({ clusters }: Topology, cluster: string, admin: Address): void {
  if (clusters[cluster]?.bridge.adminToken !== undefined || isLoopback(admin.host)) return;
  const advice = 'anybody who reaches it could pause connectors: set bridge.adminToken, or use 127.0.0.1';
  const text = `The admin address ${renderAddress(admin)} of ${cluster} is not on loopback and needs no token`;
  throw new Fault('TOMBOLO_USAGE', `${text}; ${advice}.`);
}

/** Equal for bridges that have equal connectors in force; secrets, which differ from site to site, have no part in it. */
export function topologyHash({ network, clusters, connectors }: Topology): number {
  const text = JSON.stringify([network, Object.keys(clusters).sort(), connectors]);
  return createHash('sha256').update(text).digest().readUIntBE(0, 6);
}
