import type { QueueProperties } from '@tombolo/wire/frame';
import type { DrainCheck, DrainRow } from '../admin/drain-check.ts';
import type { StreamView } from '../admin/view.ts';
import type { Holdings } from '../broker/port.ts';
import { parseBufferName } from '../topic/buffer-name.ts';

/** All that is known of what a site holds. */
export interface DrainFacts {
  readonly cluster: string;
  readonly draining: boolean;
  readonly holdings: Holdings;
  readonly streams: readonly Pick<StreamView, 'role' | 'kind' | 'destination' | 'peer' | 'unsettled'>[];
  readonly inDoubt: readonly {
    readonly kind: StreamView['kind'];
    readonly destination: string;
    readonly messages: number;
  }[];
  readonly deadLetters: string;
  /** Why messages of this queue do not leave, or undefined. */
  readonly stays: (queue: string, properties: QueueProperties) => string | undefined;
}

const replyPrefix = 'tombolo.reply.';
const notDrained = 'The cluster is not drained: messages may still come in. `tombolo drain --cluster` ends that.';

/** Puts together what is left. Pure. */
export function drainCheck(facts: DrainFacts): DrainCheck {
  const { cluster, draining, holdings, streams, inDoubt } = facts;
  const rows = new Map<string, DrainRow>();
  const add = (at: Pick<DrainRow, 'kind' | 'destination'> & Partial<DrainRow>): void => {
    const key = `${at.kind} ${at.peer ?? ''} ${at.destination}`;
    const before = rows.get(key) ?? nothing(at);
    rows.set(key, {
      ...before,
      ready: before.ready + (at.ready ?? 0),
      unacknowledged: 'unacknowledged' in at ? at.unacknowledged : before.unacknowledged,
      unsettled: before.unsettled + (at.unsettled ?? 0),
      inDoubt: before.inDoubt + (at.inDoubt ?? 0),
      deadLettered: before.deadLettered + (at.deadLettered ?? 0),
      buffered: before.buffered + (at.buffered ?? 0),
      stays: before.stays ?? at.stays,
    });
  };
  for (const { queue, properties, ready, unacknowledged } of holdings.queues) {
    const buffer = parseBufferName(queue);
    if (queue === facts.deadLetters) {
      const stays = 'dead letters wait to be replayed or dropped by an operator';
      add({ kind: 'dead-letters', destination: queue, deadLettered: ready, unacknowledged, stays });
    } else if (buffer) {
      const { exchange = queue, sink } = buffer;
      add({ kind: 'topic', destination: exchange, peer: sink, buffered: ready, unacknowledged });
    } else if (queue.startsWith(replyPrefix)) {
      add({ kind: 'reply', destination: queue, ready, unacknowledged });
    } else if (!queue.startsWith('tombolo.')) {
      const stays = ready > 0 ? facts.stays(queue, properties) : undefined;
      add({ kind: 'queue', destination: queue, ready, unacknowledged, stays });
    }
  }
  for (const { role, kind, destination, peer, unsettled } of streams) {
    if (kind === 'cluster') continue;
    add({ kind, destination, peer: kind === 'topic' && role === 'source' ? peer : undefined, unsettled });
  }
  for (const { kind, destination, messages } of inDoubt)
    if (kind !== 'cluster') add({ kind, destination, inDoubt: messages });
  const items = [...rows.values()].filter(isLeft).toSorted(byWhatStays);
  const complete = holdings.incomplete === undefined;
  return {
    ...{ cluster, draining, items, complete, left: items.length > 0 || !complete },
    ageMs: { ready: holdings.readyAgeMs, unacknowledged: holdings.unacknowledgedAgeMs },
    notes: [
      ...(draining ? [] : [notDrained]),
      ...(complete ? [] : [`Not every queue could be looked at: ${holdings.incomplete}`]),
    ],
  };
}

function nothing({ kind, destination, peer }: Pick<DrainRow, 'kind' | 'destination'> & Partial<DrainRow>): DrainRow {
  const none = { ready: 0, unacknowledged: 0, unsettled: 0, inDoubt: 0, deadLettered: 0, buffered: 0 };
  return { kind, destination, peer, ...none, stays: undefined };
}

function isLeft({ ready, unacknowledged, unsettled, inDoubt, deadLettered, buffered }: DrainRow): boolean {
  return unacknowledged === undefined || ready + unacknowledged + unsettled + inDoubt + deadLettered + buffered > 0;
}

/** What will not leave comes first. */
function byWhatStays(a: DrainRow, b: DrainRow): number {
  const names = a.destination < b.destination ? -1 : a.destination > b.destination ? 1 : 0;
  return Number(b.stays !== undefined) - Number(a.stays !== undefined) || names;
}
