import { describe } from 'vitest';
import { everyFault, type Frame, troubled } from './generate.ts';
import { scenario } from './scenario.ts';

/** Messages go from one cluster to another all the while, over pairs of bridges. */
const steady = {
  ...{
    replicas: 2,
    ways: 'both',
    filters: false,
    moves: false,
    localConsumers: false,
    prompt: true,
    messages: [100, 300],
  },
} as const satisfies Partial<Frame>;

describe('a network whose sites fail, in simulation', () => {
  scenario('bridges that are stopped and started lose and double nothing', troubled(['bridge-restart'], 3));
  scenario('broken broker connections double only what was under way', troubled(['broker-cut'], 3));
  scenario('brokers that crash double only what was under way, and what they forgot', troubled(['broker-crash'], 3));
  scenario('brokers that are slow or refuse publishers lose and double nothing', troubled(['broker-slow', 'alarm'], 3));
  scenario('bridges that are paused double only what was under way to their clusters', troubled(['bridge-pause'], 3));
  scenario('queues that are deleted and made again stop nobody else', troubled(['queue-away'], 2));
  scenario(
    'a standby takes over when the master is killed or stopped',
    troubled(['bridge-crash', 'bridge-restart', 'broker-cut'], 4, { replicas: 2 }),
  );
  scenario(
    'pairs of bridges that are restarted one after the other, of several clusters at a time, lose, double and redeliver nothing',
    troubled(['rolling-restart'], 3, { ...steady, shapes: ['pair', 'chain', 'star'] }),
  );
  scenario(
    'clusters that are drained bring nothing in, and lose, double and redeliver nothing; afterwards all goes on',
    troubled(['cluster-drain', 'cluster-drain', 'rolling-restart'], 5, { ...steady, shapes: ['pair', 'star'] }),
  );
  scenario('all at once loses nothing and strands nothing', troubled(everyFault, 8, { messages: [20, 200] }));
  scenario('all at once with standbys loses nothing and strands nothing', troubled(everyFault, 8, { replicas: 2 }));
});
