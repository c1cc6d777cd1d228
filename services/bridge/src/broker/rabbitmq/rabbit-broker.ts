import { Fault, messageOf } from '@tombolo/kernel/fault';
import {
  type ConnectionEffect,
  type ConnectionEvent,
  type ConnectionState,
  connectionPolicy,
  stepConnection,
} from '../connection-machine.ts';
import type {
  BindingWatch,
  Broker,
  BrokerListener,
  BrokerState,
  DemandWatch,
  Inventory,
  QueueBrowser,
  Sink,
  Source,
  TopicBuffers,
} from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import { RabbitBindingWatch } from './binding-watch.ts';
import { RabbitBrowser } from './browser.ts';
import { brokersWords, codeOf, queueFault, replyCode } from './close-codes.ts';
import { nameOf, type RabbitBrokerConfig, type RabbitUri } from './config.ts';
import { Connection } from './connection.ts';
import { RabbitDemandWatch } from './demand-watch.ts';
import { EventFeed } from './event-feed.ts';
import { RabbitInventory } from './inventory.ts';
import { LockHolder } from './lock-holder.ts';
import { holdLock, LockWatch, lockQueues } from './lock-queue.ts';
import { Management } from './management.ts';
import { Prober } from './probe.ts';
import { RabbitSink } from './sink.ts';
import { RabbitSource } from './source.ts';
import { RabbitTopicBuffers } from './topic-buffers.ts';

interface Pair {
  readonly vhost: string;
  readonly consuming: Connection;
  readonly publishing: Connection;
  /** Which of the two lock queues are ours. */
  held: number;
}

/** How long a lock that is held may be the one that died with the last connection: nobody resigns for that. */
const ownLockMs = 2_000;

/**
 * A RabbitMQ cluster behind the broker port: two connections to one of its nodes, one that consumes and one that publishes
 * (an alarm stops the broker from reading the second), each holding an exclusive queue as the master's lock.
 */
export class RabbitBroker implements Broker {
  readonly source: Source;
  readonly sink: Sink;
  readonly demand: DemandWatch;
  readonly bindings: BindingWatch;
  readonly buffers: TopicBuffers;
  readonly browser: QueueBrowser;
  readonly inventory: Inventory;
  readonly #config: RabbitBrokerConfig;
  readonly #listener: BrokerListener;
  readonly #surroundings: Surroundings;
  readonly #source: RabbitSource;
  readonly #sink: RabbitSink;
  readonly #demand: RabbitDemandWatch;
  readonly #bindings: RabbitBindingWatch;
  readonly #buffers: RabbitTopicBuffers;
  readonly #browser: RabbitBrowser;
  readonly #inventory: RabbitInventory;
  readonly #management: Management | undefined;
  readonly #events: EventFeed | undefined;
  readonly #prober = new Prober();
  readonly #holder: LockHolder;
  readonly #lock: LockWatch;
  #state: ConnectionState = { is: 'stopped', epoch: 0 };
  #pair: Pair | undefined;
  #cancelWake: () => void = () => {};
  #isBlocked = false;
  #closing: Promise<unknown> = Promise.resolve();
  #wanted = false;
  #masterUntil = Number.NEGATIVE_INFINITY;

