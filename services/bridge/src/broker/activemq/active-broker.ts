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
  TopicBuffers,
} from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import { Advisories, type OpenLine } from './advisories.ts';
import { lostFault, Refused, takenBy } from './brokers-words.ts';
import { type ActiveMqBrokerConfig, type ActiveMqUri, nameOf } from './config.ts';
import { StompConnection } from './connection.ts';
import { ActiveMqDemandWatch } from './demand-watch.ts';
import { ActiveMqInventory } from './inventory.ts';
import { ActiveMqBrowser } from './message-browser.ts';
import { QueueLook } from './queue-look.ts';
import { ActiveMqSink } from './sink.ts';
import { ActiveMqSource } from './source.ts';
import { ActiveMqBindingWatch } from './topics/binding-watch.ts';
import { DurableSubscriptions } from './topics/durable-subscriptions.ts';
import { ActiveMqTopicBuffers } from './topics/topic-buffers.ts';

/** The client ids that the master's two connections have, in the order in which they are claimed. */
const lockIds = ['tombolo.master', 'tombolo.master.publish'] as const;
/** How long a lock that is held may be the one that died with the last connection: nobody resigns for that. */
const OWN_LOCK_MS = 2_000;
/** How often a lock is tried for that another bridge is seen to hold: the broker logs every refusal (ms). */
const HELD_RETRY_MS = 15_000;

/** What a master has besides the connection that looks. */
interface Lines {
  readonly looking: StompConnection;
  readonly working: StompConnection[];
}

/**
 * An ActiveMQ Classic behind the broker port, over STOMP 1.2: two connections that look (one for advisories and statistics, one for
 * everything else), which a standby has too, and two that work, one consumes and one publishes. Where topics are captured for
 * others, a third works.
 *
 * The lock is the client ids of these two. The broker lets one connection have a client id at a time and refuses any other (RegionBroker
 * .addConnection, InvalidClientIDException), and it lets go of it with the connection, after that connection's consumers are gone and
 * what they held is the queue's again (TransportConnection.processRemoveConnection: sessions first, then the connection). So whoever
 * consumes or publishes for a cluster holds the lock by that very connection: a predecessor cannot be handed, nor store, anything more
 * once its successor has it. That is what an exclusive queue does on RabbitMQ. An exclusive consumer would fence its own queue only.
 * It does not hold with `allowLinkStealing` on the transport connector, which lets a newcomer end the holder: both would take turns.
 */
export class ActiveMqBroker implements Broker {
  readonly source: ActiveMqSource;
  readonly sink: ActiveMqSink;
  readonly demand: DemandWatch;
  readonly bindings: BindingWatch;
  readonly buffers: TopicBuffers;
  readonly browser: QueueBrowser;
  readonly inventory: Inventory;
  readonly #config: ActiveMqBrokerConfig;
  readonly #listener: BrokerListener;
  readonly #surroundings: Surroundings;
  readonly #look: QueueLook;
  readonly #advisories: Advisories;
  readonly #demand: ActiveMqDemandWatch;
  readonly #browser: ActiveMqBrowser;
  readonly #bindings: ActiveMqBindingWatch;
  readonly #buffers: ActiveMqTopicBuffers;
  readonly #durables: DurableSubscriptions;
  #state: ConnectionState = { is: 'stopped', epoch: 0 };
  #lines: Lines | undefined;
  #cancelWake: () => void = () => {};
  #isBlocked = false;
  #closing: Promise<unknown> = Promise.resolve();
  #wanted = false;
  #masterUntil = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;

