import type { DemandFrame, Destination, SnapshotFrame, WithdrawFrame } from '@tombolo/wire/frame';
import { destinationKey } from './destination-key.ts';
import { Digest, demandLine } from './digest.ts';

/** How long an advertisement stands without a refresh by its sink (ms). */
export const LEASE_MS = 90_000;

/** Why a demand is not served: a word for metrics, a sentence for people. */
export interface Unserved {
  readonly reason: string;
  readonly detail: string;
}

/** A way to a sink's demand: whom to hand frames, and what was said of the demand on that way. */
export interface Way {
  readonly neighbour: string;
  readonly frame: DemandFrame;
}

/** A demand of another cluster, with every way to it that is known. */
export interface Route {
  readonly sink: string;
  readonly destination: Destination;
  /** The way that is used; undefined: none can be. */
  best: Way | undefined;
  /** What was last said of it, for people: also when there is no way any more. */
  last: DemandFrame;
  /** `withdrawn` by the sink itself; `forgotten`: nobody has spoken of it for a lease. */
  state: 'standing' | 'withdrawn' | 'forgotten';
  unserved: Unserved | undefined;
  readonly ways: ReadonlyMap<string, DemandFrame>;
}

/** What became of a route: where it led before. */
export interface RouteChange {
  readonly route: Route;
  readonly before: Way | undefined;
}

interface Entry extends Route {
  readonly ways: Map<string, DemandFrame>;
  /** The newest that the sink has said: a withdrawal kills all that is older, and is remembered for a lease. */
  incarnation: number;
  version: number;
  forgetAt: number;
}

/**
 * Path vector: for each demand the ways that neighbours have advertised, and which of them is used. The newest incarnation of the
 * sink wins, then the shortest path, then the path that comes first in the alphabet, hop by hop from the sink: the same
 * everywhere. What does not win is remembered, and used when the winner is gone. Pure.
 */
export class RouteTable {
  readonly #own: string;
  readonly #usable: (way: Way) => boolean;
  readonly #destinations = new Map<string, Map<string, Entry>>();
  readonly #neighbours = new Map<string, Set<Entry>>();
  /** neighbour → sink → until when its ways stand (monotonic ms). Only the sink's own refresh moves it. */
  readonly #leases = new Map<string, Map<string, number>>();
  readonly #swept = new Map<string, Set<Entry>>();

  /** @param usable whether frames may go this way now: the link is up and a connector permits it */
  constructor(own: string, usable: (way: Way) => boolean) {
    this.#own = own;
    this.#usable = usable;
  }

  /** Every demand that was not withdrawn, reachable or not. */
  *standing(): Generator<Route> {
    for (const sinks of this.#destinations.values()) {
      for (const entry of sinks.values()) if (entry.state === 'standing') yield entry;
    }
  }

  /** The demands of one destination, by sink. */
  *demandsOf(destination: Destination): Generator<Route> {
    for (const entry of this.#destinations.get(destinationKey(destination))?.values() ?? []) {
      if (entry.state === 'standing') yield entry;
    }
  }

  get(sink: string, destination: Destination): Route | undefined {
    const entry = this.#destinations.get(destinationKey(destination))?.get(sink);
    return entry?.state === 'standing' ? entry : undefined;
  }

  /** Until when the ways of `sink` by `neighbour` stand. */
  leaseUntil(neighbour: string, sink: string): number {
    return this.#leases.get(neighbour)?.get(sink) ?? Number.NEGATIVE_INFINITY;
  }

