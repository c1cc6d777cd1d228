import {
  type ElectionEffect,
  type ElectionEvent,
  type ElectionState,
  electionPolicy,
  initialElection,
  mayWrite,
  stepElection,
} from '../../src/election/election-machine.ts';
import { type LeaseRecord, sameRecord } from '../../src/election/lease-store.ts';

export const leaseMs = 3000;

/** How messages between bridges and store travel: each way takes 1 to `delayMs`; one in `lossOneIn` is lost, 0: none. */
export interface Weather {
  readonly delayMs: number;
  readonly lossOneIn: number;
}

interface Process {
  readonly name: string;
  readonly offset: number;
  readonly rate: number;
  readonly policy: ReturnType<typeof electionPolicy>;
  state: ElectionState;
  wakeAt: number | undefined;
  pausedUntil: number;
  cutUntil: number;
  alive: boolean;
}

interface Election {
  readonly at: number;
  readonly process: string;
  readonly token: number;
}

interface Task {
  readonly at: number;
  readonly serial: number;
  /** Nothing happens in a process that does not run; it happens when it runs again. */
  readonly process: Process | undefined;
  readonly run: () => void;
}

type Command = Exclude<ElectionEffect, { readonly do: 'stop' | 'elect' | 'wake' }>;
type Stored = Omit<LeaseRecord, 'run'>;
const nothing: Stored = { writtenIn: '', owner: '', token: 0, beat: 0 };

/**
 * Bridges with clocks of their own (other origins, rates that differ by up to 0.8 %), a store that can freeze, restart empty or
 * with an older record, and a network that delays, reorders and loses. After every event it is looked whether two may write.
 */
export class ElectionWorld {
  readonly #random: () => number;
  readonly #processes = new Map<string, Process>();
  readonly #weather: Weather;
  #tasks: Task[] = [];
  #serial = 0;
  #starts = 0;
  #record: Stored = nothing;
  readonly #history: Stored[] = [nothing];
  #run = 1;
  #frozenUntil = 0;
  now = 0;
  readonly elections: Election[] = [];
  /** What must never happen and did. */
  readonly violations: string[] = [];

  constructor(random: () => number, weather: Weather) {
    this.#random = random;
    this.#weather = weather;
  }

  /** Starts a bridge of this name, or starts it anew as another process. Its broker is there. */
  start(name: string): void {
    this.kill(name);
    const process: Process = {
      name,
      offset: this.#random() * 1e6,
      rate: 0.996 + 0.008 * this.#random(),
      policy: electionPolicy(`${name}#${++this.#starts}`, leaseMs),
      state: initialElection,
      wakeAt: undefined,
      pausedUntil: 0,
      cutUntil: 0,
      alive: true,
    };
    this.#processes.set(name, process);
    this.#feed(process, { was: 'started' });
    this.#feed(process, { was: 'eligible' });
  }

  kill(name: string): void {
    const process = this.#processes.get(name);
    if (process) process.alive = false;
  }

  pause(name: string, ms: number): void {
    const process = this.#processes.get(name);
    if (process) process.pausedUntil = Math.max(process.pausedUntil, this.now + ms);
  }

  /** Nothing gets from this bridge to the store or back. */
  cut(name: string, ms: number): void {
    const process = this.#processes.get(name);
    if (process) process.cutUntil = Math.max(process.cutUntil, this.now + ms);
  }

  tell(name: string, event: ElectionEvent): void {
    const process = this.#processes.get(name);
    if (process) this.#later(0, process, () => this.#feed(process, event));
  }

  freezeStore(ms: number): void {
    this.#frozenUntil = Math.max(this.#frozenUntil, this.now + ms);
  }

  /** @param backBy how many changes are forgotten; Infinity: all. What is on the way arrives all the same */
  restartStore(backBy: number): void {
    this.#run++;
    this.#record = this.#history[this.#history.length - 1 - backBy] ?? nothing;
    this.#history.push(this.#record);
  }

