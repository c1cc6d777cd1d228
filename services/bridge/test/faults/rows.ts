import { awaitUntil } from '@tombolo/testing/await-until';
import { expect } from 'vitest';
import { watchFor, within } from '../e2e/network.ts';
import { leaseMs, queue, type Stage, type StageOptions, windowMessages } from './stage.ts';
import { WallClock, wallClockMissing } from './wall-clock.ts';

export interface Row {
  /** As in the table, and unique. */
  readonly name: string;
  readonly options?: StageOptions;
  /** How many times the fault is made, each time in the middle of a burst. */
  readonly times: number;
  /** Makes the fault, and its end if it does not end by itself. */
  fault(stage: Stage, time: number): Promise<void>;
  /** Before the applications begin; for rows whose bridges are started by themselves. */
  prepare?(stage: Stage): Promise<void>;
  /** Why it cannot be measured here. */
  readonly missing?: string | undefined;
  /** At most so many duplicates are permitted. */
  readonly duplicates: Bound;
  /** The sink's broker loses acknowledgements of its own consumers: what it brings back itself, flagged, has no bound. */
  readonly sinkBrokerForgets?: true;
  /** A standby has to deliver within this time (ms). */
  readonly takeOverWithinMs?: number;
}

export interface Bound {
  readonly most: number;
  readonly because: string;
}

const none: Bound = { most: 0, because: 'invariant 7' };

/** What may be published at the sink while its confirm is not known at the source. */
function windows(times: number): Bound {
  return { most: times * windowMessages, because: `${times} × the window of ${windowMessages.toLocaleString('en')}` };
}

const pause = (ms: number) => watchFor(ms, () => {});

async function crash(stage: Stage, ...names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => stage.network.bridge(name).kill()));
  await Promise.all(names.map((name) => stage.again(name)));
}

/** First early in a burst, then when most of it has just been acknowledged. */
async function brokerKilled(stage: Stage, cluster: 'west' | 'east', time: number): Promise<void> {
  const { [cluster]: broker } = stage.servers;
  // RabbitMQ 3.10 writes down what was declared up to two seconds later: killed before, it forgets the queue with all in it.
  await broker.control('eval', 'mnesia:sync_log().');
  await stage.underWay(time === 1 ? 0.2 : 0.9);
  await stage.broken(async () => {
    await broker.kill();
    await broker.restart();
  });
}

async function masterKilled(stage: Stage, cluster: 'west' | 'east'): Promise<void> {
  const master = await stage.master(cluster);
  const killed = master.kill();
  await stage.takenOverBy(stage.standby(cluster, master));
  await killed;
  await (await stage.again(master.name)).ready();
}

/** Stopped until the standby has taken over and delivered, and a while longer; then it finds out. */
async function masterPaused(stage: Stage, cluster: 'west' | 'east'): Promise<void> {
  const master = await stage.master(cluster);
  master.pause();
  try {
    await stage.takenOverBy(stage.standby(cluster, master));
    await pause(1_000);
  } finally {
    master.wake();
  }
  const stands = async () => (await master.status()).role === 'standby';
  await awaitUntil(`${master.name} has found out that it is not the master any more`, stands, within(10_000));
}

const inRedis = (options: StageOptions = {}): StageOptions => ({ ...options, redis: true });
function mastersRows(where: string, options: (of: StageOptions) => StageOptions): Row[] {
  const rows: Row[] = [];
  for (const [side, cluster] of [
    ['source', 'west'],
    ['sink', 'east'],
  ] as const) {
    const base = { options: options({ standbys: [cluster] }) };
    const bound = (times: number) => (side === 'source' ? none : windows(times));
    rows.push(
      {
        ...base,
        name: `master of the ${side} killed, ${where}`,
        times: 2,
        fault: (stage) => masterKilled(stage, cluster),
        duplicates: bound(2),
        takeOverWithinMs: 2 * leaseMs,
      },
      {
        ...base,
        name: `master of the ${side} paused, ${where}`,
        times: 1,
        fault: (stage) => masterPaused(stage, cluster),
        duplicates: bound(1),
        // Whatever elects, the lock is the paused one's until the broker gives up its connections: two to three heartbeats,
        // which are 3 s at these nodes.
        takeOverWithinMs: 12_000,
      },
    );
  }
  return rows;
}

