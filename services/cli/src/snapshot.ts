import type { Page, Status } from '@tombolo/bridge/admin/status';
import type { DemandView, StreamView } from '@tombolo/bridge/admin/view';
import { ask, type BridgeOptions, Unreachable } from './bridge-client.ts';

/** A running bridge as its admin address shows it. */
export interface Snapshot {
  readonly status: Status;
  readonly demand: readonly DemandView[];
  readonly streams: readonly StreamView[];
}

const timeoutMs = 5_000;
const pageSize = 1_000;

/** Asks a bridge for everything that `tombolo status` shows. Rejects as `ask` does. */
export async function takeSnapshot(bridge: BridgeOptions): Promise<Snapshot> {
  const status = await ask<Status>('/api/v1/status', bridge, { timeoutMs });
  if (typeof status !== 'object' || status === null || !('cluster' in status && 'readiness' in status)) {
    throw new Unreachable(`What answers at ${bridge.url} is not a Tombolo bridge; --url is the admin address of one.`);
  }
  const [demand, streams] = await Promise.all([
    askAll<DemandView>('/api/v1/demand', bridge),
    askAll<StreamView>('/api/v1/streams', bridge),
  ]);
  return { status, demand, streams };
}

async function askAll<T>(path: string, bridge: BridgeOptions): Promise<T[]> {
  const items: T[] = [];
  for (let page = 1; ; page += 1) {
    const answer = await ask<Page<T>>(`${path}?page=${page}&pageSize=${pageSize}`, bridge, { timeoutMs });
    items.push(...answer.items);
    if (answer.items.length === 0 || items.length >= answer.total) return items;
  }
}
