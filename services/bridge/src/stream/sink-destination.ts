import type {
  Blocked,
  ClosedFrame,
  MessagesFrame,
  OpenFrame,
  StateFrame,
  StreamAddress,
  StreamEpoch,
} from '@tombolo/wire/frame';
import type { PublishOutcome } from '../broker/port.ts';
import {
  allowance,
  type DemandWindow,
  emptyWindow,
  noteArrived,
  noteConfirmed,
  noteHere,
  noteProbe,
  setCapacity,
  type WindowBounds,
  wantsProbe,
} from './credit.ts';
import { CreditSharing } from './credit-sharing.ts';
import { QueueProbe } from './queue-probe.ts';
import { QueueRoom } from './queue-room.ts';
import { Rest } from './rest.ts';
import { Restraint } from './restraint.ts';
import { SinkStream } from './sink-machine.ts';
import { type DestinationEffect, outstandingOf, SinkStreams } from './sink-streams.ts';

/** A look at the queue this long ago tells a source that opens its stream nothing any more (ms). */
const LOOK_FRESH_MS = 200;
/** How long messages wait at the sink for their broker to come back before they are the source's again. */
const DOWN_MS = 10_000;

/**
 * One destination of a sink: the window of its consumers, shared by the streams of all its sources, and the probing of its
 * queue. Pure: events in, effects out.
 */
export class SinkDestination {
  readonly destination: StreamAddress['destination'];
  readonly #prepare: (stream: SinkStream) => void;
  readonly #cluster: string;
  readonly #incarnation: number;
  readonly #window: DemandWindow;
  readonly #streams = new SinkStreams();
  readonly #sharing = new CreditSharing(this.#streams);
  readonly #restraint: Restraint;
  readonly #room = new QueueRoom();
  readonly #probe = new QueueProbe();
  readonly #rest = new Rest();
  /** Forwarded without demand: what waits for a consumer is not looked at. */
  #static = false;
  /** Consumers have come: their queue is looked at before a source asks, which then need not wait for it. */
  #expecting = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #brokerUp = false;
  #draining = false;
  /** Withdrawn, or the broker is away for long: what arrives goes back, it does not wait here. */
  #shut = false;
  #downSince = Number.POSITIVE_INFINITY;

  /**
   * @param bounds of its window, by the connector
   * @param prepare told of every stream before it is used
   */
  constructor(
    cluster: string,
    incarnation: number,
    destination: StreamAddress['destination'],
    bounds: WindowBounds,
    prepare: (stream: SinkStream) => void = () => {},
  ) {
    this.#prepare = prepare;
    this.#cluster = cluster;
    this.#incarnation = incarnation;
    this.destination = destination;
    this.#window = emptyWindow(bounds);
    this.#restraint = new Restraint(cluster, destination, this.#streams);
  }

  get streams(): ReadonlyMap<string, SinkStream> {
    return this.#streams.bySource;
  }
  get window(): Readonly<DemandWindow> {
    return this.#window;
  }
  get able(): boolean {
    return this.#window.capacity > 0;
  }

  /** Why the broker takes nothing for it at present, or undefined. */
  get blocked(): Blocked | undefined {
    return this.#restraint.blocked;
  }

