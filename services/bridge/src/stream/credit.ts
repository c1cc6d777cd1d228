/**
 * How much a sink's queue may draw from other clusters: the window of one destination, shared by all its sources.
 *
 * Two parts add up. `fill` is what the consumers can hold (their prefetch); it is spent once, when demand appears or grows.
 * `window` is what may be under way or wait in the queue besides, and finds itself: one message at first, then more each time
 * it was used up and the queue was found empty (consumers starve), less when ready messages pile up. So a slow consumer
 * with prefetch 1 holds one message and sees one or two waiting, and a fast one gets a window that covers the round trip, and the
 * time that a busy broker takes for its confirms (RabbitMQ writes classic queues every 200 ms).
 *
 * Pure: counts and the backlog (as probed by passive declare) go in, the allowance comes out.
 */
export interface DemandWindow {
  /** What the consumers can hold, in messages; Infinity without prefetch; 0: no able consumer. */
  capacity: number;
  /** The usual bound of the window: the connector's prefetchSize, or, without conduit, as much for each consumer. */
  usual: number;
  /**
   * Its last bound. Above the usual one it grows only for a round trip: while nearly all of it is on its way, or here without a
   * verdict, and less than half of it is here. Where the sink's broker is the slowest, more makes nothing faster (measured on
   * loopback, where it grew to 8,000: messages took a second, the broker a third more of its processor for each, the bridges 50 MiB);
   * where the source is, credit is left over.
   */
  largest: number;
  /** Part of the capacity that has not been sent for yet. */
  fill: number;
  window: number;
  /** Ready messages, by the last probe, and what was put into the queue since. */
  ready: number;
  /** The queue's max-length in messages, Infinity without: credit never exceeds the room left under it. */
  room: number;
  /** False until the first probe has told what waits: no credit before. */
  known: boolean;
  /** Put into the queue since the demand appeared, since the window last grew, since the last probe was answered. */
  total: number;
  sinceGrowth: number;
  sinceProbe: number;
  /** Messages that have come since the window last could grow. */
  arrived: number;
  /** From a credit to the first message that needs it (ms). */
  loopMs: number;
  /** Messages that are here without a verdict, since when (monotonic ms), and their number times how long since `measuredFrom`. */
  here: number;
  hereAt: number;
  hereMs: number;
  measuredFrom: number;
  /** Ready messages have piled up and the window was halved for it; it is not halved again until they are gone. */
  piledUp: boolean;
}

/** With `conduitSubscriptions: false` each consumer counts by itself, up to so many. */
export const MOST_TURNS = 32;

/** How far a window may grow, in messages; see DemandWindow. */
export interface WindowBounds {
  readonly usual: number;
  readonly largest: number;
}

/** A window without demand. */
export function emptyWindow({ usual, largest }: WindowBounds): DemandWindow {
  return {
    capacity: 0,
    usual,
    largest,
    fill: 0,
    window: 0,
    ready: 0,
    room: Number.POSITIVE_INFINITY,
    known: false,
    total: 0,
    sinceGrowth: 0,
    sinceProbe: 0,
    arrived: 0,
    loopMs: 0,
    here: 0,
    hereAt: 0,
    hereMs: 0,
    measuredFrom: 0,
    piledUp: false,
  };
}

/** The consumers can hold `capacity` messages now. A rise is sent for at once; without consumers nothing is allowed. */
export function setCapacity(state: DemandWindow, capacity: number): void {
  if (capacity === 0) {
    Object.assign(state, emptyWindow(state), { room: state.room });
    return;
  }
  const before = Math.min(state.capacity, state.usual);
  const after = Math.min(capacity, state.usual);
  if (after > before) state.fill = Math.min(state.usual, state.fill + after - before);
  else state.fill = Math.min(state.fill, after);
  state.capacity = capacity;
}

/** `count` messages have come. @param loopMs from a credit to the first message that needs it, when nothing waits */
export function noteArrived(state: DemandWindow, count: number, loopMs: number): void {
  state.arrived += count;
  state.loopMs = loopMs;
}

