import { type BackoffPolicy, backoffDelay } from '@tombolo/kernel/backoff';
import type { Hello, RefusalReason } from '@tombolo/wire/greeting';

/*
 * The link to one peer.
 *
 *   ┌──────┐ started (1) ┌─────────┐ proved (2) ┌──────────┐ established  ┌────┐   stop   ┌──────────┐ lost, woke ┌─────────┐
 *   │ idle │────────────▶│ dialing │───────────▶│ greeting │─────────────▶│ up │─────────▶│ draining │───────────▶│ stopped │
 *   └──────┘             └─────────┘            └──────────┘              └────┘          └──────────┘            └─────────┘
 *                           ▲   │ failed, refused,  │                       │
 *                      woke │   │ lost, woke (3)    │      lost, silent (5) │
 *                           │   ▼                   ▼                       ▼
 *                        ┌─────────────────────────────────────────────────────┐
 *                        │                       backoff                       │
 *                        └─────────────────────────────────────────────────────┘
 *
 *   idle, dialing, greeting, backoff, up ── accepted (4) ──▶ up          any but draining, stopped ── resigned ──▶ idle
 *   idle, dialing, greeting, backoff ── stop ──▶ stopped                 up, which this side does not dial ── lost ──▶ idle
 *
 * (1) only when this side dials; else it waits in idle for the peer.
 * (2) the peer said hello and this side has proved itself: from here on the peer may already count the link as up.
 * (3) a standby, or an address that cannot be reached: the next address at once, until all have been tried; then back-off.
 * (4) a connection that the peer dialled has completed its handshake and was admitted (`admission`): it replaces what was.
 * (5) no byte for three heartbeats, by elapsed time; a late timer is taken off.
 *
 * Every dialled connection has an epoch; what comes from another one than the state's is late, and ignored.
 */
export interface LinkPolicy {
  readonly heartbeatMs: number;
  readonly handshakeMs: number;
  readonly backoff: BackoffPolicy;
  /** A link that breaks is dialled again within this time, once. */
  readonly fastMs: number;
  readonly drainMs: number;
}

export const linkPolicy: LinkPolicy = {
  heartbeatMs: 2_000,
  handshakeMs: 10_000,
  backoff: { baseMs: 200, capMs: 10_000 },
  fastMs: 100,
  drainMs: 1_000,
};

/** What outlives a state: epochs given out so far, which addresses there are, and how dialling went. */
interface Memory {
  readonly epochs: number;
  /** How many addresses may be dialled; 0: the peer dials. */
  readonly addresses: number;
  /** The address that is tried next, how many failed in this round, how many rounds failed. */
  readonly next: number;
  readonly tried: number;
  readonly failures: number;
}

/** Which connection of which life of the peer a link is. */
export type Counterpart = Pick<Hello, 'instance' | 'life' | 'attempt' | 'incarnation'>;

export type LinkState =
  | { readonly is: 'idle'; readonly memory: Memory; readonly reason: string | undefined; readonly active: boolean }
  | { readonly is: 'dialing' | 'greeting'; readonly memory: Memory; readonly epoch: number; readonly until: number }
  | {
      readonly is: 'up';
      readonly memory: Memory;
      readonly epoch: number;
      readonly dialled: boolean;
      readonly peer: Counterpart;
      readonly since: number;
      /** When a byte was last known to have come, and how many had come by then. */
      readonly heardAt: number;
      readonly received: number;
      readonly dueAt: number;
    }
  | { readonly is: 'backoff'; readonly memory: Memory; readonly until: number; readonly reason: string }
  | { readonly is: 'draining'; readonly memory: Memory; readonly epoch: number; readonly until: number }
  | { readonly is: 'stopped'; readonly memory: Memory };

