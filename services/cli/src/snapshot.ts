import type { Page, Status } from '@tombolo/bridge/admin/status';
import type { DemandView, StreamView } from '@tombolo/bridge/admin/view';
import { messageOf } from '@tombolo/kernel/fault';

/** A running bridge as its admin address shows it. */
export interface Snapshot {
  readonly status: Status;
  readonly demand: readonly DemandView[];
  readonly streams: readonly StreamView[];
}

/** Why a bridge could not be asked, as a sentence that says what to do. */
export class Unreachable extends Error {}

const timeoutMs = 5_000;
const pageSize = 1_000;

/** Asks the bridge at `url` for everything that `tombolo status` shows. Rejects with `Unreachable`. */
export async function takeSnapshot(url: string): Promise<Snapshot> {
  const status = await ask<Status>(url, '/api/v1/status');
  if (typeof status !== 'object' || status === null || !('cluster' in status && 'readiness' in status)) {
    throw new Unreachable(`What answers at ${url} is not a Tombolo bridge; --url is the admin address of one.`);
  }
  const [demand, streams] = await Promise.all([
    askAll<DemandView>(url, '/api/v1/demand'),
    askAll<StreamView>(url, '/api/v1/streams'),
  ]);
  return { status, demand, streams };
}

async function askAll<T>(url: string, path: string): Promise<T[]> {
  const items: T[] = [];
  for (let page = 1; ; page += 1) {
    const answer = await ask<Page<T>>(url, `${path}?page=${page}&pageSize=${pageSize}`);
    items.push(...answer.items);
    if (answer.items.length === 0 || items.length >= answer.total) return items;
  }
}

/** The answer of the bridge at `url`, parsed. Rejects with `Unreachable`. */
export async function ask<T>(url: string, path: string): Promise<T> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Unreachable(`"${url}" is no URL of a bridge; expected something like http://127.0.0.1:7461.`);
  }
  let response: Response;
  try {
    response = await fetch(new URL(path, url), { signal: AbortSignal.timeout(timeoutMs) });
  } catch (thrown) {
    throw new Unreachable(
      `No bridge answers at ${url}: ${reasonOf(thrown)}. Is it running, and is this its bridge.admin?`,
    );
  }
  if (!response.ok) {
    throw new Unreachable(`What answers at ${url} is not the admin address of a Tombolo bridge (${response.status}).`);
  }
  try {
    return (await response.json()) as T;
  } catch {
    throw new Unreachable(`What answers at ${url} does not speak JSON; --url is the admin address of a bridge.`);
  }
}

function reasonOf(thrown: unknown): string {
  const { name, cause } = thrown as { name?: string; cause?: { code?: string; message?: string } };
  if (name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} s`;
  if (cause?.code === 'ECONNREFUSED') return 'connection refused';
  if (cause?.code === 'ENOTFOUND') return 'no such host';
  return cause?.message ?? messageOf(thrown);
}