/** From now on `here` messages are here without a verdict. */
export function noteHere(state: DemandWindow, here: number, now: number): void {
  state.hereMs += state.here * (now - state.hereAt);
  state.here = here;
  state.hereAt = now;
}

/** `count` messages were confirmed into the queue. */
export function noteConfirmed(state: DemandWindow, count: number): void {
  const filled = Math.min(count, state.fill);
  state.fill -= filled;
  state.ready += count - filled;
  state.total += count;
  state.sinceGrowth += count;
  state.sinceProbe += count;
}

/**
 * The queue was probed: `ready` messages wait. `during` were confirmed after the probe was sent: they may or may not be
 * in the count, and are taken as not.
 */
export function noteProbe(state: DemandWindow, ready: number, during: number, now: number): void {
  if (state.capacity === 0) return;
  if (!state.known) state.measuredFrom = now;
  state.known = true;
  state.sinceProbe = during;
  state.ready = ready + during;
  // What waits will be taken by these consumers first; if anything waits while they had room, they are full.
  if (ready > 0) state.fill = 0;
  const unlimited = state.capacity >= state.usual;
  if (ready === 0) {
    state.piledUp = false;
    if (unlimited && state.window === 0) state.window = Math.max(1, state.fill === 0 ? state.usual >> 2 : state.window);
    else if (state.fill === 0 && state.sinceGrowth >= state.window) {
      // Below the capacity the steps are larger, once more was taken than the consumers can hold: they do acknowledge.
      const proven = state.total > state.capacity;
      const factor = proven && state.window * 4 <= state.capacity ? 4 : 2;
      // They hold as much as their capacity: a quarter of it more that waits is little beside that.
      const leap = proven ? Math.min(state.capacity, state.usual) >> 2 : 1;
      const bound = isFarAway(state, now) ? state.largest : Math.max(state.usual, state.window);
      state.window = Math.min(bound, Math.max(1, leap, state.window * factor));
      state.sinceGrowth = 0;
      state.arrived = 0;
      state.hereMs = 0;
      state.hereAt = now;
      state.measuredFrom = now;
    }
  } else if (ready > Math.max(1, state.window / 2) && !state.piledUp) {
    state.piledUp = true;
    state.window = Math.max(1, state.window >> 1);
    state.sinceGrowth = 0;
  } else if (state.window === 0) {
    state.window = 1;
  }
}

/** Of a window that is used up so much is on its way or here; the rest is what the source left over. */
const USED_UP = 0.8;

/** More would be under way if more were allowed, and it would be on its way, not here. */
function isFarAway(state: DemandWindow, now: number): boolean {
  const { arrived, loopMs, window } = state;
  const elapsed = now - state.measuredFrom;
  // Means of the time since, by Little's law, times that time.
  const here = state.hereMs + state.here * (now - state.hereAt);
  const onItsWay = arrived * loopMs;
  return onItsWay + here >= USED_UP * window * elapsed && here * 2 < window * elapsed;
}

/** Messages that may be under way to this queue now, all sources together. */
export function allowance(state: DemandWindow): number {
  if (!state.known || state.capacity === 0) return 0;
  const open = state.fill + Math.max(0, state.window - state.ready);
  return Math.max(0, Math.min(open, state.largest, state.room - state.ready - state.sinceProbe));
}

/** So many messages may go in before the queue is looked at again, however large the window: credit rises with each look. */
const LARGEST_BLIND = 512;

/** True when it is time to look at the queue again: half a window, or a lot, went in since the last look, or nothing is allowed. */
export function wantsProbe(state: DemandWindow, outstanding: number): boolean {
  if (state.capacity === 0) return false;
  if (!state.known) return true;
  const allowed = allowance(state);
  return (
    allowed === 0 ||
    outstanding === 0 ||
    allowed <= outstanding / 2 ||
    state.sinceProbe >= Math.min(LARGEST_BLIND, Math.max(1, state.window) / 2)
  );
}
