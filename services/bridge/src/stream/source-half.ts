import { messageOf } from '@tombolo/kernel/fault';
import { Wakes } from '@tombolo/kernel/wakes';
import type { RateLimit } from '@tombolo/topology/topology';
import { forwardedProperties } from '@tombolo/wire/forwarded-properties';
import type {
  CollectedFrame,
  Destination,
  InDoubtFrame,
  QueueProperties,
  StreamAddress,
  StreamControlFrame,
} from '@tombolo/wire/frame';
import { identityOf } from '@tombolo/wire/identity';
import type { ReplyToRewrite } from '@tombolo/wire/reply-properties';
import type { DemandView, StreamView } from '../admin/view.ts';
import type { Broker, Consumer, Delivery } from '../broker/port.ts';
import type { Passage } from '../routing/agreement.ts';
import { shownName } from '../routing/destination-key.ts';
import type { Route, Unserved } from '../routing/route-table.ts';
import { bufferName } from '../topic/buffer-name.ts';
import { MOST_TURNS } from './credit.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { SourceEffect, Taken } from './effects.ts';
import { type Forwardable, Forwarder } from './forwarder.ts';
import { DIGEST_BYTES, Orphans } from './in-doubt.ts';
import { RateLimiter, type Throttle } from './rate-limit.ts';
import type { HalfOptions } from './shell.ts';
import { SourceStream, takenFrom } from './source-machine.ts';

/** How long a fresh bridge waits for absent peers to tell what its predecessor left in doubt. */
const COLLECT_MS = 5_000;
const ABSENT_RETRY_MS = 5_000;

/** Frames that a source reads. */
export type SourceFrame =
  | Extract<StreamControlFrame, { kind: 'resume' | 'refuse' | 'credit' | 'settle' | 'gap' }>
  | Extract<InDoubtFrame, { kind: 'collected' }>;

type OpenPassage = Extract<Passage, { open: true }>;

/** A stream with what belongs to it outside of the machine. */
interface Flow {
  readonly machine: SourceStream;
  readonly sink: string;
  readonly destination: Destination;
  /** The connector by which its messages leave this cluster. */
  connector: string;
  /** The neighbours that frames and messages are handed to; undefined: there is no way. */
  hop: string | undefined;
  dataHop: string | undefined;
  readonly queue: QueueAtSource;
  readonly priority: number | undefined;
  readonly consumers: Map<number, Consumer>;
  readonly forwardable: Forwardable;
  /** The limit that its connector, or the entry that includes it, sets. */
  throttle: Throttle | undefined;
}

/** A queue of the own cluster that peers draw from. */
interface QueueAtSource {
  readonly name: string;
  /** As its streams' addresses name it. */
  readonly destination: Destination;
  readonly orphans: Orphans<SourceStream>;
  readonly flows: Map<string, Flow>;
  properties: QueueProperties;
  /** Consumers of the own cluster: a single-active-consumer queue is left to them. */
  localConsumers: number;
  /** Messages that were never delivered before were seen: peers may forget what is in doubt. */
  fresh: boolean;
}

export interface SourceHalfOptions extends HalfOptions {
  readonly broker: Broker;
  readonly deadLetters: DeadLetters;
  readonly inFlightBytes: number;
  /** A stream that was opened by `draw` has ended: its queue is gone, or it was released. */
  ended(sink: string, destination: Destination): void;
  /** The own consumers of this queue had no room for a message: the broker gave it to this bridge. */
  spared(destination: Destination): void;
  /** Why a message in a topic's buffer is not to be forwarded, as a word for metrics, or undefined. */
  screen(sink: string, destination: Destination, delivery: Delivery): string | undefined;
  /** Messages were taken for a stream that was opened by `draw`. */
  drew(destination: Destination): void;
  /** What the `reply-to` of messages that are taken now becomes. */
  replyTo(): ReplyToRewrite;
}

/**
 * The source's half of a bridge: hears the peers' demands, takes messages for them, forwards, and acknowledges what is settled.
 * The decisions are made by the machines; this shell brings them broker, links and time.
 */