  constructor(config: ActiveMqBrokerConfig, listener: BrokerListener, surroundings: Surroundings) {
    if (config.uris.length === 0)
      throw new Fault('TOMBOLO_TOPOLOGY_INVALID', `Cluster "${config.cluster}" has no broker uris.`);
    this.#config = config;
    this.#listener = listener;
    this.#surroundings = surroundings;
    this.#advisories = new Advisories(surroundings, {
      known: () => {
        const { connection } = this.#advisories;
        if (connection) this.#look.askStatistics(connection);
        this.#demand.known();
        bindings.known();
        this.#claimIfFree();
      },
      changed: (queues) => {
        this.#demand.changed(queues);
        this.#claimIfFree();
      },
      topicsChanged: () => {
        bindings.changed();
        this.#durables.changed();
      },
      queueGone: (queue) => {
        this.#look.queueGone(queue);
        this.source.queueGone(queue);
      },
      blind: (reason) => {
        this.#demand.blind(reason);
        bindings.blind(reason);
      },
      lost: () => {
        const { epoch } = this.#state;
        this.#feed({ was: 'lost', epoch, fault: lostFault(undefined, this.#lines?.looking.address ?? 'the broker') });
      },
    });
    this.#demand = new ActiveMqDemandWatch(this.#advisories, surroundings);
    const bindings = new ActiveMqBindingWatch(this.#advisories, surroundings);
    this.#bindings = bindings;
    this.#look = new QueueLook(this.#advisories);
    this.#browser = new ActiveMqBrowser(this.#look);
    this.source = new ActiveMqSource(surroundings, this.#look);
    this.sink = new ActiveMqSink(surroundings, this.#look, (reason) => this.#blocked(reason));
    this.#durables = new DurableSubscriptions({
      surroundings,
      topics: () => this.#advisories.topics,
      exists: (queue) => this.#look.exists(queue),
      remembered: () => bindings.known(),
    });
    this.#buffers = new ActiveMqTopicBuffers(surroundings, this.#look, (queue) => this.source.isConsumed(queue));
    this.demand = this.#demand;
    this.bindings = bindings;
    this.browser = this.#browser;
    this.buffers = this.#buffers;
    this.inventory = new ActiveMqInventory(this.#advisories, this.#look);
  }

  start(): void {
    this.#feed({ was: 'started' });
  }

  claim(wanted: boolean): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#triedAt = Number.NEGATIVE_INFINITY;
    this.#feed({ was: 'wished' });
  }

  runningFor(): Promise<number | undefined> {
    return this.#look.runningFor();
  }

  async stop(): Promise<void> {
    if (this.#state.is === 'master') await this.#drained(5_000);
    this.#feed({ was: 'stopped' });
    await this.#closing;
  }

  // ---- the machine and its effects ---------------------------------------------------------------------------------------

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
      if ((isConnected(before) || before.is === 'dialing') && !isConnected(state)) this.#detach();
      if (isConnected(state) && !isConnected(before)) this.#connected();
      if (state.is === 'master') this.#mastered();
      this.#tell(state);
    }
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: ConnectionEffect): void {
    switch (effect.do) {
      case 'dial':
        void this.#dial(effect.epoch, this.#config.uris[effect.uri] as ActiveMqUri);
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

  async #dial(epoch: number, uri: ActiveMqUri): Promise<void> {
    try {
      const looking = await this.#open(epoch, uri, undefined);
      if (this.#state.epoch !== epoch || this.#state.is !== 'dialing') return this.#closeLater(looking);
      this.#lines = { looking, working: [] };
      looking.onStrayError((words) => this.#surroundings.log.warn({ words }, 'the broker refused something'));
      // Which queues there are is known before anything is done with them.
      const watch: OpenLine = (closed) => StompConnection.open(this.#config, uri, undefined, closed);
      await Promise.all([this.#look.attach(looking), this.#advisories.attach(watch, looking.session)]);
      await this.#durables.read(looking);
      this.#feed({ was: 'opened', epoch });
    } catch (error) {
      this.#feed({ was: 'lost', epoch, fault: faultOf(error) });
    }
  }

  #open(epoch: number, uri: ActiveMqUri, clientId: string | undefined): Promise<StompConnection> {
    return StompConnection.open(this.#config, uri, clientId, (connection, error) =>
      this.#feed({ was: 'lost', epoch, fault: connection.lost(error) }),
    );
  }

  async #claim(epoch: number): Promise<void> {
    const lines = this.#lines;
    const { clock, log } = this.#surroundings;
    if (!lines || this.#state.epoch !== epoch || this.#state.is !== 'claiming') return;
    const uri = this.#config.uris[this.#state.uri] as ActiveMqUri;
    const from = this.#advisories.table?.holder(lockIds[lines.working.length] ?? lockIds[1]);
    if (from !== undefined && clock.now() < this.#triedAt + HELD_RETRY_MS) {
      return this.#feed({ was: 'refused', epoch, reason: heldBy(lines.working.length, from) });
    }
    this.#triedAt = clock.now();
    while (lines.working.length < lockIds.length) {
      const clientId = lockIds[lines.working.length] as string;
      try {
        const connection = await this.#open(epoch, uri, clientId);
        if (this.#state.epoch !== epoch || this.#lines !== lines) return this.#closeLater(connection);
        lines.working.push(connection);
      } catch (error) {
        if (this.#state.epoch !== epoch || this.#lines !== lines) return;
        const holder = error instanceof Refused ? takenBy(error.refusal) : undefined;
        if (holder === undefined) return this.#feed({ was: 'lost', epoch, fault: faultOf(error) });
        log.debug({ clientId, holder }, 'the lock is held by another bridge');
        return this.#feed({ was: 'refused', epoch, reason: heldBy(lines.working.length, holder) });
      }
    }
    this.#feed({ was: 'locked', epoch });
  }

  /** A standby is told when the holder's connection ends: it does not wait for its next try. */
  #claimIfFree(): void {
    const { table } = this.#advisories;
    const lines = this.#lines;
    if (this.#state.is !== 'claiming' || this.#state.reason === undefined || !lines || !table) return;
    if (table.holder(lockIds[lines.working.length] ?? lockIds[1]) !== undefined) return;
    this.#cancelWake();
    this.#feed({ was: 'woke', epoch: this.#state.epoch });
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
    await Promise.race([this.source.drained(), deadline]);
    clearTimeout(timer);
  }

  #connected(): void {
    this.#triedAt = Number.NEGATIVE_INFINITY;
  }

  #mastered(): void {
    const [consuming, publishing] = this.#lines?.working ?? [];
    if (!consuming || !publishing) return;
    for (const each of [consuming, publishing])
      each.onStrayError((words) => this.#surroundings.log.warn({ words }, 'the broker refused something'));
    this.source.attach(consuming);
    this.#browser.attach(consuming);
    this.sink.attach(publishing);
    this.#durables.attach();
    if (this.#state.is !== 'master') return;
    const uri = this.#config.uris[this.#state.uri] as ActiveMqUri;
    this.#buffers.attach((clientId, closed) =>
      StompConnection.open(this.#config, uri, clientId, (connection, error) => closed(connection.lost(error))),
    );
  }

  #detach(): void {
    this.source.detach();
    this.#browser.detach();
    this.sink.detach();
    this.#demand.detach();
    this.#bindings.detach();
    this.#durables.detach();
    this.#advisories.detach();
    this.#look.detach();
    this.#close();
  }

  #close(): void {
    this.#closing = Promise.all([this.#closing, this.#buffers.detach()]);
    const lines = this.#lines;
    this.#lines = undefined;
    if (!lines) return;
    for (const each of [...lines.working, lines.looking]) this.#closeLater(each);
  }

  #closeLater(connection: StompConnection): void {
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
    const uri = nameOf(this.#config.uris[state.uri] as ActiveMqUri);
    if (state.is === 'dialing') return { is: 'connecting', uri };
    if (state.is === 'unclaimed') return { is: 'standby', uri, reason: 'it does not stand for master' };
    if (state.is === 'yielding') return { is: 'standby', uri, reason: 'it gives the lock back' };
    if (state.is === 'claiming') {
      // The broker may not have noticed yet that our own connection died, and the lock with it.
      const ownLock = this.#surroundings.clock.now() < this.#masterUntil + OWN_LOCK_MS;
      if (state.reason === undefined || ownLock) return { is: 'connecting', uri };
      return { is: 'standby', uri, reason: state.reason };
    }
    return { is: 'master', uri, product: this.#lines?.looking.product ?? '', clusterName: '' };
  }
}

function heldBy(held: number, from: string): string {
  return `another bridge beside this cluster is the master (client id ${lockIds[held]}, connected from ${from})`;
}

function faultOf(error: unknown): Fault {
  return error instanceof Fault ? error : new Fault('TOMBOLO_INTERNAL', messageOf(error), { cause: error });
}

type Connected = Extract<ConnectionState, { readonly is: 'unclaimed' | 'claiming' | 'master' | 'yielding' }>;

function isConnected(state: ConnectionState): state is Connected {
  return state.is === 'unclaimed' || state.is === 'claiming' || state.is === 'master' || state.is === 'yielding';
}
