import type { StateFrame } from '@tombolo/wire/frame';

const REPEAT_MS = 3_000;

/** The credit that a source was told by its sink, as a running total, and whether it is known to obey it. Pure. */
export class ToldCredit {
  #granted = 0;
  #version = 0;
  /** The newest version that the source is known to obey, and what it had taken by then. */
  #heard = 0;
  #taken = 0;
  /** When it is said again, unless it was heard (monotonic ms). */
  #repeatAt = 0;
  /** A rise is timed: messages above this need it, which was said then (monotonic ms). */
  #timed: { readonly above: number; readonly at: number } | undefined;
  #loopMs = Number.POSITIVE_INFINITY;

  get granted(): number {
    return this.#granted;
  }
  /** Of the newest credit. */
  get version(): number {
    return this.#version;
  }
  get heard(): boolean {
    return this.#heard >= this.#version;
  }
  /** What the source had taken when it answered last. */
  get taken(): number {
    return this.#taken;
  }
  /** When it is to be said again (monotonic ms); Infinity: it was heard. */
  get repeatAt(): number {
    return this.heard ? Number.POSITIVE_INFINITY : this.#repeatAt;
  }

  /**
   * The shortest time from a credit to the first message that needed it (ms): there and back, and what both ends take when nothing
   * waits; Infinity: none has come. Where credit was left over it takes longer, which says nothing.
   */
  get loopMs(): number {
    return this.#loopMs;
  }

  /** A newer version is said now. */
  tell(granted: number, now: number): void {
    if (granted < this.#granted) this.#timed = undefined;
    else if (granted > this.#granted) this.#timed ??= { above: this.#granted, at: now };
    this.#granted = granted;
    this.#version++;
    this.repeated(now);
  }

  repeated(now: number): void {
    this.#repeatAt = now + REPEAT_MS;
  }

  /** Messages up to `highest` have come. */
  arrived(highest: number, now: number): void {
    if (!this.#timed || highest <= this.#timed.above) return;
    this.#loopMs = Math.min(this.#loopMs, now - this.#timed.at);
    this.#timed = undefined;
  }

  /** The source may be on another way now. */
  untimed(): void {
    this.#timed = undefined;
    this.#loopMs = Number.POSITIVE_INFINITY;
  }

  answered({ creditVersion, taken }: StateFrame): void {
    this.#heard = Math.max(this.#heard, creditVersion);
    this.#taken = taken;
  }

  /** Nobody has it: there is no epoch that it would be of. */
  lapse(): void {
    this.#granted = 0;
  }
}