export type LinkEvent =
  /** This bridge is (again) the master: links are wanted. */
  | { readonly is: 'started' }
  /** This bridge is a standby: no links. */
  | { readonly is: 'resigned'; readonly reason: string }
  /** The file says now how many addresses there are. */
  | { readonly is: 'addressed'; readonly addresses: number }
  | { readonly is: 'proved'; readonly epoch: number }
  | { readonly is: 'established'; readonly epoch: number; readonly peer: Counterpart }
  | { readonly is: 'accepted'; readonly peer: Counterpart }
  | { readonly is: 'refused'; readonly epoch: number; readonly reason: RefusalReason; readonly sentence: string }
  | { readonly is: 'failed'; readonly epoch: number; readonly sentence: string }
  /** The connection is gone, in whatever state. */
  | { readonly is: 'lost'; readonly epoch: number; readonly sentence: string }
  /** Time has passed; `received` counts the bytes of the present connection. */
  | { readonly is: 'woke'; readonly received: number }
  | { readonly is: 'stop'; readonly reason: string };

export type LinkEffect =
  | { readonly do: 'dial'; readonly epoch: number; readonly address: number }
  /** Give the connection that the peer dialled this epoch. */
  | { readonly do: 'adopt'; readonly epoch: number }
  /** Drop the connection of this epoch; with a reason: say goodbye first. */
  | { readonly do: 'close'; readonly epoch: number; readonly goodbye: string | undefined }
  | { readonly do: 'tell-up'; readonly epoch: number }
  | { readonly do: 'tell-down'; readonly reason: string }
  | { readonly do: 'ping'; readonly epoch: number }
  | { readonly do: 'report'; readonly reason: string };

export type LinkStep = readonly [LinkState, readonly LinkEffect[]];

/** The first state: nothing is wanted yet. */
export function unlinked(addresses: number): LinkState {
  const memory = { epochs: 0, addresses, next: 0, tried: 0, failures: 0 };
  return { is: 'idle', memory, reason: undefined, active: false };
}

/** When the machine wants to be woken, if at all. */
export function wakeAt(state: LinkState): number | undefined {
  if (state.is === 'up') return state.dueAt;
  return state.is === 'idle' || state.is === 'stopped' ? undefined : state.until;
}

/** One step. `random` is in [0, 1). */
export function step(
  state: LinkState,
  event: LinkEvent,
  now: number,
  random: number,
  policy: LinkPolicy = linkPolicy,
): LinkStep {
  if (state.is === 'stopped') return [state, []];
  switch (event.is) {
    case 'started':
      return state.is === 'idle' && !state.active ? start(state.memory, now, policy) : [state, []];
    case 'resigned':
      return resign(state, event.reason);
    case 'addressed':
      return readdress(state, event.addresses, now, policy);
    case 'proved':
      if (state.is !== 'dialing' || state.epoch !== event.epoch) return [state, []];
      return [{ ...state, is: 'greeting' }, []];
    case 'established':
      if ((state.is !== 'dialing' && state.is !== 'greeting') || state.epoch !== event.epoch) {
        // The peer's own connection was faster: this one has been closed.
        return [state, []];
      }
      return raise({ ...state.memory, tried: 0 }, state.epoch, true, event.peer, now, policy, []);
    case 'accepted':
      return accept(state, event.peer, now, policy);
    case 'refused':
    case 'failed':
      if ((state.is !== 'dialing' && state.is !== 'greeting') || state.epoch !== event.epoch) return [state, []];
      return retreat(state.memory, event, now, random, policy);
    case 'lost':
      if (!('epoch' in state) || state.epoch !== event.epoch) return [state, []];
      return lose(state, event.sentence, now, random, policy);
    case 'woke':
      return wake(state, event.received, now, random, policy);
    case 'stop':
      return stop(state, event.reason, now, policy);
    default:
      return event satisfies never;
  }
}

/**
 * Whether a connection that the peer dialled may become the link, once it has proved itself. Both sides judge alike, so that
 * two connections dialled at the same time end as one.
 * @param ownDials whether this side's name sorts before the peer's: its dialled connection wins
 * @param received bytes that came on the present connection
 */
export function admission(
  state: LinkState,
  newcomer: Counterpart,
  ownDials: boolean,
  now: number,
  received: number,
  policy: LinkPolicy = linkPolicy,
): 'take' | 'duplicate' {
  // This side has proved itself on its own connection, which the peer may count as up already.
  if (state.is === 'greeting') return ownDials ? 'duplicate' : 'take';
  if (state.is !== 'up') return 'take';
  const { peer, dialled, heardAt } = state;
  if (newcomer.incarnation > peer.incarnation || newcomer.instance !== peer.instance) return 'take';
  if (newcomer.life !== peer.life) return 'take';
  // A dialler dials again only after it has given up the connection before.
  if (!dialled && newcomer.attempt > peer.attempt) return 'take';
  const silent = received === state.received && now - heardAt > policy.heartbeatMs;
  return silent ? 'take' : 'duplicate';
}

