import type { Election, ElectionListener, ElectionView } from './election.ts';

/**
 * No election beside the broker's own: whoever may claim the broker's exclusive lock does, and the broker decides. This is both
 * `broker` and `none`, which differ in what the operator promises: with `none` there is one bridge.
 */
export class BrokerElection implements Election {
  readonly #type: 'broker' | 'none';
  #listener: ElectionListener | undefined;
  #elected = false;
  #reason = 'its broker is not connected yet';

  constructor(type: 'broker' | 'none') {
    this.#type = type;
  }

  start(listener: ElectionListener): void {
    this.#listener ??= listener;
  }

  eligible(eligible: boolean, reason = 'its broker is not connected'): void {
    if (!this.#listener || eligible === this.#elected) return;
    this.#elected = eligible;
    if (eligible) return this.#listener.elected(undefined);
    this.#reason = reason;
    this.#listener.lost(reason);
  }

  async stop(): Promise<void> {
    this.eligible(false, 'it is stopped');
    this.#listener = undefined;
  }

  mayWrite(): boolean {
    return this.#elected;
  }

  remainingMs(): undefined {
    return undefined;
  }

  /** Incarnations come from the wall clock and from peers; the bridge itself keeps them. */
  seen(): void {}

  get view(): ElectionView {
    return {
      type: this.#type,
      role: this.#elected ? 'master' : 'standby',
      holder: undefined,
      reason: this.#elected ? undefined : this.#reason,
    };
  }
}
