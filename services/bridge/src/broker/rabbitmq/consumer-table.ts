import type { QueueProperties } from '@tombolo/wire/frame';
import type { QueueDemand } from '../port.ts';
import { type ConsumerFact, consumerKey, demandOf, type Entry, entryOf, merge, ownTag } from './listed-consumers.ts';
import { sameProperties } from './queue-properties.ts';

export interface QueueFact {
  readonly name: string;
  readonly properties: QueueProperties;
  readonly ready: number | undefined;
  /** Why it cannot be used for now, although it exists. */
  readonly unavailable?: string;
}

export type DemandChange =
  | { readonly is: 'changed'; readonly demand: QueueDemand }
  | { readonly is: 'deleted'; readonly queue: string }
  | { readonly is: 'created'; readonly queue: string; readonly properties: QueueProperties };

interface Row {
  properties: QueueProperties;
  ready: number | undefined;
  consumers: Entry[];
  bornAt: number | undefined;
  unavailable: { readonly reason: string; readonly at: number } | undefined;
  /** A list did not show its consumers, and a look at the queue did not confirm that: since when, and how often in a row it showed nothing. */
  doubt: { readonly since: number; readonly zeros: number } | undefined;
  told:
    | { consumers: number; capacity: number; properties: QueueProperties; unavailable: string | undefined }
    | undefined;
}

/** A queue of which a list shows no consumer any more, and how many it shows that are no demand and not this bridge's. */
export interface Vanished {
  readonly queue: string;
  readonly others: number;
}

/**
 * The management API's lists lag behind by a statistics interval (5 s by default, twice that at worst): within this time
 * what an event told is believed over what a snapshot does not show, or still shows.
 */
const believeEventsMs = 11_000;
/** A list that was asked for before a queue went may come after the event. */
const staleListMs = 2_000;

/**
 * Who consumes from what, from snapshots and events together. Pure: every method returns what has to be told.
 * Events are not state: they cut latency, and the next snapshots correct them.
 */
export class ConsumerTable {
  #rows = new Map<string, Row>();
  #matches: (queue: string) => boolean = () => false;
  /** Consumers and queues that an event ended, until snapshots have caught up. */
  #gone: { readonly key: string; readonly at: number }[] = [];

  /** Other names are watched from now on. */
  watch(matches: (queue: string) => boolean): DemandChange[] {
    const changes: DemandChange[] = [];
    const before = this.#matches;
    this.#matches = matches;
    for (const [queue, row] of this.#rows) {
      const now = matches(queue);
      if (now === before(queue)) continue;
      if (now) this.#introduce(changes, queue, row);
      else row.told = undefined;
    }
    return changes;
  }

