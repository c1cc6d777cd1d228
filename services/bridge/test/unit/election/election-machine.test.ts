import { expect, test } from 'vitest';
import {
  type ElectionEffect,
  type ElectionEvent,
  type ElectionState,
  electionPolicy,
  initialElection,
  mayWrite,
  stepElection,
} from '../../../src/election/election-machine.ts';
import type { LeaseRecord } from '../../../src/election/lease-store.ts';

const policy = electionPolicy('me#1', 3000);
const free: LeaseRecord = { run: 'r1', writtenIn: 'r1', owner: '', token: 4, beat: 9 };
const held: LeaseRecord = { ...free, owner: 'other#1' };
const absent: LeaseRecord = { run: 'r1', writtenIn: '', owner: '', token: 0, beat: 0 };

type At = readonly [now: number, event: ElectionEvent];

/** Feeds the events one after the other; returns the states' names and all effects. */
function walk(events: readonly At[], start: ElectionState = initialElection) {
  let state = start;
  const path: string[] = [];
  const effects: ElectionEffect[] = [];
  for (const [now, event] of events) {
    const [next, todo] = stepElection(state, event, now, 0.5, policy);
    state = next;
    path.push(next.is);
    effects.push(...todo);
  }
  return { state, path, effects, last: effects.at(-1) };
}

const started: At[] = [
  [0, { was: 'started' }],
  [0, { was: 'eligible' }],
];
const toMaster: At[] = [
  ...started,
  [10, { was: 'looked', serial: 1, record: free }],
  [20, { was: 'taken', serial: 2, token: 5 }],
];
const master = () => walk(toMaster).state;

test('a lease that was released is taken at once', () => {
  const { path, effects } = walk(toMaster);
  expect(path).toEqual(['barred', 'looking', 'candidate', 'master']);
  expect(effects).toEqual([
    { do: 'look', serial: 1 },
    { do: 'take', serial: 2, expected: free, atLeast: 0 },
    { do: 'elect', token: 5 },
    { do: 'wake', at: 1010 },
  ]);
});

test('a lease that nobody renews is taken after it was watched for a whole lease, and not before', () => {
  const { state, path } = walk([
    ...started,
    [10, { was: 'looked', serial: 1, record: held }],
    [510, { was: 'woke' }],
    [520, { was: 'looked', serial: 2, record: held }],
    [3009, { was: 'woke' }],
    [3009, { was: 'looked', serial: 3, record: held }],
  ]);
  expect(path.slice(2)).toEqual(['standby', 'looking', 'standby', 'looking', 'standby']);
  expect(state).toMatchObject({ is: 'standby', at: 3010, reason: 'another bridge holds the lease' });
  const { last } = walk(
    [
      [3010, { was: 'woke' }],
      [3011, { was: 'looked', serial: 4, record: held }],
    ],
    state,
  );
  expect(last).toEqual({ do: 'take', serial: 5, expected: held, atLeast: 0 });
});

test('a renewal that is seen begins the watch anew', () => {
  const { state } = walk([
    ...started,
    [10, { was: 'looked', serial: 1, record: held }],
    [2900, { was: 'woke' }],
    [2910, { was: 'looked', serial: 2, record: { ...held, beat: 10 } }],
    [4000, { was: 'woke' }],
    [4010, { was: 'looked', serial: 3, record: { ...held, beat: 10 } }],
  ]);
  expect(state).toMatchObject({ is: 'standby', watch: { since: 2910 } });
});

test.each([
  ['that knows no lease', absent],
  ['that was restarted with the data of before', { ...free, run: 'r2' }],
])('of a store %s the lease is not taken before a whole lease has passed', (_, record) => {
  const { path, state } = walk([...started, [10, { was: 'looked', serial: 1, record }]]);
  expect(path.at(-1)).toBe('standby');
  const { last } = walk(
    [
      [3010, { was: 'woke' }],
      [3011, { was: 'looked', serial: 2, record }],
    ],
    state,
  );
  expect(last).toMatchObject({ do: 'take', expected: record });
});

