import type { Topology } from '@tombolo/topology/topology';

/**
 * What the topology asks of this cluster's bridge that this version does not do, as sentences: nobody should find out at night
 * that an option was read and not obeyed.
 */
export function limitations({ connectors }: Topology, cluster: string): string[] {
  const found: string[] = [];
  for (const connector of connectors) {
    const { name, from, to, staticallyIncluded } = connector;
    if (from !== cluster && to !== cluster) continue;
    if (staticallyIncluded.some(({ kind }) => kind === 'exchange' || kind === 'topic')) {
      found.push(`connector ${name}: topics and exchanges are bridged on demand only, not statically`);
    }
  }
  return found;
}
