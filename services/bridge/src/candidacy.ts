import type { Clock } from '@tombolo/kernel/clock';
import type { BrokerState } from './broker/port.ts';
import type { Election } from './election/election.ts';

/**
 * No clock ever said this (the year 4199). A peer that claims to have seen a later incarnation would use up the numbers that are left, and
 * is not believed: only its own link stays down.
 */
const INCARNATION_LARGEST = 2 ** 46;

export interface CandidacyOptions {
  readonly election: Election;
  readonly clock: Clock;
  /** Milliseconds since 1970: they order incarnations where the election gives no tokens. */
  readonly wallClock: () => number;
  /** How long the own broker may be away before another bridge, whose broker is there, had better be the master; Infinity: for ever. */
  readonly graceMs: number;
  /** Tells the broker's adapter whether to claim the lock. */
  claim(wanted: boolean): void;
  /** Begins to work. */
  begin(incarnation: number): void;
  /**
   * Works no more: takes and publishes nothing from this call on.
   * @param orderly the broker is there, and its lock still held: what is under way may be settled before the promise resolves,
   *   after which the lock is given back
   */
  end(reason: string, orderly: boolean): Promise<void>;
}

/**
 * Whether this bridge is its cluster's master: when it was elected and holds the broker's lock. The election is the permission to
 * claim the lock, the lock is the fence: a bridge that was elected works only once its predecessor has let go.
 *
 *        eligible             elected               lock held
 *   ∅ ─────────────▶ standby ─────────▶ claiming ─────────────▶ master
 *   ▲   broker there    ▲                   │                      │  lost, peers saw a later one, another has the lock
 *   └── broker away ────┴────────────────── ending ◀───────────────┘
 *       for the grace         lock given back
 */
export class Candidacy {
  readonly #options: CandidacyOptions;
  #elected: { readonly token: number | undefined } | undefined;
  #locked = false;
  #reigns = false;
  #ending: Promise<void> | undefined;
  #incarnation = 0;
  #stopped = false;
  #cancelGrace: () => void = () => {};
  #inGrace = false;
  #there = false;
  #stands = true;

  constructor(options: CandidacyOptions) {
    this.#options = options;
  }

  /** The incarnation of the cluster as this bridge serves it, or would: 0 before it was the master for the first time. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** It works. Not any more from the moment at which it is to end, though what is under way may still be settled. */
  get reigns(): boolean {
    return this.#reigns;
  }

  start(): void {
    this.#options.election.start({
      elected: (token) => {
        this.#elected = { token };
        if (this.#ending) return;
        this.#options.claim(true);
        this.#consider();
      },
      lost: (reason) => {
        this.#elected = undefined;
        this.#end(reason);
      },
    });
  }

  /** Takes part no more, and ends nothing: who stops has settled what was under way. The broker is stopped before `leave`. */
  stop(): void {
    this.#stopped = true;
    this.#reigns = false;
    this.#graceOver();
  }

  /**
   * Stands for election no more, or again. A master that does not gives the mastership up, in good order; resolves when it has.
   * @param reason why not, for status
   */
  async stand(stands: boolean, reason?: string): Promise<void> {
    this.#stands = stands;
    if (!stands) this.#options.election.eligible(false, reason);
    else if (this.#there) this.#options.election.eligible(true);
    await this.#ending;
  }

  /** Gives the election up, once the lock is free. */
  async leave(): Promise<void> {
    await this.#options.election.stop();
  }

  brokerChanged(state: BrokerState): void {
    this.#locked = state.is === 'master';
    this.#there = state.is === 'master' || state.is === 'standby';
    if (this.#stopped) return;
    if (!this.#there) return this.#away();
    this.#graceOver();
    if (state.is === 'standby' && this.#reigns) this.#end(`another bridge is master: ${state.reason}`);
    if (this.#stands) this.#options.election.eligible(true);
    this.#consider();
  }

  /** A peer has seen a later incarnation of this cluster than ours: a clock went back. Ours must be higher. */
  peersSaw(incarnation: number): void {
    const { election } = this.#options;
    if (incarnation > INCARNATION_LARGEST) return;
    if (election.view.type === 'redis') return election.seen(incarnation);
    if (incarnation <= this.#incarnation) return;
    this.#incarnation = incarnation;
    this.#end('a peer knows a later incarnation of this cluster');
    this.#consider();
  }

  #consider(): void {
    const { wallClock, begin } = this.#options;
    if (!this.#elected || !this.#locked || this.#reigns || this.#ending || this.#stopped) return;
    // Milliseconds since 1970 order incarnations across replicas; peers that saw a higher one correct a clock that went back.
    this.#incarnation = this.#elected.token ?? Math.max(wallClock(), this.#incarnation + 1);
    this.#reigns = true;
    begin(this.#incarnation);
  }

  #end(reason: string): void {
    if (this.#stopped) return;
    if (this.#reigns) {
      this.#reigns = false;
      const ending = this.#options.end(reason, this.#locked).finally(() => {
        this.#ending = undefined;
        this.#settle();
      });
      this.#ending = ending;
    } else if (!this.#ending) this.#settle();
  }

  /** The lock is given back by one that is not elected any more, and claimed by one that is again. */
  #settle(): void {
    if (this.#stopped) return;
    this.#options.claim(this.#elected !== undefined);
    this.#consider();
  }

  #away(): void {
    const { clock, election, graceMs } = this.#options;
    if (this.#inGrace || graceMs === Number.POSITIVE_INFINITY) return;
    this.#inGrace = true;
    this.#cancelGrace = clock.wake(clock.now() + graceMs, () =>
      election.eligible(false, 'its broker is not connected'),
    );
  }

  #graceOver(): void {
    this.#inGrace = false;
    this.#cancelGrace();
  }
}
