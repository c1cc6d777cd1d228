import { messageOf } from '@tombolo/kernel/fault';
import { Wakes } from '@tombolo/kernel/wakes';
import { forwardedProperties } from '@tombolo/wire/forwarded-properties';
import type {
  CollectedFrame,
  ControlFrame,
  DemandFrame,
  Destination,
  QueueProperties,
  WithdrawFrame,
} from '@tombolo/wire/frame';
import { identityOf } from '@tombolo/wire/identity';
import type { DemandView, StreamView } from '../admin/view.ts';
import type { Broker, Consumer, Delivery } from '../broker/port.ts';
import { advertisementLine, Digest } from '../routing/digest.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { SourceEffect, Taken } from './effects.ts';
import { type Forwardable, Forwarder } from './forwarder.ts';
import { DIGEST_BYTES, Orphans } from './in-doubt.ts';
import { destinationKey, type HalfOptions } from './shell.ts';
import { SourceStream, takenFrom } from './source-machine.ts';

/** How long a fresh bridge waits for absent peers to tell what its predecessor left in doubt. */
const COLLECT_MS = 5_000;
const ABSENT_RETRY_MS = 5_000;

/** What a peer's bridge has said of its consumers. */
interface RemoteDemand {
  incarnation: number;
  version: number;
  /** False: withdrawn; kept so that an older advertisement that comes late is not believed. */
  alive: boolean;
  swept: boolean;
  frame: DemandFrame | undefined;
  unserved: { reason: string; detail: string } | undefined;
}

/** A stream with what belongs to it outside of the machine. */
interface Flow {
  readonly machine: SourceStream;
  readonly peer: string;
  readonly connector: string;
  readonly queue: QueueAtSource;
  readonly priority: number | undefined;
  readonly consumers: Map<number, Consumer>;
  readonly forwardable: Forwardable;
}

/** A queue of the own cluster that peers draw from. */
interface QueueAtSource {
  readonly name: string;
  readonly orphans: Orphans<SourceStream>;
  readonly flows: Map<string, Flow>;
  properties: QueueProperties;
  epochs: number;
  /** Consumers of the own cluster: a single-active-consumer queue is left to them. */
  localConsumers: number;
  /** Messages that were never delivered before were seen: peers may forget what is in doubt. */
  fresh: boolean;
}

/**
 * The source's half of a bridge: hears the peers' demands, takes messages for them, forwards, and acknowledges what is settled.
 * The decisions are made by the machines; this shell brings them broker, links and time.
 */
