import { replyAddressOf } from '@tombolo/wire/reply-address';

/*
 * How a reply travels.
 *
 *   origin WEST                                                              EAST
 *   requester ──▶ [orders] ──▶ bridge ══ reply-to: tombolo.reply.west.… ══▶ bridge ──▶ [orders] ──▶ replier
 *        ▲                       │ verifies, restores                     declares first,│              │ default exchange
 *        └── its own address ◀───┘ ◀════════ a stream of its own ══════════ then consumes └─ [tombolo.reply.west.…] ◀┘
 *
 * The replies to one address are an ordinary stream, with its credit, settlement and duplicate suppression: source is the replier's
 * cluster, sink is the origin, and the destination is {kind: 'reply', name: the queue}. Both halves treat it like one that is
 * forwarded without demand, with these differences:
 *
 * - It is there as soon as the book says `serve`, not when somebody demands it.
 * - No connector in its direction is needed, and no filter is asked: the connectors that let the request through, and the
 *   requester, who named the address, have permitted its reply; the signature proves that. A pause of a connector that the
 *   request came by does not hold back replies. Only a link is needed.
 * - It follows the routes between clusters, however many hops, as the settlements of the request did on their way back; networkTTL
 *   was spent by the request. A transit relays it without looking.
 * - The origin looks at no queue of its own: every reply is judged when it arrives (ReplyLanding) and published to the default
 *   exchange with the original address, mandatory. `returned` is `accepted`: the requester has gone, and is counted as late. A direct
 *   reply is published on a connection that nothing else uses, and not mandatory; one that ends it is `accepted` and counted. What
 *   the verdict drops is `accepted` too, but for a persistent reply whose address has expired: that is `rejected`, and parked beside
 *   the replier, since nothing that a broker has stored is lost without a trace.
 * - The queue is durable, and expires when nobody has consumed it for as long as an address can be valid: by then its replies
 *   would be refused at the origin anyway.
 *
 * A reply may have a `reply-to` itself; it is rewritten and entered into the book of its sink like that of any message.
 */

/** What the book wants done. The shell answers `declare` with `declared` or `failed`. */
export type ReplyEffect =
  /** Make sure that this queue exists: classic, durable, and gone when it was unused for `expiresMs`. */
  | { readonly do: 'declare'; readonly queue: string; readonly expiresMs: number }
  /** Consume the queue and forward what comes to `origin`. */
  | { readonly do: 'serve'; readonly queue: string; readonly origin: string }
  /** Let the stream finish and the consumer go. The queue may then be deleted if it is empty; if nobody does, it expires. */
  | { readonly do: 'release'; readonly queue: string };

/** What a batch of messages needs before it is published. */
export interface ReplyBatch {
  readonly effects: readonly ReplyEffect[];
  /** Queues that do not exist yet: before they do, an answer to this batch would be lost. */
  readonly awaited: readonly string[];
  /** Addresses for which there is no room: these requests are delivered, and their replies find no queue. */
  readonly crowded: number;
}

export interface ReplyBookOptions {
  /** The own cluster. */
  readonly cluster: string;
  /** Whether the network has this cluster: what is said to come from anywhere else is not served. */
  readonly knows: (cluster: string) => boolean;
  /** Reply queues at most; default 10,000. */
  readonly largest?: number;
  /** `x-expires` of the queues, ms; the same for all bridges beside a broker, or their declarations contradict each other. */
  readonly expiresMs?: number;
}

interface Entry {
  readonly queue: string;
  readonly origin: string;
  /** Milliseconds since 1970, as the name says. */
  readonly expiresAt: number;
  state: 'declaring' | 'serving';
  /** Monotonic ms: nobody answers to this address any more. */
  until: number;
}

/** The queue outlives the longest validity of an address (see replyValidMs). */
export const replyQueueExpiresMs = 3_600_000;
const LARGEST = 10_000;
/** The clocks of two clusters may differ, and a reply may be under way. */
const SLACK_MS = 60_000;
/** What a foreign bridge may claim at most; a request that comes again claims it again. */
const LONGEST_MS = 7_200_000;

/**
 * The replier's side: which reply addresses are in use beside this broker, and until when. For each there is a queue of that very
 * name, since repliers answer through the default exchange, and the bridge serves it. Pure: events in, effects out.
 *
 *   requested ──▶ declaring ── declared ──▶ serving ── expired, or crowded out ──▶ (released)
 *                     │  ▲                   │   ▲
 *              failed │  └────── gone ───────┘   └── found: a queue that a former master has left
 *                     ▼
 *                 (absent: the next request tries again)
 *
 * An address counts until it expires, which its name tells. There are at most `largest`: beyond that, the one whose last request
 * or reply is longest ago is let go for the new one, and a reply that still comes to it is lost when its queue is deleted or
 * expires. At 100 new requesters a second that happens after 100 s without a sign. Requesters that keep their reply queue, or use
 * direct reply-to on a connection that they keep, need one address an hour; one new queue per request needs one each.
 *
 * Without the management API a new master cannot see what queues there are, and finds only those that are asked for again.
 */
export class ReplyBook {
  readonly #options: Required<ReplyBookOptions>;
  /** The longest unused first. */
  readonly #entries = new Map<string, Entry>();
  #nextUntil = Number.POSITIVE_INFINITY;

  constructor(options: ReplyBookOptions) {
    this.#options = { largest: LARGEST, expiresMs: replyQueueExpiresMs, ...options };
  }

