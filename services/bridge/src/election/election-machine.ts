import { type BackoffPolicy, backoffDelay } from '@tombolo/kernel/backoff';
import { type LeaseRecord, sameRecord } from './lease-store.ts';

/**
 * The election of one bridge by a lease, as a pure machine.
 *
 *              started          eligible          woke              free [1]               taken
 *    stopped ─────────▶ barred ─────────▶ standby ─────▶ looking ───────────▶ candidate ───────────▶ master ──┐
 *                         ▲                 ▲  ▲            │                  │                     │  │   ▲  │ woke,
 *                         │ barred [2]      │  └────────────┴──────────────────┘                     │  │   └──┘ renewed,
 *                         │                 │   held, refused, failed: again after a while           │  │        failed [4]
 *                         │                 └─────────── refused, or the lease ran out [3] ──────────┘  │
 *                         │ released                                                                    │ barred, stopped
 *    stopped ◀────────── resigning ◀────────────────────────────────────────────────────────────────────┘
 *
 * [1] Free is a lease that was released in this very life of the store, or that is its own of before (it has stopped, and nobody
 *     was master since), or whose record did not change for a whole lease as this machine's own clock measures it. No clock of
 *     the store, and no clock of another machine, is ever compared. A store that came back empty, a replica that was promoted
 *     and a deleted record are new records, and so are watched for a whole lease: by then every lease of before is over.
 * [2] From standby, looking and candidate too; a candidate first waits for the outcome, and releases what it got.
 * [3] `stop` is the first effect then, and comes before the event that showed it is looked at any further. Which event that is
 *     does not matter: a process that slept longer than its lease loses it on whatever it hears first.
 * [4] A renewal whose outcome is unknown is none; it is tried again as long as the lease lasts. A lease counts from before the
 *     request for it was sent, less one hundredth for clocks that do not run alike.
 *
 * Every command carries a serial number; answers to any but the last one are dropped here.
 */
export type ElectionState = Memory & Phase;

interface Memory {
  /** Of the last command. */
  readonly serial: number;
  /** The highest incarnation of the cluster that anybody told of. */
  readonly seen: number;
  /** The record that was found last, and since when it is known to be unchanged. */
  readonly watch: { readonly record: LeaseRecord; readonly since: number } | undefined;
}

type Phase =
  | { readonly is: 'stopped' }
  | { readonly is: 'barred'; readonly reason: string }
  | { readonly is: 'standby'; readonly at: number; readonly attempt: number; readonly reason: string }
  | { readonly is: 'looking'; readonly attempt: number; readonly reason: string }
  | { readonly is: 'candidate'; readonly attempt: number; readonly sentAt: number }
  | {
      readonly is: 'master';
      readonly token: number;
      readonly validUntil: number;
      readonly attempt: number;
      readonly renewal: { readonly is: 'due'; readonly at: number } | { readonly is: 'sent'; readonly sentAt: number };
    }
  | { readonly is: 'resigning'; readonly next: Resigned };

/** What becomes of a bridge that has resigned. */
type Resigned =
  | { readonly is: 'stopped' }
  | { readonly is: 'barred'; readonly reason: string }
  | { readonly is: 'standby' };

export type ElectionEvent =
  | { readonly was: 'started' }
  | { readonly was: 'stopped' }
  | { readonly was: 'eligible' }
  | { readonly was: 'barred'; readonly reason: string }
  /** A peer has met this incarnation. */
  | { readonly was: 'seen'; readonly incarnation: number }
  | { readonly was: 'woke' }
  | { readonly was: 'looked'; readonly serial: number; readonly record: LeaseRecord }
  | { readonly was: 'taken'; readonly serial: number; readonly token: number }
  | { readonly was: 'renewed'; readonly serial: number }
  | { readonly was: 'released'; readonly serial: number }
  /** The store said no: another one was quicker, or the lease is not ours any more. */
  | { readonly was: 'refused'; readonly serial: number }
  /** The outcome of the command is unknown. */
  | { readonly was: 'failed'; readonly serial: number; readonly reason: string };

