import type { Clock } from '@tombolo/kernel/clock';
import { Fault } from '@tombolo/kernel/fault';
import type {
  BindingWatch,
  Broker,
  BrokerListener,
  DemandWatch,
  Inventory,
  QueueBrowser,
  Sink,
  Source,
  TopicBuffers,
} from '../port.ts';
import { MemoryBindings } from './memory-bindings.ts';
import { MemoryBrowser } from './memory-browser.ts';
import { MemoryBuffers } from './memory-buffers.ts';
import { MemoryDemand } from './memory-demand.ts';
import { MemoryInventory } from './memory-inventory.ts';
import type { MemoryServer, ServerSession } from './memory-server.ts';
import { MemoryPipes } from './memory-session.ts';
import { MemorySink } from './memory-sink.ts';
import { MemorySource } from './memory-source.ts';

export interface MemoryBrokerConfig {
  readonly cluster: string;
  /** Each way, ms; default 1. A function is asked each time: a broker may become slow. */
  readonly latencyMs?: number | (() => number);
  /** The adapter's process; default the server's clock. */
  readonly clock?: Clock;
}

/** A live connection to the server, as the roles see it. */
export interface MemoryConnection {
  readonly server: MemoryServer;
  readonly pipes: MemoryPipes;
}

const retryMs = 200;
const claimMs = 500;

/** The reference adapter of the broker port: deterministic under a manual clock, no real timers, no chance. */
export class MemoryBroker implements Broker {
  readonly source: Source;
  readonly sink: Sink;
  readonly demand: DemandWatch;
  readonly bindings: BindingWatch;
  readonly buffers: TopicBuffers;
  readonly browser: QueueBrowser;
  readonly inventory: Inventory;
  readonly #server: MemoryServer;
  readonly #clock: Clock;
  readonly #listener: BrokerListener;
  readonly #latency: () => number;
  readonly #uri: string;
  readonly #cluster: string;
  readonly #source: MemorySource;
  readonly #sink: MemorySink;
  readonly #demand: MemoryDemand;
  readonly #bindings = new MemoryBindings();
  readonly #buffers = new MemoryBuffers();
  readonly #browser = new MemoryBrowser();
  readonly #inventory = new MemoryInventory();
  #epoch = 0;
  #running = false;
  #attempt = 0;
  #session: { readonly connection: MemoryConnection; readonly server: ServerSession } | undefined;
  #wanted = false;

  constructor(config: MemoryBrokerConfig, server: MemoryServer, listener: BrokerListener) {
    this.#server = server;
    this.#clock = config.clock ?? server.clock;
    this.#listener = listener;
    const { latencyMs = 1 } = config;
    this.#latency = typeof latencyMs === 'number' ? () => latencyMs : latencyMs;
    this.#cluster = config.cluster;
    this.#uri = `memory://${config.cluster}`;
    this.#source = new MemorySource();
    this.#sink = new MemorySink();
    this.#demand = new MemoryDemand();
    this.source = this.#source;
    this.sink = this.#sink;
    this.demand = this.#demand;
    this.bindings = this.#bindings;
    this.buffers = this.#buffers;
    this.browser = this.#browser;
    this.inventory = this.#inventory;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#dial();
  }

  claim(wanted: boolean): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (!this.#session) return;
    if (wanted) return this.#claim(this.#epoch);
    this.#leave();
    this.#standby('it gives the lock back');
    this.#dial();
  }

  async runningFor(): Promise<number | undefined> {
    return this.#session && this.#server.runningMs;
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#leave();
    this.#listener.stateChanged({ is: 'down', attempt: 0 });
  }

  /** Its process dies: nothing that is under way gets there, nobody is told, and the server takes back what it had handed over. */
  crash(): void {
    if (!this.#running) return;
    this.#running = false;
    if (this.#session) this.#server.leave(this.#session.server);
    this.#end();
  }

  /** The server has ended the connection; its process finds out when it runs. */
  sever(why: string): void {
    const session = this.#session;
    if (!session) return;
    session.connection.pipes.close();
    this.#server.leave(session.server);
    this.#source.sever();
    this.#wake(0, this.#epoch, () => this.#lost(why));
  }

  /** In good order: acknowledgements are written before the end, so what the pipe holds counts as processed. */
  #leave(): void {
    if (this.#session) {
      this.#source.settleNow();
      this.#server.leave(this.#session.server);
    }
    this.#end();
  }

  #dial(): void {
    const epoch = ++this.#epoch;
    this.#listener.stateChanged({ is: 'connecting', uri: this.#uri });
    this.#wake(this.#latency(), epoch, () => {
      const pipes = new MemoryPipes(this.#server.clock, this.#clock, this.#latency);
      const connection: MemoryConnection = { server: this.#server, pipes };
      const session: ServerSession = {
        queueDeleted: (queue) => this.#source.queueDeleted(queue),
        demandChanged: (queue) => this.#demand.serverChanged(queue),
        exchangeChanged: (exchange) => this.#bindings.serverChanged(exchange),
        blocked: (reason) => pipes.toClient(() => this.#listener.blocked(reason)),
        lost: () => this.sever('the broker closed the connection'),
      };
      if (!this.#server.join(session)) {
        this.#lost('nothing accepts connections');
        return;
      }
      this.#session = { connection, server: session };
      this.#demand.attach(connection);
      this.#bindings.attach(connection);
      this.#buffers.attach(connection);
      this.#inventory.attach(connection);
      this.#source.attachReader(connection);
      this.#sink.attachReader(connection);
      this.#claim(epoch);
    });
  }

  #claim(epoch: number): void {
    const session = this.#session;
    if (!session) return;
    if (!this.#wanted) return this.#standby('it does not stand for master');
    if (this.#server.claim(session.server)) {
      this.#attempt = 0;
      this.#source.attach(session.connection);
      this.#sink.attach(session.connection);
      this.#browser.attach(session.connection);
      this.#listener.stateChanged({ is: 'master', uri: this.#uri, product: 'memory', clusterName: this.#cluster });
      return;
    }
    this.#standby('another bridge beside this cluster is the master');
    this.#wake(claimMs, epoch, () => this.#claim(epoch));
  }

  #standby(reason: string): void {
    this.#listener.stateChanged({ is: 'standby', uri: this.#uri, reason });
  }

  #lost(why: string): void {
    const wasConnected = this.#session !== undefined;
    this.#end();
    if (!this.#running) return;
    const fault = new Fault(
      wasConnected ? 'TOMBOLO_BROKER_LOST' : 'TOMBOLO_BROKER_UNREACHABLE',
      `The connection to ${this.#uri} failed: ${why}. It is being opened again.`,
    );
    this.#listener.stateChanged({ is: 'down', fault, attempt: ++this.#attempt });
    this.#wake(retryMs, this.#epoch, () => this.#dial());
  }

  #end(): void {
    this.#epoch++;
    const session = this.#session;
    this.#session = undefined;
    session?.connection.pipes.close();
    if (session) this.#listener.blocked(undefined);
    this.#source.detach();
    this.#sink.detach();
    this.#browser.detach();
    this.#demand.detach();
    this.#bindings.detach();
    this.#buffers.detach();
    this.#inventory.detach();
  }

  #wake(ms: number, epoch: number, callback: () => void): void {
    this.#clock.wake(this.#clock.now() + ms, () => {
      if (epoch === this.#epoch && this.#running) callback();
    });
  }
}
