import { Chance } from './chance.ts';
import type { ConnectorPlan, ConsumerPlan, Fault, FaultKind, ProducerPlan, Schedule, Weather } from './schedule.ts';
import { drawShape, type Shape, type ShapeName } from './shapes.ts';

/** What a kind of run is about; chance decides the rest. */
export interface Frame {
  readonly shapes: readonly ShapeName[];
  /** How messages may flow along an edge: one way, both ways, or as chance has it. */
  readonly ways: 'one' | 'both' | 'any';
  /** networkTTL of connectors: from, to. */
  readonly ttl: readonly [number, number];
  readonly replicas: number;
  readonly lease: boolean;
  readonly record: boolean;
  /** Faults of these kinds, so many in all. */
  readonly faults: readonly FaultKind[];
  readonly faultCount: readonly [number, number];
  /** Consumers come and go, or are there from the beginning to the end. */
  readonly moves: boolean;
  /** Consumers where messages are published: they may be handed what is in doubt. */
  readonly localConsumers: boolean;
  readonly messages: readonly [number, number];
  /** All consumers are slow and take one at a time. */
  readonly slowConsumers: boolean;
  readonly filters: boolean;
  /** What is in flight can be settled within the drain timeout. */
  readonly prompt?: boolean;
}

export const calm: Frame = {
  shapes: ['pair', 'chain', 'star', 'ring', 'mesh', 'random'],
  ways: 'any',
  ttl: [1, 1],
  replicas: 1,
  lease: false,
  record: false,
  faults: [],
  faultCount: [0, 0],
  moves: false,
  localConsumers: true,
  messages: [20, 120],
  slowConsumers: false,
  filters: true,
};

/** Consumers come and go. */
export const restless: Frame = { ...calm, moves: true };

/** Up to `most` of these faults. */
export function troubled(faults: readonly FaultKind[], most: number, more: Partial<Frame> = {}): Frame {
  return { ...restless, faults, faultCount: [1, most], ...more };
}

/** Every kind of fault but the loss of a queue. */
export const everyFault: readonly FaultKind[] = [
  ...(['bridge-crash', 'bridge-restart', 'broker-crash', 'broker-cut', 'broker-slow', 'alarm'] as const),
  'bridge-pause',
  ...(['link-cut', 'link-freeze', 'link-slow', 'partition', 'pause'] as const),
];

/** While applications come, and while faults begin: most faults strike while messages move (ms). */
const busyMs = [0, 2_000] as const;
const troubleMs = [50, 2_200] as const;

/** One run, made from a seed. The same seed and frame make the same schedule. */
export function drawSchedule(seed: number, frame: Frame): Schedule {
  const chance = new Chance(seed);
  const shape = drawShape(chance.pick(frame.shapes), chance.branch('shape'));
  const queues = chance.happens(0.6) ? ['q'] : ['q', 'orders.eu'];
  const connectors = drawConnectors(shape, frame, chance.branch('connectors'));
  const producers = drawProducers(shape, queues, frame, chance.branch('producers'));
  const consumers = drawConsumers(shape, queues, producers, frame, chance.branch('consumers'));
  return {
    seed,
    shape: shape.name,
    sites: shape.sites,
    replicas: frame.replicas,
    lease: frame.lease,
    record: frame.record,
    queues,
    connectors,
    prefetchSize: chance.pick([1, 5, 50, 1_000, 1_000]),
    inFlightBytes: chance.pick([20_000, 100_000, 268_435_456]),
    holdWhenLinkLostMs: 60_000,
    weather: frame.prompt ? prompt(drawWeather(chance.branch('weather'))) : drawWeather(chance.branch('weather')),
    producers,
    consumers,
    faults: drawFaults(shape, queues, connectors, frame, chance.branch('faults')),
  };
}

/** Links carry within the drain timeout what a bridge can have in flight. */
function prompt(weather: Weather): Weather {
  const { windowBytes, bytesPerMs } = weather;
  return { ...weather, windowBytes: Math.max(1_000_000, windowBytes), bytesPerMs: Math.max(1_000, bytesPerMs) };
}

function drawWeather(chance: Chance): Weather {
  return {
    latencyMs: chance.pick([0.5, 2, 10, 40, 150]),
    jitterMs: chance.pick([0, 1, 10]),
    windowBytes: chance.pick([1_000, 10_000, 1_000_000, 16_777_216]),
    bytesPerMs: chance.pick([50, 1_000, 100_000]),
    brokerLatencyMs: chance.pick([0.2, 1, 1, 5]),
    codec: chance.happens(0.05),
  };
}

function drawConnectors(shape: Shape, frame: Frame, chance: Chance): ConnectorPlan[] {
  return shape.edges.map(([a, b]) => {
    const [from, to] = chance.happens(0.5) ? [a, b] : [b, a];
    const duplex = frame.ways === 'both' || (frame.ways === 'any' && chance.happens(0.6));
    const filtered = frame.filters && chance.happens(0.15);
    return {
      ...{ name: `${from}-${to}`, from, to, duplex, networkTTL: chance.whole(...frame.ttl) },
      includes: filtered && chance.happens(0.5) ? ['orders.>'] : ['>'],
      excludes: filtered && chance.happens(0.5) ? ['orders.eu'] : [],
    };
  });
}

