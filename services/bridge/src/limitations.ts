import type { Topology } from '@tombolo/topology/topology';

/**
 * What the topology asks of this cluster's bridge that this version does not do, as sentences: nobody should find out at night
 * that an option was read and not obeyed.
 */
export function limitations({ clusters, connectors }: Topology, cluster: string): string[] {
  const found: string[] = [];
  for (const connector of connectors) {
    const { name, from, to, dynamicallyIncluded, staticallyIncluded } = connector;
    if (from !== cluster && to !== cluster) continue;
    const ofTopics = ({ kind }: { readonly kind: string }) => kind === 'exchange' || kind === 'topic';
    const exchange = dynamicallyIncluded.find(({ kind }) => kind === 'exchange');
    if (clusters[cluster]?.broker?.type === 'activemq' && exchange) {
      found.push(`connector ${name}: ActiveMQ has no exchange ${exchange.pattern}; its topics are included by topic`);
    }
    if (staticallyIncluded.some(ofTopics)) {
      found.push(`connector ${name}: topics and exchanges are bridged on demand only, not statically`);
    }
  }
  return found;
}