  /** Reply queues that this bridge answers for. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether this queue is in use, or about to be. */
  has(queue: string): boolean {
    return this.#entries.has(queue);
  }

  /** When `wake` is due next (monotonic ms); Infinity: never. */
  nextWake(): number {
    return this.#nextUntil;
  }

  /**
   * Requests with these `reply-to` are about to be published here. What is no reply address of another cluster of the network, or
   * has expired, asks for nothing.
   */
  requested(addresses: Iterable<string>, now: number, wallNow: number): ReplyBatch {
    const effects: ReplyEffect[] = [];
    const awaited = new Set<string>();
    const batch = new Set<string>();
    let crowded = 0;
    for (const queue of addresses) {
      if (batch.has(queue)) continue;
      const entry = this.#touched(queue, now, wallNow) ?? this.#entered(queue, now, wallNow, 'declaring');
      if (!entry) continue;
      batch.add(queue);
      if (!this.#admitted(entry, batch, effects)) crowded++;
      else if (entry.state === 'declaring') awaited.add(queue);
    }
    return { effects, awaited: [...awaited], crowded };
  }

  /** The queue exists now. */
  declared(queue: string): ReplyEffect[] {
    const entry = this.#entries.get(queue);
    // Late and harmless: it was not wanted any more, or is served already.
    if (entry?.state !== 'declaring') return [];
    entry.state = 'serving';
    this.#nextUntil = Math.min(this.#nextUntil, entry.until);
    return [{ do: 'serve', queue, origin: entry.origin }];
  }

  /** The queue could not be declared: the next request with this address tries again. */
  failed(queue: string): void {
    if (this.#entries.get(queue)?.state === 'declaring') this.#entries.delete(queue);
  }

  /** The watch tells of a queue that exists: one that a former master has left is taken up again, from its name alone. */
  found(queue: string, now: number, wallNow: number): ReplyEffect[] {
    if (this.#entries.has(queue)) return [];
    const entry = this.#entered(queue, now, wallNow, 'serving');
    const effects: ReplyEffect[] = [];
    if (entry && this.#admitted(entry, new Set([queue]), effects))
      effects.push({ do: 'serve', queue, origin: entry.origin });
    return effects;
  }

  /** The queue was deleted although it is in use: it is made anew. */
  gone(queue: string, now: number): ReplyEffect[] {
    const entry = this.#entries.get(queue);
    // Late and harmless: it was released, or is being declared.
    if (entry?.state !== 'serving' || entry.until <= now) return [];
    entry.state = 'declaring';
    return [this.#declare(queue)];
  }

  /** A reply came to this address: it is in use. */
  replied(queue: string): void {
    const entry = this.#entries.get(queue);
    if (entry) this.#last(entry);
  }

  /** Lets go of every address that has expired; one whose queue is being declared, once that has ended. */
  wake(now: number): ReplyEffect[] {
    if (now < this.nextWake()) return [];
    const effects: ReplyEffect[] = [];
    this.#nextUntil = Number.POSITIVE_INFINITY;
    for (const { queue, state, until } of this.#entries.values()) {
      if (state === 'declaring') continue;
      if (until > now) this.#nextUntil = Math.min(this.#nextUntil, until);
      else {
        this.#entries.delete(queue);
        effects.push({ do: 'release', queue });
      }
    }
    return effects;
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #touched(queue: string, now: number, wallNow: number): Entry | undefined {
    const entry = this.#entries.get(queue);
    if (entry) entry.until = Math.max(entry.until, untilOf(entry.expiresAt, now, wallNow));
    return entry;
  }

  /** A new entry, if this name asks for one; it is not in the book yet. */
  #entered(queue: string, now: number, wallNow: number, state: Entry['state']): Entry | undefined {
    const said = replyAddressOf(queue);
    const { cluster, knows } = this.#options;
    if (!said || said.origin === cluster || !knows(said.origin)) return undefined;
    const { origin, expiresAt } = said;
    const until = untilOf(expiresAt, now, wallNow);
    return until > now ? { queue, origin, expiresAt, state, until } : undefined;
  }

  /** Puts the entry last, making room for a new one; false when all others are needed by the same batch, or being declared. */
  #admitted(entry: Entry, batch: ReadonlySet<string>, effects: ReplyEffect[]): boolean {
    const { queue, state } = entry;
    const known = this.#entries.has(queue);
    if (!known && this.#entries.size >= this.#options.largest) {
      const unused = this.#unused(batch);
      if (unused === undefined) return false;
      this.#entries.delete(unused);
      effects.push({ do: 'release', queue: unused });
    }
    this.#last(entry);
    if (state === 'serving') this.#nextUntil = Math.min(this.#nextUntil, entry.until);
    else if (!known) effects.push(this.#declare(queue));
    return true;
  }

  #unused(batch: ReadonlySet<string>): string | undefined {
    for (const { queue, state } of this.#entries.values()) if (state === 'serving' && !batch.has(queue)) return queue;
    return undefined;
  }

  #last(entry: Entry): void {
    this.#entries.delete(entry.queue);
    this.#entries.set(entry.queue, entry);
  }

  #declare(queue: string): ReplyEffect {
    return { do: 'declare', queue, expiresMs: this.#options.expiresMs };
  }
}

function untilOf(expiresAt: number, now: number, wallNow: number): number {
  return now + Math.min(expiresAt - wallNow + SLACK_MS, LONGEST_MS);
}
