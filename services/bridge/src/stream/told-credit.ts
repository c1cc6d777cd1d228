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

  /** A newer version is said now. */
  tell(granted: number, now: number): void {
    this.#granted = granted;
    this.#version++;
    this.repeated(now);
  }

  repeated(now: number): void {
    this.#repeatAt = now + REPEAT_MS;
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
