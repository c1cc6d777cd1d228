import { Fault } from '@tombolo/kernel/fault';
import { expect, test } from 'vitest';
import {
  type ConnectionEvent,
  type ConnectionPolicy,
  type ConnectionState,
  connectionPolicy,
  stepConnection,
} from '../../../src/broker/connection-machine.ts';

const policy = { ...connectionPolicy, uris: 2, wanted: true };
const fault = new Fault('TOMBOLO_BROKER_LOST', 'gone');

/** Feeds the events one after the other; returns the states' names and all effects. */
function walk(
  events: readonly ConnectionEvent[],
  start: ConnectionState = { is: 'stopped', epoch: 0 },
  wishes: ConnectionPolicy = policy,
) {
  let state = start;
  const path: string[] = [];
  const effects: object[] = [];
  for (const event of events) {
    const [next, todo] = stepConnection(state, event, 1_000, 0.5, wishes);
    state = next;
    path.push(next.is);
    effects.push(...todo);
  }
  return { state, path, effects };
}

test('from start to mastery', () => {
  const { path, effects } = walk([{ was: 'started' }, { was: 'opened', epoch: 1 }, { was: 'locked', epoch: 1 }]);
  expect(path).toEqual(['dialing', 'claiming', 'master']);
  expect(effects).toEqual([
    { do: 'dial', epoch: 1, uri: 0 },
    { do: 'claim', epoch: 1 },
  ]);
});

test('a standby claims again on the same connections', () => {
  const { path, effects } = walk([
    { was: 'started' },
    { was: 'opened', epoch: 1 },
    { was: 'refused', epoch: 1, reason: 'held' },
    { was: 'woke', epoch: 1 },
    { was: 'locked', epoch: 1 },
  ]);
  expect(path).toEqual(['dialing', 'claiming', 'claiming', 'claiming', 'master']);
  expect(effects.slice(2)).toEqual([
    { do: 'wake', epoch: 1, at: 1_500 },
    { do: 'claim', epoch: 1 },
  ]);
});

test('a failed address is followed by the next at once, a failed round by a rest', () => {
  const first = walk([{ was: 'started' }, { was: 'lost', epoch: 1, fault }]);
  expect(first.state).toMatchObject({ is: 'resting', uri: 1, attempt: 1 });
  expect(first.effects.at(-1)).toEqual({ do: 'wake', epoch: 1, at: 1_050 });
  const second = walk(
    [
      { was: 'woke', epoch: 1 },
      { was: 'lost', epoch: 2, fault },
    ],
    first.state,
  );
  expect(second.path).toEqual(['dialing', 'resting']);
  expect(second.effects[0]).toEqual({ do: 'dial', epoch: 2, uri: 1 });
  expect(second.effects.at(-1)).toEqual({ do: 'wake', epoch: 2, at: 1_150 });
});

test('what an older attempt says is dropped', () => {
  const { state } = walk([{ was: 'started' }, { was: 'lost', epoch: 1, fault }, { was: 'woke', epoch: 1 }]);
  for (const late of [
    { was: 'opened', epoch: 1 },
    { was: 'locked', epoch: 1 },
    { was: 'lost', epoch: 1, fault },
  ] as const) {
    expect(stepConnection(state, late, 0, 0, policy)).toEqual([state, []]);
  }
});

test('a stop closes whatever there is, and nothing follows', () => {
  const { state, effects } = walk([
    { was: 'started' },
    { was: 'opened', epoch: 1 },
    { was: 'locked', epoch: 1 },
    { was: 'stopped' },
  ]);
  expect(effects.at(-1)).toEqual({ do: 'close', epoch: 1 });
  expect(stepConnection(state, { was: 'lost', epoch: 1, fault }, 0, 0, policy)).toEqual([state, []]);
  expect(walk([{ was: 'started' }], state).state).toMatchObject({ is: 'dialing', epoch: 2 });
});

test('one that does not stand for master is connected and claims nothing, until it does', () => {
  const barred = { ...policy, wanted: false };
  const connected = walk([{ was: 'started' }, { was: 'opened', epoch: 1 }], undefined, barred);
  expect(connected.path).toEqual(['dialing', 'unclaimed']);
  expect(connected.effects).toEqual([{ do: 'dial', epoch: 1, uri: 0 }]);
  const claiming = walk([{ was: 'wished' }, { was: 'locked', epoch: 1 }], connected.state);
  expect(claiming.path).toEqual(['claiming', 'master']);
  expect(claiming.effects).toEqual([{ do: 'claim', epoch: 1 }]);
});

test.each([
  ['a master', [{ was: 'locked', epoch: 1 }]],
  ['a candidate that may hold one of two locks', []],
] as const)('%s that is not to be master any more gives its connections up and opens new ones at once', (_, events) => {
  const before = walk([{ was: 'started' }, { was: 'opened', epoch: 1 }, ...events]);
  const barred = { ...policy, wanted: false };
  const { path, effects } = walk(
    [
      { was: 'wished' },
      { was: 'locked', epoch: 1 }, // the claim was under way
      { was: 'yielded', epoch: 1 },
      { was: 'opened', epoch: 2 },
    ],
    before.state,
    barred,
  );
  expect(path).toEqual(['yielding', 'yielding', 'dialing', 'unclaimed']);
  expect(effects).toEqual([
    { do: 'yield', epoch: 1 },
    { do: 'dial', epoch: 2, uri: 0 },
  ]);
});

test('one that is wanted again while it yields claims on its new connections', () => {
  const master = walk([{ was: 'started' }, { was: 'opened', epoch: 1 }, { was: 'locked', epoch: 1 }]);
  const yielding = walk([{ was: 'wished' }], master.state, { ...policy, wanted: false });
  const { path } = walk(
    [{ was: 'wished' }, { was: 'yielded', epoch: 1 }, { was: 'opened', epoch: 2 }, { was: 'locked', epoch: 2 }],
    yielding.state,
  );
  expect(path).toEqual(['yielding', 'dialing', 'claiming', 'master']);
});
