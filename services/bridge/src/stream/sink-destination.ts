import type {
  Blocked,
  ClosedFrame,
  MessagesFrame,
  OpenFrame,
  StateFrame,
  StreamAddress,
  StreamEpoch,
} from '@tombolo/wire/frame';
import {
  allowance,
  type DemandWindow,
  emptyWindow,
  noteConfirmed,
  noteProbe,
  setCapacity,
  wantsProbe,
} from './credit.ts';
import type { SinkEffect } from './effects.ts';
import type { LandingOutcome } from './landing.ts';
import { Refusal } from './refusal.ts';
import { SinkStream } from './sink-machine.ts';

/** What a destination wants done; stream effects name their source's cluster. */
export type DestinationEffect =
  | { readonly do: 'stream'; readonly source: string; readonly effect: SinkEffect }
  | { readonly do: 'probe' };

/** Sources that have a standing credit at a time, and for how long when there are more. */
const STANDING_LARGEST = 32;
const TURN_MS = 500;
/** How long nothing is drawn after the own consumers were seen to be full; twice as long when it was drawn for nothing. */
const REST_FIRST_MS = 50;
const REST_LAST_MS = 5_000;
const PROBE_FIRST_MS = 5;
const PROBE_LAST_MS = 1_000;
/** How long messages wait at the sink for their broker to come back before they are the source's again. */
const DOWN_MS = 10_000;

/**
 * One destination of a sink: the window of its consumers, shared by the streams of all its sources, and the probing of its
 * queue. Pure: events in, effects out.
 */