  constructor(config: RabbitBrokerConfig, listener: BrokerListener, surroundings: Surroundings) {
    if (config.uris.length === 0)
      throw new Fault('TOMBOLO_TOPOLOGY_INVALID', `Cluster "${config.cluster}" has no broker uris.`);
    this.#config = config;
    this.#listener = listener;
    this.#surroundings = surroundings;
    if (config.management && config.management.uris.length > 0) this.#management = new Management(config.management);
    if (config.events) this.#events = new EventFeed(config, config.events.vhost, surroundings);
    this.#holder = new LockHolder(this.#management, surroundings);
    this.#lock = new LockWatch(surroundings.clock, (connection, fault) => {
      if (connection !== this.#pair?.consuming && connection !== this.#pair?.publishing) return;
      surroundings.log.warn({ reason: fault.message }, 'the lock is lost');
      this.#feed({ was: 'lost', epoch: this.#state.epoch, fault });
    });
    const views = { management: this.#management, events: this.#events };
    this.#demand = new RabbitDemandWatch(views, surroundings, this.#prober, (queue) =>
      this.#source.ownConsumers(queue),
    );
    this.#bindings = new RabbitBindingWatch(views, surroundings);
    this.#buffers = new RabbitTopicBuffers(this.#management);
    this.#browser = new RabbitBrowser(this.#management);
    this.#inventory = new RabbitInventory(this.#management, this.#prober);
    this.#source = new RabbitSource(config, surroundings, this.#prober, (queue, weighed) =>
      this.#demand.factsOf(queue, weighed),
    );
    this.#sink = new RabbitSink(surroundings, this.#prober);
    this.source = this.#source;
    this.sink = this.#sink;
    this.demand = this.#demand;
    this.bindings = this.#bindings;
    this.buffers = this.#buffers;
    this.browser = this.#browser;
    this.inventory = this.#inventory;
  }

  start(): void {
    this.#feed({ was: 'started' });
  }

  claim(wanted: boolean): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#feed({ was: 'wished' });
  }

  runningFor(): Promise<number | undefined> {
    return this.#management?.runningFor() ?? Promise.resolve(undefined);
  }

  async stop(): Promise<void> {
    if (this.#state.is === 'master') await this.#drained(5_000);
    this.#feed({ was: 'stopped' });
    await Promise.all([this.#events?.stop(), this.#management?.close()]);
    await this.#closing;
  }

  // ---- the machine and its effects ----

  #feed(event: ConnectionEvent): void {
    const { clock, random, log } = this.#surroundings;
    const before = this.#state;
    const policy = { ...connectionPolicy, uris: this.#config.uris.length, wanted: this.#wanted };
    const [state, effects] = stepConnection(before, event, clock.now(), random(), policy);
    this.#state = state;
    if (before.is === 'master' && state.is !== 'master') this.#masterUntil = clock.now();
    if (state !== before && (state.is !== before.is || event.was === 'refused')) {
      const reason = event.was === 'lost' ? { reason: event.fault.message, code: event.fault.code } : {};
      if (state.is !== before.is) log.debug({ from: before.is, to: state.is, ...reason }, 'broker connection');
      if (isConnected(before) && !isConnected(state)) this.#detach();
      if (isConnected(state) && !isConnected(before)) this.#connected(state.uri);
      if (state.is === 'master') this.#mastered(state.uri);
      this.#tell(state);
    }
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: ConnectionEffect): void {
    switch (effect.do) {
      case 'dial':
        void this.#dial(effect.epoch, this.#config.uris[effect.uri] as RabbitUri);
        return;
      case 'claim':
        void this.#claim(effect.epoch);
        return;
      case 'yield':
        this.#cancelWake();
        void this.#yield(effect.epoch);
        return;
      case 'close':
        this.#cancelWake();
        this.#close();
        return;
      case 'wake':
        this.#cancelWake = this.#surroundings.clock.wake(effect.at, () =>
          this.#feed({ was: 'woke', epoch: effect.epoch }),
        );
        return;
    }
  }

  async #dial(epoch: number, uri: RabbitUri): Promise<void> {
    const lost = (connection: Connection, error: unknown) => {
      this.#feed({ was: 'lost', epoch, fault: connection.lost(error) });
    };
    const opened: Connection[] = [];
    try {
      const both = await Promise.allSettled(
        ['consume', 'publish'].map(async (role) => {
          const connection = await Connection.open(this.#config, uri, role, lost);
          opened.push(connection);
          return connection;
        }),
      );
      const refused = both.find((each) => each.status === 'rejected');
      if (refused) throw refused.reason;
      const [consuming, publishing] = both.map((each) => (each as PromiseFulfilledResult<Connection>).value);
      if (!consuming || !publishing) return;
      this.#judge(consuming);
      if (this.#state.epoch !== epoch || this.#state.is !== 'dialing')
        throw new Fault('TOMBOLO_BROKER_LOST', 'superseded');
      const pair: Pair = { vhost: uri.vhost, consuming, publishing, held: 0 };
      publishing.onBlocked((reason) => {
        if (this.#pair === pair) this.#blocked(reason);
      });
      this.#pair = pair;
      this.#feed({ was: 'opened', epoch });
    } catch (error) {
      for (const connection of opened) this.#closeLater(connection);
      const fault = error instanceof Fault ? error : new Fault('TOMBOLO_INTERNAL', messageOf(error), { cause: error });
      this.#feed({ was: 'lost', epoch, fault });
    }
  }

  /** The broker must be the one that the topology means. */
  #judge(connection: Connection): void {
    const expected = this.#config.clusterName;
    if (expected === undefined || expected === connection.clusterName) return;
    throw new Fault(
      'TOMBOLO_BROKER_MISMATCH',
      `${connection.address} says it is cluster "${connection.clusterName}", but "${this.#config.cluster}" expects "${expected}". Correct its uris or its clusterName.`,
    );
  }

  async #claim(epoch: number): Promise<void> {
    const pair = this.#pair;
    if (!pair || this.#state.epoch !== epoch) return;
    while (pair.held < lockQueues.length) {
      const queue = lockQueues[pair.held] as string;
      const connection = pair.held === 0 ? pair.consuming : pair.publishing;
      try {
        await holdLock(connection, queue);
        pair.held++;
      } catch (error) {
        if (this.#state.epoch !== epoch || this.#pair !== pair) return;
        if (codeOf(error) === replyCode.resourceLocked) {
          this.#surroundings.log.debug({ queue, words: brokersWords(error) }, 'the lock is held by another bridge');
          const name = this.#holder.nameOf(queue, pair.vhost);
          const who = name === undefined ? '' : `, ${name},`;
          this.#feed({
            was: 'refused',
            epoch,
            reason: `another bridge beside this cluster${who} is the master (it holds ${queue})`,
          });
        } else {
          this.#feed({ was: 'lost', epoch, fault: queueFault(error, 'Declaring', queue, connection.address) });
        }
        return;
      }
    }
    this.#feed({ was: 'locked', epoch });
  }

  /** The broker has the rest of the acknowledgements before the lock is free: the next master is not handed those messages again. */
  async #yield(epoch: number): Promise<void> {
    await this.#drained(1_000);
    if (this.#state.epoch !== epoch || this.#state.is !== 'yielding') return;
    this.#close();
    await this.#closing;
    this.#feed({ was: 'yielded', epoch });
  }

  async #drained(mostMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, mostMs);
    });
    await Promise.race([this.#source.drained(), deadline]);
    clearTimeout(timer);
  }

  #connected(index: number): void {
    if (!this.#pair) return;
    this.#prober.attach(this.#pair.consuming);
    const uri = this.#config.uris[index] as RabbitUri;
    this.#buffers.attach(this.#pair.consuming, uri.vhost);
    this.#inventory.attach(uri.vhost);
    this.#demand.attach(uri);
    this.#bindings.attach(uri);
    this.#events?.start(uri);
  }

  #mastered(index: number): void {
    if (!this.#pair) return;
    this.#lock.attach([this.#pair.consuming, this.#pair.publishing]);
    this.#source.attach(this.#pair.consuming);
    const uri = this.#config.uris[index] as RabbitUri;
    this.#browser.attach(this.#pair.consuming, uri.vhost);
    this.#sink.attach(this.#pair.publishing, (closed) =>
      Connection.open(this.#config, uri, 'direct replies', (_connection, error) => closed(error)),
    );
  }

  #detach(): void {
    this.#lock.detach();
    this.#source.detach();
    this.#browser.detach();
    this.#demand.detach();
    this.#bindings.detach();
    this.#buffers.detach();
    void this.#events?.stop();
    this.#prober.detach();
    // Closing tells its channels first: what was written is `unknown`, before the rest is refused.
    this.#close();
    this.#closing = Promise.all([this.#closing, this.#sink.detach()]);
    this.#blocked(undefined);
  }

  #close(): void {
    const pair = this.#pair;
    this.#pair = undefined;
    if (!pair) return;
    this.#closeLater(pair.consuming);
    this.#closeLater(pair.publishing);
  }

  #closeLater(connection: Connection): void {
    this.#closing = Promise.all([this.#closing, connection.close()]);
  }

  #blocked(reason: string | undefined): void {
    if (reason === undefined && !this.#isBlocked) return;
    this.#isBlocked = reason !== undefined;
    this.#guard(() => this.#listener.blocked(reason));
  }

  #tell(state: ConnectionState): void {
    const told = this.#told(state);
    if (told) this.#guard(() => this.#listener.stateChanged(told));
  }

  /** A listener that throws must not end the connection it is called from. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#surroundings.log.error({ err: error }, 'a broker listener threw');
    }
  }

  #told(state: ConnectionState): BrokerState | undefined {
    if (state.is === 'stopped') return { is: 'down', attempt: 0 };
    if (state.is === 'resting') return { is: 'down', fault: state.fault, attempt: state.attempt };
    const uri = nameOf(this.#config.uris[state.uri] as RabbitUri);
    if (state.is === 'dialing') return { is: 'connecting', uri };
    if (state.is === 'unclaimed') return { is: 'standby', uri, reason: 'it does not stand for master' };
    if (state.is === 'yielding') return { is: 'standby', uri, reason: 'it gives the lock back' };
    if (state.is === 'claiming') {
      // The broker may not have noticed yet that our own connection died, and the lock with it (nor a node that another went).
      const ownLock = this.#surroundings.clock.now() < this.#masterUntil + ownLockMs;
      // Whether it is a standby is known once the broker has answered.
      if (state.reason === undefined || ownLock) return { is: 'connecting', uri };
      return { is: 'standby', uri, reason: state.reason };
    }
    const { product, clusterName } = this.#pair?.consuming ?? { product: '', clusterName: '' };
    return { is: 'master', uri, product, clusterName };
  }
}

type Connected = Extract<ConnectionState, { readonly is: 'unclaimed' | 'claiming' | 'master' | 'yielding' }>;

function isConnected(state: ConnectionState): state is Connected {
  return state.is === 'unclaimed' || state.is === 'claiming' || state.is === 'master' || state.is === 'yielding';
}
