import type { Clock } from '@tombolo/kernel/clock';
import type { QueueProperties } from '@tombolo/wire/frame';
import type { DrainCheck } from '../admin/drain-check.ts';
import type { BridgeView } from '../admin/view.ts';
import type { Broker } from '../broker/port.ts';
import type { Agreement } from '../routing/agreement.ts';
import type { Router } from '../routing/router.ts';
import type { SinkHalf } from '../stream/sink-half.ts';
import { refusedSource } from '../stream/source-queues.ts';
import { drainCheck } from './drain-table.ts';

export interface LeavingsOptions {
  readonly cluster: string;
  readonly broker: Pick<Broker, 'inventory'>;
  readonly agreement: Agreement;
  readonly router: Pick<Router, 'table'>;
  readonly sink: Pick<SinkHalf, 'inDoubt'>;
  /** The name of the dead-letter queue. */
  readonly deadLetters: string;
  readonly draining: () => boolean;
  readonly view: () => BridgeView;
  readonly clock: Clock;
}

/**
 * Counts what would be lost if this site were switched off now. That nothing is left is said only by numbers that are younger than
 * the question: where the broker's lag behind, they are waited for.
 */
export async function leavings(options: LeavingsOptions): Promise<DrainCheck> {
  const asked = await look(options);
  const age = asked.ageMs.unacknowledged;
  // What is known to be left needs no better numbers, and what cannot be looked at will not be seen then either.
  const found = asked.items.some(({ unacknowledged }) => unacknowledged !== undefined);
  if (found || age === 0 || !asked.complete) return asked;
  const { clock } = options;
  await new Promise<void>((resolve) => clock.wake(clock.now() + age, resolve));
  return look(options);
}

async function look(options: LeavingsOptions): Promise<DrainCheck> {
  const { agreement, broker, cluster, deadLetters, draining, sink, view } = options;
  const holdings = await broker.inventory.take(agreement.exactQueues());
  return drainCheck({
    ...{ cluster, draining: draining(), holdings, deadLetters },
    streams: view().streams,
    inDoubt: sink.inDoubt(),
    stays: (queue, properties) => staying(options, queue, properties),
  });
}

/** Why messages that are ready here do not leave, or undefined when another cluster takes them. */
function staying(
  { agreement, router }: LeavingsOptions,
  name: string,
  properties: QueueProperties,
): string | undefined {
  const destination = { kind: 'queue' as const, name };
  const passages = agreement.outboundPeers().map((peer) => agreement.outbound(peer, destination));
  const [first] = passages;
  if (!first) return 'no connector leads out of this cluster';
  const open = passages.filter((passage) => passage.open);
  if (open.length === 0) {
    const known = passages.find((passage) => !passage.open && passage.connector !== undefined);
    return known && !known.open ? known.detail : 'no connector bridges it';
  }
  const refused = refusedSource(properties);
  if (refused) return refused;
  if (open.some((passage) => passage.open && passage.static)) return undefined;
  const wanted = [...router.table.demandsOf(destination)].some(({ best }) => best !== undefined);
  return wanted ? undefined : 'no other cluster consumes it';
}