export class SinkDestination {
  readonly destination: StreamAddress['destination'];
  readonly streams = new Map<string, SinkStream>();
  readonly #prepare: (stream: SinkStream) => void;
  #cluster: string;
  #incarnation: number;
  #window: DemandWindow;
  /** Forwarded without demand: what waits for a consumer is not looked at. */
  #static = false;
  #brokerUp = false;
  #draining = false;
  /** Withdrawn, or the broker is away for long: what arrives goes back, it does not wait here. */
  #shut = false;
  #downSince = Number.POSITIVE_INFINITY;
  /** Of a message, for bounds in bytes; 0: none was seen. */
  #meanBytes = 0;
  #roomMessages = Number.POSITIVE_INFINITY;
  #roomBytes = Number.POSITIVE_INFINITY;
  #probe: { inFlight: boolean; at: number; delay: number; confirmed: number } = {
    inFlight: false,
    at: 0,
    delay: 0,
    confirmed: 0,
  };
  #turnAt = 0;
  #rest: { until: number; ms: number; total: number } = { until: 0, ms: 0, total: 0 };
  /** The broker takes nothing for this destination at present. */
  #refusal: Refusal | undefined;
  /** Streams may have been told so. */
  #restrained = false;
  #out: DestinationEffect[] = [];

  /**
   * @param largest the connector's prefetchSize
   * @param prepare told of every stream before it is used
   */
  constructor(
    cluster: string,
    incarnation: number,
    destination: StreamAddress['destination'],
    largest: number,
    prepare: (stream: SinkStream) => void = () => {},
  ) {
    this.#prepare = prepare;
    this.#cluster = cluster;
    this.#incarnation = incarnation;
    this.destination = destination;
    this.#window = emptyWindow(largest);
  }

  get window(): Readonly<DemandWindow> {
    return this.#window;
  }
  get able(): boolean {
    return this.#window.capacity > 0;
  }

  /** Why the broker takes nothing for it at present, or undefined. */
  get blocked(): Blocked | undefined {
    return this.#refusal?.blocked;
  }

  nextWake(): number {
    let at =
      this.#probe.inFlight || !this.#wantsProbe()
        ? Number.POSITIVE_INFINITY
        : Math.max(this.#probe.at, this.#rest.until);
    for (const stream of this.streams.values()) at = Math.min(at, stream.nextWake());
    if (this.#turning) at = Math.min(at, this.#turnAt);
    if (this.#refusal && this.#mayPublish()) at = Math.min(at, this.#refusal.dueAt);
    if (!this.#shut && this.bytes > 0) at = Math.min(at, this.#downSince + DOWN_MS);
    return at;
  }

  /** What the consumers can hold: their prefetch, Infinity without, 0 when none is left. */
  demand(capacity: number, now: number): DestinationEffect[] {
    if (this.#static) return [];
    const before = this.#window.capacity;
    if (capacity === before) return [];
    if (capacity > 0 && this.#downSince === Number.POSITIVE_INFINITY) this.#shut = false;
    if (capacity > before) this.#rest.until = now; // whoever is new has room
    setCapacity(this.#window, capacity);
    this.#touched(now);
    this.#refusal?.mended(now);
    this.#setMayPublish(now);
    if (capacity === 0) for (const source of this.streams.keys()) this.#stream(source, (stream) => stream.revoke(now));
    return this.#finish(now);
  }

  /** Forwarded without demand, as long as the connector says so. */
  setStatic(now: number): DestinationEffect[] {
    this.#static = true;
    this.#shut = false;
    setCapacity(this.#window, Number.POSITIVE_INFINITY);
    this.#setMayPublish(now);
    return this.#finish(now);
  }

  /** The largest window from now on, in messages. */
  setLargest(largest: number): void {
    this.#window.largest = largest;
  }

  /** What the queue may hold at most (max-length, max-length-bytes); Infinity without. */
  setRoom(messages: number, bytes: number): void {
    this.#roomBytes = bytes;
    this.#window.room = this.#meanBytes === 0 ? messages : Math.min(messages, Math.floor(bytes / this.#meanBytes));
    if (this.#meanBytes === 0 && bytes !== Number.POSITIVE_INFINITY) this.#window.room = Math.min(messages, 1);
    this.#roomMessages = messages;
  }

  brokerUp(up: boolean, now: number): DestinationEffect[] {
    this.#brokerUp = up;
    this.#touched(now);
    this.#refusal?.mended(now);
    if (up) {
      this.#downSince = Number.POSITIVE_INFINITY;
      this.#shut = this.#shut && !this.#static && !this.able;
    } else {
      // The demand stands, but is unknown: no more credit, and after a while what waits here goes back.
      this.#probe.inFlight = false;
      this.#downSince = Math.min(this.#downSince, now);
      for (const source of this.streams.keys()) this.#stream(source, (stream) => stream.revoke(now));
    }
    this.#setMayPublish(now);
    return this.#finish(now);
  }

  /** `ready` messages wait in the queue; undefined: it could not be probed. */
  probed(ready: number | undefined, now: number): DestinationEffect[] {
    if (!this.#probe.inFlight) return [];
    this.#probe.inFlight = false;
    if (this.#refusal?.probed(ready)) this.#refusal.mended(now);
    if (ready !== undefined) {
      const before = allowance(this.#window);
      noteProbe(this.#window, ready, this.#window.total - this.#probe.confirmed);
      // What was drawn since has been taken by the own consumers.
      if (ready === 0 && this.#window.total > this.#rest.total) this.#rest.ms = 0;
      if (allowance(this.#window) !== before) this.#touched(now);
    }
    this.#probe.delay = this.#probe.delay === 0 ? PROBE_FIRST_MS : Math.min(PROBE_LAST_MS, this.#probe.delay * 2);
    this.#probe.at = now + this.#probe.delay;
    return this.#finish(now);
  }

  /** A periodic look at the queue told that `ready` messages wait: standing credit is not given against a backlog of our own. */
  noticed(ready: number, now: number): DestinationEffect[] {
    if (ready > 0 && this.#window.fill > 0) {
      this.#window.fill = 0;
      this.#window.ready = ready;
      for (const source of this.streams.keys()) this.#stream(source, (stream) => stream.revoke(now));
      this.#touched(now);
    }
    return this.#finish(now);
  }

  /**
   * The broker gave a message of this queue to the own bridge, which comes behind the own consumers: they are full. An empty queue
   * does not say that they starve then, and what would be drawn now would only travel on, or back.
   */
  spared(now: number): DestinationEffect[] {
    if (this.#static || !this.able) return [];
    const { total } = this.#window;
    const inVain = total > this.#rest.total;
    const ms = inVain
      ? Math.min(REST_LAST_MS, Math.max(REST_FIRST_MS, this.#rest.ms * 2))
      : this.#rest.ms || REST_FIRST_MS;
    this.#rest = { until: now + ms, ms, total };
    this.#window.fill = 0;
    this.#window.window = 0;
    for (const [source, stream] of this.streams) {
      if (stream.outstanding > 0) this.#stream(source, (of) => of.revoke(now));
    }
    return this.#finish(now);
  }

  /** The queue was made, or something else has changed that may have been in the way. */
  mended(now: number): DestinationEffect[] {
    this.#refusal?.mended(now);
    return this.#finish(now);
  }

  opened(frame: OpenFrame, now: number): DestinationEffect[] {
    const source = frame.address.source;
    const stream = this.known(source);
    stream.setMayPublish(this.#mayPublish());
    if (this.#refusal) stream.setMost(0);
    this.#stream(source, (opened) => opened.opened(frame, now));
    this.#stream(source, (opened) => opened.setBlocked(this.blocked, now));
    this.#touched(now);
    return this.#finish(now);
  }

  /** The stream of this source, which need not be open. */
  known(source: string): SinkStream {
    let stream = this.streams.get(source);
    if (!stream) {
      stream = new SinkStream({ source, sink: this.#cluster, destination: this.destination }, this.#incarnation);
      this.streams.set(source, stream);
      this.#prepare(stream);
    }
    return stream;
  }

  messages(frame: MessagesFrame, now: number): DestinationEffect[] {
    for (const message of frame.messages) {
      const bytes = message.body.length + message.properties.length;
      this.#meanBytes =
        this.#meanBytes === 0 ? bytes : Math.max(bytes / 4, this.#meanBytes + (bytes - this.#meanBytes) / 16);
    }
    if (this.#roomBytes !== Number.POSITIVE_INFINITY) this.setRoom(this.#roomMessages, this.#roomBytes);
    this.#stream(frame.address.source, (stream) => stream.messages(frame, now));
    return this.#finish(now);
  }

  stated(frame: StateFrame, now: number): DestinationEffect[] {
    this.#stream(frame.address.source, (stream) => stream.stated(frame, now));
    return this.#finish(now);
  }

  closed(frame: ClosedFrame, now: number): DestinationEffect[] {
    this.#stream(frame.address.source, (stream) => stream.closed(frame, now));
    return this.#finish(now);
  }

  outcome(
    source: string,
    epoch: StreamEpoch,
    ids: readonly number[],
    outcome: LandingOutcome,
    detail: string | undefined,
    now: number,
  ): DestinationEffect[] {
    const stream = this.streams.get(source);
    if (!stream) return [];
    const before = stream.counts.accepted;
    if (this.#brokerUp && (outcome === 'returned' || outcome === 'refused' || outcome === 'forbidden')) {
      this.#refusal ??= new Refusal(this.#cluster, this.destination, outcome, detail, now);
      this.#refusal.refused(now);
    }
    // What is tried next is said below, not by what comes back here.
    if (this.#refusal) for (const each of this.streams.values()) each.setMost(0);
    if (outcome === 'confirmed' && this.#refusal?.taken()) this.#refusal = undefined;
    this.#stream(source, (of) => of.outcome(epoch, ids, outcome, detail));
    const confirmed = stream.counts.accepted - before;
    if (confirmed > 0) {
      noteConfirmed(this.#window, confirmed);
      this.#touched(now);
    }
    return this.#finish(now);
  }

  /** What the source was asked for is asked of others. */
  linkLost(source: string, now: number): DestinationEffect[] {
    const stream = this.streams.get(source);
    if (!stream) return [];
    stream.linkLost();
    return this.#finish(now);
  }

  /** There is a way to the source again; if it noticed that there was none, it opens the stream anew. */
  linkUp(source: string, now: number): DestinationEffect[] {
    this.#stream(source, (stream) => stream.linkUp(now));
    return this.#finish(now);
  }

  /** The demand has been withdrawn: what was not published goes back. */
  withdraw(now: number): DestinationEffect[] {
    this.#shut = true;
    for (const source of this.streams.keys()) this.#stream(source, (stream) => stream.revoke(now));
    return this.#finish(now);
  }

  /** Nothing here is worth keeping. */
  get idle(): boolean {
    return (this.#static || !this.able) && [...this.streams.values()].every((stream) => stream.idle);
  }

  /** Bytes of messages that are here. */
  get bytes(): number {
    let bytes = 0;
    for (const stream of this.streams.values()) bytes += stream.unsettledBytes;
    return bytes;
  }

  /** No more credit; what sources hold already is still taken. */
  drain(now: number): DestinationEffect[] {
    this.#draining = true;
    for (const source of this.streams.keys()) this.#stream(source, (stream) => stream.revoke(now));
    return this.#finish(now);
  }

  /** Credit is given again. */
  undrain(now: number): DestinationEffect[] {
    this.#draining = false;
    this.#touched(now);
    return this.#finish(now);
  }

  /** Every source has answered the reduction, and all that it had taken is decided. */
  get quiet(): boolean {
    return this.#open().every((stream) => stream.quiet);
  }

  wake(now: number): DestinationEffect[] {
    if (now >= this.#turnAt) this.#turnAt = (Math.floor(now / TURN_MS) + 1) * TURN_MS;
    if (now >= this.#downSince + DOWN_MS) this.#shut = true;
    for (const source of this.streams.keys()) this.#stream(source, (stream) => stream.wake(now));
    return this.#finish(now);
  }

  // ---- a broker that refuses -----------------------------------------------------------------------------------------------

  /** Tries when it is time, tells the sources, and gives back what has waited for long. */
  #refuse(now: number): void {
    const streams = [...this.streams.values()];
    const refusal = this.#refusal;
    if (!refusal) {
      if (!this.#restrained) return;
      this.#restrained = false;
      for (const { address } of streams) {
        this.#stream(address.source, (of) => [
          ...of.setBlocked(undefined, now),
          ...of.setMost(Number.POSITIVE_INFINITY),
        ]);
      }
      return;
    }
    this.#restrained = true;
    // What is refused would hold up the end of it.
    if (this.#draining) for (const { address } of streams) this.#stream(address.source, (of) => of.release());
    if (!this.#mayPublish()) return;
    for (const { address } of streams) {
      const waits = refusal.most === 0;
      this.#stream(address.source, (of) => [...of.setBlocked(refusal.blocked, now), ...(waits ? of.revoke(now) : [])]);
    }
    if (refusal.givesBack(now)) {
      let keep = 1;
      for (const stream of streams) {
        const kept = Math.min(keep, stream.held);
        keep -= kept;
        this.#stream(stream.address.source, (of) => of.release(kept));
      }
    }
    refusal.wake(now);
    if (refusal.most === 0 || streams.some(({ underWay }) => underWay > 0)) return;
    const trying = streams.find(({ held }) => held > 0);
    if (trying) {
      for (const stream of streams) if (stream !== trying) stream.setMost(0);
      this.#stream(trying.address.source, (of) => of.setMost(refusal.most));
      return;
    }
    // Nothing is left to try it with: one message is asked for, or all was taken.
    if (refusal.most > 1) {
      this.#refusal = undefined;
      this.#refuse(now);
    } else this.#ask(now);
  }

  /** One message is asked for, of a source that may have one. */
  #ask(now: number): void {
    const open = this.#open();
    const outstanding = open.reduce((sum, stream) => sum + stream.outstanding, 0);
    const asked = open.find(({ empty }) => !empty) ?? open[0];
    if (!asked || outstanding > 0 || this.#draining) return;
    asked.setMost(1);
    this.#stream(asked.address.source, (of) => of.grant(1, now));
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #stream(source: string, act: (stream: SinkStream) => SinkEffect[]): void {
    const stream = this.streams.get(source);
    if (stream) for (const effect of act(stream)) this.#out.push({ do: 'stream', source, effect });
  }

  #mayPublish(): boolean {
    return this.#brokerUp && !this.#shut && (this.#static || this.able);
  }

  #setMayPublish(_now: number): void {
    for (const source of this.streams.keys())
      this.#stream(source, (stream) => stream.setMayPublish(this.#mayPublish()));
  }

  /** Something changed: the next probe, if one is needed, is not delayed. */
  #touched(now: number): void {
    this.#probe.delay = 0;
    this.#probe.at = Math.min(this.#probe.at, now);
  }

  /** More sources than may have a standing credit at a time. */
  get #turning(): boolean {
    return this.#window.capacity > 0 && this.streams.size > STANDING_LARGEST && this.#open().length > STANDING_LARGEST;
  }

  #open(): SinkStream[] {
    return [...this.streams.values()].filter((stream) => stream.open);
  }

  #wantsProbe(): boolean {
    if (!this.#brokerUp || this.#shut || this.#window.capacity === 0) return false;
    if (this.#refusal) return this.destination.kind === 'queue';
    if (this.#static && this.#window.room === Number.POSITIVE_INFINITY) return false;
    const open = this.#open();
    if (open.length === 0) return false;
    return wantsProbe(
      this.#window,
      open.reduce((sum, stream) => sum + stream.outstanding, 0),
    );
  }

  /**
   * Shares the allowance among the sources: those that have messages first, the nearest of them before the others, and one for
   * each of the rest as long as there is any. Small rises are saved up, so that a credit frame serves many messages.
   */
  #share(now: number): void {
    const open = this.#open();
    const allowed = this.#static ? this.#staticAllowance() : allowance(this.#window);
    if (open.length === 0 || allowed === 0 || !this.#brokerUp || this.#draining || this.#shut) return;
    if (this.#refusal) return;
    if (now < this.#rest.until) return;
    const { first, rest } = this.#ranked(open, now);
    const alone = first.length === 1;
    const share = Math.max(1, Math.floor((allowed - rest.length) / first.length));
    let outstanding = open.reduce((sum, stream) => sum + stream.outstanding, 0);
    // What others do not need beyond their one is taken back for those that come first.
    if (rest.length > 0 && outstanding >= allowed && first.some((stream) => stream.outstanding < share)) {
      for (const stream of rest) {
        if (stream.outstanding <= 1) continue;
        outstanding -= stream.outstanding - 1;
        this.#stream(stream.address.source, (of) => [...of.revoke(now), ...of.grant(1, now)]);
      }
    }
    const raise = (stream: SinkStream, most: number): void => {
      const own = stream.outstanding;
      const target = Math.max(own, most, 1);
      const rise = target - own;
      if (rise <= 0 || (own > 0 && rise < Math.max(1, target >> 2))) return;
      outstanding += rise;
      this.#stream(stream.address.source, (of) => of.grant(target, now));
    };
    const reserved = rest.filter((stream) => stream.outstanding === 0).length;
    for (const stream of first) {
      const free = Math.max(0, allowed - outstanding - reserved);
      raise(stream, alone ? stream.outstanding + free : Math.min(stream.outstanding + free, share));
    }
    for (const stream of rest) raise(stream, 1);
  }

  /**
   * The sources that the window is for, and those that have a standing credit each. When nobody is known to have messages, all
   * come first. Of many only some stand, in turns.
   */
  #ranked(open: readonly SinkStream[], now: number): { first: SinkStream[]; rest: SinkStream[] } {
    const having = open.filter(({ empty }) => !empty);
    const nearest = having.reduce((least, { distance }) => Math.min(least, distance), Number.POSITIVE_INFINITY);
    const first = having.length > 0 ? having.filter(({ distance }) => distance === nearest) : [...open];
    const standing = open.length <= STANDING_LARGEST ? open : this.#standing(open, now);
    const byName = (a: SinkStream, b: SinkStream): number => (a.address.source < b.address.source ? -1 : 1);
    const chosen = having.length > 0 ? first : first.filter((stream) => standing.includes(stream));
    return {
      first: chosen.sort(byName),
      rest: standing.filter((stream) => !chosen.includes(stream)).sort(byName),
    };
  }

  /** The sources whose turn it is to have a standing credit; the others' is taken back. */
  #standing(open: readonly SinkStream[], now: number): SinkStream[] {
    const turn = Math.floor(now / TURN_MS) * STANDING_LARGEST;
    const standing = Array.from({ length: STANDING_LARGEST }, (_, i) => open[(turn + i) % open.length]!);
    for (const stream of open) {
      if (!standing.includes(stream) && stream.empty && stream.outstanding > 0)
        this.#stream(stream.address.source, (of) => of.revoke(now));
    }
    return standing;
  }

  /** Without demand only the queue's own bounds count. */
  #staticAllowance(): number {
    const { largest, room, ready, sinceProbe, known } = this.#window;
    if (room === Number.POSITIVE_INFINITY) return largest;
    return known ? Math.max(0, Math.min(largest, room - ready - sinceProbe)) : 0;
  }

  #finish(now: number): DestinationEffect[] {
    if (this.#shut) for (const source of this.streams.keys()) this.#stream(source, (stream) => stream.release());
    this.#refuse(now);
    this.#share(now);
    if (!this.#probe.inFlight && now >= Math.max(this.#probe.at, this.#rest.until) && this.#wantsProbe()) {
      this.#probe.inFlight = true;
      this.#probe.confirmed = this.#window.total;
      this.#out.push({ do: 'probe' });
    }
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
