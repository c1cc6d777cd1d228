import type { Clock } from '@tombolo/kernel/clock';

export interface PartingsOptions {
  readonly clock: Clock;
  /** When to part at the latest, on the clock. */
  readonly deadline: () => number;
  /** Nothing is under way by this peer any more. */
  readonly settled: (peer: string) => boolean;
  /** It is time to part from this peer. */
  readonly parted: (peer: string) => void;
}

/** How often is looked whether all is settled, and how soon at first: the peer has its new file a little later, or was told of ours. */
const LOOK_MS = 100;

/**
 * Peers with which no connector is left: their links stay until what was under way is settled, so that nothing is in doubt for the
 * sake of a changed file.
 */
export class Partings {
  readonly #options: PartingsOptions;
  readonly #leaving = new Map<string, () => void>();

  constructor(options: PartingsOptions) {
    this.#options = options;
  }

  /** The peers whose links are kept although no connector is left. */
  get leaving(): readonly string[] {
    return [...this.#leaving.keys()];
  }

  /** The file had connectors with the ones, and has with the others now. */
  amended(before: readonly string[], now: readonly string[]): void {
    for (const peer of now) this.#cancel(peer);
    const deadline = this.#options.deadline();
    for (const peer of before) if (!now.includes(peer)) this.#lookLater(peer, deadline);
  }

  close(): void {
    for (const peer of this.leaving) this.#cancel(peer);
  }

  #lookLater(peer: string, deadline: number): void {
    const { clock, settled, parted } = this.#options;
    const cancel = clock.wake(clock.now() + LOOK_MS, () => {
      if (!settled(peer) && clock.now() < deadline) return this.#lookLater(peer, deadline);
      this.#leaving.delete(peer);
      parted(peer);
    });
    this.#leaving.set(peer, cancel);
  }

  #cancel(peer: string): void {
    this.#leaving.get(peer)?.();
    this.#leaving.delete(peer);
  }
}