export class SourceHalf {
  #options: HalfOptions & {
    readonly broker: Broker;
    readonly deadLetters: DeadLetters;
    readonly inFlightBytes: number;
  };
  #demands = new Map<string, Map<string, RemoteDemand>>();
  #queues = new Map<string, QueueAtSource>();
  /** Queues that exist, as far as the watch has told. */
  #known = new Map<string, QueueProperties>();
  #forwarders = new Map<string, Forwarder>();
  #linked = new Set<string>();
  #answered = new Set<string>();
  #collectUntil = 0;
  #brokerUp = false;
  #draining = false;
  #drained: (() => void) | undefined;
  #bytes = 0;
  #flowBytes = new Map<Flow, number>();
  #wakes: Wakes<Flow | 'collect' | 'retry'>;

  constructor(
    options: HalfOptions & {
      readonly broker: Broker;
      readonly deadLetters: DeadLetters;
      readonly inFlightBytes: number;
    },
  ) {
    this.#options = options;
    this.#wakes = new Wakes(options.clock, (key) => {
      if (key === 'collect') this.#reconsiderAll();
      else if (key === 'retry') this.#serveAll();
      else this.#run(key, key.machine.wake(this.#now()));
    });
    this.#collectUntil = options.clock.now() + COLLECT_MS;
    this.#wakes.set('collect', this.#collectUntil);
  }

  // ---- the own broker ----------------------------------------------------------------------------------------------------

  brokerUp(up: boolean): void {
    this.#brokerUp = up;
    for (const flow of this.#flows()) {
      if (!up) flow.consumers.clear();
      this.#run(flow, flow.machine.brokerUp(up, this.#now()));
    }
    if (up) this.#serveAll();
  }

  queueCreated(queue: string, properties: QueueProperties): void {
    this.#known.set(queue, properties);
    const known = this.#queues.get(queue);
    if (known) known.properties = properties;
    this.#serveQueue(queue);
  }

  queueDeleted(queue: string): void {
    this.#known.delete(queue);
    for (const flow of this.#queues.get(queue)?.flows.values() ?? [])
      this.#run(flow, flow.machine.queueGone(this.#now()));
  }

  /** How many consumers of the own cluster the queue has. */
  localConsumers(queue: string, consumers: number): void {
    const known = this.#queues.get(queue);
    if (!known || known.localConsumers === consumers) return;
    known.localConsumers = consumers;
    for (const flow of known.flows.values()) this.#run(flow, flow.machine.reconsider(this.#now()));
  }

  // ---- links -------------------------------------------------------------------------------------------------------------

  linkUp(peer: string): void {
    this.#linked.add(peer);
    if (!this.#answered.has(peer) && this.#options.agreement.outboundPeers().includes(peer)) {
      const { cluster, incarnation, links } = this.#options;
      links.send(peer, { kind: 'collect', source: cluster, sink: peer, incarnation });
    }
    for (const flow of this.#flowsTo(peer)) this.#run(flow, flow.machine.linkUp(this.#now()));
    this.#serveStatics(peer);
  }

  linkLost(peer: string): void {
    this.#linked.delete(peer);
    this.#forwarders.get(peer)?.reset();
    for (const flow of this.#flowsTo(peer)) this.#run(flow, flow.machine.linkLost(this.#now()));
  }

  writable(peer: string): void {
    this.#forwarders.get(peer)?.pump(this.#now());
  }

  /** What the connectors permit has changed. */
  reconsider(): void {
    for (const flow of this.#flows()) {
      const destination: Destination = { kind: 'queue', name: flow.queue.name };
      const passage = this.#options.agreement.outbound(flow.peer, destination);
      if (passage.open && passage.connector.name === flow.connector)
        this.#run(flow, flow.machine.reconsider(this.#now()));
      else if (!passage.open && passage.reason === 'paused') this.#run(flow, flow.machine.reconsider(this.#now()));
      else
        this.#run(
          flow,
          flow.machine.withdraw(passage.open ? 'another connector owns it now' : passage.detail, this.#now()),
        );
    }
    this.#serveAll();
    for (const peer of this.#linked) this.#serveStatics(peer);
  }

  frame(peer: string, frame: ControlFrame): void {
    const now = this.#now();
    switch (frame.kind) {
      case 'demand':
        if (frame.sink === peer) this.#demanded(peer, frame);
        break;
      case 'withdraw':
        if (frame.sink === peer) this.#withdrawn(peer, frame);
        break;
      case 'snapshot-begin':
        for (const demand of this.#demandsOf(peer).values()) demand.swept = demand.alive;
        break;
      case 'snapshot-end':
        for (const [key, demand] of this.#demandsOf(peer)) if (demand.swept) this.#drop(peer, key, demand);
        break;
      case 'digest':
        this.#compare(peer, frame.count, frame.digest);
        break;
      case 'collected':
        if (frame.sink === peer) this.#collected(peer, frame);
        break;
      case 'resume':
        this.#with(peer, frame, (machine) => machine.resumed(frame, now));
        break;
      case 'refuse':
        this.#with(peer, frame, (machine) => machine.refused(frame, frame.reason, frame.retryAfterMs, now));
        break;
      case 'credit':
        this.#with(peer, frame, (machine) => machine.credited(frame, now));
        break;
      case 'settle':
        this.#with(peer, frame, (machine) => machine.settled(frame, now));
        break;
      case 'gap':
        this.#with(peer, frame, (machine) => machine.missed(frame, frame.missing, now));
        break;
      default:
        break;
    }
  }

  #with(
    peer: string,
    frame: { address: { source: string; sink: string; destination: Destination } },
    act: (machine: SourceStream) => SourceEffect[],
  ): void {
    const { source, sink, destination } = frame.address;
    if (sink !== peer || source !== this.#options.cluster || destination.kind !== 'queue') return;
    const flow = this.#queues.get(destination.name)?.flows.get(peer);
    if (flow) this.#run(flow, act(flow.machine));
  }

  // ---- remote demand -----------------------------------------------------------------------------------------------------

  #demandsOf(peer: string): Map<string, RemoteDemand> {
    let demands = this.#demands.get(peer);
    if (!demands) {
      demands = new Map();
      this.#demands.set(peer, demands);
    }
    return demands;
  }

  #demanded(peer: string, frame: DemandFrame): void {
    const demands = this.#demandsOf(peer);
    const key = destinationKey(frame.destination);
    const known = demands.get(key);
    if (known && compareVersions(frame, known) < 0) return;
    const demand: RemoteDemand = {
      incarnation: frame.incarnation,
      version: frame.version,
      alive: true,
      swept: false,
      frame,
      unserved: undefined,
    };
    demands.set(key, demand);
    this.#serve(peer, demand);
  }

  #withdrawn(peer: string, frame: WithdrawFrame): void {
    const demands = this.#demandsOf(peer);
    const key = destinationKey(frame.destination);
    const known = demands.get(key);
    if (known && compareVersions(frame, known) < 0) return;
    const demand: RemoteDemand = {
      incarnation: frame.incarnation,
      version: frame.version,
      alive: false,
      swept: false,
      frame: known?.frame,
      unserved: undefined,
    };
    demands.set(key, demand);
    this.#drop(peer, key, demand);
  }

  #drop(peer: string, key: string, demand: RemoteDemand): void {
    demand.alive = false;
    demand.swept = false;
    demand.unserved = undefined;
    const flow = key.startsWith('queue:') ? this.#queues.get(key.slice(6))?.flows.get(peer) : undefined;
    const passage = flow && this.#options.agreement.outbound(peer, { kind: 'queue', name: flow.queue.name });
    if (flow && !(passage?.open && passage.static))
      this.#run(flow, flow.machine.withdraw('the sink has no consumer any more', this.#now()));
  }

  #compare(peer: string, count: number, digest: string): void {
    const own = new Digest();
    for (const [key, { alive, incarnation, version }] of this.#demandsOf(peer)) {
      if (alive)
        own.add(
          advertisementLine(
            key.startsWith('queue:') ? 'queue' : 'topic',
            key.slice(key.indexOf(':') + 1),
            incarnation,
            version,
          ),
        );
    }
    if (own.count !== count || own.toString() !== digest) this.#options.links.send(peer, { kind: 'snapshot-request' });
  }

  #serveAll(): void {
    for (const [peer, demands] of this.#demands)
      for (const demand of demands.values()) if (demand.alive) this.#serve(peer, demand);
  }

  #serveQueue(queue: string): void {
    const key = `queue:${queue}`;
    for (const [peer, demands] of this.#demands) {
      const demand = demands.get(key);
      if (demand?.alive) this.#serve(peer, demand);
    }
    for (const peer of this.#linked) this.#serveStatic(peer, queue);
  }

  /** Opens a stream for this demand, or notes why there is none. */
  #serve(peer: string, demand: RemoteDemand): void {
    const { frame } = demand;
    if (!frame || frame.destination.kind !== 'queue' || this.#draining) return;
    const { name } = frame.destination;
    const passage = this.#options.agreement.outbound(peer, frame.destination);
    if (!passage.open) {
      demand.unserved = { reason: passage.reason, detail: passage.detail };
      return;
    }
    const { connector, entry } = passage;
    const properties = this.#known.get(name);
    if (properties) {
      demand.unserved = this.#open(peer, name, properties, connector, entry);
      return;
    }
    if (!this.#brokerUp) return;
    const create = connector.createDestinations === 'source' || connector.createDestinations === 'both';
    this.#inspect(name, create ? frame.queue : undefined).then(
      (found) => {
        if (!demand.alive) return;
        if (found) demand.unserved = this.#open(peer, name, found, connector, entry);
        else {
          demand.unserved = {
            reason: 'queue_absent',
            detail: `queue ${name} does not exist on ${this.#options.cluster}`,
          };
          this.#wakes.set('retry', this.#now() + ABSENT_RETRY_MS);
        }
      },
      (thrown: unknown) => {
        demand.unserved = { reason: 'no_permission', detail: messageOf(thrown) };
        this.#wakes.set('retry', this.#now() + ABSENT_RETRY_MS);
      },
    );
  }

  async #inspect(name: string, create: QueueProperties | undefined): Promise<QueueProperties | undefined> {
    const { broker, cluster, log } = this.#options;
    const found = await broker.source.inspect(name);
    if (found || !create) return found?.properties;
    await broker.source.declare(name, create);
    log.info({ queue: name, cluster }, 'queue declared');
    return create;
  }

  /** Queues that are forwarded without demand. */
  #serveStatics(peer: string): void {
    for (const name of new Set([...this.#known.keys(), ...this.#options.agreement.exactQueues()]))
      this.#serveStatic(peer, name);
  }

  #serveStatic(peer: string, name: string): void {
    const passage = this.#options.agreement.outbound(peer, { kind: 'queue', name });
    if (!passage.open || !passage.static || this.#draining) return;
    const { connector, entry } = passage;
    const properties = this.#known.get(name);
    if (properties) this.#open(peer, name, properties, connector, entry);
    else if (this.#brokerUp) {
      this.#inspect(name, undefined).then(
        (found) => found && this.#open(peer, name, found, connector, entry),
        (thrown: unknown) =>
          this.#options.log.warn({ queue: name, reason: messageOf(thrown) }, 'queue cannot be inspected'),
      );
    }
  }

  #open(
    peer: string,
    name: string,
    properties: QueueProperties,
    connector: { name: string; decreaseNetworkConsumerPriority: boolean; holdWhenLinkLostMs: number },
    entry: { prefetchSize: number; prefetchBytes: number },
  ): { reason: string; detail: string } | undefined {
    const refusal = refusedSource(properties);
    if (refusal) return { reason: 'refused', detail: `queue ${name} on ${this.#options.cluster}: ${refusal}` };
    let queue = this.#queues.get(name);
    if (!queue) {
      queue = {
        name,
        orphans: new Orphans(),
        flows: new Map(),
        properties,
        epochs: 0,
        localConsumers: 0,
        fresh: false,
      };
      this.#queues.set(name, queue);
    }
    queue.properties = properties;
    const existing = queue.flows.get(peer);
    if (existing && existing.machine.phase !== 'ended') {
      this.#run(existing, existing.machine.demanded(this.#now()));
      return undefined;
    }
    const machine = this.#machine(peer, queue, connector, entry);
    const flow: Flow = {
      machine,
      peer,
      connector: connector.name,
      queue,
      priority: connector.decreaseNetworkConsumerPriority ? -1 : undefined,
      consumers: new Map(),
      forwardable: {
        get hasUnsent() {
          return machine.hasUnsent;
        },
        nextBatch: (maxBytes, now) => {
          const frame = machine.nextBatch(maxBytes, now);
          this.#schedule(flow);
          return frame;
        },
      },
    };
    queue.flows.set(peer, flow);
    if (!this.#brokerUp) this.#run(flow, flow.machine.brokerUp(false, this.#now()));
    if (this.#linked.has(peer)) this.#run(flow, flow.machine.linkUp(this.#now()));
    return undefined;
  }

  #machine(
    peer: string,
    queue: QueueAtSource,
    connector: { name: string; holdWhenLinkLostMs: number },
    entry: { prefetchSize: number; prefetchBytes: number },
  ): SourceStream {
    const { cluster, incarnation, inFlightBytes } = this.#options;
    return new SourceStream(
      {
        address: { source: cluster, sink: peer, destination: { kind: 'queue', name: queue.name } },
        connector: connector.name,
        epoch: { incarnation, epoch: ++queue.epochs },
        queue: queue.properties,
        prefetchSize: entry.prefetchSize,
        prefetchBytes: entry.prefetchBytes,
        holdMs: connector.holdWhenLinkLostMs,
      },
      {
        orphans: queue.orphans,
        bytesFree: () => inFlightBytes - this.#bytes,
        barred: () => this.#barred(peer, queue),
        sawFresh: () => {
          if (queue.properties.maxPriority) return;
          queue.orphans.firstFresh();
          queue.fresh = true;
        },
      },
    );
  }

  #barred(peer: string, queue: QueueAtSource): string | undefined {
    if (this.#collecting()) return 'collecting what a predecessor of this bridge left in doubt';
    const passage = this.#options.agreement.outbound(peer, { kind: 'queue', name: queue.name });
    if (!passage.open) return passage.detail;
    if (queue.properties.singleActiveConsumer && queue.localConsumers > 0) {
      return 'a single-active-consumer queue is left to its local consumer';
    }
    return undefined;
  }

  // ---- in doubt ----------------------------------------------------------------------------------------------------------

  #collecting(): boolean {
    if (this.#now() >= this.#collectUntil) return false;
    return this.#options.agreement.outboundPeers().some((peer) => !this.#answered.has(peer));
  }

  #collected(peer: string, frame: CollectedFrame): void {
    if (frame.incarnation !== this.#options.incarnation || this.#answered.has(peer)) return;
    for (const { destination, digests, ids } of frame.items) {
      let queue = this.#queues.get(destination.name);
      if (!queue) {
        const properties = this.#known.get(destination.name) ?? {};
        queue = {
          name: destination.name,
          orphans: new Orphans(),
          flows: new Map(),
          properties,
          epochs: 0,
          localConsumers: 0,
          fresh: false,
        };
        this.#queues.set(destination.name, queue);
      }
      for (let i = 0; i < ids.length; i++) {
        queue.orphans.accepted(digests.slice(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES), ids[i] === 1, this.#now());
      }
    }
    if (!frame.complete) return;
    this.#answered.add(peer);
    if (!this.#collecting()) this.#reconsiderAll();
  }

  /** Once recognised messages are known to be removed, the sinks need not remember them. */
  #forget(queue: QueueAtSource): void {
    if (!queue.fresh || [...queue.flows.values()].some(({ machine }) => machine.suppressing)) return;
    queue.fresh = false;
    const { cluster, incarnation, links } = this.#options;
    for (const peer of this.#linked) {
      links.send(peer, {
        kind: 'forget',
        source: cluster,
        sink: peer,
        incarnation,
        destination: { kind: 'queue', name: queue.name },
      });
    }
  }

  #reconsiderAll(): void {
    for (const flow of this.#flows()) this.#run(flow, flow.machine.reconsider(this.#now()));
  }

  // ---- effects -----------------------------------------------------------------------------------------------------------

  #run(flow: Flow, effects: readonly SourceEffect[]): void {
    for (const effect of effects) this.#effect(flow, effect);
    if (flow.queue.fresh) this.#forget(flow.queue);
    this.#schedule(flow);
  }

  #schedule(flow: Flow): void {
    this.#wakes.set(flow, flow.machine.nextWake());
    const bytes = flow.machine.bytes;
    this.#bytes += bytes - (this.#flowBytes.get(flow) ?? 0);
    if (bytes === 0) this.#flowBytes.delete(flow);
    else this.#flowBytes.set(flow, bytes);
  }

  #effect(flow: Flow, effect: SourceEffect): void {
    const { broker, links, metrics, deadLetters, log } = this.#options;
    const destination = flow.queue.name;
    switch (effect.do) {
      case 'send':
        links.send(flow.peer, effect.frame);
        break;
      case 'offer':
        this.#forwarderTo(flow.peer).offer(flow.forwardable, this.#now());
        break;
      case 'consume':
        this.#consume(flow, effect.generation, effect.prefetch);
        break;
      case 'cancel':
        flow.consumers.get(effect.generation)?.cancel();
        break;
      case 'acknowledge':
        broker.source.acknowledge(effect.tokens);
        break;
      case 'requeue':
        broker.source.requeue(effect.tokens);
        break;
      case 'flush':
        broker.source.flushed(effect.token, (processed) =>
          this.#run(flow, flow.machine.flushed(effect.id, processed, this.#now())),
        );
        break;
      case 'park':
        deadLetters
          .park(effect.message, { reason: effect.reason, peer: flow.peer, destination, connector: flow.connector })
          .then(
            (stored) => this.#run(flow, flow.machine.parked(effect.sequence, stored, this.#now())),
            (thrown: unknown) => {
              log.error({ destination, reason: messageOf(thrown) }, 'a dead letter could not be parked');
              this.#run(flow, flow.machine.parked(effect.sequence, false, this.#now()));
            },
          );
        break;
      case 'count':
        if (effect.what === 'forwarded') metrics.forwarded(flow.connector, destination, flow.peer, effect.n);
        else if (effect.what === 'returned')
          metrics.returned(flow.connector, destination, effect.reason ?? 'other', effect.n);
        else if (effect.what === 'suppressed') metrics.suppressed(flow.connector, destination, effect.n);
        else if (effect.what === 'possible-duplicates')
          log.warn(
            { destination, peer: flow.peer, messages: effect.n },
            'given back although they may have been delivered',
          );
        break;
      case 'duration':
        metrics.forwardDuration(flow.connector, effect.ms / 1000, effect.n);
        break;
      case 'ended':
        this.#ended(flow, effect.reason);
        break;
      default:
        throw new Error(`unexpected ${effect satisfies never}`);
    }
  }

  #consume(flow: Flow, generation: number, prefetch: number): void {
    const { broker } = this.#options;
    let channel: object | undefined;
    const consumer = broker.source.consume(
      { queue: flow.queue.name, prefetch, priority: flow.priority },
      {
        delivered: (deliveries) => {
          channel ??= deliveries[0]?.token.channel;
          this.#run(flow, flow.machine.delivered(generation, this.#taken(deliveries), this.#now()));
        },
        ended: (end) => {
          flow.consumers.delete(generation);
          if (end.why === 'lost' && channel && this.#brokerUp) this.channelLost(channel);
          if (end.why === 'queue-gone') this.#known.delete(flow.queue.name);
          this.#run(flow, flow.machine.consumerEnded(generation, end, this.#now()));
        },
      },
    );
    flow.consumers.set(generation, consumer);
  }

  /** A channel died: the deliveries of every stream on it are void. */
  channelLost(channel: object): void {
    for (const flow of this.#flows()) this.#run(flow, flow.machine.channelLost(channel, this.#now()));
  }

  #taken(deliveries: readonly Delivery[]): Taken[] {
    const path = { path: [this.#options.cluster] };
    const now = this.#now();
    return deliveries.map((delivery) => {
      const identity = identityOf(delivery);
      return takenFrom(delivery, identity, forwardedProperties(delivery.properties, path), now);
    });
  }

  #forwarderTo(peer: string): Forwarder {
    let forwarder = this.#forwarders.get(peer);
    if (!forwarder) {
      forwarder = new Forwarder((frame) => this.#options.links.sendData(peer, frame));
      this.#forwarders.set(peer, forwarder);
    }
    return forwarder;
  }

  #ended(flow: Flow, reason: string): void {
    this.#wakes.delete(flow);
    this.#options.log.debug({ destination: flow.queue.name, peer: flow.peer, reason }, 'stream ended');
    if (flow.queue.flows.get(flow.peer) === flow) flow.queue.flows.delete(flow.peer);
    if (this.#draining && [...this.#flows()].length === 0) this.#drained?.();
    const demand = this.#demandsOf(flow.peer).get(`queue:${flow.queue.name}`);
    if (demand?.alive && !this.#draining) this.#serve(flow.peer, demand);
  }

  // ---- stop and view -----------------------------------------------------------------------------------------------------

  /** Forwards and settles what was taken; at the deadline the rest is given back. */
  async drain(deadline: number): Promise<void> {
    this.#draining = true;
    const { clock } = this.#options;
    const finished = new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    for (const flow of this.#flows()) this.#run(flow, flow.machine.drain(clock.now()));
    if (this.#flows().length === 0) return;
    await Promise.race([finished, new Promise<void>((resolve) => clock.wake(deadline, resolve))]);
    for (const flow of this.#flows()) this.#run(flow, flow.machine.abandon('draining', clock.now()));
  }

  close(): void {
    this.#wakes.clear();
  }

  demandViews(): DemandView[] {
    return [...this.#demands].flatMap(([peer, demands]) =>
      [...demands.values()]
        .filter(({ alive, frame }) => alive && frame)
        .map(({ frame, unserved }) => ({
          kind: frame!.destination.kind,
          destination: frame!.destination.name,
          cluster: peer,
          consumers: frame!.consumers,
          unserved: unserved?.reason,
          detail: unserved?.detail,
          connectors: [frame!.connector],
        })),
    );
  }

  streamViews(): StreamView[] {
    return this.#flows().map(({ machine, peer, connector, queue }) => ({
      role: 'source' as const,
      peer,
      connector,
      kind: 'queue' as const,
      destination: queue.name,
      state: machine.phase,
      blockedBy: machine.blockedBy(),
      epoch: `${machine.settings.epoch.incarnation}.${machine.settings.epoch.epoch}`,
      granted: machine.granted,
      credit: Math.max(0, machine.granted - machine.taken),
      window: machine.settings.prefetchSize,
      last: machine.last,
      unsettled: machine.unsettled,
      unsettledBytes: machine.bytes,
      accepted: machine.counts.accepted,
      released: machine.counts.released,
      rejected: machine.counts.rejected,
      returned: machine.counts.returned,
      suppressed: machine.counts.suppressed,
      missing: [],
    }));
  }

  #flows(): Flow[] {
    return [...this.#queues.values()].flatMap(({ flows }) => [...flows.values()]);
  }

  #flowsTo(peer: string): Flow[] {
    return this.#flows().filter((flow) => flow.peer === peer);
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

function compareVersions(
  a: { incarnation: number; version: number },
  b: { incarnation: number; version: number },
): number {
  return a.incarnation - b.incarnation || a.version - b.version;
}

/** Why a queue cannot be a source, or undefined. */
export function refusedSource(properties: QueueProperties): string | undefined {
  if (properties.type === 'stream')
    return 'it is a stream: reading it removes nothing, so it cannot be bridged as a queue';
  if (properties.exclusive) return 'it is exclusive to one connection';
  if (properties.autoDelete)
    return 'it is auto-delete: the end of a bridge’s consumer could delete it with its messages';
  if (properties.internalPurpose) return `it is internal (x-internal-purpose: ${properties.internalPurpose})`;
  return undefined;
}
