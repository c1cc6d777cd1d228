import type { Status } from '@tombolo/bridge/admin/status';
import { ask, type BridgeOptions } from './bridge-client.ts';

/**
 * Says on standard error that a bridge has no such peer, when it has none: there is nothing to do for one that is misspelt either.
 * Rejects as `ask` does.
 */
export async function noteUnknownPeer(peer: string, bridge: BridgeOptions): Promise<void> {
  const { cluster, links } = await ask<Status>('/api/v1/status', bridge);
  const peers = links.map((link) => link.peer);
  if (peers.includes(peer)) return;
  process.stderr.write(`tombolo: ${cluster} has no peer "${peer}"; there are: ${peers.join(', ') || 'none'}\n`);
}
