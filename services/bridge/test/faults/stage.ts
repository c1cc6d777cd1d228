import { awaitUntil } from '@tombolo/testing/await-until';
import type { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import type { RabbitNode } from '@tombolo/testing/rabbitmq';
import type { RedisNode } from '@tombolo/testing/redis';
import { type BridgeProcess, type Network, type Site, westToEast, within } from '../e2e/network.ts';
import { Consumer, Producer } from './applications.ts';
import { judge, type Outcome } from './outcome.ts';

/** The queue that the rows are about. */
export const queue = 'q';
/** As CONTRACT.md's defaults, and so what the bounds of duplicates are made of. */
export const windowMessages = 1_000;
/** Of the election in Redis, as its default. */
export const leaseMs = 3_000;
/** What the producer sends all the time, and what it adds just before each fault, so that a window is under way then. */
const perSecond = 300;
const burst = 2_000;

/** What all rows share. */
export interface Servers {
  readonly west: RabbitNode;
  readonly east: RabbitNode;
  readonly redis: RedisNode;
  /** Where bridges reach Redis. */
  readonly redisProxy: FlakyProxy;
}

export interface StageOptions {
  /** Messages have message ids. Default: true. */
  readonly ids?: boolean;
  /** Clusters with a second bridge. */
  readonly standbys?: readonly ('west' | 'east')[];
  /** Election and record of both clusters are in Redis. */
  readonly redis?: boolean;
  /** Bridges are started by the row. */
  readonly start?: false;
}

interface VhostStats {
  readonly message_stats?: { readonly confirm?: number; readonly return_unroutable?: number };
}

/** Messages on their way from west to east: two brokers, their bridges, a producer and a consumer. */
export class Stage {
  readonly servers: Servers;
  readonly west: Site;
  readonly east: Site;
  readonly network: Network;
  readonly producer: Producer;
  readonly consumer: Consumer;
  /** From the death of a master to the first delivery through its successor (ms). */
  readonly takeOvers: number[] = [];
  /** How long what was broken stayed broken, each time (ms); what heals at once has none. */
  readonly outages: number[] = [];
  /** Somebody deletes the sink's queue: what its broker took and nobody got went with it. */
  destroying = false;

  private constructor(servers: Servers, pair: { west: Site; east: Site; network: Network }, ids: boolean) {
    this.servers = servers;
    this.west = pair.west;
    this.east = pair.east;
    this.network = pair.network;
    this.producer = new Producer(this.west, queue, { withIds: ids, perSecond });
    this.consumer = new Consumer(this.east, queue, { prefetch: 100 });
  }

  static async open(servers: Servers, { ids = true, standbys = [], redis, start }: StageOptions): Promise<Stage> {
    const uri = `redis://127.0.0.1:${servers.redisProxy.port}`;
    const bridge = redis && {
      election: { type: 'redis', uri, lease: `${leaseMs}ms` },
      deduplication: { type: 'redis', uri },
    };
    if (redis) await servers.redis.command('FLUSHALL');
    const side = (name: 'west' | 'east') => ({ standby: standbys.includes(name), ...(bridge && { bridge }) });
    const nodes = [servers.west, servers.east] as const;
    const proxied = { link: ['west', 'east'] };
    const options = { nodes, proxied, west: side('west'), east: side('east'), ...(start === false && { start }) };
    const pair = await westToEast({ prefetchSize: windowMessages }, options);
    return new Stage(servers, pair, ids);
  }

  /** The applications begin, and the first messages arrive. */
  async begin(): Promise<void> {
    await this.west.declare(queue);
    await this.consumer.start();
    await this.producer.start();
    await this.flowing();
  }

  get links(): FlakyProxy[] {
    return [...this.network.linkProxies.values()];
  }

  /** Resolves in the middle of a burst, when this part of it has arrived: many messages are under way. */
  async underWay(part = 0.2): Promise<void> {
    const before = this.consumer.deliveries.length;
    this.producer.burst(burst);
    const moved = () => this.consumer.deliveries.length >= before + burst * part;
    await awaitUntil('a burst is under way', moved, { withinMs: 30_000, everyMs: 1 });
  }

  /** Notes how long this takes: something is broken meanwhile. */
  async broken(during: () => Promise<void>): Promise<void> {
    const from = performance.now();
    await during();
    this.outages.push(Math.round(performance.now() - from));
  }

  /** Resolves when a message that was published from now on has arrived. */
  async flowing(withinMs = 40_000): Promise<void> {
    const next = this.producer.next;
    const arrives = () => this.consumer.highest >= next;
    await awaitUntil('what is published now arrives', arrives, { withinMs, everyMs: 10 }).catch(async (error) => {
      throw new Error(`${error.message}; ${await this.#explain()}`, { cause: error });
    });
  }

  /** Where the messages are, for whoever has to find out why they do not arrive. */
  async #explain(): Promise<string> {
    const { producer, consumer, west, east } = this;
    const at = async (site: Site) => site.counts(queue).catch((error: Error) => error.message);
    const streams = await this.master('west').then((master) => master.rows('streams', queue), String);
    const facts = {
      next: producer.next,
      confirmed: producer.confirmed.size,
      returned: producer.returned,
      highest: consumer.highest,
    };
    return JSON.stringify({ ...facts, west: await at(west), east: await at(east), streams });
  }

  /** The bridge of this cluster that says it is the master. */
  async master(cluster: 'west' | 'east'): Promise<BridgeProcess> {
    const names = [cluster, `${cluster}-standby`].filter((name) => this.network.bridges.get(name)?.running);
    return awaitUntil(
      `${cluster} has a master`,
      async () => {
        for (const name of names) {
          const bridge = this.network.bridge(name);
          if ((await bridge.status()).role === 'master') return bridge;
        }
        return undefined;
      },
      within(30_000),
    );
  }

  standby(cluster: 'west' | 'east', master: BridgeProcess): BridgeProcess {
    return this.network.bridge(master.name === cluster ? `${cluster}-standby` : cluster);
  }

  /** Starts the bridge of this name anew. */
  async again(name: string): Promise<BridgeProcess> {
    const [cluster = '', standby] = name.split('-');
    return standby ? this.network.startStandby(cluster) : this.network.start(cluster);
  }

  /** Notes the time from now to the first delivery after this bridge has become the master. */
  async takenOverBy(standby: BridgeProcess): Promise<void> {
    const from = performance.now();
    const isMaster = async () => (await standby.status()).role === 'master';
    await awaitUntil(`${standby.name} takes over`, isMaster, { withinMs: 30_000, everyMs: 10 });
    const { at } = await this.consumer.after(performance.now(), 30_000);
    this.takeOvers.push(Math.round(at - from));
  }

  /** The producer ends, everything arrives or does not, the bridges stop, and it is judged what the applications saw. */
  async end(): Promise<Outcome & { readonly exits: readonly unknown[] }> {
    const { producer, consumer, west, east } = this;
    await producer.stop();
    // What is missing after this time counts as lost, wherever it may be.
    const arrived = () => {
      const got = new Set(consumer.deliveries.map(({ number }) => number));
      for (const number of producer.confirmed) if (!got.has(number)) return false;
      return true;
    };
    if (!this.destroying) await awaitUntil('all arrive', arrived, { withinMs: 30_000, everyMs: 50 }).catch(() => {});
    let last = -1;
    const quiet = async () => {
      const same = consumer.deliveries.length === last;
      last = consumer.deliveries.length;
      return (
        same && (await west.ready(queue)) === 0 && (await east.ready(queue)) === 0 && (await this.#unsettled()) === 0
      );
    };
    await awaitUntil('nothing moves any more', quiet, { withinMs: 15_000, everyMs: 500 }).catch(() => {});
    // What a bridge held back is in the queue again once it has stopped.
    const exits = await Promise.all(
      [...this.network.bridges.values()].map((bridge) => bridge.running && bridge.stop()),
    );
    const left = await west.ready(queue);
    await awaitUntil('the sink is empty', async () => (await east.ready(queue)) === 0, { withinMs: 5_000 });
    await consumer.stop();
    const { confirmed, next } = producer;
    const { deliveries } = consumer;
    const destroyed = this.destroying ? (await this.#takenBySink()) - deliveries.length : 0;
    return { ...judge({ confirmed, attempted: next, deliveries, destroyed, left }), exits };
  }

  /**
   * How many messages the sink's broker has taken from the bridge, as it counts itself: the bridge alone publishes there with
   * confirms. When a queue is deleted, RabbitMQ confirms what was on its way into it, so the answer to the deletion is too low.
   */
  async #takenBySink(): Promise<number> {
    let taken = -1;
    const counted = async () => {
      const before = taken;
      const answer = (await this.east.api('GET', `/vhosts/${this.east.vhost}`)) as VhostStats;
      taken = (answer.message_stats?.confirm ?? 0) - (answer.message_stats?.return_unroutable ?? 0);
      return taken === before && taken >= this.consumer.deliveries.length;
    };
    // They lag by five seconds, and never behind what was delivered.
    await awaitUntil('the counts of the sink stand still', counted, { withinMs: 30_000, everyMs: 5_500 });
    return taken;
  }

  async #unsettled(): Promise<number> {
    return (await this.master('west')).metric('tombolo_messages_unsettled');
  }
}
