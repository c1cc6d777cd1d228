import { Wakes } from '@tombolo/kernel/wakes';
import type {
  Destination,
  InDoubtFrame,
  QueueProperties,
  StreamAddress,
  StreamControlFrame,
} from '@tombolo/wire/frame';
import type { DemandView, GivenBack, LeftOver, StreamView } from '../admin/view.ts';
import { shownName } from '../routing/destination-key.ts';
import type { Route, Unserved } from '../routing/route-table.ts';
import type { Wanted } from './backlog-watch.ts';
import { BrokerRestarts } from './broker-restarts.ts';
import type { SourceEffect } from './effects.ts';
import { Forwarders } from './forwarder.ts';
import { leftOver } from './left-over.ts';
import { Predecessor } from './predecessor.ts';
import type { SourceFlow } from './source-flow.ts';
import type { SourceGround, SourceSurroundings } from './source-ground.ts';
import { SourceLimits } from './source-limits.ts';
import type { SourceStream } from './source-machine.ts';
import { SourceOpenings, unroutable } from './source-openings.ts';
import { drawnFrom, SourceQueues } from './source-queues.ts';

/** Frames that a source reads. */
export type SourceFrame =
  | Extract<StreamControlFrame, { kind: 'resume' | 'refuse' | 'credit' | 'settle' | 'gap' }>
  | Extract<InDoubtFrame, { kind: 'collected' }>;

export interface SourceHalfOptions extends SourceSurroundings {
  /** A stream that was opened by `draw` has ended: its queue is gone, or it was released. */
  ended(sink: string, destination: Destination): void;
}

/**
 * The source's half of a bridge: hears the peers' demands, takes messages for them, forwards, and acknowledges what is settled.
 * The decisions are made by the machines; this shell brings them broker, links and time.
 */
export class SourceHalf {
  readonly #options: SourceHalfOptions;
  readonly #ground: SourceGround;
  readonly #openings: SourceOpenings;
  #draining = false;
  #drained: (() => void) | undefined;

  constructor(options: SourceHalfOptions) {
    this.#options = options;
    const { clock, router } = options;
    const queues = new SourceQueues();
    const reconsider = (): void => {
      for (const flow of queues.flows()) flow.run((machine, now) => machine.reconsider(now));
    };
    const restarts = new BrokerRestarts(options.broker, queues, clock, reconsider);
    this.#ground = {
      surroundings: options,
      queues,
      predecessor: new Predecessor(options, queues, () => {
        restarts.judge();
        reconsider();
      }),
      restarts,
      forwarders: new Forwarders((neighbour, frame) => router.sendData(neighbour, frame)),
      limits: new SourceLimits(clock, (flow) => {
        if (flow.machine.hasUnsent) flow.offer();
      }),
      wakes: new Wakes(clock, (flow) => flow.run((machine, now) => machine.wake(now))),
      bytes: 0,
      closed: false,
      ended: (flow, reason) => this.#ended(flow, reason),
    };
    this.#openings = new SourceOpenings(this.#ground);
    options.broker.source.onChannelLost((channel) => this.#channelLost(channel));
  }

  // ---- the own broker ----------------------------------------------------------------------------------------------------

