import type { Destination } from '@tombolo/wire/frame';
import type { StreamView } from '../admin/view.ts';
import type { Passage } from '../routing/agreement.ts';
import { shownName } from '../routing/destination-key.ts';
import type { StreamEnd } from './differences.ts';
import type { SourceEffect } from './effects.ts';
import type { Forwardable } from './forwarder.ts';
import type { Obstacle } from './obstacle.ts';
import type { Throttle } from './rate-limit.ts';
import { SourceConsumers } from './source-consumers.ts';
import type { SourceGround } from './source-ground.ts';
import { SourceStream } from './source-machine.ts';
import type { QueueAtSource } from './source-queues.ts';
import type { SourceBounds } from './source-settings.ts';

export type OpenPassage = Extract<Passage, { open: true }>;

/** One stream at its source: its machine, the way that its frames take, its consumers, and the effects that are carried out for it. */
export class SourceFlow {
  readonly machine: SourceStream;
  readonly sink: string;
  readonly destination: Destination;
  readonly queue: QueueAtSource;
  readonly #ground: SourceGround;
  readonly #consumers: SourceConsumers;
  readonly #forwardable: Forwardable;
  #connector: string;
  /** The neighbours that frames and messages are handed to; undefined: there is no way. */
  #hop: string | undefined;
  #dataHop: string | undefined;
  /** The limit that its connector, or the entry that includes it, sets. */
  #throttle: Throttle | undefined;
  /** Of the ground's. */
  #bytes = 0;

