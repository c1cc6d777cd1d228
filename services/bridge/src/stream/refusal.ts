import { backoffDelay } from '@tombolo/kernel/backoff';
import type { Blocked, Destination } from '@tombolo/wire/frame';
import type { PublishOutcome } from '../broker/port.ts';

/** What the broker says of a message that it does not take for now. */
export type Refused = Extract<PublishOutcome, 'returned' | 'refused' | 'forbidden'>;

const backoff = { baseMs: 100, capMs: 30_000 };
/** How long messages wait at the sink for a destination that refuses them, before they are the source's again. */
const KEEP_MS = 30_000;
/** So many at a time were taken: it takes all again. */
const PROVEN = 64;

/*
 *            refused                     until, mended
 *   (none) ───────────▶ waiting ────────────────────────▶ trying [1]
 *      ▲                   ▲                                │    │
 *      │                   └──────────────── refused [2] ───┘    │
 *      └───────────────────────────────────── taken [3] ◀────────┘
 *
 * [1] One message is published.
 * [2] A longer wait, unless one was taken in between.
 * [3] Four times as many are tried next, until it was enough of them or none is left.
 */

/**
 * A destination of the sink whose broker refuses messages for now: full, absent, or not permitted. Nothing is published but one
 * message from time to time, with capped, jittered back-off; no message is given up. Pure.
 */
export class Refusal {
  readonly blocked: Blocked;
  readonly since: number;
  #attempt = 0;
  #until: number;
  /** How many may be under way in the trial that is on; 0: none is. */
  #most = 0;
  #took = false;
  #keepUntil: number;
  readonly #name: string;
  /** Ready messages in the queue, when it was looked at first. */
  #ready: number | undefined;

  constructor(cluster: string, destination: Destination, why: Refused, detail: string | undefined, now: number) {
    this.#name = destination.name;
    this.blocked = describe(cluster, destination, why, detail);
    this.since = now;
    this.#keepUntil = now + KEEP_MS;
    this.#until = now + this.#delay();
  }

  /** Messages that may be under way. */
  get most(): number {
    return this.#most;
  }

  /** When `wake` is due next (monotonic ms). */
  get dueAt(): number {
    return Math.min(this.#keepUntil, this.#most > 0 ? Number.POSITIVE_INFINITY : this.#until);
  }

  /** Refused again. What was under way together is one refusal. */
  refused(now: number): void {
    if (this.#most === 0) return;
    this.#attempt = this.#took ? 0 : this.#attempt + 1;
    this.#most = 0;
    this.#took = false;
    this.#until = now + this.#delay();
  }

  /** @returns true when it takes messages as before: the refusal is over */
  taken(): boolean {
    this.#took = true;
    if (this.#most === 0) return false;
    this.#most *= 4;
    return this.#most > PROVEN;
  }

  /** Begins a trial when it is time. */
  wake(now: number): void {
    if (this.#most === 0 && now >= this.#until) this.#most = 1;
  }

  /** Something has changed at the sink: no use in waiting. */
  mended(now: number): void {
    this.#until = Math.min(this.#until, now);
  }

  /** The queue was looked at; undefined: it is not there, or could not be looked at. True when there is room that was not. */
  probed(ready: number | undefined): boolean {
    const before = this.#ready;
    this.#ready = ready;
    if (ready === undefined) return false;
    return this.blocked.reason === 'queue_absent' || (before !== undefined && ready < before);
  }

  /** True, once, when messages have waited here for too long: others may have a consumer for them. */
  givesBack(now: number): boolean {
    if (now < this.#keepUntil) return false;
    this.#keepUntil = Number.POSITIVE_INFINITY;
    return true;
  }

  #delay(): number {
    return backoffDelay(backoff, this.#attempt, spread(`${this.#name}\u0000${this.#attempt}\u0000${this.since}`));
  }
}

function describe(cluster: string, { kind, name }: Destination, why: Refused, detail: string | undefined): Blocked {
  const what = kind === 'topic' ? `exchange ${name} on ${cluster}` : `queue ${name} on ${cluster}`;
  const said = detail ? ` (${detail})` : '';
  switch (why) {
    case 'returned':
      return { reason: 'queue_absent', detail: `${what} does not exist: declare it, or wait for its application to` };
    case 'forbidden': {
      const advice = `grant it (rabbitmqctl set_permissions)`;
      return { reason: 'no_permission', detail: `publishing to ${what} is not permitted${said}: ${advice}` };
    }
    case 'refused':
      return {
        reason: 'sink_refuses',
        detail: `${what} takes no more for now${said}: is it full? It is tried again by itself`,
      };
    default:
      throw new Error(`unexpected ${why satisfies never}`);
  }
}

/** A number in [0, 1) that follows from the text: FNV-1a, so that destinations do not try in step. */
function spread(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value ^= text.charCodeAt(index);
    value = Math.imul(value, 0x01000193);
  }
  value ^= value >>> 15;
  value = Math.imul(value, 0x2c1b3c6d);
  return ((value ^ (value >>> 13)) >>> 0) / 0x1_0000_0000;
}