  /** How many ways are stored in all. */
  get size(): number {
    let size = 0;
    for (const entries of this.#neighbours.values()) size += entries.size;
    return size;
  }

  // ---- what neighbours say -----------------------------------------------------------------------------------------------

  /** A neighbour advertises a way. Loops and lies (a path that does not end with it) are ignored. */
  advertised(neighbour: string, frame: DemandFrame, now: number): RouteChange[] {
    const { path, sink, incarnation, version } = frame;
    const sound = path[0] === sink && path.at(-1) === neighbour && new Set(path).size === path.length;
    if (!sound || path.includes(this.#own)) return [];
    const entry = this.#entry(frame);
    if (entry.state === 'withdrawn' && !newer(frame, entry)) return [];
    const known = entry.ways.get(neighbour);
    if (known && newer(known, frame)) return [];
    this.#swept.get(neighbour)?.delete(entry);
    this.#renew(neighbour, frame, now);
    if (known && compareWays(known, frame) === 0 && known.version === version && known.ttl === frame.ttl) return [];
    entry.state = 'standing';
    if (newer(frame, entry)) Object.assign(entry, { incarnation, version });
    entry.ways.set(neighbour, frame);
    entry.forgetAt = Number.POSITIVE_INFINITY;
    setOf(this.#neighbours, neighbour).add(entry);
    return this.#judge(entry);
  }

  /** Said by the sink's own bridge. Undefined when that is no news here; else it is to be passed on. */
  withdrawn(frame: WithdrawFrame, now: number): RouteChange[] | undefined {
    const known = this.#destinations.get(destinationKey(frame.destination))?.get(frame.sink);
    if (known && !newer(frame, known)) return undefined;
    const entry = known ?? this.#entry(frame);
    const before = entry.best;
    const { incarnation, version } = frame;
    Object.assign(entry, { incarnation, version, state: 'withdrawn', unserved: undefined, forgetAt: now + LEASE_MS });
    for (const neighbour of [...entry.ways.keys()]) this.#removeWay(entry, neighbour);
    entry.best = undefined;
    return known ? [{ route: entry, before }] : undefined;
  }

  /** The neighbour has no way to it any more. */
  unreachable(neighbour: string, sink: string, destination: Destination, now: number): RouteChange[] {
    const entry = this.#destinations.get(destinationKey(destination))?.get(sink);
    return entry ? this.#drop(entry, neighbour, now) : [];
  }

  /** The link to the neighbour is gone, and with it all ways by it. */
  lost(neighbour: string, now: number): RouteChange[] {
    this.#leases.delete(neighbour);
    this.#swept.delete(neighbour);
    const entries = this.#neighbours.get(neighbour);
    this.#neighbours.delete(neighbour);
    return [...(entries ?? [])].flatMap((entry) => this.#drop(entry, neighbour, now));
  }

  snapshotBegun(neighbour: string, ownToo: boolean): void {
    const entries = [...(this.#neighbours.get(neighbour) ?? [])];
    this.#swept.set(neighbour, new Set(entries.filter(({ sink }) => ownToo || sink !== neighbour)));
  }

  /** What the snapshot did not repeat: the neighbour's own demands are withdrawn, to the others it has no way any more. */
  snapshotEnded(
    neighbour: string,
    { incarnation, version, sighted }: Pick<SnapshotFrame, 'incarnation' | 'version' | 'sighted'>,
    now: number,
  ): { readonly withdrawals: WithdrawFrame[]; readonly changes: RouteChange[] } {
    const gone = [...(this.#swept.get(neighbour) ?? [])];
    this.#swept.delete(neighbour);
    const own = gone.filter(({ sink }) => sink === neighbour);
    // What this link had told before it broke, and no other way told meanwhile, is settled by the sink's own word, too.
    const stale = [...this.#of(neighbour)].filter(({ ways, state }) => ways.size === 0 && state === 'standing');
    for (const entry of sighted ? stale : []) this.#forget(entry, 'withdrawn');
    return {
      withdrawals: own.map(({ sink, destination }) => ({ kind: 'withdraw', sink, destination, incarnation, version })),
      changes: [
        ...gone.filter(({ sink }) => sink !== neighbour).flatMap((entry) => this.#drop(entry, neighbour, now)),
        ...(sighted ? stale : []).map((route) => ({ route, before: undefined })),
      ],
    };
  }

  /** Whether this end knows what the neighbour says it has advertised. */
  agrees(neighbour: string, count: number, digest: string): boolean {
    const known = new Digest();
    for (const entry of this.#neighbours.get(neighbour) ?? []) known.add(demandLine(entry.ways.get(neighbour)!));
    return known.count === count && known.toString() === digest;
  }

  // ---- time and permissions ------------------------------------------------------------------------------------------------

  /** Ways whose lease ran out are dropped, and what nobody has spoken of for a lease is forgotten. */
  expire(now: number): RouteChange[] {
    const changes: RouteChange[] = [];
    for (const [neighbour, sinks] of this.#leases) {
      const ended = new Set([...sinks].filter(([, until]) => until <= now).map(([sink]) => sink));
      if (ended.size === 0) continue;
      for (const sink of ended) sinks.delete(sink);
      for (const entry of [...(this.#neighbours.get(neighbour) ?? [])]) {
        if (ended.has(entry.sink)) changes.push(...this.#drop(entry, neighbour, now));
      }
    }
    for (const sinks of [...this.#destinations.values()]) {
      for (const entry of [...sinks.values()]) {
        if (entry.ways.size > 0 || entry.forgetAt > now) continue;
        const stood = entry.state === 'standing';
        this.#forget(entry, stood ? 'forgotten' : entry.state);
        if (stood) changes.push({ route: entry, before: undefined });
      }
    }
    return changes;
  }

  /** What the connectors permit has changed. */
  reconsider(): RouteChange[] {
    const changes: RouteChange[] = [];
    for (const sinks of this.#destinations.values()) {
      for (const entry of sinks.values()) changes.push(...this.#judge(entry));
    }
    return changes;
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  #entry(frame: DemandFrame | WithdrawFrame): Entry {
    const { sink, destination, incarnation, version } = frame;
    const sinks = mapOf(this.#destinations, destinationKey(destination));
    let entry = sinks.get(sink);
    if (!entry) {
      const last: DemandFrame = frame.kind === 'demand' ? frame : { ...emptyDemand, ...frame, kind: 'demand' };
      entry = {
        sink,
        destination,
        best: undefined,
        last,
        state: 'standing',
        unserved: undefined,
        ways: new Map(),
        incarnation,
        version,
        forgetAt: Number.POSITIVE_INFINITY,
      };
      sinks.set(sink, entry);
    }
    return entry;
  }

  #drop(entry: Entry, neighbour: string, now: number): RouteChange[] {
    if (!this.#removeWay(entry, neighbour)) return [];
    if (entry.ways.size === 0) entry.forgetAt = now + LEASE_MS;
    return this.#judge(entry);
  }

  #removeWay(entry: Entry, neighbour: string): boolean {
    this.#neighbours.get(neighbour)?.delete(entry);
    return entry.ways.delete(neighbour);
  }

  #judge(entry: Entry): RouteChange[] {
    const before = entry.best;
    let best: Way | undefined;
    for (const [neighbour, frame] of entry.ways) {
      const way = { neighbour, frame };
      if (this.#usable(way) && (!best || compareWays(frame, best.frame) < 0)) best = way;
    }
    if (before?.neighbour === best?.neighbour && before?.frame === best?.frame) return [];
    entry.best = best;
    if (best) entry.last = best.frame;
    return [{ route: entry, before }];
  }

  /** Only the sink refreshes a lease: by itself, or by the advertisement of its cluster that transits pass on. */
  #renew(neighbour: string, { destination, path, sink, leaseMs }: DemandFrame, now: number): void {
    const until = now + Math.min(LEASE_MS, leaseMs);
    const held = this.leaseUntil(neighbour, sink);
    if (destination.kind === 'cluster' || path.length === 1 || held <= now) {
      mapOf(this.#leases, neighbour).set(sink, Math.max(held, until));
    }
  }

  *#of(sink: string): Generator<Entry> {
    for (const sinks of this.#destinations.values()) {
      const entry = sinks.get(sink);
      if (entry) yield entry;
    }
  }

  #forget(entry: Entry, state: Entry['state']): void {
    const key = destinationKey(entry.destination);
    const sinks = this.#destinations.get(key);
    entry.state = state;
    sinks?.delete(entry.sink);
    if (sinks?.size === 0) this.#destinations.delete(key);
  }
}

const emptyDemand = { path: [], ttl: 1, connector: '', consumers: 0, queue: {}, leaseMs: 0 } as const;

/** Below 0: `a` is the better way. */
function compareWays(a: DemandFrame, b: DemandFrame): number {
  if (a.incarnation !== b.incarnation) return b.incarnation - a.incarnation;
  if (a.path.length !== b.path.length) return a.path.length - b.path.length;
  for (let i = 0; i < a.path.length; i++) if (a.path[i] !== b.path[i]) return a.path[i]! < b.path[i]! ? -1 : 1;
  return 0;
}

/** True when `a` was said later than `b`. */
function newer(
  a: { readonly incarnation: number; readonly version: number },
  b: { readonly incarnation: number; readonly version: number },
): boolean {
  return (a.incarnation - b.incarnation || a.version - b.version) > 0;
}

function mapOf<K, A, B>(map: Map<K, Map<A, B>>, key: K): Map<A, B> {
  let inner = map.get(key);
  if (!inner) {
    inner = new Map();
    map.set(key, inner);
  }
  return inner;
}

function setOf<K, A>(map: Map<K, Set<A>>, key: K): Set<A> {
  let inner = map.get(key);
  if (!inner) {
    inner = new Set();
    map.set(key, inner);
  }
  return inner;
}
