import { keyOf, nameOf } from './message.ts';
import type { Reach } from './reach.ts';
import type { Fault, Schedule } from './schedule.ts';
import type { Site } from './site.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** What must hold, in the words of the design. */
export type Invariant =
  | 'nothing is lost'
  | 'no duplicates'
  | 'nothing is redelivered'
  | 'order'
  | 'no demand, no traffic'
  | 'no hoarding'
  | 'nothing is stuck'
  | 'no ping-pong'
  | 'bounded memory'
  | 'one master'
  | 'the books agree'
  | 'both ends count alike'
  | 'no exception'
  | 'an end';

export interface Violation {
  readonly invariant: Invariant;
  readonly atMs: number;
  readonly text: string;
}

/** What a run amounted to. */
export interface Tally {
  readonly published: number;
  readonly consumed: number;
  /** Messages that bridges brought into queues. */
  readonly forwards: number;
  /** Of these, how many went to where a message had been before. */
  readonly returns: number;
  readonly duplicates: number;
  readonly allowedDuplicates: number;
}

/** A message that is in a queue, or was handed over by it and is not acknowledged. */
export interface Whereabouts {
  readonly key: string;
  readonly site: string;
  readonly queue: string;
}

interface Fate {
  /** How often it was worked on, and how often a bridge brought it into a queue. */
  consumed: number;
  arrivals: number;
  /** The clusters where it has been. */
  readonly visited: Set<string>;
  /** It was in a queue that was deleted: it may be gone. */
  forgiven: boolean;
}

interface Presence {
  consumers: number;
  leftAt: number;
  ever: boolean;
}

/** A fault's effects on links and brokers are over this long after it. */
const afterglowMs = 10_000;

/** Faults after which messages may come in another order, or again. */
const redelivers: ReadonlySet<Fault['is']> = new Set([
  'bridge-crash',
  'bridge-restart',
  'bridge-pause',
  'broker-crash',
  'broker-cut',
  'broker-slow',
  'alarm',
  'queue-away',
  'store-away',
  'store-forgets',
  'store-unheard',
  'partition',
  'pause',
]);

/** What operators do while consumers stay: nothing that was handed over comes again. */
const orderly: ReadonlySet<Fault['is']> = new Set(['rolling-restart', 'cluster-drain']);

/** Watches a run and says what does not hold. It knows what applications did and saw, and what is in the queues. */
export class Judge {
  readonly violations: Violation[] = [];
  readonly #schedule: Schedule;
  readonly #clock: VirtualClock;
  readonly #sites: ReadonlyMap<string, Site>;
  readonly #fates = new Map<string, Fate>();
  readonly #presences = new Map<string, Presence>();
  /** The latest number of a producer that came to a cluster first of all. */
  readonly #latest = new Map<string, number>();
  readonly #died = new Set<string>();
  readonly #orderly: boolean;
  readonly #settled: boolean;
  readonly #gentle: boolean;
  #forwards = 0;
  /** Forwards to where a message had been before. */
  #returns = 0;
  #consumed = 0;
  #allowedDuplicates = 0;
  /** The largest share of its bound that a queue's hoard came to. */
  hoard = 0;
  /** When something was last consumed, or moved. */
  progressAt = 0;

  constructor(schedule: Schedule, clock: VirtualClock, sites: ReadonlyMap<string, Site>) {
    this.#schedule = schedule;
    this.#clock = clock;
    this.#sites = sites;
    const stays = schedule.consumers.every(({ untilMs }) => untilMs === Number.POSITIVE_INFINITY);
    // What one sink cannot be sent comes late to another.
    const single = schedule.queues.every(
      (name) => new Set(schedule.consumers.filter(({ queue }) => queue === name).map(({ site }) => site)).size <= 1,
    );
    const mild = schedule.faults.every(({ is }) => !redelivers.has(is));
    this.#orderly = stays && mild && (single || schedule.faults.length === 0);
    this.#gentle = stays && schedule.faults.every(({ is }) => orderly.has(is));
    this.#settled = stays && schedule.faults.length === 0;
  }

  // ---- what is seen ----------------------------------------------------------------------------------------------------------