  constructor(
    ground: SourceGround,
    queue: QueueAtSource,
    sink: string,
    destination: Destination,
    epoch: number,
    passage: OpenPassage,
  ) {
    const { connector } = passage;
    this.#ground = ground;
    this.queue = queue;
    this.sink = sink;
    this.destination = destination;
    this.#connector = connector.name;
    this.#consumers = new SourceConsumers(ground, this, priorityBy(connector));
    const { cluster, incarnation, inFlightBytes } = ground.surroundings;
    const machine = new SourceStream(
      {
        address: { source: cluster, sink, destination },
        connector: connector.name,
        epoch: { incarnation, epoch },
        queue: queue.properties,
        ...boundsBy(passage),
      },
      {
        orphans: queue.orphans,
        bytesFree: () => inFlightBytes - ground.bytes,
        barred: () => this.#barred(),
        turns: () => this.#consumers.turns(),
        throttle: () => this.#throttle,
        sawFresh: () => {
          if (queue.orphans.sawFresh((queue.properties.maxPriority ?? 0) > 0, this.#now())) queue.fresh = true;
        },
      },
    );
    this.machine = machine;
    this.#forwardable = {
      get hasUnsent() {
        return machine.hasUnsent;
      },
      nextBatch: (maxBytes, now) => {
        const frame = machine.nextBatch(maxBytes, now);
        this.#schedule();
        return frame;
      },
    };
  }

  /** The connector by which its messages leave this cluster. */
  get connector(): string {
    return this.#connector;
  }

  /** Frames or messages of it are handed to this neighbour. */
  goesBy(neighbour: string): boolean {
    return this.#hop === neighbour || this.#dataHop === neighbour;
  }

  /** Lets the machine act, and does what it wants done. */
  run(act: (machine: SourceStream, now: number) => readonly SourceEffect[]): void {
    const effects = act(this.machine, this.#now());
    const { closed } = this.#ground;
    // Once closed, deliveries are still acknowledged and given back: their connection may live on under the next mastership.
    for (const effect of effects)
      if (!closed || effect.do === 'acknowledge' || effect.do === 'requeue') this.#effect(effect);
    if (closed) return;
    if (this.queue.fresh) this.#ground.predecessor.forget(this.queue);
    this.#schedule();
  }

  brokerUp(up: boolean): void {
    if (!up) this.#consumers.lost();
    this.run((machine, now) => machine.brokerUp(up, now));
  }

  cancelConsumers(): void {
    this.#consumers.cancelAll();
  }

  view(): StreamView {
    const { machine } = this;
    const { address, epoch, largestWindow } = machine.settings;
    const obstacle = machine.obstacle();
    const { oldest } = machine;
    return {
      role: 'source',
      peer: this.sink,
      connector: this.#connector,
      kind: address.destination.kind,
      destination: address.destination.name,
      state: machine.phase,
      blockedBy: obstacle?.detail,
      blockedReason: obstacle?.reason,
      heldMs: oldest === undefined ? undefined : this.#now() - oldest,
      epoch: `${epoch.incarnation}.${epoch.epoch}`,
      granted: machine.granted,
      credit: Math.max(0, machine.granted - machine.taken),
      window: largestWindow,
      last: machine.last,
      unsettled: machine.unsettled,
      unsettledBytes: machine.bytes,
      accepted: machine.counts.accepted,
      released: machine.counts.released,
      rejected: machine.counts.rejected,
      returned: machine.counts.returned,
      suppressed: machine.counts.suppressed,
      missing: [],
      comparedThrough: machine.comparison?.through,
      ...this.#ground.surroundings.differences.of(this.#end),
    };
  }

  // ---- the way -----------------------------------------------------------------------------------------------------------

  /** Hands frames to the neighbour that is the next hop now, and tells the machine what that means. */
  route(): void {
    const { router } = this.#ground.surroundings;
    const hop = this.#hop;
    const dataHop = this.#dataHop;
    this.#hop = router.controlHop(this.sink, this.destination);
    this.#dataHop = router.dataHop(this.sink, this.destination);
    if (this.#hop === undefined) {
      if (hop !== undefined) this.run((machine, now) => machine.linkLost(now));
    } else if (this.#dataHop === undefined) {
      if (hop === undefined || dataHop !== undefined) this.#strand(hop !== undefined);
    } else if (hop === undefined) this.run((machine, now) => machine.linkUp(now));
    else if (dataHop !== this.#dataHop) this.run((machine, now) => machine.rerouted(now));
    this.permit();
  }

  /** Messages have no way, other frames have: notes are compared, and what the sink has not received goes back. */
  #strand(wasLinked: boolean): void {
    if (wasLinked) this.run((machine, now) => machine.linkLost(now));
    this.run((machine, now) => machine.withdraw(`no way to ${this.sink} is known`, now));
    this.run((machine, now) => machine.linkUp(now));
  }

  /** A stream whose messages have no permitted way (any more) gives back what it holds; one that is paused waits. */
  permit(): void {
    const passage = this.#passage();
    if (passage?.open) {
      this.#connector = passage.connector.name;
      this.#configure(passage);
      // An entry's own limit holds instead of the connector's; whoever is under one shares it.
      const limit = passage.entry.rateLimit ?? passage.connector.rateLimit;
      this.#throttle = limit && this.#ground.limits.throttle(limit, this);
    }
    const closed = passage !== undefined && !passage.open && passage.reason !== 'paused';
    if (closed && this.#hop !== undefined) this.run((machine, now) => machine.withdraw(passage.detail, now));
    else this.run((machine, now) => machine.reconsider(now));
  }

  /** What its connector says now, if that is not what it said before. */
  #configure(passage: OpenPassage): void {
    const { settings } = this.machine;
    const bounds = boundsBy(passage);
    const renew = this.#consumers.setPriority(priorityBy(passage.connector));
    const { largestWindow, prefetchBytes, holdMs } = bounds;
    const alike =
      settings.largestWindow === largestWindow &&
      settings.prefetchBytes === prefetchBytes &&
      settings.holdMs === holdMs;
    if (renew || !alike) this.run((machine, now) => machine.configure(bounds, renew, now));
  }

  /** The connector by which its messages leave the own cluster; undefined: no neighbour is the next hop. */
  #passage(): Passage | undefined {
    const { agreement } = this.#ground.surroundings;
    const neighbour = this.#dataHop ?? (agreement.peers.includes(this.sink) ? this.sink : undefined);
    return neighbour === undefined ? undefined : agreement.outbound(neighbour, this.destination);
  }

  /** Messages that can be sent are. */
  offer(): void {
    if (this.#dataHop === undefined) return;
    this.#ground.forwarders.offer(this.#dataHop, this.sink, this.#forwardable, this.#now());
  }

  // ---- what the machine asks for -------------------------------------------------------------------------------------------

  /** Why the queue must not be consumed at present, or undefined. */
  #barred(): Obstacle | undefined {
    const { sink, destination, queue } = this;
    if (this.#ground.predecessor.collecting(sink, destination))
      return { reason: 'collecting', detail: 'collecting what a predecessor of this bridge left in doubt' };
    if (this.#ground.restarts.judging)
      return { reason: 'collecting', detail: 'finding out whether the broker was restarted' };
    const { agreement, router } = this.#ground.surroundings;
    const hop = router.dataHop(sink, destination);
    const passage = agreement.outbound(hop ?? sink, destination);
    if (!passage.open) return { reason: passage.reason, detail: passage.detail };
    const led = passage.static ? hop : router.table.get(sink, destination)?.best;
    if (led === undefined) return { reason: 'no_route', detail: `no way to ${sink} is known` };
    if (queue.properties.singleActiveConsumer && queue.localConsumers > 0) {
      return { reason: 'local_consumers', detail: 'a single-active-consumer queue is left to its local consumer' };
    }
    return undefined;
  }

  // ---- effects -----------------------------------------------------------------------------------------------------------

  #schedule(): void {
    this.#ground.wakes.set(this, this.machine.nextWake());
    const { bytes } = this.machine;
    this.#ground.bytes += bytes - this.#bytes;
    this.#bytes = bytes;
  }

  #effect(effect: SourceEffect): void {
    const { broker, router, metrics } = this.#ground.surroundings;
    switch (effect.do) {
      case 'send':
        router.send(effect.frame);
        break;
      case 'offer':
        this.offer();
        break;
      case 'consume':
        this.#consumers.consume(effect.generation, effect.prefetch);
        break;
      case 'extend':
        this.#consumers.extend(effect.generation, effect.more);
        break;
      case 'cancel':
        this.#consumers.cancel(effect.generation);
        break;
      case 'acknowledge':
        broker.source.acknowledge(effect.tokens);
        break;
      case 'requeue':
        broker.source.requeue(effect.tokens);
        break;
      case 'flush':
        broker.source.flushed(effect.token, (processed) =>
          this.run((machine, now) => machine.flushed(effect.id, processed, now)),
        );
        break;
      case 'park':
        this.#park(effect);
        break;
      case 'count':
        this.#count(effect);
        break;
      case 'duration':
        metrics.forwardDuration(this.#connector, effect.ms / 1000, effect.n);
        break;
      case 'compared':
        this.#compared(effect);
        break;
      case 'ended':
        this.#ground.ended(this, effect.reason);
        break;
      default:
        throw new Error(`unexpected ${effect satisfies never}`);
    }
  }

  #park({ sequence, message, reason, attempts }: Extract<SourceEffect, { do: 'park' }>): void {
    const { deadLetters } = this.#ground.surroundings;
    const where = { peer: this.sink, destination: this.destination.name, connector: this.#connector };
    void deadLetters
      .park(message, { ...where, reason, queue: this.queue.name, attempts })
      .then((stored) => this.run((machine, now) => machine.parked(sequence, stored, now)));
  }

  #compared({ count, difference }: Extract<SourceEffect, { do: 'compared' }>): void {
    const { differences, log } = this.#ground.surroundings;
    const fields = { destination: shownName(this.destination), peer: this.sink, ...difference };
    if (differences.compared(this.#end, count, difference))
      log.error(fields, 'the two ends of a stream count differently');
  }

  get #end(): StreamEnd {
    const { sink: peer, destination } = this;
    return { role: 'source', connector: this.#connector, peer, destination };
  }

  #count({ what, n, reason }: Extract<SourceEffect, { do: 'count' }>): void {
    const { metrics, log } = this.#ground.surroundings;
    const destination = shownName(this.destination);
    if (what === 'forwarded') metrics.forwarded(this.#connector, destination, this.sink, n);
    else if (what === 'returned') metrics.returned(this.#connector, destination, reason ?? 'other', n);
    else if (what === 'suppressed') metrics.suppressed(this.#connector, destination, n);
    else if (what === 'possible-duplicates') {
      metrics.possibleDuplicates(this.#connector, destination, 'given_back', n);
      log.warn({ destination, peer: this.sink, messages: n }, 'given back although they may have been delivered');
    }
  }

  #now(): number {
    return this.#ground.surroundings.clock.now();
  }
}

/** Remote demand comes after local consumers, unless the connector says otherwise. */
function priorityBy({ decreaseNetworkConsumerPriority }: OpenPassage['connector']): number | undefined {
  return decreaseNetworkConsumerPriority ? -1 : undefined;
}

function boundsBy({ connector, entry }: OpenPassage): SourceBounds {
  return {
    largestWindow: entry.largestWindow,
    prefetchBytes: entry.prefetchBytes,
    holdMs: connector.holdWhenLinkLostMs,
  };
}
