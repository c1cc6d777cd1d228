import { ManualClock } from '@tombolo/kernel/clock';
import { awaitUntil } from '@tombolo/testing/await-until';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { BrokerElection } from '../../../src/election/broker-election.ts';
import { LeaseElection } from '../../../src/election/lease-election.ts';
import type { LeaseRecord, LeaseStore } from '../../../src/election/lease-store.ts';

const leaseMs = 3000;

/** A store that answers at once, or not at all while it is `silent`. */
class Store implements LeaseStore {
  record: LeaseRecord = { run: 'r', writtenIn: 'r', owner: '', token: 1, beat: 0 };
  silent = false;
  closed = false;

  look(): Promise<LeaseRecord> {
    return this.#answer(() => this.record);
  }

  take(owner: string, _expected: LeaseRecord, atLeast: number): Promise<number | undefined> {
    return this.#answer(() => {
      const token = Math.max(this.record.token, atLeast) + 1;
      this.record = { ...this.record, owner, token, beat: 0 };
      return token;
    });
  }

  renew(owner: string, token: number): Promise<boolean> {
    return this.#answer(() => this.record.owner === owner && this.record.token === token);
  }

  release(): Promise<void> {
    return this.#answer(() => {
      this.record = { ...this.record, owner: '' };
    });
  }

  close(): void {
    this.closed = true;
  }

  #answer<T>(value: () => T): Promise<T> {
    return this.silent ? new Promise(() => {}) : Promise.resolve(value());
  }
}

function open() {
  const clock = new ManualClock();
  const store = new Store();
  const said: string[] = [];
  const election = new LeaseElection({
    store,
    owner: 'east-1#abc',
    leaseMs,
    clock,
    random: () => 0.5,
    wallClock: () => 1_700_000_000_000.5,
    log: pino({ level: 'silent' }),
  });
  election.start({
    elected: (token) => said.push(`elected ${token}`),
    lost: (reason) => said.push(`lost ${election.mayWrite(clock.now())} ${reason}`),
  });
  return { clock, store, said, election };
}

async function openMaster() {
  const parts = open();
  parts.election.eligible(true);
  await awaitUntil('it is elected', () => parts.said.length === 1);
  return parts;
}

test('the token is an incarnation: higher than the wall clock and than what peers have met', async () => {
  const { said, election } = open();
  election.seen(1_800_000_000_000);
  election.eligible(true);
  await awaitUntil('it is elected', () => said.length === 1);
  expect(said).toEqual(['elected 1800000000001']);
  expect(election.view).toEqual({ type: 'redis', role: 'master', holder: 'east-1', reason: undefined });
});

test('nobody stands for election before its broker is there', async () => {
  const { clock, said, election } = open();
  clock.advance(10 * leaseMs);
  expect(said).toEqual([]);
  expect(election.view).toMatchObject({ role: 'standby', reason: 'its broker is not connected yet' });
});

test('a store that falls silent ends the mastership within the lease, and it may not write when it is told', async () => {
  const { clock, store, said, election } = await openMaster();
  store.silent = true;
  clock.advance(leaseMs);
  expect(said.slice(1)).toEqual(['lost false the lease ran out before it could be renewed']);
  expect(election.remainingMs(clock.now())).toBe(0);
});

test('a process that slept past its lease may not write, although no timer of it ran yet', async () => {
  const { clock, election, said } = await openMaster();
  const now = clock.now();
  expect(election.mayWrite(now)).toBe(true);
  expect(election.mayWrite(now + leaseMs)).toBe(false);
  expect(election.remainingMs(now + 1000)).toBeCloseTo(leaseMs * 0.99 - 2 - 1000);
  expect(said).toHaveLength(1);
});

test('a stop releases, closes the store and is over; so is a stop that gets no answer', async () => {
  for (const silent of [false, true]) {
    const { clock, store, said, election } = await openMaster();
    store.silent = silent;
    const stopped = election.stop();
    clock.advance(leaseMs / 4);
    await stopped;
    expect(said.slice(1)).toEqual(['lost false stopped']);
    expect(store.record.owner === '').toBe(!silent);
    expect(store.closed).toBe(true);
    expect(election.view).toMatchObject({ role: 'standby', reason: 'it is stopped' });
  }
});

test('a listener may call back: a bridge that loses the lease and its broker at once is barred', async () => {
  const clock = new ManualClock();
  const store = new Store();
  let elections = 0;
  const log = pino({ level: 'silent' });
  const common = { store, leaseMs, clock, random: () => 0.5, wallClock: () => 0, log };
  const election = new LeaseElection({ ...common, owner: 'a#1' });
  election.start({ elected: () => elections++, lost: () => election.eligible(false, 'gone') });
  election.eligible(true);
  await awaitUntil('it is elected', () => elections === 1);
  store.silent = true;
  clock.advance(2 * leaseMs);
  expect(election.view).toMatchObject({ role: 'standby', reason: 'gone' });
});

test('where the broker alone elects, whoever has its broker may claim the lock', async () => {
  const election = new BrokerElection('broker');
  const said: string[] = [];
  election.start({ elected: (token) => said.push(`elected ${token}`), lost: (reason) => said.push(`lost ${reason}`) });
  expect(election.mayWrite()).toBe(false);
  election.eligible(true);
  election.eligible(true);
  expect(election.mayWrite()).toBe(true);
  expect(election.remainingMs()).toBeUndefined();
  election.eligible(false, 'its broker is down');
  expect(election.view).toEqual({ type: 'broker', role: 'standby', holder: undefined, reason: 'its broker is down' });
  election.eligible(true);
  await election.stop();
  expect(said).toEqual(['elected undefined', 'lost its broker is down', 'elected undefined', 'lost it is stopped']);
});
