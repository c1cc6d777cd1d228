import { describe } from 'vitest';
import { calm, type Frame } from './generate.ts';
import { scenario } from './scenario.ts';
import type { FaultKind } from './schedule.ts';

const restless: Frame = { ...calm, moves: true };
const troubled = (faults: readonly FaultKind[], most: number, more: Partial<Frame> = {}): Frame => ({
  ...restless,
  faults,
  faultCount: [1, most],
  ...more,
});

describe('a network in simulation', () => {
  // Known: consumers on both sides of a connector that are all busy pull each other's waiting messages to and fro.
  scenario('without faults every message arrives once, in order, where it is wanted', calm, [
    'no ping-pong',
    'no hoarding',
  ]);
  scenario('where messages flow one way, slow consumers hoard nothing', {
    ...calm,
    ways: 'one',
    shapes: ['pair', 'star'],
    slowConsumers: true,
  });
  scenario('consumers that come and go strand nothing', restless);
  scenario(
    'links that break, freeze or crawl lose and double nothing',
    troubled(['link-cut', 'link-freeze', 'link-slow'], 5),
  );
  scenario('links that break keep the order of the queue', troubled(['link-cut', 'link-slow'], 5, { moves: false }), [
    'no ping-pong',
  ]);
  scenario(
    'clusters that are cut off from each other, and paused connectors, lose and double nothing',
    troubled(['partition', 'pause'], 3),
  );
  scenario('killed bridges double only what was under way to their clusters', troubled(['bridge-crash'], 3));
  scenario('killed bridges without consumers of their own', troubled(['bridge-crash'], 3, { localConsumers: false }));
});