export class SourceHalf {
  readonly #options: SourceHalfOptions;
  #queues = new Map<string, QueueAtSource>();
  /** Queues that exist, as far as the watch has told. */
  #known = new Map<string, QueueProperties>();
  readonly #localConsumers = new Map<string, number>();
  /** By neighbour and sink: a relay that is slow towards one sink holds up nobody else. */
  #forwarders = new Map<string, Forwarder>();
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
  /** By the limit of the file that they enforce. */
  readonly #limiters = new WeakMap<RateLimit, RateLimiter<Flow>>();
  #wakes: Wakes<Flow | RateLimiter<Flow> | 'collect' | 'retry'>;

  constructor(options: SourceHalfOptions) {
    this.#options = options;
    this.#wakes = new Wakes(options.clock, (key) => {
      if (key === 'collect') this.#reconsiderAll();
      else if (key === 'retry') this.#serveEverything();
      else if (key instanceof RateLimiter) this.#release(key);
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

  // ---- ways --------------------------------------------------------------------------------------------------------------

  /** Frames to this cluster can be sent, or cannot any more, or take another way. */
  reachChanged(sink: string): void {
    const { cluster, incarnation, router } = this.#options;
    const hop = router.hop(sink);
    if (hop === undefined) this.#collections.delete(sink);
    else if (!this.#answered.has(sink)) router.send({ kind: 'collect', source: cluster, sink, incarnation });
    for (const flow of this.#flowsTo(sink)) this.#route(flow);
    if (hop === sink) this.#serveStatics(sink);
  }

  /** The link to this neighbour is gone: what was handed to it and not taken is sent again once notes are compared. */
  linkLost(neighbour: string): void {
    for (const [key, forwarder] of this.#forwarders) {
      if (!key.startsWith(forwarderKey(neighbour, ''))) continue;
      forwarder.reset();
      this.#forwarders.delete(key);
    }
  }

  writable(neighbour: string): void {
    for (const [key, forwarder] of this.#forwarders) {
      if (key.startsWith(forwarderKey(neighbour, ''))) forwarder.pump(this.#now());
    }
  }

  /** Another cluster's demand came, has another way or none, or was withdrawn. */
  routeChanged(route: Route): void {
    if (route.state === 'standing') {
      const flow = this.#flowOf(route.sink, route.destination);
      if (flow) this.#route(flow);
      this.#serve(route);
    } else this.#drop(route);
  }

  /** What the connectors permit has changed; routes have been judged anew before. */
  reconsider(): void {
    for (const flow of this.#flows()) this.#permit(flow);
    this.#serveEverything();
  }

  /** Hands the flow's frames to the neighbour that is the next hop now, and tells the machine what that means. */
  #route(flow: Flow): void {
    const { router } = this.#options;
    const { destination } = flow;
    const before = { hop: flow.hop, dataHop: flow.dataHop };
    flow.hop = router.controlHop(flow.sink, destination);
    flow.dataHop = router.dataHop(flow.sink, destination);
    if (flow.hop === undefined) {
      if (before.hop !== undefined) this.#run(flow, flow.machine.linkLost(this.#now()));
    } else if (flow.dataHop === undefined) {
      if (before.hop === undefined || before.dataHop !== undefined) this.#strand(flow, before.hop !== undefined);
    } else if (before.hop === undefined) this.#run(flow, flow.machine.linkUp(this.#now()));
    else if (before.dataHop !== flow.dataHop) this.#run(flow, flow.machine.rerouted(this.#now()));
    this.#permit(flow);
  }

  /** Messages have no way, other frames have: notes are compared, and what the sink has not received goes back. */
  #strand(flow: Flow, wasLinked: boolean): void {
    if (wasLinked) this.#run(flow, flow.machine.linkLost(this.#now()));
    this.#run(flow, flow.machine.withdraw(`no way to ${flow.sink} is known`, this.#now()));
    this.#run(flow, flow.machine.linkUp(this.#now()));
  }

  /** A stream whose messages have no permitted way (any more) gives back what it holds; one that is paused waits. */
  #permit(flow: Flow): void {
    const passage = this.#passage(flow);
    if (passage?.open) {
      flow.connector = passage.connector.name;
      flow.throttle = this.#throttle(flow, passage);
    }
    const closed = passage !== undefined && !passage.open && passage.reason !== 'paused';
    if (closed && flow.hop !== undefined) this.#run(flow, flow.machine.withdraw(passage.detail, this.#now()));
    else this.#run(flow, flow.machine.reconsider(this.#now()));
  }

  /** An entry's own limit holds instead of the connector's; whoever is under one shares it. */
  #throttle(flow: Flow, { connector, entry }: OpenPassage): Throttle | undefined {
    const limit = entry.rateLimit ?? connector.rateLimit;
    if (!limit) return undefined;
    let limiter = this.#limiters.get(limit);
    if (!limiter) {
      limiter = new RateLimiter<Flow>(limit, this.#now());
      this.#limiters.set(limit, limiter);
    }
    const { take, ...throttle } = limiter.for(flow);
    const taking: Throttle['take'] = (bytes, now) => {
      const taken = take(bytes, now);
      if (!taken) this.#wakes.set(limiter, limiter.nextAt);
      return taken;
    };
    return { ...throttle, take: taking };
  }

  /** Those who waited for their turn under a limit go on. */
  #release(limiter: RateLimiter<Flow>): void {
    limiter.serve(this.#now(), (flow) => {
      if (flow.forwardable.hasUnsent) this.#effect(flow, { do: 'offer' });
    });
    this.#wakes.set(limiter, limiter.nextAt);
  }

