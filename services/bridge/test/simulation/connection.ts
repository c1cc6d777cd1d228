import { decodeFrame, encodeFrame, weightOf } from '@tombolo/wire/codec';
import type { Frame } from '@tombolo/wire/frame';
import type { Chance } from './chance.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** How a connection is at a moment; asked for each frame, since links get slow. */
export interface Conditions {
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly windowBytes: number;
  readonly bytesPerMs: number;
  readonly codec: boolean;
}

/** May change a frame on its way, or drop it: for links that are broken on purpose. */
export type Tamper = (from: string, to: string, frame: Frame, now: number) => Frame | undefined;

/** What the connection tells the bridge at one of its ends. */
export interface EndHandler {
  frame(frame: Frame, bytes: number, consumed: () => void): void;
  writable(): void;
  /** Exactly once, and last: unless this end let go of it first. */
  closed(reason: string): void;
}

/** One way of a connection. Frames of one lane keep their order; control overtakes data, and data needs a grant. */
class Way {
  control = 0;
  data = 0;
  /** When the wire is free for more data. */
  free = 0;
  outstanding = 0;
  wanting = false;
  /** Whatever is sent this way vanishes. */
  swallows = false;
}

/** A frame's bytes when it is not encoded: what counts against the grant. */
function bytesOf(frame: Frame): number {
  return frame.kind === 'messages' ? weightOf(frame) : 256;
}

/**
 * A connection between two bridges, dialled and accepted. When it breaks, everything under way is lost, and each end notices
 * in its own time.
 */
export class Connection {
  readonly #clock: VirtualClock;
  readonly #chance: Chance;
  readonly #conditions: () => Conditions;
  readonly #tamper: Tamper | undefined;
  readonly #ways = new Map<string, Way>();
  readonly #handlers = new Map<string, EndHandler>();
  readonly #clusters: readonly [string, string];
  #broken = false;

  constructor(
    clusters: readonly [string, string],
    clock: VirtualClock,
    chance: Chance,
    conditions: () => Conditions,
    tamper: Tamper | undefined,
  ) {
    this.#clusters = clusters;
    this.#clock = clock;
    this.#chance = chance;
    this.#conditions = conditions;
    this.#tamper = tamper;
    for (const cluster of clusters) this.#ways.set(cluster, new Way());
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** The end at `cluster` hears nothing before `at`: what is sent to it waits. */
  readyAt(cluster: string, at: number): void {
    const way = this.#ways.get(this.#other(cluster))!;
    way.control = way.data = at;
  }

  /** From now on the end at `cluster` is used. */
  attach(cluster: string, handler: EndHandler): void {
    this.#handlers.set(cluster, handler);
  }

  /** The end at `cluster` is gone: it hears nothing more. */
  detach(cluster: string): void {
    this.#handlers.delete(cluster);
  }

  /** Sends from `from`; false: data that was not granted. */
  send(from: string, frame: Frame): boolean {
    const way = this.#ways.get(from)!;
    const { windowBytes, bytesPerMs, latencyMs, jitterMs, codec } = this.#conditions();
    const bytes = bytesOf(frame);
    const now = this.#clock.now();
    let at = now + latencyMs + this.#chance.next() * jitterMs;
    if (frame.kind === 'messages') {
      if (way.outstanding > 0 && way.outstanding + bytes > windowBytes) {
        way.wanting = true;
        return false;
      }
      way.wanting = false;
      way.outstanding += bytes;
      way.free = Math.max(way.free, now) + bytes / bytesPerMs;
      at = way.data = Math.max(way.data, way.free + at - now);
    } else at = way.control = Math.max(way.control, at);
    if (this.#broken || way.swallows) return true;
    const to = this.#other(from);
    const seen = this.#tamper ? this.#tamper(from, to, frame, now) : frame;
    if (!seen) return true;
    const carried = codec ? (decodeFrame(encodeFrame(seen)) as Frame) : seen;
    this.#clock.wake(at, () => this.#arrive(from, to, carried, bytes));
    return true;
  }

  /** Whatever `from` sends from now on vanishes. */
  swallow(from: string): void {
    this.#ways.get(from)!.swallows = true;
  }

  /** Nothing passes any more. @param noticeMs after how long the end at a cluster finds out */
  break(reason: string, noticeMs: (cluster: string) => number): void {
    if (this.#broken) return;
    this.#broken = true;
    for (const cluster of this.#clusters) {
      this.#clock.after(noticeMs(cluster), () => {
        const handler = this.#handlers.get(cluster);
        this.#handlers.delete(cluster);
        handler?.closed(reason);
      });
    }
  }

  /** When everything that `from` has sent will have arrived. */
  emptyAt(from: string): number {
    const { control, data } = this.#ways.get(from)!;
    return Math.max(this.#clock.now(), control, data);
  }

  #arrive(from: string, to: string, frame: Frame, bytes: number): void {
    const handler = this.#handlers.get(to);
    if (this.#broken || !handler) return;
    let isConsumed = frame.kind !== 'messages';
    handler.frame(frame, bytes, () => {
      if (isConsumed) return;
      isConsumed = true;
      this.#grant(from, to, bytes);
    });
  }

  /** The receiver has room again; that is told like any control frame. */
  #grant(sender: string, receiver: string, bytes: number): void {
    const back = this.#ways.get(receiver)!;
    const { latencyMs, windowBytes } = this.#conditions();
    if (this.#broken || back.swallows) return;
    back.control = Math.max(back.control, this.#clock.now() + latencyMs);
    this.#clock.wake(back.control, () => {
      const way = this.#ways.get(sender)!;
      way.outstanding -= bytes;
      if (this.#broken || !way.wanting || way.outstanding >= windowBytes) return;
      way.wanting = false;
      this.#handlers.get(sender)?.writable();
    });
  }

  #other(cluster: string): string {
    return this.#clusters[0] === cluster ? this.#clusters[1] : this.#clusters[0];
  }
}