test('a candidate that finds another run of the store in the middle of its watch begins anew', () => {
  const { state } = walk([
    ...started,
    [10, { was: 'looked', serial: 1, record: held }],
    [2990, { was: 'woke' }],
    [3100, { was: 'looked', serial: 2, record: { ...held, run: 'r2' } }],
  ]);
  expect(state).toMatchObject({ is: 'standby', watch: { since: 3100 } });
  expect(state).toMatchObject({ reason: expect.stringContaining('restarted, or failed over') });
});

test('another one was quicker: the candidate stands by and looks again', () => {
  const { state } = walk([...toMaster.slice(0, 3), [20, { was: 'refused', serial: 2 }]]);
  expect(state).toMatchObject({ is: 'standby', reason: 'another bridge was quicker', at: 520 });
});

test('a lease counts from before it was asked for, and so does its renewal', () => {
  expect(mayWrite(master(), 10 + 2967)).toBe(true);
  expect(mayWrite(master(), 10 + 2968)).toBe(false);
  const { state } = walk(
    [
      [1010, { was: 'woke' }],
      [1700, { was: 'renewed', serial: 3 }],
    ],
    master(),
  );
  expect(mayWrite(state, 1010 + 2967)).toBe(true);
  expect(mayWrite(state, 1010 + 2968)).toBe(false);
});

test('a master renews after a third of the lease, and again a third after that was sent', () => {
  const { effects } = walk(
    [
      [1010, { was: 'woke' }],
      [1700, { was: 'renewed', serial: 3 }],
      [2010, { was: 'woke' }],
    ],
    master(),
  );
  expect(effects).toEqual([
    { do: 'renew', serial: 3, token: 5 },
    { do: 'wake', at: 10 + policy.trustMs },
    { do: 'wake', at: 2010 },
    { do: 'renew', serial: 4, token: 5 },
    { do: 'wake', at: 1010 + policy.trustMs },
  ]);
});

test('a renewal whose outcome is unknown is none: it is tried again, and the lease is over when it was', () => {
  const { state, effects } = walk(
    [
      [1010, { was: 'woke' }],
      [1760, { was: 'failed', serial: 3, reason: 'late' }],
      [1860, { was: 'woke' }],
    ],
    master(),
  );
  expect(effects.at(-2)).toEqual({ do: 'renew', serial: 4, token: 5 });
  expect(state).toMatchObject({ is: 'master', validUntil: 10 + policy.trustMs });
});

test.each<ElectionEvent>([
  { was: 'woke' },
  { was: 'renewed', serial: 3 },
  { was: 'failed', serial: 3, reason: 'late' },
  { was: 'seen', incarnation: 1 },
  { was: 'stopped' },
  { was: 'barred', reason: 'no broker' },
])('a master that slept through its lease stops before it looks at anything: %o', (event) => {
  const sent = walk([[1010, { was: 'woke' }]], master()).state;
  const { state, effects } = walk([[9000, event]], sent);
  expect(effects[0]).toEqual({ do: 'stop', reason: 'the lease ran out before it could be renewed' });
  expect(state.is).not.toBe('master');
});

test('a master whose renewal is refused stops before anything else, and looks again', () => {
  const { state, effects } = walk(
    [
      [1010, { was: 'woke' }],
      [1020, { was: 'refused', serial: 3 }],
      [1020, { was: 'woke' }],
    ],
    master(),
  );
  expect(effects.slice(2)).toEqual([
    { do: 'stop', reason: 'the lease is not its own any more' },
    { do: 'wake', at: 1020 },
    { do: 'look', serial: 4 },
  ]);
  expect(state.is).toBe('looking');
});

test('a master that lost its lease to nobody takes it anew at once, with a higher token', () => {
  const { last } = walk(
    [
      [9000, { was: 'woke' }],
      [9010, { was: 'looked', serial: 3, record: { ...held, owner: 'me#1', token: 5 } }],
    ],
    master(),
  );
  expect(last).toMatchObject({ do: 'take', expected: { token: 5 } });
});

