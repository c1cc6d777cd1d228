import { ManualClock } from '@tombolo/kernel/clock';
import { expect, test } from 'vitest';
import { ConsumerGlances } from '../../../../src/broker/activemq/consumer-glances.ts';

const tick = () => new Promise((resolve) => setImmediate(resolve));

/** Glances at a broker that is making consumers of these queues. */
function glances(...making: string[]) {
  const clock = new ManualClock();
  const beingMade = new Set(making);
  const asked: (readonly string[])[] = [];
  let vain = 0;
  const ground = {
    ask: async (queues: readonly string[]) => void asked.push(queues),
    beingMade: () => beingMade,
    inVain: () => void vain++,
  };
  const its = new ConsumerGlances(clock, ground);
  const pass = async (ms: number) => {
    clock.advance(ms);
    await tick();
  };
  return { its, asked, beingMade, pass, vain: () => vain };
}

test('what a consumer can take is known soon also where the broker needs seconds to tell of everything', async () => {
  const { its, asked, beingMade, pass, vain } = glances('a', 'b');
  its.wanted('a');
  its.wanted('b');
  its.wanted('a');
  expect(asked).toEqual([]);
  beingMade.delete('b');
  await pass(200);
  expect(asked).toEqual([['a', 'b']]);
  beingMade.delete('a');
  await pass(1_000);
  expect(asked).toEqual([['a', 'b'], ['a']]);
  await pass(100_000);
  expect([asked.length, vain()]).toEqual([2, 0]);
});

test('a consumer that asks for one message at a time is looked at three times, and then with all others', async () => {
  const { its, asked, pass, vain } = glances('a');
  its.wanted('a');
  for (const ms of [200, 1_000, 5_000, 60_000]) await pass(ms);
  expect([asked.length, vain()]).toEqual([3, 1]);
});

test('nothing is asked of a connection that has gone', async () => {
  const { its, asked, pass } = glances('a');
  its.wanted('a');
  its.clear();
  await pass(1_000);
  expect(asked).toEqual([]);
});

test('many queues are looked at some at a time', async () => {
  const names = Array.from({ length: 600 }, (_, index) => `q${index}`);
  const { its, asked, pass } = glances();
  for (const name of names) its.wanted(name);
  await pass(200);
  for (let turn = 0; turn < 3; turn++) await pass(0);
  expect(asked.map((queues) => queues.length)).toEqual([256, 256, 88]);
  expect(asked.flat()).toEqual(names);
});
