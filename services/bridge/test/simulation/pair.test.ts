import { describe, expect, it } from 'vitest';
import { type Faults, noFaults, PairSimulation } from './pair.ts';

const SEEDS = Number(process.env['TOMBOLO_SEEDS'] ?? 150);

function tally(simulation: PairSimulation): { lost: number; duplicates: number } {
  const distinct = new Set(simulation.consumed).size;
  return { lost: simulation.messages - distinct, duplicates: simulation.consumed.length - distinct };
}

function each(
  name: string,
  faults: Partial<Faults>,
  check: (simulation: PairSimulation, seed: number) => void,
  options = {},
): void {
  it(name, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const simulation = new PairSimulation(seed, {
        messages: 120,
        faults: { ...noFaults, ...faults },
        prefetch: 10,
        consumeMs: 2,
        ...options,
      });
      simulation.run();
      try {
        check(simulation, seed);
        expect(simulation.differences).toEqual([]);
        expect(simulation.comparisons).toBeGreaterThan(0);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}\n${simulation.trace.join('\n')}`);
      }
    }
  });
}

const exactlyOnce = (simulation: PairSimulation) => expect(tally(simulation)).toEqual({ lost: 0, duplicates: 0 });
const nothingLost = (simulation: PairSimulation) => expect(tally(simulation).lost).toBe(0);

describe('one source and one sink in simulation', () => {
  each('without faults every message arrives once and in order', {}, (simulation) => {
    exactlyOnce(simulation);
    expect(simulation.consumed).toEqual([...simulation.consumed].sort((a, b) => a - b));
  });
  each('lost frames lose and double nothing', { loss: 0.1 }, exactlyOnce);
  each('frames that overtake each other keep the order of the queue', { jitter: 30 }, (simulation) => {
    exactlyOnce(simulation);
    expect(simulation.consumed).toEqual([...simulation.consumed].sort((a, b) => a - b));
  });
  each('cut links lose and double nothing', { linkCuts: 5 }, exactlyOnce);
  each('a killed source bridge loses and doubles nothing', { sourceCrashes: 3 }, exactlyOnce);
  each('a source broker connection that breaks loses and doubles nothing', { sourceBrokerCuts: 4 }, exactlyOnce);
  each('consumers that come and go strand nothing', { consumerMoves: 4 }, exactlyOnce);
  each('a demand that is withdrawn and comes back strands, loses and doubles nothing', { withdrawals: 4 }, exactlyOnce);
  each('messages that no queue takes come again when one does, once', { returns: 4 }, exactlyOnce);
  each(
    'what was given back is not taken for stored when the source’s broker connection breaks',
    { withdrawals: 3, returns: 3, sourceBrokerCuts: 3 },
    exactlyOnce,
  );
  each(
    'what was given back is not taken for stored when the source’s bridge is killed',
    { withdrawals: 3, returns: 3, sourceCrashes: 3, linkCuts: 2 },
    exactlyOnce,
  );
  each('a killed sink bridge loses nothing', { sinkCrashes: 3 }, nothingLost);
  each('a sink bridge that is stopped in mid-stream loses and doubles nothing', { sinkStops: 3 }, exactlyOnce);
  each(
    'a sink bridge that is stopped while its broker is slow to confirm loses and doubles nothing',
    { sinkStops: 3, consumerMoves: 2, jitter: 5 },
    exactlyOnce,
    { confirmMs: 700, prefetch: 30 },
  );
  each('a sink broker connection that breaks loses nothing', { sinkBrokerCuts: 4 }, nothingLost);
  each(
    'all at once loses nothing',
    {
      loss: 0.05,
      jitter: 20,
      linkCuts: 3,
      sourceCrashes: 2,
      sourceBrokerCuts: 2,
      sinkBrokerCuts: 2,
      sinkCrashes: 2,
      consumerMoves: 3,
      withdrawals: 2,
      returns: 2,
    },
    nothingLost,
  );
  each(
    'a slow consumer with prefetch 1 never sees more than a few waiting messages',
    {},
    (simulation) => {
      exactlyOnce(simulation);
      expect(simulation.mostReady).toBeLessThanOrEqual(8);
    },
    { messages: 40, prefetch: 1, consumeMs: 2_000 },
  );
});