  /** The connector by which messages of this flow leave the own cluster; undefined: no neighbour is the next hop. */
  #passage(flow: Flow): Passage | undefined {
    const { agreement } = this.#options;
    const neighbour = flow.dataHop ?? (agreement.peers.includes(flow.sink) ? flow.sink : undefined);
    return neighbour === undefined ? undefined : agreement.outbound(neighbour, flow.destination);
  }

  frame(frame: SourceFrame): void {
    const now = this.#now();
    switch (frame.kind) {
      case 'collected':
        this.#collected(frame.sink, frame);
        break;
      case 'resume':
        this.#with(frame, (machine) => machine.resumed(frame, now));
        break;
      case 'refuse':
        this.#with(frame, (machine) => machine.refused(frame, frame.reason, frame.retryAfterMs, now));
        break;
      case 'credit':
        this.#with(frame, (machine) => machine.credited(frame, now));
        break;
      case 'settle':
        this.#with(frame, (machine) => machine.settled(frame, now));
        break;
      case 'gap':
        this.#with(frame, (machine) => machine.missed(frame, frame.missing, now));
        break;
      default:
        throw new Error(`unexpected ${frame satisfies never}`);
    }
  }

  #with({ address }: { readonly address: StreamAddress }, act: (machine: SourceStream) => SourceEffect[]): void {
    const flow = this.#flowOf(address.sink, address.destination);
    if (flow) this.#run(flow, act(flow.machine));
  }

  #flowOf(sink: string, destination: Destination): Flow | undefined {
    return this.#queues.get(drawnFrom(sink, destination))?.flows.get(sink);
  }

  // ---- remote demand -----------------------------------------------------------------------------------------------------

  #drop({ sink, destination }: Route): void {
    const flow = this.#flowOf(sink, destination);
    if (!flow || this.#isStatic(sink, destination)) return;
    this.#run(flow, flow.machine.withdraw('the sink has no consumer any more', this.#now()));
  }

  #isStatic(sink: string, destination: Destination): boolean {
    const { agreement } = this.#options;
    if (!agreement.peers.includes(sink)) return false;
    const passage = agreement.outbound(sink, destination);
    return passage.open && passage.static;
  }

  #serveEverything(): void {
    for (const route of [...this.#options.router.table.standing()]) this.#serve(route);
    for (const peer of this.#options.agreement.peers) this.#serveStatics(peer);
  }

  #serveQueue(name: string): void {
    const { agreement, router } = this.#options;
    for (const route of [...router.table.demandsOf({ kind: 'queue', name })]) this.#serve(route);
    for (const peer of agreement.outboundPeers()) this.#serveStatic(peer, name);
  }

  /** Opens a stream for this demand, or notes why there is none. */
  #serve(route: Route): void {
    const { sink, destination, best, last } = route;
    const { agreement, cluster, router } = this.#options;
    if (destination.kind !== 'queue' || this.#draining) return;
    const { name } = destination;
    if (!best) {
      route.unserved = unroutable(route, (neighbour) => agreement.outbound(neighbour, destination));
      return;
    }
    const passage = agreement.outbound(best.neighbour, destination);
    if (!passage.open) return;
    const { connector } = passage;
    const properties = this.#known.get(name);
    if (properties) {
      route.unserved = this.#open(sink, destination, properties, passage);
      return;
    }
    if (!this.#brokerUp) return;
    const create = connector.createDestinations === 'source' || connector.createDestinations === 'both';
    const later = (reason: string, detail: string): void => {
      route.unserved = { reason, detail };
      this.#wakes.set('retry', this.#now() + ABSENT_RETRY_MS);
    };
    this.#inspect(name, create ? last.queue : undefined).then(
      (found) => {
        if (this.#closed || router.table.get(sink, destination) !== route) return;
        if (found) route.unserved = this.#open(sink, destination, found, passage);
        else later('queue_absent', `queue ${name} does not exist on ${cluster}`);
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
    if (!passage.open || !passage.static || this.#draining || !this.#options.router.isLinked(peer)) return;
    const properties = this.#known.get(name);
    if (properties) this.#open(peer, { kind: 'queue', name }, properties, passage);
    else if (this.#brokerUp) {
      this.#inspect(name, undefined).then(
        (found) => {
          if (this.#closed) return;
          if (found) this.#open(peer, { kind: 'queue', name }, found, passage);
          else this.#wakes.set('retry', this.#now() + ABSENT_RETRY_MS);
        },
        (thrown: unknown) =>
          this.#options.log.warn({ queue: name, reason: messageOf(thrown) }, 'queue cannot be inspected'),
      );
    }
  }

  /**
   * Opens a stream that no demand of a queue asks for, or takes up one that is ending: from `queue` of the own cluster to `sink`. Its
   * messages wait while there is no way. Returns why there is no stream, or undefined.
   */
  draw(sink: string, destination: Destination, properties: QueueProperties): Unserved | undefined {
    const { agreement, cluster, router } = this.#options;
    if (this.#draining) return { reason: 'refused', detail: `the bridge of ${cluster} is draining` };
    const passage = agreement.outbound(router.dataHop(sink, destination) ?? sink, destination);
    if (!passage.open) return { reason: passage.reason, detail: passage.detail };
    return this.#open(sink, destination, properties, passage);
  }

  /** Ends a stream that `draw` opened. */
  release(sink: string, destination: Destination, reason: string): void {
    const flow = this.#flowOf(sink, destination);
    if (flow) this.#run(flow, flow.machine.withdraw(reason, this.#now()));
  }

  #open(
    sink: string,
    destination: Destination,
    properties: QueueProperties,
    passage: OpenPassage,
  ): Unserved | undefined {
    const name = drawnFrom(sink, destination);
    const refusal = refusedSource(properties);
    if (refusal) return { reason: 'refused', detail: `queue ${name} on ${this.#options.cluster}: ${refusal}` };
    const queue = this.#queueOf(sink, destination);
    queue.properties = properties;
    const existing = queue.flows.get(sink);
    if (existing && existing.machine.phase !== 'ended') {
      this.#run(existing, existing.machine.demanded(this.#now()));
      this.#run(existing, existing.machine.reconsider(this.#now()));
      return undefined;
    }
    const machine = this.#machine(sink, destination, queue, passage);
    const flow: Flow = {
      machine,
      sink,
      destination,
      connector: passage.connector.name,
      hop: undefined,
      dataHop: undefined,
      queue,
      priority: passage.connector.decreaseNetworkConsumerPriority ? -1 : undefined,
      consumers: new Map(),
      throttle: undefined,
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
    queue.flows.set(sink, flow);
    if (!this.#brokerUp) this.#run(flow, flow.machine.brokerUp(false, this.#now()));
    this.#route(flow);
    return undefined;
  }

  #queueOf(sink: string, destination: Destination): QueueAtSource {
    const name = drawnFrom(sink, destination);
    let queue = this.#queues.get(name);
    if (!queue) {
      const properties = this.#known.get(name) ?? {};
      const localConsumers = this.#localConsumers.get(name) ?? 0;
      const orphans = new Orphans<SourceStream>();
      queue = { name, destination, orphans, flows: new Map(), properties, localConsumers, fresh: false };
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #machine(
    sink: string,
    destination: Destination,
    queue: QueueAtSource,
    { connector, entry }: OpenPassage,
  ): SourceStream {
    const { cluster, incarnation, inFlightBytes } = this.#options;
    return new SourceStream(
      {
        address: { source: cluster, sink, destination },
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
        barred: () => this.#barred(sink, destination, queue),
        turns: () => this.#turns(sink, destination),
        throttle: () => queue.flows.get(sink)?.throttle,
        sawFresh: () => {
          if (queue.properties.maxPriority) return;
          queue.orphans.firstFresh();
          queue.fresh = true;
        },
      },
    );
  }

  #barred(sink: string, destination: Destination, queue: QueueAtSource): string | undefined {
    if (this.#collecting(sink, destination)) return 'collecting what a predecessor of this bridge left in doubt';
    const { agreement, router } = this.#options;
    const hop = router.dataHop(sink, destination);
    const passage = agreement.outbound(hop ?? sink, destination);
    if (!passage.open) return passage.detail;
    const led = passage.static ? hop : router.table.get(sink, destination)?.best;
    if (led === undefined) return `no way to ${sink} is known`;
    if (queue.properties.singleActiveConsumer && queue.localConsumers > 0) {
      return 'a single-active-consumer queue is left to its local consumer';
    }
    return undefined;
  }

  // ---- in doubt ----------------------------------------------------------------------------------------------------------

  /** A queue's messages may have gone to any sink, those of a reply queue only to its origin. */
  #collecting(sink: string, destination: Destination): boolean {
    if (this.#now() >= this.#collectUntil) return false;
    if (destination.kind === 'reply') return !this.#answered.has(sink);
    return this.#options.agreement.sinks.some((sink) => !this.#answered.has(sink));
  }

  #collected(sink: string, frame: CollectedFrame): void {
    if (frame.incarnation !== this.#options.incarnation || this.#answered.has(sink)) return;
    const items = this.#collections.get(sink) ?? [];
    items.push(...frame.items);
    this.#collections.set(sink, items);
    if (!frame.complete) return;
    this.#collections.delete(sink);
    for (const { destination, digests, ids } of items) {
      const queue = this.#queueOf(sink, destination);
      for (let i = 0; i < ids.length; i++) {
        queue.orphans.accepted(digests.slice(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES), ids[i] === 1, this.#now());
      }
    }
    this.#answered.add(sink);
    this.#reconsiderAll();
  }

  /** Once recognised messages are known to be removed, the sinks need not remember them. */
  #forget(queue: QueueAtSource): void {
    if (!queue.fresh || [...queue.flows.values()].some(({ machine }) => machine.suppressing)) return;
    queue.fresh = false;
    const { agreement, cluster, incarnation, router } = this.#options;
    const { destination, flows } = queue;
    // A queue's streams of a predecessor may have gone to any cluster; a buffer or a reply queue has one sink.
    const sinks = destination.kind === 'queue' ? agreement.sinks : flows.keys();
    for (const sink of sinks) router.send({ kind: 'forget', source: cluster, sink, incarnation, destination });
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
    const { broker, router, metrics, deadLetters, log } = this.#options;
    const destination = shownName(flow.destination);
    switch (effect.do) {
      case 'send':
        router.send(effect.frame);
        break;
      case 'offer':
        if (flow.dataHop !== undefined) this.#forwarder(flow.dataHop, flow.sink).offer(flow.forwardable, this.#now());
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
          .park(effect.message, {
            reason: effect.reason,
            peer: flow.sink,
            destination: flow.destination.name,
            connector: flow.connector,
          })
          .then(
            (stored) => this.#run(flow, flow.machine.parked(effect.sequence, stored, this.#now())),
            (thrown: unknown) => {
              log.error({ destination, reason: messageOf(thrown) }, 'a dead letter could not be parked');
              this.#run(flow, flow.machine.parked(effect.sequence, false, this.#now()));
            },
          );
        break;
      case 'count':
        if (effect.what === 'forwarded') metrics.forwarded(flow.connector, destination, flow.sink, effect.n);
        else if (effect.what === 'returned')
          metrics.returned(flow.connector, destination, effect.reason ?? 'other', effect.n);
        else if (effect.what === 'suppressed') metrics.suppressed(flow.connector, destination, effect.n);
        else if (effect.what === 'possible-duplicates')
          log.warn(
            { destination, peer: flow.sink, messages: effect.n },
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
      { queue: flow.queue.name, prefetch, priority: flow.priority, turns: this.#turns(flow.sink, flow.destination) },
      {
        delivered: (deliveries) => {
          // Behind its own consumers in priority: whatever comes here they have no room for.
          if (flow.priority !== undefined) this.#options.spared(flow.destination);
          if (flow.destination.kind !== 'queue') this.#options.drew(flow.destination);
          this.#run(flow, flow.machine.delivered(generation, this.#taken(flow, deliveries), this.#now()));
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

  /** With `conduitSubscriptions: false` a sink's share of what several want grows with the number of its consumers. */
  #turns(sink: string, destination: Destination): number {
    const { agreement, router } = this.#options;
    const route = router.table.get(sink, destination);
    const passage = route?.best && agreement.outbound(route.best.neighbour, destination);
    if (!route || !passage?.open || passage.connector.conduitSubscriptions) return 1;
    return Math.max(1, Math.min(MOST_TURNS, route.last.consumers));
  }

  /** A channel died: the deliveries of every stream on it are void. */
  #channelLost(channel: object): void {
    for (const flow of this.#flows()) this.#run(flow, flow.machine.channelLost(channel, this.#now()));
  }

  #taken(flow: Flow, deliveries: readonly Delivery[]): Taken[] {
    const { cluster, router } = this.#options;
    const path = [cluster, ...router.transits(flow.sink, flow.destination)];
    const now = this.#now();
    const replyTo = this.#options.replyTo();
    const isTopic = flow.destination.kind === 'topic';
    return deliveries.map((delivery) => {
      // A path without proof was copied by an application onto a message of its own.
      const properties = forwardedProperties(delivery.properties, { path, onward: !isTopic, replyTo });
      const taken = takenFrom(delivery, identityOf(delivery), properties, now);
      const reason = isTopic ? this.#options.screen(flow.sink, flow.destination, delivery) : undefined;
      if (reason === undefined) return taken;
      this.#options.metrics.notCaptured(flow.connector, flow.destination.name, reason, 1);
      return { ...taken, skipped: true };
    });
  }

  #forwarder(neighbour: string, sink: string): Forwarder {
    const key = forwarderKey(neighbour, sink);
    let forwarder = this.#forwarders.get(key);
    if (!forwarder) {
      forwarder = new Forwarder((frame) => this.#options.router.sendData(neighbour, frame));
      this.#forwarders.set(key, forwarder);
    }
    return forwarder;
  }

  #ended(flow: Flow, reason: string): void {
    this.#wakes.delete(flow);
    this.#options.log.debug({ destination: flow.destination.name, peer: flow.sink, reason }, 'stream ended');
    if (flow.queue.flows.get(flow.sink) === flow) flow.queue.flows.delete(flow.sink);
    if (this.#draining && [...this.#flows()].length === 0) this.#drained?.();
    const { name, flows, orphans } = flow.queue;
    if (flows.size === 0 && orphans.empty) this.#queues.delete(name);
    if (this.#draining || this.#closed) return;
    const { kind } = flow.destination;
    if (kind !== 'queue') return this.#options.ended(flow.sink, flow.destination);
    const route = this.#options.router.table.get(flow.sink, flow.destination);
    if (route?.best) this.#serve(route);
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
    const { agreement, router } = this.#options;
    return [...router.table.standing()]
      .filter(({ destination }) => destination.kind !== 'cluster')
      .map(({ sink, destination, best, last, unserved }) => {
        const passage = best && agreement.outbound(best.neighbour, destination);
        return {
          kind: destination.kind,
          destination: destination.name,
          cluster: sink,
          consumers: last.consumers,
          unserved: unserved?.reason,
          detail: unserved?.detail,
          connectors: passage?.open ? [passage.connector.name] : [],
        };
      });
  }

  streamViews(): StreamView[] {
    return this.#flows().map(({ machine, sink, connector, destination }) => ({
      role: 'source' as const,
      peer: sink,
      connector,
      kind: destination.kind,
      destination: destination.name,
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

  #flowsTo(sink: string): Flow[] {
    return this.#flows().filter((flow) => flow.sink === sink);
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

/** The queue of the own cluster that a stream draws from. */
function drawnFrom(sink: string, { kind, name }: Destination): string {
  return kind === 'topic' ? bufferName(sink, name) : name;
}

function forwarderKey(neighbour: string, sink: string): string {
  return `${neighbour}\u0000${sink}`;
}

/** Why none of the known ways to a demand can be used. */
export function unroutable({ ways, sink }: Route, outbound: (neighbour: string) => Passage): Unserved {
  for (const neighbour of ways.keys()) {
    const passage = outbound(neighbour);
    if (!passage.open) return { reason: passage.reason, detail: passage.detail };
  }
  return { reason: 'no_route', detail: `no way to ${sink} is known at present` };
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