export type ElectionEffect =
  /** Takes and publishes nothing more. Done before any other effect, and before anybody is told. */
  | { readonly do: 'stop'; readonly reason: string }
  | { readonly do: 'elect'; readonly token: number }
  | { readonly do: 'look'; readonly serial: number }
  | { readonly do: 'take'; readonly serial: number; readonly expected: LeaseRecord; readonly atLeast: number }
  | { readonly do: 'renew'; readonly serial: number; readonly token: number }
  | { readonly do: 'release'; readonly serial: number; readonly token: number }
  /** Instead of any wake asked for before. One that comes late, or after the state was left, does no harm. */
  | { readonly do: 'wake'; readonly at: number };

export interface ElectionPolicy {
  /** Who this is: another one in every process. */
  readonly owner: string;
  /** How long a candidate watches a record that does not change. */
  readonly leaseMs: number;
  /** How long a lease is trusted by its owner. */
  readonly trustMs: number;
  readonly renewMs: number;
  /** After this long the outcome of a command is unknown: three attempts at a renewal fit into a lease. */
  readonly timeoutMs: number;
  /** A standby looks again after a random time between these. */
  readonly lookMs: { readonly least: number; readonly most: number };
  /** Between attempts after a failure. */
  readonly backoff: BackoffPolicy;
}

/** All times follow from the lease. */
export function electionPolicy(owner: string, leaseMs: number): ElectionPolicy {
  return {
    owner,
    leaseMs,
    trustMs: leaseMs * 0.99 - 2,
    renewMs: leaseMs / 3,
    timeoutMs: leaseMs / 4,
    lookMs: { least: leaseMs / 12, most: leaseMs / 4 },
    backoff: { baseMs: leaseMs / 30, capMs: leaseMs / 4 },
  };
}

export const initialElection: ElectionState = { is: 'stopped', serial: 0, seen: 0, watch: undefined };

const notStarted = 'its broker is not connected yet';

type Step = readonly [ElectionState, readonly ElectionEffect[]];

/** Pure: the state after the event, and what is to be done, in this order. */
export function stepElection(
  state: ElectionState,
  event: ElectionEvent,
  now: number,
  random: number,
  policy: ElectionPolicy,
): Step {
  if (mayWrite(state, now) || state.is !== 'master') return step(state, event, now, random, policy);
  const [lost, first] = lose(state, 'the lease ran out before it could be renewed', now);
  const [after, then] = step(lost, event, now, random, policy);
  return [after, [...first, ...then]];
}

/** True while this bridge is the master and its lease lasts. */
export function mayWrite(state: ElectionState, now: number): boolean {
  return state.is === 'master' && now < state.validUntil;
}

function step(state: ElectionState, event: ElectionEvent, now: number, random: number, policy: ElectionPolicy): Step {
  switch (event.was) {
    case 'started':
      return state.is === 'stopped' ? [{ ...memory(state), is: 'barred', reason: notStarted }, []] : [state, []];
    case 'stopped':
      return resign(state, { is: 'stopped' }, 'stopped');
    case 'barred':
      if (state.is === 'stopped' || (state.is === 'resigning' && state.next.is === 'stopped')) return [state, []];
      return resign(state, { is: 'barred', reason: event.reason }, event.reason);
    case 'eligible':
      if (state.is === 'barred') return look(state, 0, 'it has only begun to look for a master');
      if (state.is === 'resigning' && state.next.is === 'barred') return [{ ...state, next: { is: 'standby' } }, []];
      return [state, []];
    case 'seen':
      return seen(state, event.incarnation, now);
    case 'woke':
      return woke(state, now);
    case 'looked':
    case 'taken':
    case 'renewed':
    case 'released':
    case 'refused':
    case 'failed':
      // The answer to a command that was given up for a later one.
      return event.serial === state.serial ? answered(state, event, now, random, policy) : [state, []];
    default:
      throw new Error(`unexpected ${event satisfies never}`);
  }
}

