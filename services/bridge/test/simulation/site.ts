import type { Topology } from '@tombolo/topology/topology';
import { Bridge } from '../../src/bridge.ts';
import { MemoryServer, type TestMessage } from '../../src/broker/memory/memory-server.ts';
import type { Broker } from '../../src/broker/port.ts';
import { BrokerElection } from '../../src/election/broker-election.ts';
import type { Election } from '../../src/election/election.ts';
import { LeaseElection } from '../../src/election/lease-election.ts';
import type { Log } from '../../src/telemetry/log.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { LeaseServer } from './lease-server.ts';
import type { LinkNetwork } from './link-network.ts';
import { MemoryRecordStore, RecordServer } from './memory-record.ts';
import { SimulatedLinks } from './simulated-links.ts';
import { SiteBroker } from './site-broker.ts';
import { ProcessClock, type VirtualClock } from './virtual-clock.ts';

/** Told of each message that a bridge has brought into a queue. */
export type Arrived = (queue: string, body: Uint8Array) => void;

/** A broker that tells what bridges publish to it from what applications do. */
export class SiteServer extends MemoryServer {
  readonly #arrived: Arrived;
  #ofApplication = false;

  constructor(clock: VirtualClock, arrived: Arrived) {
    super(clock);
    this.#arrived = arrived;
  }

  override publish(queue: string, message: TestMessage): boolean {
    this.#ofApplication = true;
    try {
      return super.publish(queue, message);
    } finally {
      this.#ofApplication = false;
    }
  }

  override route(message: Parameters<MemoryServer['route']>[0]): ReturnType<MemoryServer['route']> {
    // Told before it is there: what the consumers have taken already does not wait.
    const outcome = super.route(message);
    if (!this.#ofApplication && outcome === 'confirmed') this.#arrived(message.routingKey, message.body);
    return outcome;
  }
}

/** Wraps a bridge's broker, to break it on purpose. */
export type Sabotage = (broker: Broker, cluster: string) => Broker;

/** What all sites of a run share. */
export interface Surroundings {
  readonly clock: VirtualClock;
  readonly topology: Topology;
  readonly links: LinkNetwork;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly sabotage?: Sabotage;
  /** See Schedule. */
  readonly lease: boolean;
  readonly record: boolean;
  readonly arrived: (site: string, queue: string, body: Uint8Array) => void;
  /** A bridge of this site has lost its lease. */
  readonly resigned: (site: Site) => void;
}

interface Process {
  readonly clock: ProcessClock;
  readonly bridge: Bridge;
  readonly broker: SiteBroker;
  readonly links: SimulatedLinks;
  stopping: boolean;
}

/** Milliseconds since 1970 when a simulation begins. */
const epochMs = 1_700_000_000_000;
const leaseMs = 3_000;
/** Two heartbeats of a connection, or three of a link, without a word. */
const silenceMs = 6_000;

/** One cluster: its broker, and the bridges beside it. */
export class Site {
  readonly name: string;
  readonly server: SiteServer;
  readonly leases = new LeaseServer(() => 1);
  readonly #around: Surroundings;
  readonly #processes: (Process | undefined)[];
  #latencyMs: number;
  #slow: number[] = [];
  #down = 0;
  #alarms = 0;
  #starts = 0;
  readonly #watchers: (() => void)[] = [];
  readonly records = new RecordServer();
  /** When its broker, or what connects bridges to it, was last disturbed. */
  disturbedAt = Number.NEGATIVE_INFINITY;
  /** It is known to be drained. */
  drained = false;

  constructor(name: string, replicas: number, latencyMs: number, around: Surroundings) {
    this.name = name;
    this.#around = around;
    this.#latencyMs = latencyMs;
    this.server = new SiteServer(around.clock, (queue, body) => around.arrived(name, queue, body));
    this.#processes = Array.from({ length: replicas }, () => undefined);
  }

  /** What a crash of this bridge doubles, as far as its record goes. */
  unrecorded(replica: number): number {
    const streams = this.#processes[replica]?.bridge.view().streams ?? [];
    return streams.reduce((sum, { unrecorded = 0 }) => sum + unrecorded, 0);
  }

  /** The bridges that live. */
  get bridges(): Bridge[] {
    return this.#processes.flatMap((process) => process?.bridge ?? []);
  }

