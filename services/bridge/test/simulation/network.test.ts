import { describe } from 'vitest';
import { calm, restless, troubled } from './generate.ts';
import { scenario } from './scenario.ts';

describe('a network in simulation', () => {
  scenario('without faults every message arrives once, in order, where it is wanted', calm);
  scenario('where messages flow one way, slow consumers hoard nothing', {
    ...calm,
    ...{ ways: 'one', shapes: ['pair', 'star'], slowConsumers: true },
  });
  scenario('consumers that come and go strand nothing', restless);
  scenario(
    'links that break, freeze or crawl lose and double nothing',
    troubled(['link-cut', 'link-freeze', 'link-slow'], 5),
  );
  scenario('links that break keep the order of the queue', troubled(['link-cut', 'link-slow'], 5, { moves: false }));
  scenario(
    'clusters that are cut off from each other, and paused connectors, lose and double nothing',
    troubled(['partition', 'pause'], 3),
  );
  scenario('killed bridges double only what was under way to their clusters', troubled(['bridge-crash'], 3));
  scenario(
    'a killed bridge without local consumers doubles nothing that it has sent',
    troubled(['bridge-crash'], 3, { localConsumers: false }),
  );
  scenario('busy consumers on both sides leave each other’s messages alone', {
    ...calm,
    ...{ ways: 'both', shapes: ['pair'], slowConsumers: true },
  });
});