  /** Tells everything again, as to a new listener. */
  retell(): DemandChange[] {
    const changes: DemandChange[] = [];
    for (const [queue, row] of this.#rows) if (this.#matches(queue)) this.#introduce(changes, queue, row);
    return changes;
  }

  propertiesOf(queue: string): QueueProperties | undefined {
    return this.#rows.get(queue)?.properties;
  }

  /** True when the queue has consumers whose channel is known by name only: a channel's end cannot be matched to them. */
  get hasUnmatched(): boolean {
    for (const row of this.#rows.values()) {
      if (row.consumers.some((entry) => entry.counts && entry.channelPid === undefined)) return true;
    }
    return false;
  }

  /** Something is only supposed at present: the next look should not be far. */
  get isUnsettled(): boolean {
    for (const [queue, row] of this.#rows) {
      if ((row.unavailable || row.doubt) && row.told && this.#matches(queue)) return true;
    }
    return false;
  }

  /** The broker was out of sight: the next snapshot decides alone. */
  distrustEvents(): void {
    this.#gone = [];
    for (const row of this.#rows.values()) {
      row.bornAt = undefined;
      for (const entry of row.consumers) entry.bornAt = undefined;
    }
  }

  /**
   * Queues whose demand would end with this snapshot, although no event told so: a list may lag behind (consumers that moved to
   * another node with their connections), or lack what one node knows. A look at each queue should decide: see `doubted`.
   */
  vanishing(queues: readonly QueueFact[], consumers: readonly ConsumerFact[], now: number): Vanished[] {
    const { gone, young } = this.#recent(now);
    const byQueue = grouped(consumers);
    return queues.flatMap(({ name, unavailable }) => {
      const row = this.#rows.get(name);
      if (!row?.told?.consumers || unavailable || row.unavailable || !this.#matches(name)) return [];
      const shown = byQueue.get(name) ?? [];
      const left = demandOf({ ...row, consumers: merge(row.consumers, shown, gone, young) });
      if (left.consumers > 0) return [];
      return [{ queue: name, others: shown.filter(({ tag }) => !tag.startsWith(ownTag)).length }];
    });
  }

  /**
   * What a look at such a queue showed: `consumers` that are neither listed nor this bridge's. True while they are believed in: a list
   * makes up for them in time. Nothing at all from a quorum queue may only mean that it has no leader: that is believed the second time.
   */
  doubted(queue: string, consumers: number, nothing: boolean, now: number): boolean {
    const row = this.#rows.get(queue);
    if (!row) return false;
    const { since, zeros } = row.doubt ?? { since: now, zeros: 0 };
    const leaderless = nothing && row.properties.type === 'quorum' && zeros === 0;
    const holds = (consumers > 0 || leaderless) && now - since < believeEventsMs;
    row.doubt = holds ? { since, zeros: nothing ? zeros + 1 : 0 } : undefined;
    return holds;
  }

  /**
   * A full look: what it does not show is gone, unless an event has told of it lately.
   * @param doubted queues whose consumers are left as they were
   */
  snapshot(
    queues: readonly QueueFact[],
    consumers: readonly ConsumerFact[],
    now: number,
    doubted: ReadonlySet<string> = new Set(),
  ): DemandChange[] {
    const changes: DemandChange[] = [];
    const { gone, young } = this.#recent(now);
    const byQueue = grouped(consumers);
    const seen = new Set<string>();
    for (const { name, properties, ready, unavailable } of queues) {
      if (gone.has(queueKey(name)) && !this.#rows.has(name)) continue;
      seen.add(name);
      let row = this.#rows.get(name);
      if (!row) {
        row = newRow(properties, ready);
        this.#rows.set(name, row);
        if (this.#matches(name)) changes.push({ is: 'created', queue: name, properties });
      }
      if (!sameProperties(row.properties, properties)) row.properties = properties;
      row.ready = ready;
      if (unavailable !== undefined) row.unavailable = { reason: unavailable, at: now };
      else if (row.unavailable && now - row.unavailable.at >= staleListMs) row.unavailable = undefined;
      if (doubted.has(name)) continue;
      row.doubt = undefined;
      row.consumers = merge(row.consumers, byQueue.get(name) ?? [], gone, young);
    }
    for (const [name, row] of this.#rows) {
      if (seen.has(name) || (young(row.bornAt) && !row.unavailable)) continue;
      this.#rows.delete(name);
      if (this.#matches(name)) changes.push({ is: 'deleted', queue: name });
    }
    for (const [name, row] of this.#rows) this.#compare(changes, name, row);
    return changes;
  }

  consumerCreated(fact: ConsumerFact, now: number): DemandChange[] {
    const changes: DemandChange[] = [];
    this.#gone = this.#gone.filter((gone) => gone.key !== consumerKey(fact.queue, fact.tag));
    let row = this.#rows.get(fact.queue);
    if (!row) {
      // Its creation was missed; properties follow with the next snapshot.
      row = newRow({}, undefined, now);
      this.#rows.set(fact.queue, row);
      if (this.#matches(fact.queue)) changes.push({ is: 'created', queue: fact.queue, properties: row.properties });
    }
    const same = row.consumers.find((entry) => entry.tag === fact.tag && entry.channelPid === fact.channelPid);
    // A snapshot may have shown it before its event came.
    const adopted = same ?? row.consumers.find((entry) => entry.tag === fact.tag && entry.channelPid === undefined);
    if (adopted) {
      adopted.channelPid = fact.channelPid;
      adopted.bornAt = now;
    } else {
      row.consumers.push(entryOf(fact, now));
    }
    this.#compare(changes, fact.queue, row);
    return changes;
  }

  consumerDeleted(queue: string, tag: string, channelPid: string, now: number): DemandChange[] {
    const changes: DemandChange[] = [];
    const row = this.#rows.get(queue);
    if (!row) return changes;
    let index = row.consumers.findIndex((entry) => entry.tag === tag && entry.channelPid === channelPid);
    if (index < 0) index = row.consumers.findIndex((entry) => entry.tag === tag && entry.channelPid === undefined);
    if (index < 0) return changes;
    row.consumers.splice(index, 1);
    this.#gone.push({ key: consumerKey(queue, tag), at: now });
    this.#compare(changes, queue, row);
    return changes;
  }

  /** The channel's consumers are gone, as far as they can be told from others. */
  channelClosed(channelPid: string, now: number): DemandChange[] {
    const changes: DemandChange[] = [];
    for (const [queue, row] of this.#rows) {
      const left = row.consumers.filter((entry) => entry.channelPid !== channelPid);
      if (left.length === row.consumers.length) continue;
      for (const entry of row.consumers) {
        if (entry.channelPid === channelPid) this.#gone.push({ key: consumerKey(queue, entry.tag), at: now });
      }
      row.consumers = left;
      this.#compare(changes, queue, row);
    }
    return changes;
  }

  queueCreated(queue: string, properties: QueueProperties, now: number): DemandChange[] {
    const changes: DemandChange[] = [];
    this.#gone = this.#gone.filter((gone) => gone.key !== queueKey(queue));
    const row = this.#rows.get(queue);
    if (row) {
      row.properties = { ...row.properties, ...properties };
      row.unavailable = undefined;
      this.#compare(changes, queue, row);
      return changes;
    }
    this.#rows.set(queue, newRow(properties, 0, now));
    if (this.#matches(queue)) changes.push({ is: 'created', queue, properties });
    return changes;
  }

  queueDeleted(queue: string, now: number): DemandChange[] {
    const row = this.#rows.get(queue);
    if (!row) return [];
    this.#rows.delete(queue);
    this.#gone.push({ key: queueKey(queue), at: now });
    return this.#matches(queue) ? [{ is: 'deleted', queue }] : [];
  }

  /**
   * The broker itself has ended the queue: its node may be down, or it was its time. What was told of its consumers stands, without
   * room for any message, until a snapshot shows which it is.
   */
  queueEnded(queue: string, now: number): DemandChange[] {
    const changes: DemandChange[] = [];
    const row = this.#rows.get(queue);
    if (!row) return changes;
    row.unavailable ??= { reason: 'it went, with its node or for good: that is being looked at', at: now };
    this.#compare(changes, queue, row);
    return changes;
  }

  #recent(now: number): { gone: ReadonlySet<string>; young: (bornAt: number | undefined) => boolean } {
    this.#gone = this.#gone.filter((gone) => now - gone.at < believeEventsMs);
    return {
      gone: new Set(this.#gone.map((each) => each.key)),
      young: (bornAt) => bornAt !== undefined && now - bornAt < believeEventsMs,
    };
  }

  #introduce(changes: DemandChange[], queue: string, row: Row): void {
    changes.push({ is: 'created', queue, properties: row.properties });
    row.told = undefined;
    this.#compare(changes, queue, row);
  }

  #compare(changes: DemandChange[], queue: string, row: Row): void {
    if (!this.#matches(queue)) return;
    const { told, properties, ready } = row;
    const unavailable = row.unavailable?.reason;
    // Its consumers were cancelled, which says nothing of what they want.
    const { consumers, capacity } = row.unavailable ? { consumers: told?.consumers ?? 0, capacity: 0 } : demandOf(row);
    // A queue that never had a consumer says nothing; `created` was told.
    if (!told && consumers === 0) return;
    const same = told?.consumers === consumers && told.capacity === capacity && told.unavailable === unavailable;
    if (same && sameProperties(told.properties, properties)) return;
    row.told = { consumers, capacity, properties, unavailable };
    const why = unavailable !== undefined && { unavailable };
    changes.push({ is: 'changed', demand: { queue, consumers, capacity, properties, ready, ...why } });
  }
}

function newRow(properties: QueueProperties, ready: number | undefined, bornAt?: number): Row {
  return { properties, ready, consumers: [], bornAt, unavailable: undefined, doubt: undefined, told: undefined };
}

function grouped(consumers: readonly ConsumerFact[]): Map<string, ConsumerFact[]> {
  const byQueue = new Map<string, ConsumerFact[]>();
  for (const fact of consumers) {
    const list = byQueue.get(fact.queue);
    if (list) list.push(fact);
    else byQueue.set(fact.queue, [fact]);
  }
  return byQueue;
}

const queueKey = (queue: string) => `q\0${queue}`;
