import type { QueueProperties } from '@tombolo/wire/frame';

/** A consumer as the management API or an event tells of it. */
export interface ConsumerFact {
  readonly queue: string;
  readonly tag: string;
  /** The broker's name of its channel, and its process there: the API knows the first, events the second. */
  readonly channelName?: string;
  readonly channelPid?: string;
  /** 0: no limit. */
  readonly prefetch: number;
  readonly ackRequired: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** False for the waiting consumers of a single-active-consumer queue. */
  readonly active?: boolean;
}

/** A consumer as it is kept: what of it counts, and how snapshots and events know it again. */
export interface Entry {
  readonly tag: string;
  readonly capacity: number;
  /** No bridge, no federation link, no negative priority. */
  readonly counts: boolean;
  channelName: string | undefined;
  channelPid: string | undefined;
  active: boolean | undefined;
  /** When an event told of it; undefined: a snapshot did. */
  bornAt: number | undefined;
}

/** Consumer tags of bridges. */
export const ownTag = 'tombolo.';

/** A consumer that is gone, among what is remembered of such. */
export const consumerKey = (queue: string, tag: string) => `c\0${queue}\0${tag}`;

/** How many of these are demand, and what they can hold. */
export function demandOf(row: { readonly consumers: readonly Entry[]; readonly properties: QueueProperties }): {
  consumers: number;
  capacity: number;
} {
  if (row.consumers.length === 0) return { consumers: 0, capacity: 0 };
  if (row.properties.singleActiveConsumer) {
    // Only the active one can take a message; where nothing says which it is, the first that came. A bridge's own decides
    // nothing, also when it is the active one: it steps back for whoever waits, and so has to be told of it.
    const counting = row.consumers.filter((entry) => entry.counts);
    const active = counting.find((entry) => entry.active === true) ?? counting[0];
    return active ? { consumers: 1, capacity: active.capacity } : { consumers: 0, capacity: 0 };
  }
  let consumers = 0;
  let capacity = 0;
  for (const entry of row.consumers) {
    if (!entry.counts) continue;
    consumers++;
    capacity += entry.capacity;
  }
  return { consumers, capacity };
}

/** The snapshot's consumers; what is known of them by events is kept, as are the young ones that it does not show yet. */
export function merge(
  known: readonly Entry[],
  shown: readonly ConsumerFact[],
  gone: ReadonlySet<string>,
  young: (bornAt: number | undefined) => boolean,
): Entry[] {
  if (known.length === 0 && shown.length === 0) return known as Entry[];
  const rest = [...known];
  const merged: Entry[] = [];
  for (const fact of shown) {
    let index = rest.findIndex((entry) => entry.tag === fact.tag && entry.channelName === fact.channelName);
    if (index < 0) index = rest.findIndex((entry) => entry.tag === fact.tag && entry.channelName === undefined);
    const entry = index < 0 ? undefined : (rest.splice(index, 1)[0] as Entry);
    if (entry) {
      entry.channelName = fact.channelName;
      entry.active = fact.active;
      merged.push(entry);
    } else if (!gone.has(consumerKey(fact.queue, fact.tag))) {
      merged.push(entryOf(fact, undefined));
    }
  }
  for (const entry of rest) if (young(entry.bornAt) && entry.channelName === undefined) merged.push(entry);
  return merged;
}

/** @param bornAt when an event told of it */
export function entryOf(fact: ConsumerFact, bornAt: number | undefined): Entry {
  const priority = fact.arguments['x-priority'];
  const isBridge = fact.tag.startsWith(ownTag) || fact.arguments['x-tombolo-bridge'] !== undefined;
  const isFederation = fact.tag.startsWith('federation-link-');
  return {
    tag: fact.tag,
    capacity: fact.ackRequired && fact.prefetch > 0 ? fact.prefetch : Number.POSITIVE_INFINITY,
    counts: !isBridge && !isFederation && !(typeof priority === 'number' && priority < 0),
    channelName: fact.channelName,
    channelPid: fact.channelPid,
    active: fact.active,
    bornAt,
  };
}