function start(memory: Memory, now: number, policy: LinkPolicy): LinkStep {
  if (memory.addresses === 0) return [{ is: 'idle', memory, reason: undefined, active: true }, []];
  return redial({ ...memory, tried: 0, failures: 0 }, now, policy);
}

function redial(memory: Memory, now: number, policy: LinkPolicy, before: readonly LinkEffect[] = []): LinkStep {
  const epoch = memory.epochs + 1;
  const until = now + policy.handshakeMs;
  return [
    { is: 'dialing', memory: { ...memory, epochs: epoch }, epoch, until },
    [...before, { do: 'dial', epoch, address: memory.next % memory.addresses }],
  ];
}

function raise(
  memory: Memory,
  epoch: number,
  dialled: boolean,
  peer: Counterpart,
  now: number,
  policy: LinkPolicy,
  before: readonly LinkEffect[],
): LinkStep {
  const dueAt = now + policy.heartbeatMs;
  return [
    { is: 'up', memory, epoch, dialled, peer, since: now, heardAt: now, received: 0, dueAt },
    // The first ping goes at once: the round trip is worth knowing early.
    [...before, { do: 'tell-up', epoch }, { do: 'ping', epoch }],
  ];
}

function accept(state: LinkState, peer: Counterpart, now: number, policy: LinkPolicy): LinkStep {
  if (state.is === 'draining') return [state, []];
  const before: LinkEffect[] = [];
  if ('epoch' in state) before.push({ do: 'close', epoch: state.epoch, goodbye: undefined });
  if (state.is === 'up') before.push({ do: 'tell-down', reason: 'The peer has made a newer connection.' });
  const epoch = state.memory.epochs + 1;
  before.push({ do: 'adopt', epoch });
  return raise({ ...state.memory, epochs: epoch, tried: 0 }, epoch, false, peer, now, policy, before);
}

type Setback = { readonly is: 'refused' | 'failed'; readonly reason?: RefusalReason; readonly sentence: string };

function retreat(memory: Memory, setback: Setback, now: number, random: number, policy: LinkPolicy): LinkStep {
  const report: LinkEffect = { do: 'report', reason: setback.sentence };
  const tried = memory.tried + 1;
  const next = (memory.next + 1) % memory.addresses;
  const elsewhere = setback.is === 'failed' || setback.reason === 'standby';
  if (elsewhere && tried < memory.addresses) return redial({ ...memory, tried, next }, now, policy, [report]);
  const [until, failures] = delay(memory.failures, now, random, policy);
  return [
    { is: 'backoff', memory: { ...memory, tried: 0, next, failures }, until, reason: setback.sentence },
    [report],
  ];
}

/** The first failure in a row costs little; then full jitter, capped. */
function delay(failures: number, now: number, random: number, policy: LinkPolicy): readonly [number, number] {
  const ms = failures === 0 ? random * policy.fastMs : backoffDelay(policy.backoff, failures - 1, random);
  return [now + ms, failures + 1];
}

function lose(
  state: LinkState & { readonly epoch: number },
  sentence: string,
  now: number,
  random: number,
  policy: LinkPolicy,
): LinkStep {
  if (state.is === 'draining') return [{ is: 'stopped', memory: state.memory }, []];
  if (state.is !== 'up') return retreat(state.memory, { is: 'failed', sentence }, now, random, policy);
  const { memory } = state;
  const effects: LinkEffect[] = [
    { do: 'tell-down', reason: sentence },
    { do: 'report', reason: sentence },
  ];
  if (memory.addresses === 0) return [{ is: 'idle', memory, reason: sentence, active: true }, effects];
  // Forgiven only after a whole cap; but a link that was up for a while is dialled again at once all the same.
  const lived = now - state.since;
  const failures = lived >= policy.backoff.capMs ? 0 : memory.failures;
  const fast = failures === 0 || lived >= policy.heartbeatMs / 2;
  const [until, more] = fast ? [now + random * policy.fastMs, failures + 1] : delay(failures, now, random, policy);
  return [{ is: 'backoff', memory: { ...memory, tried: 0, failures: more }, until, reason: sentence }, effects];
}

