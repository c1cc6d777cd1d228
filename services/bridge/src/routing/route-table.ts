import type { DemandFrame, Destination, SnapshotFrame, WithdrawFrame } from '@tombolo/wire/frame';
import { destinationKey } from './destination-key.ts';
import { Digest, demandLine } from './digest.ts';
import { LEASE_MS, Leases, newer } from './lease.ts';
import { SharedParts } from './shared-parts.ts';
import { frontOf, sameWays, type Way } from './way.ts';

/** Why a demand is not served: a word for metrics, a sentence for people. */
export interface Unserved {
  readonly reason: string;
  readonly detail: string;
}

/** More ways by one neighbour are not stored, each takes about a kilobyte; it is ten times what a large network has. */
export const WAYS_LARGEST = 100_000;

/** A demand of another cluster, with every way to it that is known. */
export interface Route {
  readonly sink: string;
  readonly destination: Destination;
  /** The way that is used; undefined: none can be. */
  readonly best: Way | undefined;
  /** The best way, and longer ones that may be passed on farther than it. */
  readonly front: readonly Way[];
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
  readonly before: readonly Way[];
}

/** A route, and what decides of it. */
class Entry implements Route {
  readonly sink: string;
  readonly destination: Destination;
  front: readonly Way[] = noWays;
  last: DemandFrame;
  state: Route['state'] = 'standing';
  unserved: Unserved | undefined;
  readonly ways = new Map<string, DemandFrame>();
  /** The newest that the sink has said: a withdrawal kills all that is older, and is remembered for a lease. */
  incarnation: number;
  version: number;
  forgetAt = Number.POSITIVE_INFINITY;

  constructor(frame: DemandFrame | WithdrawFrame) {
    this.sink = frame.sink;
    this.destination = frame.destination;
    this.last = frame.kind === 'demand' ? frame : { ...emptyDemand, ...frame, kind: 'demand' };
    this.incarnation = frame.incarnation;
    this.version = frame.version;
  }

  get best(): Way | undefined {
    return this.front[0];
  }
}

/** What one neighbour has told. */
interface Told {
  readonly entries: Set<Entry>;
  readonly digest: Digest;
  /** While a snapshot is under way: what it has not repeated yet. */
  swept: Set<Entry> | undefined;
}

/**
 * Path vector: for each demand the ways that neighbours have advertised, and which of them is used. The newest incarnation of the
 * sink wins, then the shortest path; `frontOf` has the rest. What does not win is remembered, and used when the winner is gone. Pure.
 */
export class RouteTable {
  readonly #own: string;
  readonly #limit: (neighbour: string, destination: Destination) => number;
  readonly #destinations = new Map<string, Map<string, Entry>>();
  readonly #neighbours = new Map<string, Told>();
  readonly #leases = new Leases();
  readonly #parts = new SharedParts();

