import { Fault, messageOf } from '@tombolo/kernel/fault';
import { Wakes } from '@tombolo/kernel/wakes';
import type { Destination, QueueProperties } from '@tombolo/wire/frame';
import type { Passage } from '../routing/agreement.ts';
import type { Route, Unserved } from '../routing/route-table.ts';
import { type OpenPassage, SourceFlow } from './source-flow.ts';
import type { SourceGround } from './source-ground.ts';
import { drawnFrom, refusedSource } from './source-queues.ts';

const ABSENT_RETRY_MS = 5_000;
/** Below this, a few lost connections in a row may cost messages. */
const LOW_LIMIT = 5;

/** Opens streams: for the demands of peers, for queues that are forwarded without demand, and for what is drawn otherwise. */
export class SourceOpenings {
  readonly #ground: SourceGround;
  readonly #wakes: Wakes<'retry'>;
  #brokerUp = false;
  #draining = false;
  #epochs = 0;

  constructor(ground: SourceGround) {
    this.#ground = ground;
    this.#wakes = new Wakes(ground.surroundings.clock, () => this.serveEverything());
  }

  brokerUp(up: boolean): void {
    this.#brokerUp = up;
  }

  /** Nothing more is opened. */
  drain(): void {
    this.#draining = true;
  }

  close(): void {
    this.#wakes.clear();
  }

  // ---- remote demand -----------------------------------------------------------------------------------------------------

  serveEverything(): void {
    const { agreement, router } = this.#ground.surroundings;
    for (const route of [...router.table.standing()]) this.serve(route);
    for (const peer of agreement.peers) this.serveStatics(peer);
  }

  serveQueue(name: string): void {
    const { agreement, router } = this.#ground.surroundings;
    for (const route of [...router.table.demandsOf({ kind: 'queue', name })]) this.serve(route);
    for (const peer of agreement.outboundPeers()) this.#serveStatic(peer, name);
  }

