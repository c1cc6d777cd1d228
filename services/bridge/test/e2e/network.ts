import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { awaitUntil } from '@tombolo/testing/await-until';
import { leaksIn, secretOf } from '@tombolo/testing/canary';
import { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import { freePorts } from '@tombolo/testing/free-port';
import { type ChannelModel, type ConsumeMessage, connect, type Options } from 'amqplib';
import { inject, onTestFinished } from 'vitest';
import type { NodeAddress } from './nodes.ts';
import { eventPermissions, type Permissions, permissionsOf } from './permissions.ts';

/** The command as users run it; it runs what `npm run build` made. */
const command = fileURLToPath(new URL('../../../cli/bin/tombolo.js', import.meta.url));
/** Set to a directory, it keeps what the bridges wrote. */
const keptLogs = process.env['TOMBOLO_E2E_LOGS'];
export const secret = secretOf('of-links');
const brokerPassword = secretOf('of-brokers');

const living = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** True when the machine has no RabbitMQ: there is nothing to run against. */
export function noNodes(): boolean {
  return inject('nodes').length === 0;
}

// ---- sites: a virtual host with its applications ---------------------------------------------------------------------

export interface Received {
  readonly body: string;
  readonly redelivered: boolean;
  /** On the monotonic clock, in ms. */
  readonly at: number;
  readonly message: ConsumeMessage;
}

export interface TestConsumer {
  /** What came, in order. */
  readonly got: Received[];
  readonly bodies: () => string[];
  /** Resolves when `count` messages came. */
  wait(count: number, withinMs?: number): Promise<void>;
  /** Its connection has not broken. */
  readonly connected: () => boolean;
  /** Leaves; what it had not acknowledged goes back to the queue. */
  close(): Promise<void>;
}

export interface ConsumeOptions {
  readonly prefetch?: number;
  /** How long each message takes it. */
  readonly delayMs?: number;
  readonly acknowledge?: boolean;
  /** Bodies are forgotten, for large ones. */
  readonly forget?: boolean;
  readonly options?: Options.Consume;
}

export interface PublishOptions {
  readonly from?: number;
  readonly body?: (index: number) => Buffer;
  readonly properties?: (index: number) => Options.Publish;
  /** Unconfirmed messages at most. */
  readonly window?: number;
}

/** Where a bridge can stand: a broker, and how the file names it. */
export interface Place {
  readonly brokerPort: number;
  /** Its `broker` section, with the broker at this port. */
  section(port: number): Json;
  /** Lets the bridge do what its connectors need. */
  permit(permissions: ReturnType<typeof permissionsOf>): Promise<unknown>;
}

/** A fresh virtual host of one of the nodes, and what applications do there. Everything goes with the test. */
export class Site implements Place {
  readonly node: NodeAddress;
  readonly vhost: string;
  /** The broker's user of the bridge beside this site: what it may do is set by its network. */
  readonly bridgeUser: string;
  readonly #models = new Set<ChannelModel>();

  private constructor(node: NodeAddress, vhost: string) {
    this.node = node;
    this.vhost = vhost;
    this.bridgeUser = `bridge-of-${vhost}`;
  }

  static #count = 0;

  /** @param where which of the nodes that all files share, or one of the test's own */
  static async open(where: number | NodeAddress): Promise<Site> {
    const node = typeof where === 'number' ? inject('nodes')[where]! : where;
    // A node that joins its cluster just then never gets this virtual host, and the others wait for it: another one is asked for.
    const made = async () => {
      const site = new Site(node, `e2e-${process.pid}-${++Site.#count}`);
      await site.api('PUT', `/vhosts/${site.vhost}`, undefined, 15_000);
      return site;
    };
    const site = await awaitUntil('a virtual host is there', made, { withinMs: 90_000, everyMs: 100 });
    onTestFinished(() => site.#close());
    const { bridgeUser } = site;
    await site.api('PUT', `/users/${bridgeUser}`, { password: brokerPassword, tags: 'monitoring' });
    await site.api('PUT', `/permissions/%2F/${bridgeUser}`, eventPermissions);
    return site;
  }

  async api(method: string, path: string, body?: unknown, withinMs = 60_000): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.node.managementPort}/api${path}`, {
      method,
      signal: AbortSignal.timeout(withinMs),
      headers: { authorization: `Basic ${btoa('guest:guest')}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.status >= 400) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** The same virtual host by another node of its cluster. It goes with this one. */
  at(node: NodeAddress): Site {
    const other = new Site(node, this.vhost);
    onTestFinished(() => other.#disconnect());
    return other;
  }

  /** What the bridge may do here, from now on. */
  async permit(permissions: Permissions): Promise<void> {
    await this.api('PUT', `/permissions/${this.vhost}/${this.bridgeUser}`, permissions);
  }

  get brokerPort(): number {
    return this.node.amqpPort;
  }

  section(port: number): Json {
    return {
      type: 'rabbitmq',
      uris: [`amqp://127.0.0.1:${port}/${this.vhost}`],
      management: { uris: [`http://127.0.0.1:${this.node.managementPort}`] },
      username: this.bridgeUser,
      password: brokerPassword,
    };
  }

  async connect(): Promise<ChannelModel> {
    const { node, vhost } = this;
    const where = { hostname: '127.0.0.1', port: node.amqpPort, username: 'guest', password: 'guest', vhost };
    const model = await connect(where, { noDelay: true });
    model.on('error', () => {});
    model.on('close', () => this.#models.delete(model));
    this.#models.add(model);
    return model;
  }

  async declare(queue: string, options: Options.AssertQueue = { durable: true }): Promise<void> {
    const model = await this.connect();
    await (await model.createChannel()).assertQueue(queue, options);
    await model.close();
  }

  /**
   * Publishes messages with the numbers from `from` (0) on as bodies; resolves when the broker has confirmed all, rejects when no
   * queue took one of them (a confirm alone does not tell).
   */
  async publish(queue: string, count: number, options: PublishOptions = {}): Promise<void> {
    const { from = 0, body = (index) => Buffer.from(String(index)), window = 500 } = options;
    const { properties = () => ({ persistent: true }) } = options;
    const model = await this.connect();
    const channel = await model.createConfirmChannel();
    let returned = 0;
    channel.on('return', () => returned++);
    for (let index = from; index < from + count; index++) {
      channel.sendToQueue(queue, body(index), { mandatory: true, ...properties(index) });
      if ((index - from) % window === window - 1) await channel.waitForConfirms();
    }
    await channel.waitForConfirms();
    await model.close();
    if (returned > 0) throw new Error(`no queue took ${returned} of ${count} messages: is ${queue} declared?`);
  }

  async consume(queue: string, options: ConsumeOptions = {}): Promise<TestConsumer> {
    const { prefetch = 100, delayMs = 0, acknowledge = true, forget = false } = options;
    const model = await this.connect();
    const channel = await model.createChannel();
    channel.on('error', () => {});
    await channel.prefetch(prefetch);
    const got: Received[] = [];
    let open = true;
    channel.on('close', () => {
      open = false;
    });
    await channel.consume(
      queue,
      (message) => {
        if (!message) return;
        const { redelivered } = message.fields;
        const body = forget ? '' : message.content.toString();
        const at = performance.now();
        got.push({ body, redelivered, at, message: forget ? { ...message, content: Buffer.alloc(0) } : message });
        if (!acknowledge) return;
        if (delayMs === 0) channel.ack(message);
        else setTimeout(() => open && channel.ack(message), delayMs);
      },
      options.options,
    );
    return {
      got,
      bodies: () => got.map((each) => each.body),
      connected: () => open,
      async wait(count, withinMs = 60_000) {
        await awaitUntil(`${count} messages of ${queue}`, () => got.length >= count, { withinMs }).catch((error) => {
          throw new Error(`${error.message}, but ${got.length}`, { cause: error });
        });
      },
      async close() {
        open = false;
        // By way of the channel: the connection's own close may overtake acknowledgements that were just written.
        await channel.close().catch(() => {});
        await model.close().catch(() => {});
      },
    };
  }

  /** Ready messages and consumers, as the broker counts them now. */
  async counts(queue: string): Promise<{ readonly ready: number; readonly consumers: number }> {
    const model = await this.connect();
    try {
      const channel = await model.createChannel();
      channel.on('error', () => {});
      const { messageCount, consumerCount } = await channel.checkQueue(queue);
      return { ready: messageCount, consumers: consumerCount };
    } finally {
      await model.close().catch(() => {});
    }
  }

  async ready(queue: string): Promise<number> {
    return (await this.counts(queue)).ready;
  }

  async #disconnect(): Promise<void> {
    await Promise.all([...this.#models].map((model) => model.close().catch(() => {})));
  }

  async #close(): Promise<void> {
    await this.#disconnect();
    await this.api('DELETE', `/vhosts/${this.vhost}`);
    await this.api('DELETE', `/users/${this.bridgeUser}`);
  }
}

// ---- bridges ---------------------------------------------------------------------------------------------------------

/** A bridge as a process of its own. */
export class BridgeProcess {
  readonly name: string;
  readonly admin: string;
  readonly #log: string;
  #child: ChildProcess;
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
  #gone = false;

  private constructor(name: string, admin: string, log: string, child: ChildProcess) {
    this.name = name;
    this.admin = admin;
    this.#log = log;
    this.#child = child;
    living.add(child);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#gone = true;
        living.delete(child);
        resolve(code ?? signal);
      });
    });
  }

  static async spawn(
    name: string,
    adminPort: number,
    log: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<BridgeProcess> {
    const file = await open(log, 'a');
    const child = spawn(process.execPath, [command, ...args], {
      stdio: ['ignore', file.fd, file.fd],
      env: { ...process.env, TOMBOLO_LOG_LEVEL: process.env['TOMBOLO_E2E_LEVEL'] ?? 'info', ...env },
    });
    await file.close();
    return new BridgeProcess(name, `http://127.0.0.1:${adminPort}`, log, child);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get running(): boolean {
    return !this.#gone;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /** SIGSTOP: connections stay, nothing is done. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  /** SIGCONT. */
  wake(): void {
    this.#child.kill('SIGCONT');
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | NodeJS.Signals | null> {
    this.#child.kill('SIGTERM');
    return this.exited;
  }

  /** All that this bridge and its predecessors of the same name have written. */
  output(): Promise<string> {
    return readFile(this.#log, 'utf8');
  }

  async ready(): Promise<void> {
    await awaitUntil(`${this.name} is ready`, async () => (await fetch(`${this.admin}/readyz`)).ok, within(60_000));
  }

  /** An answer of the API, parsed. */
  async get(path: string): Promise<unknown> {
    const response = await fetch(this.admin + path);
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async post(path: string): Promise<unknown> {
    const response = await fetch(this.admin + path, { method: 'POST' });
    if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async status(): Promise<StatusAnswer> {
    return (await this.get('/api/v1/status')) as StatusAnswer;
  }

  /** The rows of one of the tables that mean this destination. */
  async rows(table: 'demand' | 'streams', destination: string): Promise<Record<string, unknown>[]> {
    const path = `/api/v1/${table}?destination=${encodeURIComponent(destination)}`;
    return ((await this.get(path)) as { items: Record<string, unknown>[] }).items;
  }

  /** The sum of the series of this name that have these labels. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    return sumOf(text, name, labels);
  }

  /** How many messages were forwarded, once that is `count` at least: they are counted when settled, a moment after they have arrived. */
  async forwarded(count: number): Promise<number> {
    const forwarded = () => this.metric('tombolo_messages_forwarded_total');
    await awaitUntil(`${count} are settled`, async () => (await forwarded()) >= count);
    return forwarded();
  }

  /** The most memory that the process ever had, in MiB. */
  async peakMemory(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+)/m.exec(status)![1]) / 1024;
  }

  /** The memory that the process has now, in MiB. */
  async memory(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) / 1024);
  }

  /** Seconds of processor time used so far. */
  async processorSeconds(): Promise<number> {
    const stat = await readFile(`/proc/${this.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }
}

interface StatusAnswer {
  readonly role: string;
  readonly roleReason?: string;
  readonly incarnation: number;
  readonly readiness: { readonly ready: boolean; readonly reasons: readonly string[] };
  readonly broker: {
    readonly up: boolean;
    readonly state: string;
    readonly reason?: string;
    readonly demandMethod: string;
  };
  readonly links: readonly { readonly peer: string; readonly up: boolean; readonly reason?: string }[];
  readonly connectors: readonly { readonly name: string; readonly state: string; readonly reason?: string }[];
}

function sumOf(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  let sum = 0;
  for (const [, series, list = '', value] of text.matchAll(/^([a-zA-Z_]\w*)(?:\{(.*)\})? (\S+)$/gm)) {
    if (series !== name) continue;
    const has = new Map([...list.matchAll(/(\w+)="((?:\\.|[^"])*)"/g)].map((match) => [match[1]!, match[2]!]));
    if (Object.entries(labels).every(([label, wanted]) => has.get(label) === wanted)) sum += Number(value);
  }
  return sum;
}

// ---- the network -----------------------------------------------------------------------------------------------------

export type Json = Readonly<Record<string, unknown>>;

export interface ClusterOptions {
  readonly site: Place;
  /** What differs in its sections of the file. */
  readonly broker?: Json;
  readonly bridge?: Json;
  /** It has a second bridge, `<cluster>-standby`, which is started after the first. */
  readonly standby?: boolean;
}

export interface NetworkOptions {
  readonly clusters: Readonly<Record<string, ClusterOptions>>;
  readonly connectors: readonly Json[];
  /** Clusters whose link address, or broker, is reached through a proxy. */
  readonly proxied?: { readonly link?: readonly string[]; readonly broker?: readonly string[] };
  /** False: bridges are started by the test. */
  readonly start?: boolean;
}

/** A topology file in a directory of its own, and the bridges that read it; everything goes with the test. */
export class Network {
  readonly file: string;
  readonly bridges = new Map<string, BridgeProcess>();
  readonly linkProxies = new Map<string, FlakyProxy>();
  readonly brokerProxies = new Map<string, FlakyProxy>();
  readonly ports = new Map<string, { readonly link: number; readonly admin: number }>();
  readonly topology: { clusters: Record<string, Json>; networkConnectors: readonly Json[] } & Json;
  readonly #directory: string;
  readonly #sites: Readonly<Record<string, Place>>;
  readonly #spawned: BridgeProcess[] = [];

  private constructor(directory: string, { connectors, clusters }: NetworkOptions) {
    this.#directory = directory;
    this.#sites = Object.fromEntries(Object.entries(clusters).map(([name, { site }]) => [name, site]));
    this.file = join(directory, 'tombolo.yaml');
    this.topology = { version: 1, network: 'e2e', clusters: {}, networkConnectors: connectors };
  }

  static async open(options: NetworkOptions): Promise<Network> {
    const directory = await mkdtemp(join(keptLogs ?? tmpdir(), 'tombolo-e2e-'));
    const network = new Network(directory, options);
    onTestFinished(() => network.#close());
    const names = Object.keys(options.clusters);
    const free = await freePorts(names.length * 4);
    for (const [name, { site, broker, bridge, standby }] of Object.entries(options.clusters)) {
      const uris: string[] = [];
      for (const as of standby ? [name, standbyOf(name)] : [name]) {
        const [link, admin] = free.splice(0, 2) as [number, number];
        network.ports.set(as, { link, admin });
        const proxied = options.proxied?.link?.includes(name);
        const scheme = bridge?.['tls'] === undefined ? 'ws' : 'wss';
        uris.push(`${scheme}://127.0.0.1:${proxied ? await proxyTo(link, network.linkProxies, as) : link}`);
      }
      const ports = network.ports.get(name)!;
      let { brokerPort } = site;
      if (options.proxied?.broker?.includes(name)) brokerPort = await proxyTo(brokerPort, network.brokerProxies, name);
      network.topology.clusters[name] = {
        broker: { ...site.section(brokerPort), ...broker },
        bridge: {
          listen: `127.0.0.1:${ports.link}`,
          uris,
          admin: `127.0.0.1:${ports.admin}`,
          secret,
          ...bridge,
        },
      };
    }
    await network.write();
    if (options.start !== false) {
      for (const name of names) await network.start(name);
      await Promise.all([...network.bridges.values()].map((bridge) => bridge.ready()));
      const standbys = names.filter((name) => options.clusters[name]?.standby);
      for (const name of standbys) await (await network.startStandby(name)).ready();
      for (const { from, to } of options.connectors) await network.linked(String(from), String(to));
    }
    return network;
  }

  /**
   * Writes the file (JSON is YAML too) as the topology object stands now, or this text instead. The bridges' users may do what that
   * object's connectors need, and nothing else.
   */
  async write(text = JSON.stringify(this.topology, null, 2)): Promise<void> {
    const { networkConnectors } = this.topology;
    const permitted = Object.entries(this.#sites).map(([name, site]) =>
      site.permit(permissionsOf(networkConnectors, name)),
    );
    await Promise.all(permitted);
    await writeFile(this.file, text);
  }

  /** A second file beside the first, for a site that got another version of it. */
  async writeCopy(name: string, topology: unknown): Promise<string> {
    const file = join(this.#directory, name);
    await writeFile(file, JSON.stringify(topology, null, 2));
    return file;
  }

  /** Starts the bridge of a cluster, anew when it has gone. */
  async start(
    cluster: string,
    options: {
      as?: string;
      file?: string;
      args?: readonly string[];
      adminPort?: number;
      env?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<BridgeProcess> {
    const { as = cluster, file = this.file, args = [], adminPort = this.ports.get(cluster)!.admin, env = {} } = options;
    const log = join(this.#directory, `${as}.log`);
    const all = ['run', '--config', file, '--cluster', cluster, ...args];
    const bridge = await BridgeProcess.spawn(as, adminPort, log, all, env);
    this.#spawned.push(bridge);
    this.bridges.set(as, bridge);
    return bridge;
  }

  /** Starts the second bridge of a cluster that was made with one, anew when it has gone. */
  async startStandby(cluster: string): Promise<BridgeProcess> {
    const as = standbyOf(cluster);
    const { link, admin } = this.ports.get(as)!;
    const args = ['--listen', `127.0.0.1:${link}`, '--admin', `127.0.0.1:${admin}`, '--instance', as];
    return this.start(cluster, { as, args, adminPort: admin });
  }

  bridge(name: string): BridgeProcess {
    return this.bridges.get(name)!;
  }

  /** Resolves when the two ends see each other. */
  async linked(from: string, to: string): Promise<void> {
    const sees = async (name: string, peer: string) => {
      const { links } = await this.bridge(name).status();
      return links.some((link) => link.peer === peer && link.up);
    };
    await awaitUntil(
      `${from} and ${to} are linked`,
      async () => (await sees(from, to)) && (await sees(to, from)),
      within(60_000),
    );
  }

  /** All that bridges of this network have written. */
  async outputs(): Promise<string> {
    return (await Promise.all([...this.bridges.values()].map((bridge) => bridge.output()))).join('\n');
  }

  async #close(): Promise<void> {
    const running = this.#spawned.filter((bridge) => bridge.running);
    for (const bridge of running) process.kill(bridge.pid, 'SIGTERM');
    const late = setTimeout(() => {
      for (const bridge of running) if (bridge.running) process.kill(bridge.pid, 'SIGKILL');
    }, 5_000);
    await Promise.all(running.map((bridge) => bridge.exited));
    clearTimeout(late);
    for (const proxy of [...this.linkProxies.values(), ...this.brokerProxies.values()]) await proxy.close();
    const leaks = leaksIn(await this.outputs());
    if (leaks.length > 0) throw new Error(`bridges have told secrets in ${leaks.length} lines, the first: ${leaks[0]}`);
    if (!keptLogs) await rm(this.#directory, { recursive: true, force: true });
  }
}

function standbyOf(cluster: string): string {
  return `${cluster}-standby`;
}

async function proxyTo(port: number, proxies: Map<string, FlakyProxy>, name: string): Promise<number> {
  const proxy = await FlakyProxy.to(port);
  proxies.set(name, proxy);
  return proxy.port;
}

/** Two sites with a connector from west to east. */
export async function westToEast(
  connector: Json = {},
  options: Partial<Omit<NetworkOptions, 'clusters' | 'connectors'>> & {
    west?: Partial<ClusterOptions>;
    east?: Partial<ClusterOptions>;
    nodes?: readonly [NodeAddress, NodeAddress];
  } = {},
): Promise<{ west: Site; east: Site; network: Network }> {
  const [west, east] = await Promise.all([Site.open(options.nodes?.[0] ?? 0), Site.open(options.nodes?.[1] ?? 1)]);
  const network = await Network.open({
    clusters: { west: { site: west, ...options.west }, east: { site: east, ...options.east } },
    connectors: [{ name: 'west-east', from: 'west', to: 'east', ...connector }],
    ...options,
  });
  return { west, east, network };
}

/** Runs the command to its end. */
export function tombolo(
  args: readonly string[],
  withinMs = 20_000,
): Promise<{ readonly code: number | null; readonly output: string; readonly errors: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    living.add(child);
    const late = setTimeout(() => child.kill('SIGKILL'), withinMs);
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.once('close', (code) => {
      clearTimeout(late);
      living.delete(child);
      resolve({ code, output, errors });
    });
  });
}

// ---- judging ---------------------------------------------------------------------------------------------------------

/** How the bodies differ from the numbers 0 … count-1, each once. */
export function tally(bodies: readonly string[], count: number): { lost: number; doubled: number; strange: number } {
  const numbers = new Set(Array.from({ length: count }, (_, index) => String(index)));
  const distinct = new Set(bodies);
  const known = [...distinct].filter((body) => numbers.has(body)).length;
  return { lost: count - known, doubled: bodies.length - distinct.size, strange: distinct.size - known };
}

export const exactlyOnce = { lost: 0, doubled: 0, strange: 0 };

/** Looks again and again for this long and resolves with all that was seen: for what must not happen. */
export async function watchFor<T>(ms: number, look: () => Promise<T> | T, everyMs = 100): Promise<T[]> {
  const seen: T[] = [];
  const end = performance.now() + ms;
  while (performance.now() < end) {
    seen.push(await look());
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  return seen;
}

/** Resolves when every number 0 … count-1 was among what the consumers got. */
export async function allArrived(consumers: readonly TestConsumer[], count: number, withinMs = 60_000): Promise<void> {
  const distinct = () => new Set(consumers.flatMap((consumer) => consumer.bodies())).size;
  const enough = () => consumers.reduce((sum, { got }) => sum + got.length, 0) >= count && distinct() >= count;
  await awaitUntil(`${count} different messages`, enough, { withinMs, everyMs: 50 }).catch((error) => {
    throw new Error(`${error.message}, but ${distinct()}`, { cause: error });
  });
}

export const within = (withinMs: number): { withinMs: number; everyMs: number } => ({ withinMs, everyMs: 50 });
