import { type BackoffPolicy, backoffDelay } from '@tombolo/kernel/backoff';
import type { Fault } from '@tombolo/kernel/fault';

/**
 * The connections to one broker, of those that a master works with among them, as a pure machine.
 *
 *              started            opened            wished [1]          locked              wished [3]
 *    stopped ─────────▶ dialing ─────────▶ unclaimed ─────────▶ claiming ─────────▶ master ─────────▶ yielding
 *       ▲                │  ▲ ▲                │                  │  ▲ │              │                │   │
 *       │          failed│  │ └────────────────│── yielded ───────│──└─┘woke [2] ─────│────────────────┘   │
 *       │                ▼  │woke              │                  │                   │                    │
 *       └── stopped ── resting ◀───────────────┴───────────────── lost [4] ───────────┴────────────────────┘
 *
 * [1] at once when the claim is wanted already.
 * [2] while another bridge holds the lock the claim is repeated, and what is connected stays so (a standby is warm).
 * [3] no longer wanted: acknowledgements are flushed, then all connections are closed, which frees what they held, whatever
 *     was under way on them; from `claiming` too, where a part of the lock may be held. New ones are opened at once.
 * [4] any connection's death ends all; what was held is gone with them.
 *
 * Every effect carries the epoch of its attempt; answers of an older one are dropped here.
 */
export type ConnectionState =
  | { readonly is: 'stopped'; readonly epoch: number }
  | { readonly is: 'dialing'; readonly epoch: number; readonly uri: number; readonly attempt: number }
  | {
      readonly is: 'unclaimed' | 'yielding';
      readonly epoch: number;
      readonly uri: number;
      readonly attempt: number;
      readonly since: number;
    }
  | {
      readonly is: 'claiming';
      readonly epoch: number;
      readonly uri: number;
      readonly attempt: number;
      readonly since: number;
      readonly reason: string | undefined;
    }
  | {
      readonly is: 'master';
      readonly epoch: number;
      readonly uri: number;
      readonly attempt: number;
      readonly since: number;
    }
  | {
      readonly is: 'resting';
      readonly epoch: number;
      readonly uri: number;
      readonly attempt: number;
      readonly fault: Fault;
    };

export type ConnectionEvent =
  | { readonly was: 'started' }
  | { readonly was: 'stopped' }
  /** `wanted` of the policy has changed. */
  | { readonly was: 'wished' }
  | { readonly was: 'opened'; readonly epoch: number }
  | { readonly was: 'locked'; readonly epoch: number }
  | { readonly was: 'refused'; readonly epoch: number; readonly reason: string }
  /** Acknowledgements are flushed, the connections are closed. */
  | { readonly was: 'yielded'; readonly epoch: number }
  | { readonly was: 'lost'; readonly epoch: number; readonly fault: Fault }
  | { readonly was: 'woke'; readonly epoch: number };

export type ConnectionEffect =
  | { readonly do: 'dial'; readonly epoch: number; readonly uri: number }
  | { readonly do: 'claim'; readonly epoch: number }
  | { readonly do: 'yield'; readonly epoch: number }
  | { readonly do: 'close'; readonly epoch: number }
  | { readonly do: 'wake'; readonly epoch: number; readonly at: number };

export interface ConnectionPolicy {
  /** Whether the lock is to be claimed. */
  readonly wanted: boolean;
  /** How many addresses there are. */
  readonly uris: number;
  readonly backoff: BackoffPolicy;
  /** How often a standby tries for the lock. */
  readonly claimMs: number;
}

export const connectionPolicy = { backoff: { baseMs: 200, capMs: 3_000 }, claimMs: 500 } as const;

type Step = readonly [ConnectionState, readonly ConnectionEffect[]];

/** Pure: the state after the event, and what is to be done. */
export function stepConnection(
  state: ConnectionState,
  event: ConnectionEvent,
  now: number,
  random: number,
  policy: ConnectionPolicy,
): Step {
  switch (event.was) {
    case 'started':
      if (state.is !== 'stopped') return [state, []];
      return dial(state.epoch + 1, 0, 0);
    case 'stopped':
      if (state.is === 'stopped') return [state, []];
      return [{ is: 'stopped', epoch: state.epoch }, [{ do: 'close', epoch: state.epoch }]];
    case 'wished':
      if (state.is === 'unclaimed' && policy.wanted) return claim(state);
      if ((state.is === 'claiming' || state.is === 'master') && !policy.wanted) {
        const { epoch, uri, attempt, since } = state;
        return [{ is: 'yielding', epoch, uri, attempt, since }, [{ do: 'yield', epoch }]];
      }
      return [state, []];
  }
  if (event.epoch !== state.epoch || state.is === 'stopped') return [state, []];
  switch (event.was) {
    case 'opened': {
      if (state.is !== 'dialing') return [state, []];
      const { epoch, uri, attempt } = state;
      const unclaimed: ConnectionState = { is: 'unclaimed', epoch, uri, attempt, since: now };
      return policy.wanted ? claim(unclaimed) : [unclaimed, []];
    }
    case 'locked': {
      if (state.is !== 'claiming') return [state, []];
      const { epoch, uri, attempt, since } = state;
      return [{ is: 'master', epoch, uri, attempt, since }, []];
    }
    case 'refused':
      if (state.is !== 'claiming') return [state, []];
      return [
        { ...state, reason: event.reason },
        [{ do: 'wake', epoch: state.epoch, at: now + policy.claimMs * (0.8 + 0.4 * random) }],
      ];
    case 'yielded':
      return state.is === 'yielding' ? dial(state.epoch + 1, state.uri, state.attempt) : [state, []];
    case 'lost': {
      if (state.is === 'resting') return [state, []];
      // An attempt counts as a success only when its connection has lived for a while: no busy loop with a broker that
      // accepts and drops.
      const lived = state.is !== 'dialing' && now - state.since >= policy.backoff.capMs;
      const attempt = lived ? 0 : state.attempt;
      // The next address at once as long as this round has some that were not tried; then the whole list rests.
      const uri = (state.uri + 1) % policy.uris;
      const roundOver = (attempt + 1) % policy.uris === 0;
      const rounds = Math.floor(attempt / policy.uris);
      const delay = roundOver ? backoffDelay(policy.backoff, rounds, random) : policy.backoff.baseMs / 4;
      return [
        { is: 'resting', epoch: state.epoch, uri, attempt: attempt + 1, fault: event.fault },
        [
          { do: 'close', epoch: state.epoch },
          { do: 'wake', epoch: state.epoch, at: now + delay },
        ],
      ];
    }
    case 'woke':
      if (state.is === 'resting') return dial(state.epoch + 1, state.uri, state.attempt);
      if (state.is === 'claiming') return [state, [{ do: 'claim', epoch: state.epoch }]];
      return [state, []];
  }
}

function claim({ epoch, uri, attempt, since }: Extract<ConnectionState, { readonly since: number }>): Step {
  return [{ is: 'claiming', epoch, uri, attempt, since, reason: undefined }, [{ do: 'claim', epoch }]];
}

function dial(epoch: number, uri: number, attempt: number): Step {
  return [{ is: 'dialing', epoch, uri, attempt }, [{ do: 'dial', epoch, uri }]];
}