  get latencyMs(): number {
    return Math.max(this.#latencyMs, ...this.#slow);
  }

  /** Applications can publish. */
  get takes(): boolean {
    return this.server.isUp && this.#alarms === 0;
  }

  /** Calls back when the broker, or one of its queues, has come or gone. */
  watch(changed: () => void): void {
    this.#watchers.push(changed);
  }

  // ---- bridges ---------------------------------------------------------------------------------------------------------------

  startBridge(replica: number): void {
    if (this.#processes[replica]) return;
    const { topology, log, metrics, sabotage } = this.#around;
    const clock = new ProcessClock(this.#around.clock);
    let broker: SiteBroker | undefined;
    let links: SimulatedLinks | undefined;
    const bridge = new Bridge({
      ...{
        topology,
        inForce: () => topology,
        cluster: this.name,
        instance: `${this.name}-${replica}`,
        version: 'simulated',
        log,
        metrics,
        clock,
      },
      wallClock: () => Math.floor(epochMs + clock.now()),
      election: this.#election(replica, clock),
      graceMs: this.#grace,
      ...(this.#around.record && {
        createRecordStore: () => new MemoryRecordStore(this.records, this.#around.clock, clock),
      }),
      createBroker: (listener) => {
        broker = new SiteBroker(this.name, this.server, clock, () => this.latencyMs, listener);
        return sabotage?.(broker, this.name) ?? broker;
      },
      createLinks: (host, peers) => {
        links = new SimulatedLinks(this.name, host, peers, this.#around.links, clock);
        return links;
      },
    });
    this.#processes[replica] = { clock, bridge, broker: broker!, links: links!, stopping: false };
    bridge.start().catch((thrown: unknown) => {
      throw thrown;
    });
  }

  get #grace(): number {
    if (this.#around.lease) return leaseMs;
    return this.#processes.length > 1 ? 2_000 : Number.POSITIVE_INFINITY;
  }

  #election(replica: number, clock: ProcessClock): Election {
    const { lease, log } = this.#around;
    if (!lease) return new BrokerElection('broker');
    const election = new LeaseElection({
      store: this.leases.client(replica, clock),
      owner: `${this.name}-${replica}#${++this.#starts}`,
      ...{ leaseMs, clock, log },
      random: () => (replica + 1) / (this.#processes.length + 1),
      wallClock: () => epochMs + clock.now(),
    });
    const start = election.start.bind(election);
    election.start = ({ elected, lost }) =>
      start({
        elected,
        lost: (reason) => {
          this.#around.resigned(this);
          lost(reason);
        },
      });
    return election;
  }

  /** The bridges that may write at this moment, by name. */
  get masters(): string[] {
    const awake = this.#processes.flatMap((process) => (process && !process.clock.paused ? process.bridge : []));
    return awake.flatMap((bridge) => {
      const { role, instance } = bridge.view();
      return role === 'master' ? instance : [];
    });
  }

  /** SIGKILL: what the process knew is gone. */
  crashBridge(replica: number): void {
    const process = this.#processes[replica];
    if (!process) return;
    this.#processes[replica] = undefined;
    process.clock.stop();
    process.links.crash();
    process.broker.crash();
  }

  /** SIGSTOP. After a while broker and peers give it up. Returns how to send SIGCONT. */
  pauseBridge(replica: number): () => void {
    const process = this.#processes[replica];
    if (!process) return () => {};
    const { broker, clock, links } = process;
    clock.pause();
    const cancel = this.#around.clock.after(silenceMs, () => {
      broker.sever();
      links.sever();
    });
    return () => {
      cancel();
      this.disturbedAt = this.#around.clock.now();
      clock.resume();
      this.#around.links.wanted(links);
    };
  }

  /** SIGTERM. Resolves when it has ended. */
  async stopBridge(replica: number): Promise<void> {
    const process = this.#processes[replica];
    if (!process || process.stopping) return;
    process.stopping = true;
    await process.bridge.stop();
    process.clock.stop();
    if (this.#processes[replica] === process) this.#processes[replica] = undefined;
  }

  /** One of its bridges drains. */
  get stopping(): boolean {
    return this.#processes.some((process) => process?.stopping);
  }

  isStopping(replica: number): boolean {
    return this.#processes[replica]?.stopping ?? false;
  }

  // ---- the broker ------------------------------------------------------------------------------------------------------------

  crashBroker(forgetAcknowledgements: number): void {
    this.#down++;
    this.disturbedAt = this.#around.clock.now();
    if (this.#down !== 1) return;
    this.server.crash({ forgetAcknowledgements });
    this.#changed();
  }

  restartBroker(): void {
    this.#down--;
    this.disturbedAt = this.#around.clock.now();
    if (this.#down > 0) return;
    this.server.restart();
    this.#changed();
  }

  /** The bridges' connections break. */
  cutBroker(): void {
    this.disturbedAt = this.#around.clock.now();
    this.server.disconnect();
  }

  slow(latencyMs: number): () => void {
    this.#slow.push(latencyMs);
    return () => {
      this.disturbedAt = this.#around.clock.now();
      this.#slow.splice(this.#slow.indexOf(latencyMs), 1);
    };
  }

  alarm(raised: boolean): void {
    this.#alarms += raised ? 1 : -1;
    this.disturbedAt = this.#around.clock.now();
    this.server.block(this.#alarms > 0 ? 'memory' : undefined);
  }

  deleteQueue(queue: string): void {
    this.disturbedAt = this.#around.clock.now();
    this.server.deleteQueue(queue);
    this.#changed();
  }

  declareQueue(queue: string): void {
    this.disturbedAt = this.#around.clock.now();
    this.server.declare(queue);
    this.#changed();
  }

  #changed(): void {
    for (const changed of this.#watchers) changed();
  }
}