  /** Who may write at this moment; a process that is paused could be in the middle of a write. */
  masters(): string[] {
    return [...this.#processes.values()]
      .filter((process) => process.alive && mayWrite(process.state, this.#local(process)))
      .map(({ name }) => name);
  }

  advance(ms: number, until: () => boolean = () => false): void {
    const end = this.now + ms;
    while (!until()) {
      const next = this.#tasks.reduce<Task | undefined>(
        (first, task) =>
          !first || task.at < first.at || (task.at === first.at && task.serial < first.serial) ? task : first,
        undefined,
      );
      if (!next || next.at > end) {
        this.now = end;
        return;
      }
      this.#tasks = this.#tasks.filter((task) => task !== next);
      this.now = Math.max(this.now, next.at);
      const { process } = next;
      if (process && !process.alive) continue;
      // What piled up while it slept comes in any order.
      if (process && process.pausedUntil > this.now) {
        this.#at(process.pausedUntil + this.#random() * 0.01, process, next.run);
      } else next.run();
    }
  }

  #local(process: Process): number {
    return process.offset + this.now * process.rate;
  }

  #later(ms: number, process: Process | undefined, run: () => void): void {
    this.#at(this.now + ms, process, run);
  }

  #at(at: number, process: Process | undefined, run: () => void): void {
    this.#tasks.push({ at, serial: this.#serial++, process, run });
  }

  #feed(process: Process, event: ElectionEvent): void {
    const before = process.state;
    const local = this.#local(process);
    const [state, effects] = stepElection(before, event, local, this.#random(), process.policy);
    process.state = state;
    const lost = before.is === 'master' && (state.is !== 'master' || state.token !== before.token);
    if (lost && effects[0]?.do !== 'stop') this.violations.push(`${process.name} did not stop first on ${event.was}`);
    for (const effect of effects) this.#perform(process, effect);
    const masters = this.masters();
    if (masters.length > 1) this.violations.push(`at ${this.now} ${masters.join(' and ')} may write`);
  }

  #perform(process: Process, effect: ElectionEffect): void {
    switch (effect.do) {
      case 'stop':
        if (mayWrite(process.state, this.#local(process)))
          this.violations.push(`${process.name} may write as it stops`);
        return;
      case 'elect': {
        const last = this.elections.at(-1);
        if (last && last.token >= effect.token) this.violations.push(`token ${effect.token} after ${last.token}`);
        this.elections.push({ at: this.now, process: process.name, token: effect.token });
        return;
      }
      case 'wake': {
        const { at } = effect;
        process.wakeAt = at;
        const ms = Math.max(0, (at - this.#local(process)) / process.rate) + 0.001;
        this.#later(ms, process, () => {
          if (process.wakeAt === at) this.#feed(process, { was: 'woke' });
        });
        return;
      }
      default:
        return this.#send(process, effect);
    }
  }

  #send(process: Process, effect: Command): void {
    const { serial } = effect;
    let open = true;
    const answer = (event: ElectionEvent) => {
      if (open) this.#feed(process, event);
      open = false;
    };
    this.#later(process.policy.timeoutMs / process.rate, process, () =>
      answer({ was: 'failed', serial, reason: 'late' }),
    );
    const arrive = () => {
      if (this.#frozenUntil > this.now) return this.#at(this.#frozenUntil, undefined, arrive);
      const event = this.#carryOut(process, effect);
      if (!this.#isLost(process)) this.#later(this.#delay(), process, () => answer(event));
    };
    if (!this.#isLost(process)) this.#later(this.#delay(), undefined, arrive);
  }

  #carryOut(process: Process, effect: Command): ElectionEvent {
    const { serial } = effect;
    const run = String(this.#run);
    const { owner } = process.policy;
    const record = { ...this.#record, run };
    switch (effect.do) {
      case 'look':
        return { was: 'looked', serial, record };
      case 'take': {
        if (!sameRecord(effect.expected, record)) return { was: 'refused', serial };
        // Wall clocks agree in this world: without them a store that forgot would need the peers for tokens to rise.
        const token = Math.max(record.token, effect.atLeast, Math.floor(this.now)) + 1;
        this.#write({ owner, token, beat: 0, writtenIn: run });
        return { was: 'taken', serial, token };
      }
      case 'renew':
        if (record.owner !== owner || record.token !== effect.token) return { was: 'refused', serial };
        this.#write({ owner, token: effect.token, beat: record.beat + 1, writtenIn: run });
        return { was: 'renewed', serial };
      case 'release':
        if (record.owner === owner && record.token === effect.token && record.writtenIn === run)
          this.#write({ ...this.#record, owner: '' });
        return { was: 'released', serial };
      default:
        throw new Error(`unexpected ${effect satisfies never}`);
    }
  }

  #write(record: Stored): void {
    this.#record = record;
    this.#history.push(record);
  }

  #delay(): number {
    return 1 + this.#random() * this.#weather.delayMs;
  }

  #isLost(process: Process): boolean {
    if (process.cutUntil > this.now) return true;
    return this.#weather.lossOneIn > 0 && this.#random() * this.#weather.lossOneIn < 1;
  }
}
