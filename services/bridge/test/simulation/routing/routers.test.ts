import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConnectorSketch, NetworkOfRouters } from './network-of-routers.ts';
import { distances } from './reachable.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const;
const queues = ['p', 'q'] as const;
const RUNS = Number(process.env['TOMBOLO_SEEDS'] ?? 60);

const cluster = fc.nat(names.length - 1);

/** A connector of a network of `size` clusters, with few different filters and bounds, so that they meet. */
function arbitraryConnector(size: number, ttl: fc.Arbitrary<number>): fc.Arbitrary<ConnectorSketch> {
  return fc
    .record({
      ...{ from: fc.nat(size - 1), step: fc.integer({ min: 1, max: size - 1 }), duplex: fc.boolean(), networkTTL: ttl },
      queues: fc.constantFrom(['>'], ['>'], ['>'], ['p'], ['q']),
      excluded: fc.constantFrom<string[][]>([], [], [], ['p']),
    })
    .map(({ from, step, ...rest }) => ({ from: names[from]!, to: names[(from + step) % size]!, ...rest }));
}

function arbitraryNetwork(ttl: fc.Arbitrary<number>): fc.Arbitrary<ConnectorSketch[]> {
  return fc
    .integer({ min: 2, max: names.length })
    .chain((size) => fc.array(arbitraryConnector(size, ttl), { minLength: size - 1, maxLength: size * 2, size: 'max' }))
    .map((connectors) => connectors.map((connector, index) => ({ ...connector, name: `n${index}` })));
}

const advertise = fc.record({ do: fc.constant('advertise' as const), cluster, queue: fc.constantFrom(...queues) });
const demands = fc.array(advertise, { minLength: 1, maxLength: 4 });
const operation = fc.oneof(
  { weight: 3, arbitrary: advertise },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('withdraw' as const), cluster, queue: fc.constantFrom(...queues) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'connect' as const), pair: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('pause' as const),
      connector: fc.nat(),
      end: fc.boolean(),
      paused: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), cluster, kept: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(100_000) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      lanes: fc.array(fc.nat(), { maxLength: 30, size: 'max' }),
    }),
  },
);
const lose = fc.record({ do: fc.constant('lose' as const), lanes: fc.array(fc.nat(), { maxLength: 5 }) });
type Operation = typeof operation | typeof lose extends fc.Arbitrary<infer T> ? T : never;

function perform(network: NetworkOfRouters, step: Operation): void {
  const clusters = [...network.nodes.keys()];
  const pick = (n: number): string => clusters[n % clusters.length]!;
  switch (step.do) {
    case 'advertise':
      return network.advertise(pick(step.cluster), step.queue);
    case 'withdraw':
      return network.withdraw(pick(step.cluster), step.queue);
    case 'cut':
    case 'connect':
      return network[step.do](...network.pairs[step.pair % network.pairs.length]!);
    case 'pause': {
      const { connectors } = network.topology;
      const { name, from, to } = connectors[step.connector % connectors.length]!;
      return network.setPaused(step.end ? from : to, name, step.paused);
    }
    case 'restart': {
      const { name, demands } = network.node(pick(step.cluster));
      return network.restart(name, step.kept ? [...demands.keys()] : [...demands.keys()].slice(1));
    }
    case 'pass':
      return network.pass(step.ms);
    case 'lose':
      for (const lane of step.lanes) network.deliver(lane, true);
      return;
    case 'deliver':
      for (const lane of step.lanes) network.deliver(lane);
  }
}

/** Every cluster has a way to every demand that it can have one to; messages take it, and it is a shortest one. */
function expectShortestWays(network: NetworkOfRouters): void {
  const found: Record<string, unknown> = {};
  const expected: Record<string, unknown> = {};
  for (const sink of network.nodes.values()) {
    for (const queue of queues) {
      const reachable = sink.demands.has(queue) ? distances(network, sink.name, queue) : new Map<string, number>();
      for (const source of network.nodes.keys()) {
        if (source === sink.name) continue;
        const key = `${queue} from ${source} to ${sink.name}`;
        const length = reachable.get(source);
        const promised = network.promised(source, sink.name, queue);
        expected[key] = length === undefined ? undefined : { length, arrived: true, asPromised: true, answered: true };
        if (!promised) continue;
        const { path, arrived } = network.message(source, sink.name, queue);
        const answered = network.isAnswered(source, sink.name, queue);
        found[key] = { length: path.length - 1, arrived, asPromised: path.join() === promised.join(), answered };
      }
    }
  }
  expect(found).toEqual(expected);
}

/** What nobody wants any more is not remembered. */
function expectNothingElse(network: NetworkOfRouters): void {
  for (const { name, router } of network.nodes.values()) {
    for (const { sink, destination } of router.table.standing()) {
      if (destination.kind === 'cluster') continue;
      expect([name, destination.name, sink, network.node(sink).demands.has(destination.name)]).toContain(true);
    }
  }
}

/** Both ends of each link know the same: nobody asks for a snapshot. */
function expectAgreement(network: NetworkOfRouters): void {
  const before = network.sent.get('snapshot-request') ?? 0;
  network.pass(30_000);
  expect((network.sent.get('snapshot-request') ?? 0) - before).toBe(0);
}

function everyNetwork(ttl: fc.Arbitrary<number>, steps: fc.Arbitrary<readonly Operation[]>, passed: number): void {
  fc.assert(
    fc.property(arbitraryNetwork(ttl), demands, steps, (connectors, first, operations) => {
      const network = new NetworkOfRouters({ connectors });
      network.connectAll();
      for (const step of first) perform(network, step);
      for (const step of operations) perform(network, step);
      network.settle(1_000_000);
      if (passed > 0) network.pass(passed);
      expectShortestWays(network);
      if (passed > 0) expectNothingElse(network);
      expectAgreement(network);
    }),
    { numRuns: RUNS },
  );
}

const few = fc.array(operation, { maxLength: 25, size: 'max' });
const hasty = few.map((steps) => steps.filter((step) => step.do !== 'pass' && step.do !== 'restart'));
const demandOnly = few.map((steps) => steps.filter((step) => step.do === 'advertise' || step.do === 'deliver'));

const lossy = fc.array(fc.oneof({ weight: 3, arbitrary: operation }, { weight: 1, arbitrary: lose }), {
  maxLength: 25,
  size: 'max',
});

describe('routers without brokers, in any network', () => {
  it('find a shortest way wherever all connectors have the same networkTTL', () => {
    everyNetwork(fc.constant(8), demandOnly, 0);
  });
  it('find a shortest permitted way wherever there is one, also where a shorter one may not be passed on', () => {
    everyNetwork(fc.integer({ min: 1, max: 5 }), demandOnly, 0);
  });
  it('keep it while leases pass', () => {
    everyNetwork(fc.integer({ min: 1, max: 5 }), demandOnly, 300_000);
  });
  it('find it at once after whatever has happened to links, connectors and demand', () => {
    everyNetwork(fc.integer({ min: 1, max: 5 }), hasty, 0);
  });
  it('keep it after whatever has happened', () => {
    everyNetwork(fc.integer({ min: 1, max: 5 }), few, 300_000);
  });
  it('find it in the end also where frames were lost', () => {
    everyNetwork(fc.integer({ min: 1, max: 5 }), lossy, 300_000);
  });
});
