import type { Clock } from '@tombolo/kernel/clock';
import { messageOf } from '@tombolo/kernel/fault';
import type { Log } from '../telemetry/log.ts';
import type { Election, ElectionListener, ElectionView } from './election.ts';
import {
  type ElectionEffect,
  type ElectionEvent,
  type ElectionPolicy,
  type ElectionState,
  electionPolicy,
  initialElection,
  mayWrite,
  stepElection,
} from './election-machine.ts';
import type { LeaseStore } from './lease-store.ts';

export interface LeaseElectionOptions {
  readonly store: LeaseStore;
  /** The name of this process in the store, and in the view of the others: `instance#random`, never the same twice. */
  readonly owner: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  /** Milliseconds since 1970: tokens are at least this, so that they rise although a store forgot, or another type elected before. */
  readonly wallClock: () => number;
  readonly log: Log;
}

/** An election by a lease: runs the machine against a store. The time of the lease is this process's own monotonic clock. */
export class LeaseElection implements Election {
  readonly #options: LeaseElectionOptions;
  readonly #policy: ElectionPolicy;
  #state: ElectionState = initialElection;
  #listener: ElectionListener | undefined;
  #cancelWake: () => void = () => {};
  #stopping: Promise<void> | undefined;
  #stopped: () => void = () => {};
  /** What happened while an earlier event was dealt with: listeners may call back. */
  readonly #events: ElectionEvent[] = [];
  #busy = false;

  constructor(options: LeaseElectionOptions) {
    this.#options = options;
    this.#policy = electionPolicy(options.owner, options.leaseMs);
  }

  start(listener: ElectionListener): void {
    if (this.#listener) return;
    this.#listener = listener;
    this.#feed({ was: 'started' });
  }

  eligible(eligible: boolean, reason = 'its broker is not connected'): void {
    this.#feed(eligible ? { was: 'eligible' } : { was: 'barred', reason });
  }

  stop(): Promise<void> {
    this.#stopping ??= new Promise<void>((resolve) => {
      this.#stopped = resolve;
      this.#feed({ was: 'stopped' });
    });
    return this.#stopping;
  }

  mayWrite(now: number): boolean {
    return mayWrite(this.#state, now);
  }

  remainingMs(now: number): number {
    return this.#state.is === 'master' ? Math.max(0, this.#state.validUntil - now) : 0;
  }

  seen(incarnation: number): void {
    this.#feed({ was: 'seen', incarnation });
  }

  get view(): ElectionView {
    const state = this.#state;
    const known = state.watch?.record.owner;
    const holder = state.is === 'master' ? this.#policy.owner : known;
    return {
      type: 'redis',
      role: state.is === 'master' ? 'master' : 'standby',
      holder: holder ? holder.replace(/#[^#]*$/, '') : undefined,
      reason: reasonOf(state),
    };
  }

  #feed(event: ElectionEvent): void {
    this.#events.push(event);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) this.#step(next);
    } finally {
      this.#busy = false;
    }
  }

  #step(event: ElectionEvent): void {
    const { clock, random, log } = this.#options;
    const before = this.#state;
    const [state, effects] = stepElection(before, event, clock.now(), random(), this.#policy);
    this.#state = state;
    if (state.is !== before.is) log.debug({ from: before.is, to: state.is, event: event.was }, 'election');
    for (const effect of effects) this.#perform(effect);
    if (state.is !== 'stopped' || !this.#stopping) return;
    this.#cancelWake();
    this.#options.store.close();
    this.#stopped();
  }

  #perform(effect: ElectionEffect): void {
    const { store, owner, clock, wallClock } = this.#options;
    switch (effect.do) {
      case 'stop':
        return this.#listener?.lost(effect.reason);
      case 'elect':
        return this.#listener?.elected(effect.token);
      case 'wake':
        this.#cancelWake();
        this.#cancelWake = clock.wake(effect.at, () => this.#feed({ was: 'woke' }));
        return;
      case 'look':
        return this.#command(effect.serial, store.look(), (record) => ({ was: 'looked', record }));
      case 'take': {
        const atLeast = Math.max(effect.atLeast, Math.floor(wallClock()));
        return this.#command(effect.serial, store.take(owner, effect.expected, atLeast), (token) =>
          token === undefined ? { was: 'refused' } : { was: 'taken', token },
        );
      }
      case 'renew':
        return this.#command(effect.serial, store.renew(owner, effect.token), (renewed) => ({
          was: renewed ? 'renewed' : 'refused',
        }));
      case 'release':
        return this.#command(effect.serial, store.release(owner, effect.token), () => ({ was: 'released' }));
      default:
        throw new Error(`unexpected ${effect satisfies never}`);
    }
  }

  /** Feeds the outcome, once: what the command gave, or that it is unknown after a while. */
  #command<T>(serial: number, outcome: Promise<T>, event: (value: T) => Answer): void {
    const { clock } = this.#options;
    let open = true;
    const answer = (said: Answer): void => {
      if (!open) return;
      open = false;
      cancel();
      this.#feed({ ...said, serial });
    };
    const cancel = clock.wake(clock.now() + this.#policy.timeoutMs, () =>
      answer({ was: 'failed', reason: `Redis gave no answer within ${Math.round(this.#policy.timeoutMs)} ms` }),
    );
    outcome.then(
      (value) => answer(event(value)),
      (error: unknown) => answer({ was: 'failed', reason: messageOf(error) }),
    );
  }
}

type WithoutSerial<E> = E extends { readonly serial: number } ? Omit<E, 'serial'> : never;
type Answer = WithoutSerial<ElectionEvent>;

function reasonOf(state: ElectionState): string | undefined {
  switch (state.is) {
    case 'master':
      return undefined;
    case 'barred':
    case 'standby':
    case 'looking':
      return state.reason;
    case 'candidate':
      return 'it is about to take the lease';
    case 'resigning':
      return 'it has resigned';
    case 'stopped':
      return 'it is stopped';
    default:
      throw new Error(`unexpected ${state satisfies never}`);
  }
}
