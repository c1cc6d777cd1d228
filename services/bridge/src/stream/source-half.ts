import { messageOf } from '@tombolo/kernel/fault';
import { Wakes } from '@tombolo/kernel/wakes';
import { forwardedProperties } from '@tombolo/wire/forwarded-properties';
import type { CollectedFrame, ControlFrame, Destination, QueueProperties } from '@tombolo/wire/frame';
import { identityOf } from '@tombolo/wire/identity';
import type { DemandView, StreamView } from '../admin/view.ts';
import type { Broker, Consumer, Delivery } from '../broker/port.ts';
import { type RemoteDemand, RemoteDemands, type Unserved } from '../routing/remote-demands.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { SourceEffect, Taken } from './effects.ts';
import { type Forwardable, Forwarder } from './forwarder.ts';
import { DIGEST_BYTES, Orphans } from './in-doubt.ts';
import type { HalfOptions } from './shell.ts';
import { SourceStream, takenFrom } from './source-machine.ts';

/** How long a fresh bridge waits for absent peers to tell what its predecessor left in doubt. */
const COLLECT_MS = 5_000;
const ABSENT_RETRY_MS = 5_000;

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
  readonly #demands = new RemoteDemands();
  #queues = new Map<string, QueueAtSource>();
  /** Queues that exist, as far as the watch has told. */
  #known = new Map<string, QueueProperties>();
  readonly #localConsumers = new Map<string, number>();
  #forwarders = new Map<string, Forwarder>();
  #linked = new Set<string>();
  #answered = new Set<string>();
  #collectUntil = 0;
  #brokerUp = false;
  #draining = false;
  #closed = false;
  #epochs = 0;
  /** What peers have begun to tell of a predecessor's messages; it counts once it is complete. */
  readonly #collections = new Map<string, CollectedFrame['items'][number][]>();
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
      else if (key === 'retry') this.#serveEverything();
      else this.#run(key, key.machine.wake(this.#now()));
    });
    options.broker.source.onChannelLost((channel) => this.#channelLost(channel));
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
    if (up) this.#serveEverything();
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
    if (consumers === 0) this.#localConsumers.delete(queue);
    else this.#localConsumers.set(queue, consumers);
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
    this.#collections.delete(peer);
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
    this.#serveEverything();
  }

  frame(peer: string, frame: ControlFrame): void {
    const now = this.#now();
    switch (frame.kind) {
      case 'demand': {
        const demand = frame.sink === peer ? this.#demands.demanded(peer, frame) : undefined;
        if (demand) this.#serve(demand);
        break;
      }
      case 'withdraw': {
        const demand = frame.sink === peer ? this.#demands.withdrawn(peer, frame) : undefined;
        if (demand) this.#drop(demand);
        break;
      }
      case 'snapshot-begin':
        this.#demands.snapshotBegun(peer);
        break;
      case 'snapshot-end':
        for (const demand of this.#demands.snapshotEnded(peer)) this.#drop(demand);
        break;
      case 'digest':
        if (!this.#demands.agrees(peer, frame.count, frame.digest))
          this.#options.links.send(peer, { kind: 'snapshot-request' });
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

  #drop({ peer, destination }: RemoteDemand): void {
    const flow = destination.kind === 'queue' ? this.#queues.get(destination.name)?.flows.get(peer) : undefined;
    if (!flow) return;
    const passage = this.#options.agreement.outbound(peer, destination);
    if (passage.open && passage.static) return;
    this.#run(flow, flow.machine.withdraw('the sink has no consumer any more', this.#now()));
  }

  #serveEverything(): void {
    for (const demand of [...this.#demands.standing()]) this.#serve(demand);
    for (const peer of this.#linked) this.#serveStatics(peer);
  }

  #serveQueue(name: string): void {
    for (const peer of this.#options.agreement.outboundPeers()) {
      const demand = this.#demands.get(peer, { kind: 'queue', name });
      if (demand) this.#serve(demand);
      if (this.#linked.has(peer)) this.#serveStatic(peer, name);
    }
  }

  /** Opens a stream for this demand, or notes why there is none. */
  #serve(demand: RemoteDemand): void {
    const { peer, destination, frame } = demand;
    if (!frame || destination.kind !== 'queue' || this.#draining) return;
    const { name } = destination;
    const passage = this.#options.agreement.outbound(peer, destination);
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
    const later = (reason: string, detail: string): void => {
      demand.unserved = { reason, detail };
      this.#wakes.set('retry', this.#now() + ABSENT_RETRY_MS);
    };
    this.#inspect(name, create ? frame.queue : undefined).then(
      (found) => {
        if (this.#demands.get(peer, destination) !== demand) return;
        if (found) demand.unserved = this.#open(peer, name, found, connector, entry);
        else later('queue_absent', `queue ${name} does not exist on ${this.#options.cluster}`);
      },
      (thrown: unknown) => later('no_permission', messageOf(thrown)),
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
        (found) => {
          if (found) this.#open(peer, name, found, connector, entry);
          else this.#wakes.set('retry', this.#now() + ABSENT_RETRY_MS);
        },
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
  ): Unserved | undefined {
    const refusal = refusedSource(properties);
    if (refusal) return { reason: 'refused', detail: `queue ${name} on ${this.#options.cluster}: ${refusal}` };
    const queue = this.#queueOf(name);
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

  #queueOf(name: string): QueueAtSource {
    let queue = this.#queues.get(name);
    if (!queue) {
      const properties = this.#known.get(name) ?? {};
      const localConsumers = this.#localConsumers.get(name) ?? 0;
      queue = { name, orphans: new Orphans(), flows: new Map(), properties, localConsumers, fresh: false };
      this.#queues.set(name, queue);
    }
    return queue;
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
        epoch: { incarnation, epoch: ++this.#epochs },
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
    const items = this.#collections.get(peer) ?? [];
    items.push(...frame.items);
    this.#collections.set(peer, items);
    if (!frame.complete) return;
    this.#collections.delete(peer);
    for (const { destination, digests, ids } of items) {
      const queue = this.#queueOf(destination.name);
      for (let i = 0; i < ids.length; i++) {
        queue.orphans.accepted(digests.slice(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES), ids[i] === 1, this.#now());
      }
    }
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
    if (this.#closed) return;
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
    const consumer = broker.source.consume(
      { queue: flow.queue.name, prefetch, priority: flow.priority },
      {
        delivered: (deliveries) => {
          this.#run(flow, flow.machine.delivered(generation, this.#taken(deliveries), this.#now()));
        },
        ended: (end) => {
          flow.consumers.delete(generation);
          if (end.why === 'queue-gone') this.#known.delete(flow.queue.name);
          this.#run(flow, flow.machine.consumerEnded(generation, end, this.#now()));
        },
      },
    );
    flow.consumers.set(generation, consumer);
  }

  /** A channel died: the deliveries of every stream on it are void. */
  #channelLost(channel: object): void {
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
    const { name, flows, orphans } = flow.queue;
    if (flows.size === 0 && orphans.empty) this.#queues.delete(name);
    if (this.#draining || this.#closed) return;
    const demand = this.#demands.get(flow.peer, { kind: 'queue', name });
    if (demand) this.#serve(demand);
    // Not at once: a queue that is gone would be asked for in a circle.
    else this.#wakes.set('retry', this.#now() + ABSENT_RETRY_MS);
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

  /** Lets go of everything: what is not settled goes back, consumers are cancelled, and nothing is done any more. */
  close(): void {
    for (const flow of this.#flows()) {
      this.#run(flow, flow.machine.abandon('no longer master', this.#now()));
      for (const consumer of flow.consumers.values()) consumer.cancel();
    }
    this.#closed = true;
    this.#wakes.clear();
  }

  demandViews(): DemandView[] {
    return [...this.#demands.standing()].map(({ peer, destination, frame, unserved }) => ({
      kind: destination.kind,
      destination: destination.name,
      cluster: peer,
      consumers: frame?.consumers ?? 0,
      unserved: unserved?.reason,
      detail: unserved?.detail,
      connectors: frame ? [frame.connector] : [],
    }));
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