test('a peer that knows a later incarnation has the master elected anew, above that', () => {
  const { effects, state } = walk(
    [
      [100, { was: 'seen', incarnation: 77 }],
      [100, { was: 'woke' }],
      [110, { was: 'looked', serial: 3, record: { ...held, owner: 'me#1', token: 5 } }],
    ],
    master(),
  );
  expect(effects[0]).toMatchObject({ do: 'stop' });
  expect(effects.at(-1)).toMatchObject({ do: 'take', atLeast: 77 });
  expect(walk([[120, { was: 'taken', serial: 4, token: 78 }]], state).last).toMatchObject({ do: 'wake' });
  const same = walk([[100, { was: 'seen', incarnation: 5 }]], master());
  expect(same.effects).toEqual([]);
});

test('a stop releases the lease after everything has stopped', () => {
  const { path, effects } = walk(
    [
      [100, { was: 'stopped' }],
      [110, { was: 'released', serial: 3 }],
    ],
    master(),
  );
  expect(effects).toEqual([
    { do: 'stop', reason: 'stopped' },
    { do: 'release', serial: 3, token: 5 },
  ]);
  expect(path).toEqual(['resigning', 'stopped']);
});

test('a stop in vain is a stop', () => {
  const events: At[] = [
    [100, { was: 'stopped' }],
    [110, { was: 'failed', serial: 3, reason: 'late' }],
  ];
  expect(walk(events, master()).path.at(-1)).toBe('stopped');
});

test('a candidate that is told to stop waits for what it asked for, and releases it', () => {
  const { path, effects } = walk([
    ...toMaster.slice(0, 3),
    [15, { was: 'stopped' }],
    [20, { was: 'taken', serial: 2, token: 5 }],
    [30, { was: 'released', serial: 3 }],
  ]);
  expect(path.slice(3)).toEqual(['resigning', 'resigning', 'stopped']);
  expect(effects).not.toContainEqual(expect.objectContaining({ do: 'elect' }));
  expect(effects.at(-1)).toEqual({ do: 'release', serial: 3, token: 5 });
});

test('a bridge without its broker stands for nothing until it has it again', () => {
  const { path, effects } = walk(
    [
      [100, { was: 'barred', reason: 'its broker is down' }],
      [110, { was: 'released', serial: 3 }],
      [500, { was: 'woke' }],
      [900, { was: 'eligible' }],
    ],
    master(),
  );
  expect(path).toEqual(['resigning', 'barred', 'barred', 'looking']);
  expect(effects[0]).toEqual({ do: 'stop', reason: 'its broker is down' });
});

test('a broker that is back before the lease is released lets the bridge stand again', () => {
  const { path } = walk(
    [
      [100, { was: 'barred', reason: 'its broker is down' }],
      [105, { was: 'eligible' }],
      [110, { was: 'released', serial: 3 }],
    ],
    master(),
  );
  expect(path).toEqual(['resigning', 'resigning', 'looking']);
});

test('failures are followed by longer and longer rests, up to a quarter of the lease', () => {
  let state = walk(started).state;
  const rests: number[] = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    [state] = stepElection(state, { was: 'failed', serial: state.serial, reason: 'Redis is down' }, 0, 0.999, policy);
    if (state.is === 'standby') rests.push(Math.round(state.at));
    [state] = stepElection(state, { was: 'woke' }, 100_000, 0.5, policy);
  }
  expect(rests).toEqual([100, 200, 400, 749, 749, 749, 749, 749]);
});

test('answers to an older command, and wakes of a state that was left, change nothing', () => {
  const { state } = walk(toMaster);
  for (const late of [
    { was: 'looked', serial: 1, record: held },
    { was: 'refused', serial: 1 },
    { was: 'failed', serial: 1, reason: 'late' },
  ] as const)
    expect(stepElection(state, late, 500, 0, policy)).toEqual([state, []]);
  expect(stepElection(state, { was: 'woke' }, 500, 0, policy)).toEqual([state, [{ do: 'wake', at: 1010 }]]);
});