  published(site: string, key: string): void {
    this.#fates.set(key, { consumed: 0, arrivals: 0, visited: new Set([site]), forgiven: false });
  }

  consumed(site: string, queue: string, key: string): void {
    this.progressAt = this.#clock.now();
    const fate = this.#fates.get(key);
    if (!fate)
      return this.report('the books agree', `${key} was consumed from ${queue} on ${site} and never published`);
    fate.consumed++;
    this.#consumed++;
  }

  /** A consumer was handed a message that had been handed over before, to it or to a bridge. */
  redelivered(site: string, queue: string, key: string): void {
    if (this.#gentle) this.report('nothing is redelivered', `${key} was handed over again from ${queue} on ${site}`);
  }

  consumerCame(site: string, queue: string): void {
    const presence = this.#presence(site, queue);
    presence.consumers++;
    presence.ever = true;
  }

  consumerLeft(site: string, queue: string): void {
    const presence = this.#presence(site, queue);
    presence.consumers--;
    presence.leftAt = this.#clock.now();
  }

  /** A bridge has put a message into a queue. */
  arrived(site: string, queue: string, key: string): void {
    this.progressAt = this.#clock.now();
    const fate = this.#fates.get(key);
    if (!fate) return this.report('the books agree', `${key} came to ${queue} on ${site} and was never published`);
    fate.arrivals++;
    this.#forwards++;
    if (fate.visited.has(site)) this.#returns++;
    fate.visited.add(site);
    this.#judgeDemand(site, queue, key);
    if (fate.arrivals === 1) this.#judgeOrder(site, key);
    this.#judgeHoard(site, queue);
  }

  /** A fault may double as many messages at most. */
  allowDuplicates(count: number): void {
    this.#allowedDuplicates += count;
  }

  /** What was known of messages of this cluster's queues that are in doubt may be known to its peers only. */
  died(site: string): void {
    this.#died.add(site);
  }

  /** These may be gone: their queue was deleted. */
  forgive(keys: readonly string[]): void {
    for (const key of keys) {
      const fate = this.#fates.get(key);
      if (fate) fate.forgiven = true;
    }
  }

  report(invariant: Invariant, text: string): void {
    // A few of a kind say as much as all of them.
    if (this.violations.filter((known) => known.invariant === invariant).length < 5)
      this.violations.push({ invariant, atMs: this.#clock.now(), text });
  }

  // ---- at the end ------------------------------------------------------------------------------------------------------------

  /** @param present every message that waits in a queue or is with a consumer */
  conclude(present: readonly Whereabouts[]): Tally {
    const places = new Map<string, Whereabouts[]>();
    for (const found of present) places.set(found.key, [...(places.get(found.key) ?? []), found]);
    let duplicates = 0;
    const doubled: string[] = [];
    for (const [key, { consumed, forgiven, arrivals }] of this.#fates) {
      const waiting = places.get(key) ?? [];
      // Delivered, and in the queue of a source that has died: it is recognised when a bridge or nobody takes it.
      const inDoubt = consumed > 0 ? waiting.filter(({ site }) => this.#died.has(site)).length : 0;
      const copies = consumed + waiting.length - inDoubt;
      if (copies === 0 && !forgiven)
        this.report('nothing is lost', `${key} is nowhere; it was moved ${arrivals} times`);
      if (copies > 1) {
        duplicates += copies - 1;
        const where = waiting.map(({ site, queue }) => `${queue} on ${site}`).join(', ');
        doubled.push(`${key} (${consumed} × consumed, now in ${where || 'no queue'})`);
      }
    }
    if (duplicates > this.#allowedDuplicates) {
      const text = `${duplicates} duplicates, ${this.#allowedDuplicates} allowed: ${doubled.slice(0, 5).join('; ')}`;
      this.report('no duplicates', text);
    }
    const published = this.#fates.size;
    if (this.#settled && this.#returns > published * 0.1 + 5)
      this.report(
        'no ping-pong',
        `${this.#returns} of ${this.#forwards} forwards went back to where a message had been`,
      );
    return {
      ...{ published, consumed: this.#consumed, forwards: this.#forwards, returns: this.#returns, duplicates },
      allowedDuplicates: this.#allowedDuplicates,
    };
  }

  // ---- inside ----------------------------------------------------------------------------------------------------------------

  #judgeDemand(site: string, queue: string, key: string): void {
    const { consumers, leftAt, ever } = this.#presence(site, queue);
    const { disturbedAt, drained, latencyMs, stopping } = this.#sites.get(site)!;
    if (drained) this.report('no demand, no traffic', `${key} was brought to ${queue} on ${site}, which is drained`);
    if (consumers > 0) return;
    if (ever && stopping) return; // a bridge that drains still takes what is on its way
    const now = this.#clock.now();
    // The bridge hears of a consumer's leaving, and what it publishes arrives, a broker's latency late.
    const knows = now - leftAt > 4 * latencyMs + 5 && now - disturbedAt > afterglowMs;
    if (!ever || knows) {
      const since = ever ? `the last one left ${Math.round(now - leftAt)} ms before` : 'there never was one';
      this.report('no demand, no traffic', `${key} was brought to ${queue} on ${site} without a consumer: ${since}`);
    }
  }

  #judgeOrder(site: string, key: string): void {
    if (!this.#orderly) return;
    const { producer, number } = nameOf(key);
    const path = `${producer} ${site}`;
    const latest = this.#latest.get(path) ?? 0;
    if (number < latest) this.report('order', `${key} came to ${site} after #${latest}`);
    this.#latest.set(path, Math.max(latest, number));
  }

  /** What waits and was brought by bridges, against what these consumers hold and a round trip takes, and one for each source. */
  #judgeHoard(site: string, queue: string): void {
    const schedule = this.#schedule;
    const sources = schedule.sites.length - 1;
    if (schedule.faults.length > 0) return;
    const plans = schedule.consumers.filter((plan) => plan.site === site && plan.queue === queue);
    const now = this.#clock.now();
    if (plans.length === 0 || plans.some(({ fromMs, untilMs }) => now < fromMs || now >= untilMs)) return;
    const capacity = plans.reduce((sum, { prefetch }) => sum + prefetch, 0);
    const perMs = plans.reduce((sum, { workMs }) => sum + 1 / workMs, 0);
    const { latencyMs, jitterMs, brokerLatencyMs } = schedule.weather;
    const hops = Math.min(sources, Math.max(1, ...schedule.connectors.map(({ networkTTL }) => networkTTL)));
    const roundTripMs = 2 * hops * (latencyMs + jitterMs) + 6 * brokerLatencyMs;
    const bound = 2 * (capacity + perMs * roundTripMs) + sources + 4;
    const ready = this.#sites.get(site)!.server.queues.get(queue)?.ready ?? [];
    if (ready.length <= bound * this.hoard) return;
    const brought = ready.filter(({ body }) => (this.#fates.get(keyOf(body))?.arrivals ?? 0) > 0).length;
    this.hoard = Math.max(this.hoard, brought / bound);
    if (brought > bound)
      this.report('no hoarding', `${brought} messages wait in ${queue} on ${site}; ${Math.round(bound)} would do`);
  }

  #presence(site: string, queue: string): Presence {
    const key = `${site} ${queue}`;
    let presence = this.#presences.get(key);
    if (!presence) {
      presence = { consumers: 0, leftAt: Number.NEGATIVE_INFINITY, ever: false };
      this.#presences.set(key, presence);
    }
    return presence;
  }
}

/** A consumer that could take a message, and one that waits for it where it could be fetched from. */
export interface Stuck {
  readonly queue: string;
  readonly at: string;
  readonly ready: number;
  readonly idleAt: string;
}

/** Every queue with ready messages from where a cluster with an idle consumer can be reached. */
export function stuckQueues(
  sites: ReadonlyMap<string, Site>,
  idle: readonly { readonly site: string; readonly queue: string }[],
  reach: Reach,
): Stuck[] {
  const found: Stuck[] = [];
  for (const { name, server } of sites.values()) {
    for (const [queue, { ready }] of server.queues) {
      if (ready.length === 0) continue;
      const waiting = idle.find((consumer) => consumer.queue === queue && reach.from(name, consumer.site, queue));
      if (waiting) found.push({ queue, at: name, ready: ready.length, idleAt: waiting.site });
    }
  }
  return found;
}
