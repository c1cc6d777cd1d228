import { describe } from 'vitest';
import { calm, everyFault, type Frame, restless, troubled } from './generate.ts';
import { scenario } from './scenario.ts';
import type { ShapeName } from './shapes.ts';

/** Connectors that differ in how far they let a demand go. */
const ttl = [1, 4] as const;
const shapes: readonly ShapeName[] = ['chain', 'star', 'ring', 'mesh', 'random'];
const far: Partial<Frame> = { ttl, shapes };

describe('a network of several hops, in simulation', () => {
  scenario('without faults every message arrives once, in order, where it is wanted', { ...calm, ...far });
  scenario('consumers that come and go strand nothing', { ...restless, ...far });
  scenario(
    'links that break, freeze or crawl on the way lose and double nothing',
    troubled(['link-cut', 'link-freeze', 'link-slow'], 5, far),
  );
  scenario('clusters that are cut off from each other lose and double nothing', troubled(['partition'], 3, far));
  scenario('connectors that are paused on the way lose and double nothing', troubled(['pause'], 3, far));
  scenario('killed and stopped bridges on the way lose nothing', troubled(['bridge-crash', 'bridge-restart'], 3, far));
  scenario(
    'pairs of bridges that are restarted one after the other, relays too, lose and double nothing',
    troubled(['rolling-restart'], 3, { ...far, replicas: 2, moves: false, prompt: true, messages: [50, 300] }),
    // A relay ends its own streams first, and then its links: what a broker is handing over for a stream that it relays goes back.
    ['nothing is redelivered'],
  );
  scenario('all at once loses nothing and strands nothing', troubled(everyFault, 8, { ...far, messages: [20, 200] }));
});
