import type { Clock } from '@tombolo/kernel/clock';
import { type LeaseRecord, type LeaseStore, sameRecord } from '../../src/election/lease-store.ts';

type Stored = Omit<LeaseRecord, 'run'>;

const nothing: Stored = { writtenIn: '', owner: '', token: 0, beat: 0 };

/** Where the bridges of one cluster have their lease. It can be away, come back empty, and be out of a bridge's reach. */
export class LeaseServer {
  readonly #latency: () => number;
  readonly #unheard = new Map<number, number>();
  /** Somebody had the lease and released it: the first candidate need not wait. */
  #record: Stored = { ...nothing, writtenIn: '1', token: 1 };
  #run = 1;
  #away = 0;

  /** @param latency each way, ms */
  constructor(latency: () => number) {
    this.#latency = latency;
  }

  /** Answers nobody. Returns how to end it. */
  away(): () => void {
    this.#away++;
    return () => this.#away--;
  }

  /** Was restarted, and knows nothing. */
  forget(): void {
    this.#run++;
    this.#record = nothing;
  }

  /** Commands of this replica arrive, answers do not. Returns how to end it. */
  unheard(replica: number): () => void {
    const by = (change: number) => this.#unheard.set(replica, (this.#unheard.get(replica) ?? 0) + change);
    by(1);
    return () => by(-1);
  }

  /** The store as the process of this replica has it. */
  client(replica: number, clock: Clock): LeaseStore {
    const ask = <T>(act: () => T): Promise<T> =>
      new Promise((resolve) => {
        const later = (then: () => void) => clock.wake(clock.now() + this.#latency(), then);
        later(() => {
          if (this.#away > 0) return;
          const answer = act();
          if ((this.#unheard.get(replica) ?? 0) === 0) later(() => resolve(answer));
        });
      });
    return {
      look: () => ask(() => ({ ...this.#record, run: String(this.#run) })),
      take: (owner, expected, atLeast) => ask(() => this.#take(owner, expected, atLeast)),
      renew: (owner, token) => ask(() => this.#renew(owner, token)),
      release: (owner, token) => ask(() => this.#release(owner, token)),
      close: () => {},
    };
  }

  #take(owner: string, expected: LeaseRecord, atLeast: number): number | undefined {
    const run = String(this.#run);
    if (!sameRecord(expected, { ...this.#record, run })) return undefined;
    const token = Math.max(this.#record.token, atLeast) + 1;
    this.#record = { owner, token, beat: 0, writtenIn: run };
    return token;
  }

  #renew(owner: string, token: number): boolean {
    const { owner: holder, token: last, beat } = this.#record;
    if (holder !== owner || last !== token) return false;
    this.#record = { owner, token, beat: beat + 1, writtenIn: String(this.#run) };
    return true;
  }

  #release(owner: string, token: number): void {
    const { owner: holder, token: last, writtenIn } = this.#record;
    if (holder === owner && last === token && writtenIn === String(this.#run))
      this.#record = { ...this.#record, owner: '' };
  }
}
