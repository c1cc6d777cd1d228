import { describe } from 'vitest';
import { everyFault, type Frame, troubled } from './generate.ts';
import { scenario } from './scenario.ts';
import type { FaultKind } from './schedule.ts';

const elected: Partial<Frame> = { replicas: 2, lease: true };
const storeFaults = ['store-away', 'store-forgets', 'store-unheard'] as const;
const bridgeFaults = ['bridge-crash', 'bridge-restart'] as const;
const all: readonly FaultKind[] = [...everyFault, ...storeFaults];

describe('a network whose masters are elected by leases, in simulation', () => {
  scenario(
    'a store that is away, forgets or is not heard costs no message and doubles none',
    troubled(storeFaults, 4, elected),
  );
  scenario(
    'bridges that are killed and stopped have one successor',
    troubled([...bridgeFaults, 'broker-cut'], 4, elected),
  );
  scenario(
    'bridges that are paused, however long, do no harm when they go on',
    troubled(['bridge-pause'], 3, { ...elected, localConsumers: false }),
  );
  scenario('all at once loses nothing, strands nothing, and never has two masters', troubled(all, 8, elected));
});