function drawProducers(shape: Shape, queues: readonly string[], frame: Frame, chance: Chance): ProducerPlan[] {
  const messages = chance.whole(...frame.messages);
  const sites = chance.sample(shape.sites, chance.whole(1, Math.min(3, shape.sites.length)));
  return sites.map((site, i) => ({
    name: `p${i + 1}`,
    site,
    queue: chance.pick(queues),
    fromMs: chance.happens(0.3) ? 0 : chance.between(0, busyMs[1] / 2),
    everyMs: chance.pick([0, 1, 5, busyMs[1] / messages, busyMs[1] / messages]),
    count: Math.max(1, Math.floor(messages / sites.length)),
    bodyBytes: chance.pick([20, 200, 200, 3_000]),
    messageIds: chance.happens(0.5),
  }));
}

function drawConsumers(
  shape: Shape,
  queues: readonly string[],
  producers: readonly ProducerPlan[],
  frame: Frame,
  chance: Chance,
): ConsumerPlan[] {
  const producing = new Set(producers.map(({ site }) => site));
  const elsewhere = shape.sites.filter((site) => !producing.has(site));
  const sites = frame.localConsumers || elsewhere.length === 0 ? shape.sites : elsewhere;
  const count = chance.whole(1, Math.min(5, sites.length + 1));
  const plans = Array.from({ length: count }, (_, i): ConsumerPlan => {
    const fromMs = frame.moves ? chance.between(0, busyMs[1]) : chance.pick([0, 0, chance.between(0, 400)]);
    const leaves = frame.moves && chance.happens(0.6);
    return {
      name: `c${i + 1}`,
      site: chance.pick(sites),
      queue: i === 0 ? producers[0]!.queue : chance.pick(queues),
      prefetch: frame.slowConsumers ? 1 : chance.pick([1, 1, 3, 10, 100]),
      workMs: frame.slowConsumers ? chance.between(200, 600) : chance.pick([0.5, 2, 10, 30]),
      fromMs,
      untilMs: leaves
        ? fromMs + chance.pick([30, 200, 1_000, 3_500]) * chance.between(0.5, 1)
        : Number.POSITIVE_INFINITY,
    };
  });
  return plans;
}

function drawFaults(
  shape: Shape,
  queues: readonly string[],
  connectors: readonly ConnectorPlan[],
  frame: Frame,
  chance: Chance,
): Fault[] {
  if (frame.faults.length === 0) return [];
  const faults = Array.from({ length: chance.whole(...frame.faultCount) }, () => {
    const when = { atMs: chance.between(...troubleMs), forMs: 0 };
    return drawFault(chance.pick(frame.faults), when, shape, queues, connectors, frame, chance);
  });
  return faults.sort((a, b) => a.atMs - b.atMs);
}

function drawFault(
  is: FaultKind,
  when: { atMs: number; forMs: number },
  shape: Shape,
  queues: readonly string[],
  connectors: readonly ConnectorPlan[],
  frame: Frame,
  chance: Chance,
): Fault {
  const site = chance.pick(shape.sites);
  const replica = chance.whole(0, frame.replicas - 1);
  const between = chance.pick(shape.edges);
  switch (is) {
    case 'bridge-crash':
    case 'bridge-restart':
      return { ...when, is, site, replica, forMs: chance.pick([60, 300, 2_000]) };
    case 'bridge-pause':
      return { ...when, is, site, replica, forMs: chance.pick([300, 2_000, 3_500, 5_000, 8_000, 20_000]) };
    case 'rolling-restart':
      return { ...when, is, site, forMs: 10_000 };
    case 'cluster-drain':
      return { ...when, is, site, forMs: chance.pick([100, 1_000, 5_000]) };
    case 'broker-crash':
      return {
        ...when,
        is,
        site,
        forgets: chance.happens(0.2) ? chance.whole(1, 20) : 0,
        forMs: chance.pick([50, 500, 4_000]),
      };
    case 'broker-cut':
      return { ...when, is, site };
    case 'broker-slow':
      return { ...when, is, site, latencyMs: chance.pick([20, 100, 400]), forMs: chance.between(100, 2_000) };
    case 'store-away':
    case 'store-forgets':
      return { ...when, is, site, forMs: chance.pick([100, 2_000, 5_000, 9_000]) };
    case 'store-unheard':
      return { ...when, is, site, replica, forMs: chance.pick([500, 2_000, 5_000, 9_000]) };
    case 'alarm':
      return { ...when, is, site, forMs: chance.pick([100, 1_000, 12_000]) };
    case 'link-cut':
      return { ...when, is, between };
    case 'link-freeze': {
      const [a, b] = between;
      return { ...when, is, between: chance.happens(0.5) ? [a, b] : [b, a], forMs: chance.between(300, 6_000) };
    }
    case 'link-slow':
      return { ...when, is, between, latencyMs: chance.pick([200, 800]), forMs: chance.between(200, 3_000) };
    case 'partition':
      return {
        ...when,
        is,
        sites: chance.sample(shape.sites, chance.whole(1, shape.sites.length - 1)),
        forMs: chance.between(200, 8_000),
      };
    case 'pause':
      return { ...when, is, site, connector: chance.pick(connectors).name, forMs: chance.between(100, 3_000) };
    case 'queue-away':
      return { ...when, is, site, queue: chance.pick(queues), forMs: chance.pick([5, 200, 2_000]) };
    default:
      throw new Error(`unexpected ${is satisfies never}`);
  }
}
