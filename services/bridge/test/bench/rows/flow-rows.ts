import { backlog, type Flow, latency, live, publishing } from '../flow.ts';
import type { Ground, Setup } from '../ground.ts';
import type { Watch } from '../sample.ts';
import { Federation } from '../ways/federation.ts';
import { OneBroker } from '../ways/one-broker.ts';
import { Shovel } from '../ways/shovel.ts';
import { Tombolo } from '../ways/tombolo.ts';
import type { Way } from '../ways/way.ts';
import { type Contender, inTurns } from './rounds.ts';
import type { Row } from './row.ts';

const kib = 1_024;

/** The rate at which what waits at the source reaches a consumer. */
export const backlogRows: readonly Row[] = [
  backlogRow('backlog-pinned', 'pinned', { messages: 25_000, bodyBytes: kib }, ['federation', 'shovel', 'limit']),
  backlogRow('backlog-shared', 'shared', { messages: 25_000, bodyBytes: kib }, [
    'one process',
    'federation',
    'shovel',
    'limit',
  ]),
  backlogRow('backlog-16k', 'pinned', { messages: 8_000, bodyBytes: 16 * kib }, ['federation', 'shovel']),
  backlogRow('backlog-128', 'pinned', { messages: 30_000, bodyBytes: 128 }, ['federation', 'shovel']),
];

/** The rate while a producer sends as fast as it can. */
export const liveRows: readonly Row[] = (['shared', 'pinned'] as const).map((setup) => ({
  name: `live-${setup}`,
  setup,
  async run(ground, options) {
    const flow = { messages: Math.ceil(25_000 * options.scale), bodyBytes: kib };
    const ways = await Promise.all([
      Tombolo.prepare(ground, 'live'),
      Federation.prepare(ground, 'live-federation'),
      Shovel.prepare(ground, 'live-shovel'),
      OneBroker.prepare(ground, 'live-one'),
    ]);
    const contenders = ways.map((way): Contender => ({ way, run: (watch) => live(ground, way, flow, watch) }));
    return inTurns(ground, contenders, options);
  },
}));

/** How long a message takes at 1,000 a second. */
export const latencyRow: Row = {
  name: 'latency',
  setup: 'shared',
  async run(ground, options) {
    const flow = { messages: Math.ceil(8_000 * options.scale), bodyBytes: kib, rate: 1_000 };
    const ways = await Promise.all<Way>([
      Tombolo.prepare(ground, 'latency'),
      ...another(ground, 'latency'),
      Federation.prepare(ground, 'latency-federation'),
      Shovel.prepare(ground, 'latency-shovel'),
      OneBroker.prepare(ground, 'latency-one'),
    ]);
    const contenders = ways.map((way): Contender => ({ way, run: (watch) => latency(ground, way, flow, watch) }));
    return inTurns(ground, contenders, options);
  },
};

/** From exchange to exchange. */
export const topicsRow: Row = {
  name: 'topics',
  setup: 'shared',
  async run(ground, options) {
    const exchange = 'prices';
    const flow = { messages: Math.ceil(12_000 * options.scale), bodyBytes: kib };
    const ways = [
      await Tombolo.prepare(ground, 'topics', { exchange }),
      await Federation.prepare(ground, 'topics-federation', { exchange }),
    ];
    const contenders = ways.map((way): Contender => ({ way, run: (watch) => live(ground, way, flow, watch) }));
    return inTurns(ground, contenders, options);
  },
};

/** A backlog over a link with a round trip. */
export const delayRows: readonly Row[] = (['shared', 'pinned'] as const).flatMap((setup) =>
  [100, 200].map(
    (roundTripMs) =>
      ({
        name: `delay-${roundTripMs}-${setup}`,
        setup,
        async run(ground, options) {
          const flow = { messages: Math.ceil(40_000 * options.scale), bodyBytes: kib };
          const ways = [
            await Tombolo.prepare(ground, `delay-${roundTripMs}`, { roundTripMs }),
            await Federation.prepare(ground, `delay-${roundTripMs}-federation`, { roundTripMs }),
          ];
          const contenders = ways.map((way): Contender => ({ way, run: (watch) => backlog(ground, way, flow, watch) }));
          return inTurns(ground, contenders, options);
        },
      }) satisfies Row,
  ),
);

/** Relayed by a bridge in the middle, beside the direct way. */
export const transitRow: Row = {
  name: 'transit',
  setup: 'shared',
  async run(ground, options) {
    const flow = { messages: Math.ceil(25_000 * options.scale), bodyBytes: kib };
    const ways = [
      await Tombolo.prepare(ground, 'transit', { middle: true }),
      await Tombolo.prepare(ground, 'transit-direct'),
    ];
    const contenders = ways.map((way): Contender => ({ way, run: (watch) => backlog(ground, way, flow, watch) }));
    return inTurns(ground, contenders, options);
  },
};

/** What `make bench-quick` measures. */
export const quickRow: Row = backlogRow('quick', 'shared', { messages: 15_000, bodyBytes: kib }, ['federation']);

/** `OTHER=/path` lets the bridges of another checkout, which is built, take turns with these: before and after a change. */
function another(ground: Ground, vhost: string): Promise<Way>[] {
  const checkout = process.env['OTHER'];
  return checkout ? [Tombolo.prepare(ground, `${vhost}-other`, { checkout })] : [];
}

type Peer = 'one process' | 'federation' | 'shovel' | 'limit';

function backlogRow(name: string, setup: Setup, flow: Flow, peers: readonly Peer[]): Row {
  return {
    name,
    setup,
    async run(ground, options) {
      const scaled = { ...flow, messages: Math.ceil(flow.messages * options.scale) };
      const contenders: Contender[] = [];
      const contend = (way: Way, run = backlog, as?: string) =>
        contenders.push({ way, run: (watch: Watch) => run(ground, way, scaled, watch), ...(as && { name: as }) });
      contend(await Tombolo.prepare(ground, name));
      for (const way of await Promise.all(another(ground, name))) contend(way);
      for (const peer of peers) await join(ground, `${name}-${peer.replace(' ', '-')}`, peer, contend);
      return inTurns(ground, contenders, options);
    },
  };
}

async function join(
  ground: Ground,
  vhost: string,
  peer: Peer,
  contend: (way: Way, run?: typeof backlog, as?: string) => void,
): Promise<void> {
  if (peer === 'federation') contend(await Federation.prepare(ground, vhost));
  else if (peer === 'shovel') contend(await Shovel.prepare(ground, vhost));
  else if (peer === 'one process') contend(await Tombolo.prepare(ground, vhost, { oneProcess: true }));
  else {
    const way = await OneBroker.prepare(ground, vhost);
    contend(way);
    contend(way, publishing, 'publishing only');
  }
}