  nextWake(): number {
    const probing = !this.#probe.inFlight && this.#wantsProbe();
    let at = probing ? Math.max(this.#probe.dueAt, this.#rest.until) : Number.POSITIVE_INFINITY;
    for (const stream of this.streams.values()) at = Math.min(at, stream.nextWake());
    if (this.able) at = Math.min(at, this.#sharing.turnAt);
    if (this.#mayPublish()) at = Math.min(at, this.#restraint.dueAt);
    if (!this.#shut && this.bytes > 0) at = Math.min(at, this.#downSince + DOWN_MS);
    return at;
  }

  /** What the consumers can hold: their prefetch, Infinity without, 0 when none is left. */
  demand(capacity: number, now: number): DestinationEffect[] {
    if (this.#static) return [];
    const before = this.#window.capacity;
    if (capacity === before) return [];
    if (capacity > 0 && this.#downSince === Number.POSITIVE_INFINITY) this.#shut = false;
    if (capacity > before) this.#rest.end(now);
    setCapacity(this.#window, capacity);
    this.#expecting = before === 0;
    this.#probe.touched(now);
    this.#restraint.mended(now);
    this.#setMayPublish();
    if (capacity === 0) this.#streams.each((stream) => stream.revoke(now));
    return this.#finish(now);
  }

  /** Forwarded without demand, as long as the connector says so. */
  setStatic(now: number): DestinationEffect[] {
    this.#static = true;
    this.#shut = false;
    setCapacity(this.#window, Number.POSITIVE_INFINITY);
    this.#setMayPublish();
    return this.#finish(now);
  }

  /** Of the window, from now on. */
  setBounds({ usual, largest }: WindowBounds): void {
    this.#window.usual = usual;
    this.#window.largest = largest;
  }

  /** What the queue may hold at most (max-length, max-length-bytes); Infinity without. */
  setRoom(messages: number, bytes: number): void {
    this.#room.bound(messages, bytes);
    this.#window.room = this.#room.room;
  }

  brokerUp(up: boolean, now: number): DestinationEffect[] {
    this.#brokerUp = up;
    this.#probe.touched(now);
    this.#restraint.mended(now);
    if (up) {
      this.#downSince = Number.POSITIVE_INFINITY;
      this.#shut = this.#shut && !this.#static && !this.able;
    } else {
      // The demand stands, but is unknown: no more credit, and after a while what waits here goes back.
      this.#probe.lost();
      this.#downSince = Math.min(this.#downSince, now);
      this.#streams.each((stream) => stream.revoke(now));
    }
    this.#setMayPublish();
    return this.#finish(now);
  }

  /** `ready` messages wait in the queue; undefined: it could not be probed. */
  probed(ready: number | undefined, now: number): DestinationEffect[] {
    if (!this.#probe.inFlight) return [];
    const during = this.#probe.answered(this.#window.total);
    this.#restraint.probed(ready, now);
    if (ready !== undefined) {
      const before = allowance(this.#window);
      noteProbe(this.#window, ready, during, now);
      this.#lookedAt = now;
      if (ready === 0) this.#rest.taken(this.#window.total);
      if (allowance(this.#window) !== before) this.#probe.touched(now);
    }
    this.#probe.after(now);
    return this.#finish(now);
  }

  /** A periodic look at the queue told that `ready` messages wait: standing credit is not given against a backlog of our own. */
  noticed(ready: number, now: number): DestinationEffect[] {
    if (ready > 0 && this.#window.fill > 0) {
      this.#window.fill = 0;
      this.#window.ready = ready;
      this.#streams.each((stream) => stream.revoke(now));
      this.#probe.touched(now);
    }
    return this.#finish(now);
  }

  /**
   * The broker gave a message of this queue to the own bridge, which comes behind the own consumers: they are full. An empty queue
   * does not say that they starve then, and what would be drawn now would only travel on, or back.
   */
  spared(now: number): DestinationEffect[] {
    if (this.#static || !this.able) return [];
    this.#rest.begin(this.#window.total, now);
    this.#window.fill = 0;
    this.#window.window = 0;
    this.#streams.each((stream) => (stream.outstanding > 0 ? stream.revoke(now) : []));
    return this.#finish(now);
  }

  /** The queue was made, or something else has changed that may have been in the way. */
  mended(now: number): DestinationEffect[] {
    this.#restraint.mended(now);
    return this.#finish(now);
  }

  opened(frame: OpenFrame, now: number): DestinationEffect[] {
    const source = frame.address.source;
    if (this.#streams.open.length === 0 && now - this.#lookedAt > LOOK_FRESH_MS) this.#window.known = false;
    const stream = this.known(source);
    stream.setMayPublish(this.#mayPublish());
    this.#restraint.join(stream);
    this.#streams.run(source, (opened) => opened.opened(frame, now));
    this.#streams.run(source, (opened) => opened.setBlocked(this.blocked, now));
    this.#probe.touched(now);
    return this.#finish(now);
  }

  /** The stream of this source, which need not be open. */
  known(source: string): SinkStream {
    let stream = this.streams.get(source);
    if (!stream) {
      stream = new SinkStream({ source, sink: this.#cluster, destination: this.destination }, this.#incarnation);
      this.#streams.bySource.set(source, stream);
      this.#prepare(stream);
    }
    return stream;
  }

  messages(frame: MessagesFrame, now: number): DestinationEffect[] {
    this.#room.weigh(frame.messages);
    this.#window.room = this.#room.room;
    this.#streams.run(frame.address.source, (stream) => stream.messages(frame, now));
    noteArrived(this.#window, frame.messages.length, this.#streams.loopMs);
    noteHere(this.#window, this.#streams.unsettled, now);
    return this.#finish(now);
  }

  stated(frame: StateFrame, now: number): DestinationEffect[] {
    this.#streams.run(frame.address.source, (stream) => stream.stated(frame, now));
    return this.#finish(now);
  }

  closed(frame: ClosedFrame, now: number): DestinationEffect[] {
    this.#streams.run(frame.address.source, (stream) => stream.closed(frame, now));
    return this.#finish(now);
  }

  outcome(
    source: string,
    epoch: StreamEpoch,
    ids: readonly number[],
    outcome: PublishOutcome,
    detail: string | undefined,
    now: number,
  ): DestinationEffect[] {
    const stream = this.streams.get(source);
    if (!stream) return [];
    const before = stream.counts.accepted;
    this.#restraint.heard(outcome, detail, this.#brokerUp, now);
    this.#streams.run(source, (of) => of.outcome(epoch, ids, outcome, detail));
    noteHere(this.#window, this.#streams.unsettled, now);
    const confirmed = stream.counts.accepted - before;
    if (confirmed > 0) {
      noteConfirmed(this.#window, confirmed);
      this.#probe.touched(now);
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
    this.#streams.run(source, (stream) => stream.linkUp(now));
    return this.#finish(now);
  }

  /** The demand has been withdrawn: what was not published goes back. */
  withdraw(now: number): DestinationEffect[] {
    this.#shut = true;
    this.#streams.each((stream) => stream.revoke(now));
    return this.#finish(now);
  }

  /** Nothing here is worth keeping. */
  get idle(): boolean {
    return (this.#static || !this.able) && [...this.streams.values()].every((stream) => stream.idle);
  }

  /** Bytes of messages that are here. */
  get bytes(): number {
    return this.#streams.bytes;
  }

  /** No more credit; what sources hold already is still taken. */
  drain(now: number): DestinationEffect[] {
    this.#draining = true;
    this.#streams.each((stream) => stream.revoke(now));
    return this.#finish(now);
  }

  /** Credit is given again. */
  undrain(now: number): DestinationEffect[] {
    this.#draining = false;
    this.#probe.touched(now);
    return this.#finish(now);
  }

  /** Every source has answered the reduction, and all that it had taken is decided. */
  get quiet(): boolean {
    return this.#streams.open.every((stream) => stream.quiet);
  }

  wake(now: number): DestinationEffect[] {
    this.#sharing.wake(now);
    if (now >= this.#downSince + DOWN_MS) this.#shut = true;
    this.#streams.each((stream) => stream.wake(now));
    return this.#finish(now);
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #mayPublish(): boolean {
    return this.#brokerUp && !this.#shut && (this.#static || this.able);
  }

  #setMayPublish(): void {
    const may = this.#mayPublish();
    this.#streams.each((stream) => stream.setMayPublish(may));
  }

  #wantsProbe(): boolean {
    if (!this.#brokerUp || this.#shut || this.#window.capacity === 0) return false;
    if (this.blocked) return this.destination.kind === 'queue';
    if (this.#static && this.#window.room === Number.POSITIVE_INFINITY) return false;
    if (this.#expecting) return true;
    const { open } = this.#streams;
    return open.length > 0 && wantsProbe(this.#window, outstandingOf(open));
  }

  #share(now: number): void {
    if (!this.#brokerUp || this.#draining || this.#shut || this.blocked || now < this.#rest.until) return;
    this.#sharing.share(this.#static ? this.#staticAllowance() : allowance(this.#window), now);
  }

  /** Without demand only the queue's own bounds count. */
  #staticAllowance(): number {
    const { largest, room, ready, sinceProbe, known } = this.#window;
    if (room === Number.POSITIVE_INFINITY) return largest;
    return known ? Math.max(0, Math.min(largest, room - ready - sinceProbe)) : 0;
  }

  #finish(now: number): DestinationEffect[] {
    if (this.#shut) this.#streams.each((stream) => stream.release());
    this.#restraint.apply(this.#mayPublish(), this.#draining, now);
    this.#share(now);
    if (now >= Math.max(this.#probe.dueAt, this.#rest.until) && this.#wantsProbe()) {
      this.#expecting = false;
      this.#probe.begin(this.#window.total);
      this.#streams.probe();
    }
    return this.#streams.take();
  }
}
