import type { ChildProcess } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '@tombolo/testing/free-port';
import { type Ground, place, type Site } from '../ground.ts';
import { awaitLinks, endBridge, spawnBridge } from './bridge-processes.ts';
import type { Way } from './way.ts';

/** Where the bridges' logs are kept. */
const keptLogs = process.env['BENCH_LOGS'];

export interface TomboloOptions {
  readonly queues?: readonly string[];
  /** Bridge this exchange, and not the queues. */
  readonly exchange?: string;
  /** The round trip of the link. */
  readonly roundTripMs?: number;
  /** The link goes through a line even without a round trip, to cut it. */
  readonly lined?: boolean;
  /** Both clusters in one process. */
  readonly oneProcess?: boolean;
  /** A cluster between the two, at the source's broker, whose bridge relays. */
  readonly middle?: boolean;
  /** The root of another checkout, built, whose bridges are run. */
  readonly checkout?: string;
  /** Management and AMQP of both go through lines that count. */
  readonly counted?: boolean;
}

interface Cluster {
  readonly name: string;
  readonly site: Site;
  readonly link: number;
  readonly admin: number;
}

/** Two bridges (or three, or one process with both) with the defaults of a topology file. */
export class Tombolo implements Way {
  readonly name: string;
  readonly source: Site;
  readonly sink: Site;
  readonly queues: readonly string[];
  readonly exchange?: string;
  /** The line of the link, when there is one; and those of the sink's bridge to its broker. */
  line: number | undefined;
  readonly counting: number[] = [];
  readonly #ground: Ground;
  readonly #options: TomboloOptions;
  readonly #middle: Site | undefined;
  #clusters: Cluster[] = [];
  #children: ChildProcess[] = [];

  private constructor(
    ground: Ground,
    sites: { sink: Site; source: Site },
    middle: Site | undefined,
    options: TomboloOptions,
  ) {
    this.#ground = ground;
    this.#options = options;
    this.#middle = middle;
    this.source = sites.source;
    this.sink = sites.sink;
    this.queues = options.queues ?? ['bench'];
    if (options.exchange !== undefined) this.exchange = options.exchange;
    this.name = options.checkout
      ? `Tombolo of ${options.checkout}`
      : options.oneProcess
        ? 'Tombolo, one process'
        : options.middle
          ? 'Tombolo, by transit'
          : 'Tombolo';
  }

  static async prepare(ground: Ground, vhost: string, options: TomboloOptions = {}): Promise<Tombolo> {
    const middle = options.middle ? (await ground.sites(`${vhost}-middle`)).source : undefined;
    return new Tombolo(ground, await ground.sites(vhost), middle, options);
  }

  /** By cluster, the source first; one only when one process serves both. */
  get pids(): readonly number[] {
    return this.#children.map((child) => child.pid as number);
  }

  async start(): Promise<void> {
    const { queues, source, sink, exchange } = this;
    const { producer, consumer } = this.#ground;
    const named = exchange === undefined ? {} : { exchange };
    if (exchange === undefined) await producer.call('declare', { ...place(source), queues });
    else await producer.call('declareExchange', { ...place(source), exchange });
    await consumer.call('declare', { ...place(sink), queues, ...named });
    await this.run();
  }

  /** Starts the bridges; resolves when they are linked. */
  async run(): Promise<void> {
    const sites: [string, Site][] = [
      ['source', this.source],
      ...(this.#middle ? ([['middle', this.#middle]] as [string, Site][]) : []),
      ['sink', this.sink],
    ];
    const ports = await freePorts(sites.length * 2);
    this.#clusters = sites.map(([name, site], index) => ({
      name,
      site,
      link: ports[index * 2] as number,
      admin: ports[index * 2 + 1] as number,
    }));
    const directory = await mkdtemp(join(keptLogs ?? tmpdir(), `${this.source.vhost}-`));
    const file = join(directory, 'tombolo.yaml');
    await writeFile(file, JSON.stringify(await this.#topology(), null, 2));
    const names = this.#clusters.map(({ name }) => name);
    const groups = this.#options.oneProcess ? [names] : names.map((name) => [name]);
    const { others } = this.#ground;
    const { checkout } = this.#options;
    const order = { topology: file, directory, run: this.source.vhost, checkout, processors: others };
    this.#children = await Promise.all(groups.map((group) => spawnBridge(order, group)));
    await awaitLinks(this.#clusters, directory, groups);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map(endBridge));
    this.#children = [];
    const lines = [...this.counting.splice(0), ...(this.line === undefined ? [] : [this.line])];
    this.line = undefined;
    for (const line of lines) await this.#ground.line.call('close', line);
  }

  /** Every cluster but the source listens: with a line on the link there is no way around it. */
  async #topology(): Promise<unknown> {
    const { roundTripMs = 0, lined = false, counted = false } = this.#options;
    const { exchange } = this;
    const clusters: Record<string, unknown> = {};
    const open = (port: number, delayMs = 0) => this.#ground.line.call('open', { port, delayMs });
    for (const { name, site, link, admin } of this.#clusters) {
      let [amqp, management, dialled] = [site.port, site.node.managementPort, link];
      if (counted && name === 'sink') {
        amqp = await open(amqp);
        management = await open(management);
        this.counting.push(amqp, management);
      }
      if ((lined || roundTripMs > 0) && name === 'sink') dialled = this.line = await open(link, roundTripMs / 2);
      clusters[name] = {
        broker: {
          type: 'rabbitmq',
          uris: [`amqp://127.0.0.1:${amqp}/${encodeURIComponent(site.vhost)}`],
          management: { uris: [`http://127.0.0.1:${management}`] },
          username: 'guest',
          password: 'guest',
        },
        bridge: {
          ...(name !== 'source' && { listen: `127.0.0.1:${link}`, uris: [`ws://127.0.0.1:${dialled}`] }),
          admin: `127.0.0.1:${admin}`,
          secret: 'the-secret-of-the-measurement',
        },
      };
    }
    const names = this.#clusters.map(({ name }) => name);
    const included = exchange === undefined ? { queue: 'bench.>' } : { exchange };
    return {
      version: 1,
      network: 'bench',
      clusters,
      networkConnectors: names.slice(1).map((to, index) => ({
        name: `to-${to}`,
        from: names[index],
        to,
        networkTTL: names.length - 1,
        dynamicallyIncludedDestinations: [included],
      })),
    };
  }
}