function woke(state: ElectionState, now: number): Step {
  if (state.is === 'standby') {
    if (now < state.at) return [state, [{ do: 'wake', at: state.at }]];
    return look(state, state.attempt, state.reason);
  }
  if (state.is !== 'master') return [state, []];
  if (state.renewal.is === 'sent') return [state, [{ do: 'wake', at: state.validUntil }]];
  if (now < state.renewal.at) return [state, [{ do: 'wake', at: Math.min(state.renewal.at, state.validUntil) }]];
  const serial = state.serial + 1;
  return [
    { ...state, serial, renewal: { is: 'sent', sentAt: now } },
    [
      { do: 'renew', serial, token: state.token },
      { do: 'wake', at: state.validUntil },
    ],
  ];
}

/** A clock that went back, or a store that forgot: the token has to be higher than what a peer has met. */
function seen(state: ElectionState, incarnation: number, now: number): Step {
  if (incarnation <= state.seen) return [state, []];
  const known = { ...state, seen: incarnation };
  if (state.is !== 'master' || incarnation <= state.token) return [known, []];
  return lose(known, 'a peer knows a later incarnation of this cluster', now);
}

type Answer = Extract<ElectionEvent, { readonly serial: number }>;

function answered(state: ElectionState, event: Answer, now: number, random: number, policy: ElectionPolicy): Step {
  switch (state.is) {
    case 'looking':
      if (event.was === 'failed') return again(state, state.attempt, event.reason, now, random, policy);
      return event.was === 'looked' ? looked(state, event.record, now, random, policy) : [state, []];
    case 'candidate':
      if (event.was === 'failed') return again(state, state.attempt, event.reason, now, random, policy);
      // All that waited for the same lease look at different times again.
      if (event.was === 'refused') return waiting(state, 'another bridge was quicker', now, random, policy);
      return event.was === 'taken' ? taken(state, state.sentAt, event.token, now, random, policy) : [state, []];
    case 'master':
      if (event.was === 'refused') return lose(state, 'the lease is not its own any more', now);
      if (state.renewal.is !== 'sent') return [state, []];
      if (event.was === 'renewed') {
        const validUntil = state.renewal.sentAt + policy.trustMs;
        return renewAt({ ...state, validUntil, attempt: 0 }, state.renewal.sentAt + policy.renewMs);
      }
      if (event.was !== 'failed') return [state, []];
      return renewAt(
        { ...state, attempt: state.attempt + 1 },
        now + backoffDelay(policy.backoff, state.attempt, random),
      );
    case 'resigning':
      // What a candidate asked for when it was told to resign.
      if (event.was === 'taken') return release(state, state.next, event.token);
      return resigned(state, state.next);
    case 'stopped':
    case 'barred':
    case 'standby':
      // Their last command was answered, or nobody waits for it any more.
      return [state, []];
    default:
      throw new Error(`unexpected ${state satisfies never}`);
  }
}

function looked(
  state: ElectionState & { readonly is: 'looking' },
  record: LeaseRecord,
  now: number,
  random: number,
  policy: ElectionPolicy,
): Step {
  const unchanged = state.watch && sameRecord(state.watch.record, record);
  const watch = unchanged ? state.watch : { record, since: now };
  const ofThisRun = record.writtenIn === record.run;
  const free = ofThisRun && (record.owner === '' || record.owner === policy.owner);
  if (free || now - watch.since >= policy.leaseMs) {
    const serial = state.serial + 1;
    return [
      { is: 'candidate', serial, seen: state.seen, watch, attempt: state.attempt, sentAt: now },
      [{ do: 'take', serial, expected: record, atLeast: state.seen }],
    ];
  }
  return waiting({ ...state, watch }, reasonToWait(record), now, random, policy);
}

