import { connectorFor } from '@tombolo/topology/filter';
import type { NetworkOfRouters } from './network-of-routers.ts';

/**
 * What routing should find: how many connectors the shortest permitted path of messages of this queue crosses, from every cluster
 * that has one. Each connector's networkTTL bounds every path that it is part of, so all paths are walked with every bound in turn.
 */
export function distances(network: NetworkOfRouters, sink: string, queue: string): Map<string, number> {
  const edges: { readonly from: string; readonly to: string; readonly ttl: number }[] = [];
  for (const [a, b] of network.pairs) {
    if (!network.isUp(a, b)) continue;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const connector = connectorFor(network.topology, from, to, { kind: 'queue', name: queue });
      if (connector && !network.isPaused(connector.name)) edges.push({ from, to, ttl: connector.networkTTL });
    }
  }
  const found = new Map<string, number>();
  for (const bound of new Set(edges.map(({ ttl }) => ttl))) {
    const seen = new Map([[sink, 0]]);
    for (let hops = 1; hops <= bound; hops++) {
      for (const { from, to, ttl } of edges) {
        if (ttl >= bound && seen.get(to) === hops - 1 && !seen.has(from)) seen.set(from, hops);
      }
    }
    for (const [cluster, hops] of seen) found.set(cluster, Math.min(hops, found.get(cluster) ?? hops));
  }
  found.delete(sink);
  return found;
}
