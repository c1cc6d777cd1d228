import { describe } from 'vitest';
import { everyFault, type Frame, troubled } from './generate.ts';
import { scenario } from './scenario.ts';

const recorded: Partial<Frame> = { record: true, ttl: [1, 3] };
/** Messages flow nearly all the time, one way, so that most kills strike a bridge that is publishing. */
const busy: Partial<Frame> = {
  ...recorded,
  ...{
    shapes: ['pair', 'chain'],
    ways: 'one',
    messages: [200, 400],
    localConsumers: false,
    moves: false,
    filters: false,
  },
};
const storeFaults = ['store-away', 'store-forgets'] as const;

describe('a network whose bridges record what is in doubt, in simulation', () => {
  scenario(
    'a killed bridge doubles at most what it had published and not recorded as confirmed',
    troubled(['bridge-crash'], 1, busy),
  );
  scenario('so does one whose standby takes over', troubled(['bridge-crash'], 1, { ...busy, replicas: 2 }));
  scenario('a store that is away, or forgets, costs no message and doubles none', troubled(storeFaults, 4, recorded));
  scenario('all at once loses nothing and strands nothing', troubled([...everyFault, ...storeFaults], 8, recorded));
});