  /** Opens a stream for this demand, or notes why there is none. */
  serve(route: Route): void {
    const { sink, destination, best, last } = route;
    const { agreement, cluster, router } = this.#ground.surroundings;
    if (destination.kind !== 'queue' || this.#draining) return;
    const { name } = destination;
    if (!best) {
      route.unserved = unroutable(route, (neighbour) => agreement.outbound(neighbour, destination));
      return;
    }
    const passage = agreement.outbound(best.neighbour, destination);
    if (!passage.open) return;
    const { connector } = passage;
    const properties = this.#ground.queues.known(name);
    if (properties) {
      route.unserved = this.#open(sink, destination, properties, passage);
      return;
    }
    if (!this.#brokerUp) return;
    const create = connector.createDestinations === 'source' || connector.createDestinations === 'both';
    const later = (reason: string, detail: string): void => {
      route.unserved = { reason, detail };
      this.retryLater();
    };
    this.#inspect(name, create ? last.queue : undefined).then(
      (found) => {
        if (this.#ground.closed || router.table.get(sink, destination) !== route) return;
        if (found) route.unserved = this.#open(sink, destination, found, passage);
        else later('queue_absent', `queue ${name} does not exist on ${cluster}`);
      },
      (thrown: unknown) => later(isUnavailable(thrown) ? 'queue_unavailable' : 'no_permission', messageOf(thrown)),
    );
  }

  /** Whatever is wanted and has no stream is looked at again after a while: at once, what is gone would be asked for in a circle. */
  retryLater(): void {
    this.#wakes.set('retry', this.#ground.surroundings.clock.now() + ABSENT_RETRY_MS);
  }

  async #inspect(name: string, create: QueueProperties | undefined): Promise<QueueProperties | undefined> {
    const { broker, cluster, log } = this.#ground.surroundings;
    const found = await broker.source.inspect(name);
    if (found || !create) return found?.properties;
    await broker.source.declare(name, create);
    log.info({ queue: name, cluster }, 'queue declared');
    return create;
  }

  // ---- without demand ----------------------------------------------------------------------------------------------------

  /** Queues that are forwarded without demand. */
  serveStatics(peer: string): void {
    const { queues, surroundings } = this.#ground;
    for (const name of new Set([...queues.names(), ...surroundings.agreement.exactQueues()]))
      this.#serveStatic(peer, name);
  }

  isStatic(sink: string, destination: Destination): boolean {
    const { agreement } = this.#ground.surroundings;
    if (!agreement.peers.includes(sink)) return false;
    const passage = agreement.outbound(sink, destination);
    return passage.open && passage.static;
  }

  #serveStatic(peer: string, name: string): void {
    const { agreement, log, router } = this.#ground.surroundings;
    const passage = agreement.outbound(peer, { kind: 'queue', name });
    if (!passage.open || !passage.static || this.#draining || !router.isLinked(peer)) return;
    const properties = this.#ground.queues.known(name);
    if (properties) this.#open(peer, { kind: 'queue', name }, properties, passage);
    else if (this.#brokerUp) {
      this.#inspect(name, undefined).then(
        (found) => {
          if (this.#ground.closed) return;
          if (found) this.#open(peer, { kind: 'queue', name }, found, passage);
          else this.retryLater();
        },
        (thrown: unknown) => {
          if (this.#ground.closed) return;
          log.warn({ queue: name, reason: messageOf(thrown) }, 'queue cannot be inspected, trying again');
          this.retryLater();
        },
      );
    }
  }

  /**
   * Opens a stream that no demand of a queue asks for, or takes up one that is ending: from `queue` of the own cluster to `sink`. Its
   * messages wait while there is no way. Returns why there is no stream, or undefined.
   */
  draw(sink: string, destination: Destination, properties: QueueProperties): Unserved | undefined {
    const { agreement, cluster, router } = this.#ground.surroundings;
    if (this.#draining) return { reason: 'refused', detail: `the bridge of ${cluster} is draining` };
    const passage = agreement.outbound(router.dataHop(sink, destination) ?? sink, destination);
    if (!passage.open) return { reason: passage.reason, detail: passage.detail };
    return this.#open(sink, destination, properties, passage);
  }

  #open(
    sink: string,
    destination: Destination,
    properties: QueueProperties,
    passage: OpenPassage,
  ): Unserved | undefined {
    const refusal = refusedSource(properties);
    if (refusal) {
      const { cluster } = this.#ground.surroundings;
      return { reason: 'refused', detail: `queue ${drawnFrom(sink, destination)} on ${cluster}: ${refusal}` };
    }
    const queue = this.#ground.queues.drawn(sink, destination);
    queue.properties = properties;
    const existing = queue.flows.get(sink);
    if (existing && existing.machine.phase !== 'ended') {
      existing.run((machine, now) => machine.demanded(now));
      existing.run((machine, now) => machine.reconsider(now));
      return undefined;
    }
    const { deliveryLimit } = properties;
    if (deliveryLimit !== undefined && deliveryLimit < LOW_LIMIT) {
      const fields = { queue: queue.name, peer: sink, deliveryLimit };
      this.#ground.surroundings.log.warn(
        fields,
        'a queue with a low delivery limit is bridged: a lost connection counts',
      );
    }
    const flow = new SourceFlow(this.#ground, queue, sink, destination, ++this.#epochs, passage);
    queue.flows.set(sink, flow);
    if (!this.#brokerUp) flow.run((machine, now) => machine.brokerUp(false, now));
    flow.route();
    return undefined;
  }
}

/** It is there, and cannot be used for now. */
function isUnavailable(thrown: unknown): boolean {
  return thrown instanceof Fault && thrown.code === 'TOMBOLO_QUEUE_UNAVAILABLE';
}

/** Why none of the known ways to a demand can be used. */
export function unroutable({ ways, sink }: Route, outbound: (neighbour: string) => Passage): Unserved {
  for (const [neighbour, { connector, ttl }] of ways) {
    const passage = outbound(neighbour);
    if (!passage.open) return { reason: passage.reason, detail: passage.detail };
    if (ttl === 0) return { reason: 'paused', detail: `connector ${connector} is paused at ${neighbour}` };
  }
  return { reason: 'no_route', detail: `no way to ${sink} is known at present` };
}