function reasonToWait({ run, writtenIn, owner }: LeaseRecord): string {
  if (writtenIn === '') return 'Redis knows no lease; it waits for one to pass that Redis may have forgotten';
  if (writtenIn !== run)
    return 'Redis was restarted, or failed over; it waits for a lease to pass that Redis may have forgotten';
  return owner === '' ? 'the lease is free' : 'another bridge holds the lease';
}

function taken(
  state: ElectionState,
  sentAt: number,
  token: number,
  now: number,
  random: number,
  policy: ElectionPolicy,
): Step {
  const validUntil = sentAt + policy.trustMs;
  if (now >= validUntil) return waiting(state, 'Redis answered later than a lease lasts', now, random, policy);
  if (token <= state.seen) return look(state, 0, 'a peer knows a later incarnation of this cluster');
  const { serial, seen } = state;
  const renewal = { is: 'due', at: sentAt + policy.renewMs } as const;
  return [
    // What it knew of the record is its own doing from here on.
    { is: 'master', serial, seen, watch: undefined, token, validUntil, attempt: 0, renewal },
    [
      { do: 'elect', token },
      { do: 'wake', at: renewal.at },
    ],
  ];
}

function renewAt(state: ElectionState & { readonly is: 'master' }, at: number): Step {
  return [{ ...state, renewal: { is: 'due', at } }, [{ do: 'wake', at: Math.min(at, state.validUntil) }]];
}

/** The master is none any more; it looks again at once, and takes the lease anew if nobody else did. */
function lose(state: ElectionState, reason: string, now: number): Step {
  return [
    { ...memory(state), is: 'standby', at: now, attempt: 0, reason },
    [
      { do: 'stop', reason },
      { do: 'wake', at: now },
    ],
  ];
}

function look(state: ElectionState, attempt: number, reason: string): Step {
  const serial = state.serial + 1;
  return [{ ...memory(state), serial, is: 'looking', attempt, reason }, [{ do: 'look', serial }]];
}

/** Looks again after a random while, and at the moment at which the record will have been watched for a lease. */
function waiting(state: ElectionState, reason: string, now: number, random: number, policy: ElectionPolicy): Step {
  const { least, most } = policy.lookMs;
  const watched = state.watch ? state.watch.since + policy.leaseMs : 0;
  const later = now + least + random * (most - least);
  const at = watched > now ? Math.min(later, watched) : later;
  return [{ ...memory(state), is: 'standby', at, attempt: 0, reason }, [{ do: 'wake', at }]];
}

function again(
  state: ElectionState,
  attempt: number,
  reason: string,
  now: number,
  random: number,
  { backoff }: ElectionPolicy,
): Step {
  const at = now + backoffDelay(backoff, attempt, random);
  return [{ ...memory(state), is: 'standby', at, attempt: attempt + 1, reason }, [{ do: 'wake', at }]];
}

function resign(state: ElectionState, next: Resigned, reason: string): Step {
  if (state.is === 'master') {
    const [resigning, effects] = release(state, next, state.token);
    return [resigning, [{ do: 'stop', reason }, ...effects]];
  }
  if (state.is === 'candidate' || state.is === 'resigning') return [{ ...memory(state), is: 'resigning', next }, []];
  return resigned(state, next);
}

function release(state: ElectionState, next: Resigned, token: number): Step {
  const serial = state.serial + 1;
  return [{ ...memory(state), serial, is: 'resigning', next }, [{ do: 'release', serial, token }]];
}

function resigned(state: ElectionState, next: Resigned): Step {
  if (next.is === 'standby') return look(state, 0, 'it has only begun to look for a master');
  return [{ ...memory(state), ...next }, []];
}

function memory({ serial, seen: known, watch }: Memory): Memory {
  return { serial, seen: known, watch };
}