  /** @param limit the networkTTL of the connector by which frames may go to this neighbour now; 0: there is none */
  constructor(own: string, limit: (neighbour: string, destination: Destination) => number) {
    this.#own = own;
    this.#limit = limit;
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

  /** Whether any way that is known to this cluster leads through this neighbour, first or later. */
  leadsThrough(neighbour: string, cluster: string): boolean {
    for (const { path, farther = [] } of this.get(cluster, { kind: 'cluster', name: cluster })?.ways.values() ?? []) {
      if (path.includes(neighbour) || farther.some((way) => way.path.includes(neighbour))) return true;
    }
    return false;
  }

  /** For how long the word of this sink stands if it says nothing more (ms). */
  leaseLeft(sink: string, now: number): number {
    return this.#leases.left(sink, now);
  }

  /** How many ways are stored in all. */
  get size(): number {
    let size = 0;
    for (const { entries } of this.#neighbours.values()) size += entries.size;
    return size;
  }

  /** Whether this would be one way more than a neighbour may have here. */
  isFull(neighbour: string, { sink, destination }: Pick<DemandFrame, 'sink' | 'destination'>): boolean {
    const told = this.#neighbours.get(neighbour);
    if (!told || told.entries.size < WAYS_LARGEST) return false;
    const entry = this.#destinations.get(destinationKey(destination))?.get(sink);
    return !entry?.ways.has(neighbour);
  }

  // ---- what neighbours say -----------------------------------------------------------------------------------------------

  /**
   * A neighbour advertises its way, in place of what it advertised before: its latest word counts, also when the way that is left to
   * it has not heard of the sink's latest. Loops and lies (a path that does not end with it) are ignored.
   */
  advertised(neighbour: string, frame: DemandFrame, now: number): RouteChange[] {
    const { sink, incarnation, version } = frame;
    if (![frame, ...(frame.farther ?? noWays)].every(({ path }) => this.#isSound(path, sink, neighbour))) return [];
    this.#leases.heard(sink, frame, frame.leaseMs, now);
    const entry = this.#entry(frame);
    if (entry.state === 'withdrawn' && !newer(frame, entry)) return [];
    this.#told(neighbour).swept?.delete(entry);
    const known = entry.ways.get(neighbour);
    if (known && demandLine(known) === demandLine(frame)) return [];
    this.#removeWay(entry, neighbour);
    this.#addWay(entry, neighbour, this.#parts.frame(frame, entry.destination));
    entry.state = 'standing';
    if (newer(frame, entry)) Object.assign(entry, { incarnation, version });
    const changes = this.#settle(entry, now);
    if (!entry.best) entry.last = entry.ways.get(neighbour)!;
    return changes;
  }

  /** Said by the sink's own bridge. Undefined when that is no news here; else it is to be passed on. */
  withdrawn(frame: WithdrawFrame, now: number): RouteChange[] | undefined {
    const known = this.#destinations.get(destinationKey(frame.destination))?.get(frame.sink);
    if (known && !newer(frame, known)) return undefined;
    // Remembered in case that the demand itself comes later, as long as a neighbour does not make us remember anything.
    if (!known && this.#destinations.size >= WAYS_LARGEST) return undefined;
    const entry = known ?? this.#entry(frame);
    const before = entry.front;
    const { incarnation, version } = frame;
    Object.assign(entry, { incarnation, version, state: 'withdrawn', unserved: undefined, forgetAt: now + LEASE_MS });
    for (const neighbour of [...entry.ways.keys()]) this.#removeWay(entry, neighbour);
    entry.front = noWays;
    return known ? [{ route: entry, before }] : undefined;
  }

  /** The neighbour has no way to it any more. */
  unreachable(neighbour: string, sink: string, destination: Destination, now: number): RouteChange[] {
    const entry = this.#destinations.get(destinationKey(destination))?.get(sink);
    return entry ? this.#drop(entry, [neighbour], now) : [];
  }

  /**
   * A link far off is gone: all ways over it end at once. Their advertisers will say so themselves, one after the other; until then
   * each bridge would try what the next has not taken back yet, and in a large mesh there is no end of such ways.
   */
  hopLost(cluster: string, peer: string, now: number): RouteChange[] {
    const holds = ({ path }: Pick<Way, 'path'>) => !path.some((name, i) => name === cluster && path[i - 1] === peer);
    const changes: RouteChange[] = [];
    for (const sinks of this.#destinations.values()) {
      for (const entry of sinks.values()) {
        const broken = [...entry.ways].filter(([, frame]) => ![frame, ...(frame.farther ?? noWays)].every(holds));
        for (const [neighbour, frame] of broken) {
          this.#removeWay(entry, neighbour);
          const { farther = [], ...first } = frame;
          const [next, ...rest] = [first, ...farther].filter(holds);
          if (!next) continue;
          const { path, ttl } = next;
          this.#addWay(entry, neighbour, { ...first, path, ttl, ...(rest.length > 0 && { farther: rest }) });
        }
        if (broken.length > 0) changes.push(...this.#settle(entry, now));
      }
    }
    return changes;
  }

  /** The link to the neighbour is gone, and with it all ways by it. */
  lost(neighbour: string, now: number): RouteChange[] {
    const entries = [...(this.#neighbours.get(neighbour)?.entries ?? [])];
    const changes = entries.flatMap((entry) => this.#drop(entry, [neighbour], now));
    this.#neighbours.delete(neighbour);
    return changes;
  }

  snapshotBegun(neighbour: string, ownToo: boolean): void {
    const told = this.#told(neighbour);
    told.swept = new Set([...told.entries].filter(({ sink }) => ownToo || sink !== neighbour));
  }

  /**
   * What the snapshot did not repeat has no way by this neighbour any more. That is all it tells of the neighbour's own demands, too:
   * they may stand, and come by a connector that permits them. Only a later incarnation has withdrawn what it does not repeat.
   */
  snapshotEnded(
    neighbour: string,
    { incarnation, sighted }: Pick<SnapshotFrame, 'incarnation' | 'sighted'>,
    now: number,
  ): { readonly withdrawals: WithdrawFrame[]; readonly changes: RouteChange[] } {
    const told = this.#told(neighbour);
    const gone = [...(told.swept ?? [])];
    told.swept = undefined;
    const changes = gone.flatMap((entry) => this.#drop(entry, [neighbour], now));
    const withdrawals: WithdrawFrame[] = [];
    for (const entry of sighted ? [...this.#of(neighbour)] : []) {
      const { sink, destination } = entry;
      if (entry.state !== 'standing') continue;
      if (entry.incarnation < incarnation) {
        withdrawals.push({ kind: 'withdraw', sink, destination, incarnation, version: 0 });
      } else if (entry.ways.size === 0) {
        // Told before the link broke, or by this snapshot's predecessor, and by no other way since.
        this.#forget(entry, 'withdrawn');
        changes.push({ route: entry, before: noWays });
      }
    }
    return { withdrawals, changes };
  }

  /** Whether this end knows what the neighbour says it has advertised. */
  agrees(neighbour: string, count: number, digest: string): boolean {
    const known = this.#told(neighbour).digest;
    return known.count === count && known.toString() === digest;
  }

  // ---- time and permissions ------------------------------------------------------------------------------------------------

  /** Ways to sinks whose lease ran out are dropped, and what nobody has spoken of for a lease is forgotten. */
  expire(now: number): RouteChange[] {
    const changes: RouteChange[] = [];
    const ended = this.#leases.ended(now);
    for (const sinks of [...this.#destinations.values()]) {
      for (const entry of [...sinks.values()]) {
        if (ended.has(entry.sink)) changes.push(...this.#drop(entry, [...entry.ways.keys()], now));
        if (entry.ways.size > 0 || entry.forgetAt > now) continue;
        const stood = entry.state === 'standing';
        this.#forget(entry, stood ? 'forgotten' : entry.state);
        if (stood) changes.push({ route: entry, before: noWays });
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

  #isSound(path: readonly string[], sink: string, neighbour: string): boolean {
    if (path[0] !== sink || path.at(-1) !== neighbour || path.includes(this.#own)) return false;
    return new Set(path).size === path.length;
  }

  #entry(frame: DemandFrame | WithdrawFrame): Entry {
    const key = destinationKey(frame.destination);
    let sinks = this.#destinations.get(key);
    if (!sinks) {
      sinks = new Map();
      this.#destinations.set(key, sinks);
    }
    let entry = sinks.get(frame.sink);
    if (!entry) {
      entry = new Entry(frame);
      sinks.set(frame.sink, entry);
    }
    return entry;
  }

  #told(neighbour: string): Told {
    let told = this.#neighbours.get(neighbour);
    if (!told) {
      told = { entries: new Set(), digest: new Digest(), swept: undefined };
      this.#neighbours.set(neighbour, told);
    }
    return told;
  }

  #drop(entry: Entry, neighbours: readonly string[], now: number): RouteChange[] {
    const removed = neighbours.filter((neighbour) => this.#removeWay(entry, neighbour));
    return removed.length > 0 ? this.#settle(entry, now) : [];
  }

  #addWay(entry: Entry, neighbour: string, frame: DemandFrame): void {
    const told = this.#told(neighbour);
    told.digest.add(demandLine(frame));
    told.entries.add(entry);
    entry.ways.set(neighbour, frame);
  }

  #removeWay(entry: Entry, neighbour: string): boolean {
    const frame = entry.ways.get(neighbour);
    if (!frame) return false;
    const told = this.#told(neighbour);
    told.digest.remove(demandLine(frame));
    told.entries.delete(entry);
    told.swept?.delete(entry);
    return entry.ways.delete(neighbour);
  }

  /** After the ways have changed: once for all of them, since a change tells where the route led before and not on the way there. */
  #settle(entry: Entry, now: number): RouteChange[] {
    entry.forgetAt = entry.ways.size > 0 ? Number.POSITIVE_INFINITY : now + LEASE_MS;
    return this.#judge(entry);
  }

  #judge(entry: Entry): RouteChange[] {
    const before = entry.front;
    const front = frontOf(entry.ways, (neighbour) => this.#limit(neighbour, entry.destination));
    if (sameWays(before, front)) return [];
    entry.front = front.length > 0 ? front : noWays;
    if (front[0]) entry.last = front[0].frame;
    return [{ route: entry, before }];
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

const noWays: readonly Way[] = [];
const emptyDemand = { path: [], ttl: 1, connector: '', consumers: 0, queue: {}, leaseMs: 0 } as const;
