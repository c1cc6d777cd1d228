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

const everything: readonly FaultKind[] = [
  'bridge-crash',
  'bridge-restart',
  'broker-crash',
  'broker-cut',
  'broker-slow',
  'alarm',
  'link-cut',
  'link-freeze',
  'link-slow',
  'partition',
  'pause',
];

describe('a network whose sites fail, in simulation', () => {
  scenario('bridges that are stopped and started lose and double nothing', troubled(['bridge-restart'], 3));
  scenario('broken broker connections double only what was under way', troubled(['broker-cut'], 3));
  scenario(
    'brokers that crash double only what was under way, and what they forgot was acknowledged',
    troubled(['broker-crash'], 3),
  );
  scenario('brokers that are slow or refuse publishers lose and double nothing', troubled(['broker-slow', 'alarm'], 3));
  scenario('queues that are deleted and made again stop nobody else', troubled(['queue-away'], 2));
  scenario(
    'a standby takes over when the master is killed or stopped',
    troubled(['bridge-crash', 'bridge-restart', 'broker-cut'], 4, { replicas: 2 }),
  );
  scenario('all at once loses nothing and strands nothing', troubled(everything, 8, { messages: [20, 200] }));
  scenario('all at once with standbys loses nothing and strands nothing', troubled(everything, 8, { replicas: 2 }));
});