/** Everything that the suite breaks. */
export const rows: readonly Row[] = [
  { name: 'nothing', times: 3, fault: async () => {}, duplicates: none },
  {
    name: 'link cut',
    times: 5,
    duplicates: none,
    async fault(stage) {
      await stage.network.linked('west', 'east');
      for (const proxy of stage.links) proxy.cut();
    },
  },
  {
    name: 'link frozen (half-open)',
    times: 2,
    duplicates: none,
    async fault(stage) {
      for (const proxy of stage.links) proxy.silence();
      await noticed(stage);
    },
  },
  {
    name: 'slow link (200 ms each way, 256 kB/s)',
    times: 1,
    duplicates: none,
    async fault(stage) {
      for (const proxy of stage.links) {
        proxy.delay(200);
        proxy.throttle(256_000);
      }
      await stage.flowing();
      await stage.underWay();
      await stage.flowing();
      for (const proxy of stage.links) {
        proxy.delay(0);
        proxy.throttle(Number.POSITIVE_INFINITY);
      }
    },
  },
  {
    name: 'network split between the sites',
    times: 1,
    duplicates: none,
    async fault(stage) {
      await stage.broken(async () => {
        for (const proxy of stage.links) proxy.freeze();
        await noticed(stage);
        await pause(4_000);
        for (const proxy of stage.links) proxy.thaw();
      });
    },
  },
  {
    name: 'source bridge killed',
    times: 3,
    duplicates: none,
    fault: (stage) => crash(stage, 'west'),
  },
  {
    name: 'source bridge killed, messages without ids',
    options: { ids: false },
    times: 3,
    duplicates: none,
    fault: (stage) => crash(stage, 'west'),
  },
  {
    name: 'sink bridge killed',
    times: 3,
    duplicates: windows(3),
    fault: (stage) => crash(stage, 'east'),
  },
  {
    name: 'sink bridge killed, record in Redis',
    options: inRedis(),
    times: 3,
    duplicates: windows(3),
    fault: (stage) => crash(stage, 'east'),
  },
  {
    name: 'both bridges killed at once',
    times: 3,
    duplicates: windows(3),
    fault: (stage) => crash(stage, 'west', 'east'),
  },
  {
    name: 'source broker killed and restarted',
    times: 2,
    duplicates: none,
    fault: (stage, time) => brokerKilled(stage, 'west', time),
  },
  {
    name: 'source broker killed and restarted, messages without ids',
    options: { ids: false },
    times: 2,
    duplicates: { most: 10_000, because: 'what was acknowledged before, it may bring back' },
    fault: (stage, time) => brokerKilled(stage, 'west', time),
  },
  {
    name: 'sink broker killed and restarted',
    times: 2,
    duplicates: windows(2),
    sinkBrokerForgets: true,
    fault: (stage, time) => brokerKilled(stage, 'east', time),
  },
  ...mastersRows('election by the broker', (options) => options),
  ...mastersRows('election by Redis', inRedis),
  {
    name: 'Redis killed, and back empty after 5 s',
    options: inRedis({ standbys: ['west', 'east'] }),
    times: 1,
    duplicates: none,
    async fault(stage) {
      const { redis } = stage.servers;
      await stage.broken(async () => {
        await redis.kill();
        await pause(5_000);
        await redis.restart();
      });
    },
  },
  {
    name: 'Redis cut off for 6 s',
    options: inRedis({ standbys: ['west', 'east'] }),
    times: 1,
    duplicates: none,
    async fault(stage) {
      const { redisProxy } = stage.servers;
      await stage.broken(async () => {
        redisProxy.freeze();
        await pause(2 * leaseMs);
        redisProxy.thaw();
      });
    },
  },
  {
    name: 'disk alarm at the sink',
    times: 1,
    duplicates: none,
    async fault(stage) {
      const { east } = stage.servers;
      const blocked = () => stage.network.bridge('east').metric('tombolo_link_blocked', { reason: 'broker_alarm' });
      const told = async () => {
        stage.producer.burst(50);
        return (await blocked()) > 0;
      };
      // The command takes seconds, and the alarm is to meet a full stream.
      const raised = east.control('set_disk_free_limit', '1000GB');
      try {
        await awaitUntil('the alarm is told', told, within(20_000));
        await stage.broken(() => Promise.all([raised, pause(2_000)]).then(() => {}));
      } finally {
        await east.control('set_disk_free_limit', '50MB');
      }
    },
  },
  {
    name: "sink's queue deleted (its content is not counted)",
    times: 3,
    duplicates: none,
    async fault(stage) {
      stage.destroying = true;
      await remove(stage.east);
    },
  },
  {
    name: "source's queue deleted (its content is not counted)",
    times: 2,
    duplicates: none,
    async fault(stage) {
      await stage.producer.hold();
      await remove(stage.west);
      // What was in it cannot be told from what had left it and is under way: neither is asked for.
      const got = new Set(stage.consumer.deliveries.map(({ number }) => number));
      for (const number of stage.producer.confirmed) if (!got.has(number)) stage.producer.confirmed.delete(number);
      await stage.west.declare(queue);
      stage.producer.release();
    },
  },
  clockRow('source', 'west'),
  clockRow('sink', 'east'),
];

/**
 * The wall clock orders the masters of a cluster. It goes ahead an hour while its bridge works, and back two; then the bridge dies,
 * and its successor starts an hour before its predecessor did, by a clock that peers know to be wrong.
 */
function clockRow(side: string, cluster: 'west' | 'east'): Row {
  let clock: WallClock;
  return {
    name: `wall clock of the ${side} jumps, and its bridge is killed`,
    options: { start: false },
    times: 3,
    duplicates: side === 'source' ? none : windows(1),
    missing: wallClockMissing(),
    async prepare({ network }) {
      clock = await WallClock.make();
      for (const name of ['west', 'east']) await network.start(name, name === cluster ? { env: clock.env } : {});
      await network.linked('west', 'east');
    },
    async fault({ network }, time) {
      const before = network.bridge(cluster);
      const hours = time === 1 ? 1 : -1;
      await clock.set(hours * 3600);
      await clock.seenBy(before, hours * 3600);
      if (time < 3) return;
      const { incarnation } = await before.status();
      await before.kill();
      const after = await network.start(cluster, { env: clock.env });
      await network.linked('west', 'east');
      expect((await after.status()).incarnation).toBeGreaterThan(incarnation);
      await clock.seenBy(after, hours * 3600);
    },
  };
}

/** Resolves when the bridges know that their link is gone. */
async function noticed(stage: Stage): Promise<void> {
  const up = () => stage.network.bridge('west').metric('tombolo_link_up', { peer: 'east' });
  await awaitUntil('the silence is noticed', async () => (await up()) === 0, { withinMs: 15_000, everyMs: 10 });
}

async function remove(site: Stage['east']): Promise<void> {
  const model = await site.connect();
  await (await model.createChannel()).deleteQueue(queue);
  await model.close();
}