  brokerUp(up: boolean): void {
    this.#ground.restarts.brokerUp(up);
    this.#openings.brokerUp(up);
    for (const flow of this.#flows()) flow.brokerUp(up);
    if (up) this.#openings.serveEverything();
  }

  queueCreated(queue: string, properties: QueueProperties): void {
    this.#ground.queues.created(queue, properties);
    this.#openings.serveQueue(queue);
  }

  queueDeleted(queue: string): void {
    this.#ground.queues.deleted(queue);
    for (const flow of this.#ground.queues.flowsOf(queue)) flow.run((machine, now) => machine.queueGone(now));
  }

  /** It may be there as ever, but no connector means it any more and nothing is heard of it. */
  queueUnwatched(queue: string): void {
    this.#ground.queues.gone(queue);
    this.localConsumers(queue, 0);
  }

  /** To be called from time to time: what is not in doubt any more is forgotten. */
  tick(): void {
    this.#ground.queues.prune(this.#options.clock.now());
  }

  /** How many consumers of the own cluster the queue has. */
  localConsumers(queue: string, consumers: number): void {
    for (const flow of this.#ground.queues.localConsumers(queue, consumers)) {
      flow.run((machine, now) => machine.reconsider(now));
    }
  }

  /** A channel died: the deliveries of every stream on it are void. */
  #channelLost(channel: object): void {
    for (const flow of this.#flows()) flow.run((machine, now) => machine.channelLost(channel, now));
  }

  // ---- ways --------------------------------------------------------------------------------------------------------------

  /** Frames to this cluster can be sent, or cannot any more, or take another way. */
  reachChanged(sink: string): void {
    const hop = this.#options.router.hop(sink);
    this.#ground.predecessor.reachChanged(sink, hop !== undefined);
    for (const flow of this.#ground.queues.flowsTo(sink)) flow.route();
    if (hop === sink) this.#openings.serveStatics(sink);
  }

  /** The link to this neighbour is gone: what was handed to it and not taken is sent again once notes are compared. */
  linkLost(neighbour: string): void {
    this.#ground.forwarders.reset(neighbour);
  }

  /** No stream hands anything to this neighbour, or waits for its word. */
  nothingBy(neighbour: string): boolean {
    return this.#flows().every((flow) => !flow.goesBy(neighbour));
  }

  writable(neighbour: string): void {
    this.#ground.forwarders.pump(neighbour, this.#options.clock.now());
  }

  /** What the connectors permit has changed; routes have been judged anew before. */
  reconsider(): void {
    for (const flow of this.#flows()) flow.permit();
    this.#openings.serveEverything();
  }

  // ---- what peers say ------------------------------------------------------------------------------------------------------

  /** Another cluster's demand came, has another way or none, or was withdrawn. */
  routeChanged(route: Route): void {
    const { sink, destination } = route;
    const flow = this.#ground.queues.flow(sink, destination);
    if (route.state === 'standing') {
      flow?.route();
      this.#openings.serve(route);
    } else if (flow && !this.#openings.isStatic(sink, destination)) {
      flow.run((machine, now) => machine.withdraw('the sink has no consumer any more', now));
    }
  }

  frame(frame: SourceFrame): void {
    switch (frame.kind) {
      case 'collected':
        this.#ground.predecessor.collected(frame);
        break;
      case 'resume':
        this.#with(frame, (machine, now) => machine.resumed(frame, now));
        break;
      case 'refuse':
        this.#with(frame, (machine, now) => machine.refused(frame, frame.reason, frame.retryAfterMs, now));
        break;
      case 'credit':
        this.#with(frame, (machine, now) => machine.credited(frame, now));
        break;
      case 'settle':
        this.#with(frame, (machine, now) => machine.settled(frame, now));
        break;
      case 'gap':
        this.#with(frame, (machine, now) => machine.missed(frame, frame.missing, now));
        break;
      default:
        throw new Error(`unexpected ${frame satisfies never}`);
    }
  }

  #with(
    { address }: { readonly address: StreamAddress },
    act: (machine: SourceStream, now: number) => readonly SourceEffect[],
  ): void {
    this.#ground.queues.flow(address.sink, address.destination)?.run(act);
  }

  // ---- streams that no demand of a queue asks for ----------------------------------------------------------------------------

  /**
   * Opens such a stream, or takes up one that is ending: from `queue` of the own cluster to `sink`. Its messages wait while there is
   * no way. Returns why there is no stream, or undefined.
   */
  draw(sink: string, destination: Destination, properties: QueueProperties): Unserved | undefined {
    return this.#openings.draw(sink, destination, properties);
  }

  /** Ends a stream that `draw` opened. */
  release(sink: string, destination: Destination, reason: string): void {
    this.#ground.queues.flow(sink, destination)?.run((machine, now) => machine.withdraw(reason, now));
  }

  #ended(flow: SourceFlow, reason: string): void {
    const { sink, destination } = flow;
    const { queues, wakes } = this.#ground;
    wakes.delete(flow);
    this.#options.log.debug({ destination: destination.name, peer: sink, reason }, 'stream ended');
    queues.ended(flow);
    if (this.#draining && this.#flows().length === 0) this.#drained?.();
    if (this.#draining || this.#ground.closed) return;
    if (destination.kind !== 'queue') return this.#options.ended(sink, destination);
    const route = this.#options.router.table.get(sink, destination);
    if (route?.best) this.#openings.serve(route);
    else this.#openings.retryLater();
  }

  // ---- stop and view -----------------------------------------------------------------------------------------------------

  /** Forwards and settles what was taken; at the deadline the rest is given back, and said. */
  async drain(deadline: number): Promise<LeftOver[]> {
    this.#draining = true;
    this.#openings.drain();
    const { clock } = this.#options;
    const earlier = this.#drained;
    const finished = new Promise<void>((resolve) => {
      this.#drained = () => {
        earlier?.();
        resolve();
      };
    });
    for (const flow of this.#flows()) flow.run((machine, now) => machine.drain(now));
    if (this.#flows().length === 0) return [];
    let cancel = (): void => {};
    const late = new Promise<void>((resolve) => {
      cancel = clock.wake(deadline, resolve);
    });
    await Promise.race([finished, late]);
    cancel();
    const left = leftOver(this.streamViews());
    for (const flow of this.#flows()) flow.run((machine, now) => machine.abandon('draining', now));
    return left;
  }

  /**
   * What is held for a peer that will not return goes back to its queues, as it would when the hold is over; a stream that the peer
   * takes up again begins where it was. Says what that is, or would be.
   */
  giveBack(peer: string, dryRun: boolean): GivenBack[] {
    return this.#ground.queues.flowsTo(peer).flatMap((flow) => {
      const { messages, sent } = flow.machine.held;
      if (!dryRun) flow.run((machine, now) => machine.giveBack(now));
      return messages > 0 ? { destination: shownName(flow.destination), messages, mayBeDoubled: sent } : [];
    });
  }

  /** Lets go of everything: what is not settled goes back, consumers are cancelled, and nothing is done any more. */
  close(): void {
    const { limits, predecessor, restarts, wakes } = this.#ground;
    for (const flow of this.#flows()) {
      flow.run((machine, now) => machine.abandon('no longer master', now));
      flow.cancelConsumers();
    }
    this.#ground.closed = true;
    for (const part of [limits, predecessor, restarts, this.#openings]) part.close();
    wakes.clear();
  }

  demandViews(): DemandView[] {
    const { agreement, router } = this.#options;
    return [...router.table.standing()]
      .filter(({ destination }) => destination.kind !== 'cluster')
      .map((route) => {
        const { sink, destination, best, last } = route;
        const passage = best && agreement.outbound(best.neighbour, destination);
        const unserved = this.#unserved(route);
        const blocked = this.#ground.queues.flow(sink, destination)?.machine.blocked;
        return {
          kind: destination.kind,
          destination: destination.name,
          cluster: sink,
          consumers: last.consumers,
          unserved: unserved?.reason ?? blocked?.reason,
          detail: unserved?.detail ?? blocked?.detail,
          connectors: passage?.open ? [passage.connector.name] : [],
        };
      });
  }

  /**
   * What other clusters want of this one, with a stream or without; replies left out.
   * @param streams as they are shown now: why each of them does not move is found out once
   */
  *wanted(streams: readonly StreamView[]): Generator<Wanted> {
    const { agreement, router } = this.#options;
    for (const { role, kind, destination: name, peer: sink, connector, ...stream } of streams) {
      if (role !== 'source' || kind === 'reply') continue;
      const destination = { kind, name };
      const { blockedReason: reason, last: sent, heldMs } = stream;
      yield { destination, queue: drawnFrom(sink, destination), sink, connector, reason, sent, heldMs };
    }
    for (const route of router.table.standing()) {
      const { sink, destination, best } = route;
      const unserved = this.#unserved(route);
      const { queues } = this.#ground;
      if (destination.kind !== 'queue' || !unserved || queues.flow(sink, destination)) continue;
      if (!queues.known(destination.name)) continue;
      const connector = agreement.outbound(best?.neighbour ?? sink, destination).connector?.name ?? '';
      const { reason } = unserved;
      yield { destination, queue: destination.name, sink, connector, reason, sent: 0, heldMs: undefined };
    }
  }

  /** Why a demand has no stream. Of one that never had a way nobody was told. */
  #unserved(route: Route): Unserved | undefined {
    const { agreement } = this.#options;
    return route.best ? route.unserved : unroutable(route, (hop) => agreement.outbound(hop, route.destination));
  }

  streamViews(): StreamView[] {
    return this.#flows().map((flow) => flow.view());
  }

  #flows(): SourceFlow[] {
    return this.#ground.queues.flows();
  }
}