function wake(state: LinkState, received: number, now: number, random: number, policy: LinkPolicy): LinkStep {
  const due = wakeAt(state);
  // Early or late for a state that is gone: harmless.
  if (due === undefined || now < due) return [state, []];
  switch (state.is) {
    case 'backoff':
      return redial(state.memory, now, policy);
    case 'dialing':
    case 'greeting': {
      const sentence = 'The peer did not complete the handshake in time.';
      const [next, effects] = retreat(state.memory, { is: 'failed', sentence }, now, random, policy);
      return [next, [{ do: 'close', epoch: state.epoch, goodbye: undefined }, ...effects]];
    }
    case 'draining':
      return [{ is: 'stopped', memory: state.memory }, [{ do: 'close', epoch: state.epoch, goodbye: undefined }]];
    case 'up':
      return keepAlive(state, received, now, random, policy);
    default:
      return [state, []];
  }
}

function keepAlive(
  state: LinkState & { is: 'up' },
  received: number,
  now: number,
  random: number,
  policy: LinkPolicy,
): LinkStep {
  const { heartbeatMs } = policy;
  // When this process itself stood still, bytes may lie unread: the time that the timer is late does not count.
  const late = now - state.dueAt;
  const excused = late > heartbeatMs / 2 ? Math.min(now, state.heardAt + late) : state.heardAt;
  const heardAt = received !== state.received ? now : excused;
  if (now - heardAt >= 3 * heartbeatMs) {
    const sentence = `Nothing was heard from the peer for ${((now - heardAt) / 1_000).toFixed(1)} s.`;
    const [next, effects] = lose(state, sentence, now, random, policy);
    return [next, [{ do: 'close', epoch: state.epoch, goodbye: undefined }, ...effects]];
  }
  const dueAt = Math.min(now + heartbeatMs, heardAt + 3 * heartbeatMs);
  return [{ ...state, heardAt, received, dueAt }, [{ do: 'ping', epoch: state.epoch }]];
}

function resign(state: LinkState, reason: string): LinkStep {
  if (state.is === 'draining') return [state, []];
  const idle: LinkState = { is: 'idle', memory: state.memory, reason, active: false };
  if (state.is === 'up') {
    return [
      idle,
      [
        { do: 'close', epoch: state.epoch, goodbye: reason },
        { do: 'tell-down', reason },
      ],
    ];
  }
  return [idle, 'epoch' in state ? [{ do: 'close', epoch: state.epoch, goodbye: undefined }] : []];
}

function readdress(state: LinkState, addresses: number, now: number, policy: LinkPolicy): LinkStep {
  const memory = { ...state.memory, addresses, next: 0, tried: 0 };
  if (state.is === 'idle') return state.active ? start(memory, now, policy) : [{ ...state, memory }, []];
  if (state.is === 'up' || state.is === 'draining' || state.is === 'stopped') return [{ ...state, memory }, []];
  const before: LinkEffect[] = 'epoch' in state ? [{ do: 'close', epoch: state.epoch, goodbye: undefined }] : [];
  if (addresses === 0) return [{ is: 'idle', memory, reason: undefined, active: true }, before];
  return redial({ ...memory, failures: 0 }, now, policy, before);
}

function stop(state: LinkState, reason: string, now: number, policy: LinkPolicy): LinkStep {
  if (state.is === 'draining') return [state, []];
  const { memory } = state;
  if (state.is === 'up') {
    return [
      { is: 'draining', memory, epoch: state.epoch, until: now + policy.drainMs },
      [
        { do: 'close', epoch: state.epoch, goodbye: reason },
        { do: 'tell-down', reason },
      ],
    ];
  }
  const effects: LinkEffect[] = 'epoch' in state ? [{ do: 'close', epoch: state.epoch, goodbye: undefined }] : [];
  return [{ is: 'stopped', memory }, effects];
}
