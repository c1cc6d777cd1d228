import { Fault } from '@tombolo/kernel/fault';
import { MemoryBroker } from '../../src/broker/memory/memory-broker.ts';
import type { MemoryServer } from '../../src/broker/memory/memory-server.ts';
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
} from '../../src/broker/port.ts';
import type { ProcessClock } from './virtual-clock.ts';

/**
 * The memory adapter as one process has it: looks at queues take a round trip, and when the process dies nobody is told. A
 * connection that is lost meanwhile fails the look.
 */
export class SiteBroker implements Broker {
  readonly source: Source;
  readonly sink: Sink;
  readonly demand: DemandWatch;
  readonly bindings: BindingWatch;
  readonly buffers: TopicBuffers;
  readonly browser: QueueBrowser;
  readonly inventory: Inventory;
  readonly #memory: MemoryBroker;
  readonly #clock: ProcessClock;
  readonly #latency: () => number;
  #connections = 0;

  constructor(
    cluster: string,
    server: MemoryServer,
    clock: ProcessClock,
    latency: () => number,
    listener: BrokerListener,
  ) {
    this.#clock = clock;
    this.#latency = latency;
    this.#memory = new MemoryBroker({ cluster, latencyMs: latency, clock }, server, {
      blocked: (reason) => listener.blocked(reason),
      stateChanged: (state) => {
        if (state.is === 'down' || state.is === 'connecting') this.#connections++;
        listener.stateChanged(state);
      },
    });
    const { source, sink, demand } = this.#memory;
    this.demand = demand;
    this.bindings = this.#memory.bindings;
    this.buffers = this.#memory.buffers;
    this.browser = this.#memory.browser;
    this.inventory = this.#memory.inventory;
    this.sink = {
      publisher: (destination, handler, options) => sink.publisher(destination, handler, options),
      unpublishable: (message) => sink.unpublishable(message),
      probe: (queue) => this.#look(() => sink.probe(queue)),
    };
    this.source = {
      consume: (request, handler) => source.consume(request, handler),
      acknowledge: (tokens) => source.acknowledge(tokens),
      requeue: (tokens) => source.requeue(tokens),
      flushed: (token, done) => source.flushed(token, done),
      onChannelLost: (told) => source.onChannelLost(told),
      inspect: (queue) => this.#look(() => source.inspect(queue)),
      declare: (queue, properties) => this.#look(() => source.declare(queue, properties)),
      deleteIfIdle: (queue) => this.#look(() => source.deleteIfIdle(queue)),
    };
  }

  start(): void {
    this.#memory.start();
  }

  claim(wanted: boolean): void {
    this.#memory.claim(wanted);
  }

  runningFor(): Promise<number | undefined> {
    return this.#look(() => this.#memory.runningFor());
  }

  stop(): Promise<void> {
    return this.#memory.stop();
  }

  /** The broker has not heard of the process for long. */
  sever(): void {
    this.#memory.sever('the broker has missed heartbeats');
  }

  /** The process is gone. */
  crash(): void {
    this.#memory.crash();
  }

  /** Asks the server half a round trip from now, and has the answer after the other half. */
  #look<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    const connection = this.#connections;
    return new Promise((resolve, reject) => {
      const later = (then: () => void): void => {
        this.#clock.wake(this.#clock.now() + this.#latency(), () => {
          if (connection === this.#connections) then();
          else reject(new Fault('TOMBOLO_BROKER_LOST', 'The connection to the broker was lost while it was asked.'));
        });
      };
      later(() => {
        ask().then((answer) => later(() => resolve(answer)), reject);
      });
    });
  }
}
