import type { RedisServer, Topology } from '@tombolo/topology/topology';

/** Every secret of a topology in clear text: what the redactor must know. */
export function secretsOf(topology: Topology): string[] {
  return Object.values(topology.clusters).flatMap(({ broker, bridge }) =>
    [
      broker?.password,
      broker?.management?.password,
      bridge.adminToken,
      ...bridge.secrets,
      ...Object.values(bridge.peers).flat(),
      redisOf(bridge.election)?.password,
      redisOf(bridge.deduplication)?.password,
    ].filter((secret) => secret !== undefined),
  );
}

function redisOf(section: { readonly type: string; readonly redis?: RedisServer }): RedisServer | undefined {
  return section.redis;
}
