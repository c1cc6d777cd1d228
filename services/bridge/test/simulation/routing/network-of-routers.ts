import type { Connector, Inclusion, Topology } from '@tombolo/topology/topology';
import type { Destination, Frame, MessagesFrame } from '@tombolo/wire/frame';
import { Agreement } from '../../../src/routing/agreement.ts';
import { Router } from '../../../src/routing/router.ts';

const sizes = { prefetchSize: 1_000, largestWindow: 8_000, prefetchBytes: 32 * 1024 * 1024, rateLimit: undefined };

/** A connector in short; what is not named takes the default. */
export interface ConnectorSketch {
  readonly from: string;
  readonly to: string;
  readonly name?: string;
  readonly duplex?: boolean;
  readonly networkTTL?: number;
  readonly queues?: readonly string[];
  readonly excluded?: readonly string[];
}

/** A topology with these connectors, as routing needs it. */
export function topologyOf(connectors: readonly ConnectorSketch[]): Topology {
  return { network: 'test', clusters: {}, connectors: connectors.map(connectorOf), warnings: [] };
}

export function connectorOf(sketch: ConnectorSketch): Connector {
  const { from, to, duplex = false, networkTTL = 1, queues = ['>'], excluded = [] } = sketch;
  const inclusion = (pattern: string): Inclusion => ({ kind: 'queue', pattern, ...sizes });
  return {
    ...{ name: sketch.name ?? `${from}-${to}`, from, to, duplex, networkTTL, ...sizes },
    ...{ autoStart: true, paused: false, staticallyIncluded: [] },
    dynamicallyIncluded: queues.map(inclusion),
    excluded: excluded.map((pattern) => ({ kind: 'queue', pattern })),
    ...{ createDestinations: 'none', volatileDestinations: 'refuse', holdWhenLinkLostMs: 60_000 },
    ...{ decreaseNetworkConsumerPriority: true, conduitSubscriptions: true },
    topicBuffer: { ttlMs: 0, maxLength: 0, maxBytes: 0, queueType: 'classic' },
  };
}

export function queueOf(name: string): Destination {
  return { kind: 'queue', name };
}

/** One bridge without its broker: the router, and what its neighbours and its halves have told it. */
export interface Node {
  readonly name: string;
  readonly agreement: Agreement;
  router: Router;
  incarnation: number;
  readonly demands: Map<string, number>;
  /** Messages and answers that arrived, by the number they were sent with. */
  readonly received: number[];
  /** How often its halves were told that a demand has another way, or none. */
  rerouted: number;
}

export interface NetworkSketch {
  readonly connectors: readonly ConnectorSketch[];
  /** What a link does with frames: `written` when one is sent, `read` gives back what arrives. */
  readonly wire?: { written(frame: Frame): unknown; read(written: unknown): Frame };
  /** Runs what a router does with a frame: there it can be measured. */
  readonly around?: (cluster: string, work: () => void) => void;
}

/**
 * Routers joined by links in memory, in order per link, under a clock that is moved by hand. Nothing arrives until it is
 * delivered: one frame at a time by whatever choice, or all.
 */
export class NetworkOfRouters {
  readonly nodes = new Map<string, Node>();
  /** Pairs that some connector joins. */
  readonly pairs: readonly (readonly [string, string])[];
  /** sender → receiver, in order, for every link that is up. */
  readonly #lanes = new Map<string, Lane>();
  readonly #sketch: NetworkSketch;
  readonly #topology: Topology;
  readonly #paused = new Map<string, Set<string>>();
  #busy: Lane[] = [];
  #now = 1_000_000;
  #messages = 0;
  /** Frames that were sent, by kind. */
  readonly sent = new Map<Frame['kind'], number>();
  /** Who handed the message of this number to whom. */
  readonly #hops = new Map<number, string[]>();

  constructor(sketch: NetworkSketch) {
    this.#sketch = sketch;
    this.#topology = topologyOf(sketch.connectors);
    const names = new Set(sketch.connectors.flatMap(({ from, to }) => [from, to]));
    for (const name of [...names].sort()) this.nodes.set(name, this.#node(name));
    const keys = sketch.connectors.map(({ from, to }) => [from, to].sort().join(' '));
    this.pairs = [...new Set(keys)].map((key) => key.split(' ') as [string, string]);
  }

  get now(): number {
    return this.#now;
  }

  get topology(): Topology {
    return this.#topology;
  }

  node(name: string): Node {
    return this.nodes.get(name)!;
  }

  // ---- what happens to it --------------------------------------------------------------------------------------------------

  connectAll(): void {
    for (const [a, b] of this.pairs) this.connect(a, b);
  }

  isUp(a: string, b: string): boolean {
    return this.#lanes.has(laneKey(a, b));
  }

  connect(a: string, b: string): void {
    if (this.isUp(a, b)) return;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#lanes.set(laneKey(from, to), { from, to, frames: [], at: 0 });
    }
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const { agreement, router } = this.node(from);
      this.#send(from, to, agreement.frameFor(to));
      this.#around(from, () => router.linkUp(to));
    }
  }

  cut(a: string, b: string): void {
    if (!this.isUp(a, b)) return;
    for (const key of [laneKey(a, b), laneKey(b, a)]) {
      const lane = this.#lanes.get(key)!;
      lane.frames = [];
      lane.at = 0;
      this.#lanes.delete(key);
    }
    for (const [own, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      this.node(own).agreement.linkLost(peer);
      this.#around(own, () => this.node(own).router.linkLost(peer));
    }
  }

  advertise(cluster: string, queue: string, consumers = 1): void {
    const node = this.node(cluster);
    node.demands.set(queue, consumers);
    this.#around(cluster, () =>
      node.router.advertise({ destination: queueOf(queue), consumers, queue: { type: 'classic', durable: true } }),
    );
  }

  withdraw(cluster: string, queue: string): void {
    const node = this.node(cluster);
    node.demands.delete(queue);
    this.#around(cluster, () => node.router.withdraw(queueOf(queue)));
  }

  /** An operator at this cluster pauses or resumes one of its connectors. */
  setPaused(cluster: string, connector: string, paused: boolean): void {
    const { agreement, router } = this.node(cluster);
    const set = this.#paused.get(cluster) ?? new Set();
    this.#paused.set(cluster, set);
    if (paused) set.add(connector);
    else set.delete(connector);
    agreement.setPaused(connector, paused);
    this.#around(cluster, () => router.reconsider());
  }

  isPaused(connector: string): boolean {
    return [...this.#paused.values()].some((paused) => paused.has(connector));
  }

  /** The bridge ends with its links, and another begins; it knows of `demands` only what its broker has now. */
  restart(cluster: string, demands: readonly string[] = [...this.node(cluster).demands.keys()]): void {
    const node = this.node(cluster);
    const peers = node.agreement.peers.filter((peer) => this.isUp(cluster, peer));
    for (const peer of peers) this.cut(cluster, peer);
    node.router.close();
    node.incarnation++;
    node.router = this.#router(node);
    node.demands.clear();
    for (const queue of demands) this.advertise(cluster, queue);
    node.router.setSighted(true);
    for (const peer of peers) this.connect(cluster, peer);
  }

  // ---- delivery ------------------------------------------------------------------------------------------------------------

  /** Links on which something is under way. */
  get busy(): number {
    this.#busy = this.#busy.filter((lane) => lane.at < lane.frames.length);
    return this.#busy.length;
  }

  /** Delivers the next frame of the n-th busy link; `lose` drops it instead. False: nothing is under way. */
  deliver(n: number, lose = false): boolean {
    const busy = this.busy;
    if (busy === 0) return false;
    this.#next(this.#busy[n % busy]!, lose);
    return true;
  }

  /** Delivers everything that is under way, and what follows from it, link by link in turn. @returns how many frames */
  settle(most = Number.POSITIVE_INFINITY): number {
    let delivered = 0;
    while (this.#busy.length > 0) {
      const busy = this.#busy;
      this.#busy = [];
      for (const lane of busy) {
        for (const end = lane.frames.length; lane.at < end && lane.frames.length > 0; delivered++)
          this.#next(lane, false);
        if (lane.at < lane.frames.length && !this.#busy.includes(lane)) this.#busy.push(lane);
      }
      if (delivered > most) throw new Error(`more than ${most} frames, and no end`);
    }
    return delivered;
  }

  /** Time passes; every `every` ms all bridges tick, and what they say arrives. */
  pass(ms: number, every = 30_000): void {
    for (const end = this.#now + ms; this.#now < end; ) {
      this.#now = Math.min(end, this.#now + every);
      for (const { name, router } of this.nodes.values()) this.#around(name, () => router.tick());
      this.settle();
    }
  }

  // ---- what can be seen ----------------------------------------------------------------------------------------------------

  get frames(): number {
    let frames = 0;
    for (const count of this.sent.values()) frames += count;
    return frames;
  }

  /** The path, source first, that routing tables promise for messages; undefined: there is no way. */
  promised(source: string, sink: string, queue: string): string[] | undefined {
    const best = this.node(source).router.table.get(sink, queueOf(queue))?.best;
    return best && [source, ...this.node(source).router.transits(sink, queueOf(queue)), sink];
  }

  /** Sends a message and settles. The clusters it came through, source first, and whether it arrived. */
  message(source: string, sink: string, queue: string): { readonly path: string[]; readonly arrived: boolean } {
    const number = ++this.#messages;
    const { router, incarnation } = this.node(source);
    const address = { source, sink, destination: queueOf(queue) };
    const path = [source];
    this.#hops.set(number, path);
    const hop = router.dataHop(sink, queueOf(queue));
    const frame: MessagesFrame = {
      ...{ kind: 'messages', address, incarnation, epoch: number, attempt: 1, last: 0, messages: [] },
    };
    if (hop !== undefined) router.sendData(hop, frame);
    this.settle();
    this.#hops.delete(number);
    return { path, arrived: this.node(sink).received.includes(number) };
  }

  /** Whether what the sink says of a message finds its way back. */
  isAnswered(source: string, sink: string, queue: string): boolean {
    const { router, incarnation } = this.node(sink);
    const number = ++this.#messages;
    const address = { source, sink, destination: queueOf(queue) };
    router.send({ kind: 'settle', address, incarnation, epoch: number, accepted: [], released: [], rejected: [] });
    this.settle();
    return this.node(source).received.includes(number);
  }

  // ---- inside --------------------------------------------------------------------------------------------------------------

  #node(name: string): Node {
    const agreement = new Agreement(this.#topology, name);
    const bare = { name, agreement, incarnation: 1, demands: new Map<string, number>(), received: [], rerouted: 0 };
    const node: Node = { ...bare, router: this.#router(bare) };
    node.router.setSighted(true);
    return node;
  }

  #router({ name, agreement, incarnation, received }: Omit<Node, 'router'>): Router {
    return new Router({
      ...{ cluster: name, incarnation, agreement, inFlightBytes: 1_000_000 },
      clock: { now: () => this.#now, wake: () => () => {} },
      links: {
        send: (peer, frame) => this.#send(name, peer, frame),
        sendData: (peer, frame) => this.#send(name, peer, frame),
      },
      relayed: () => {},
      refused: (neighbour, kind) => {
        throw new Error(`${name} refused a ${kind} frame of ${neighbour}, which is honest`);
      },
      listener: {
        routeChanged: () => {
          const node = this.nodes.get(name);
          if (node) node.rerouted++;
        },
        reachChanged: () => {},
        writable: () => {},
        received: (_via, frame, consumed) => {
          if (frame.kind === 'messages' || frame.kind === 'settle') received.push(frame.epoch);
          consumed();
        },
      },
    });
  }

  #send(from: string, to: string, frame: Frame): boolean {
    const lane = this.#lanes.get(laneKey(from, to));
    if (!lane) return false;
    this.sent.set(frame.kind, (this.sent.get(frame.kind) ?? 0) + 1);
    if (frame.kind === 'messages') this.#hops.get(frame.epoch)?.push(to);
    if (lane.at === lane.frames.length) {
      lane.frames = [];
      lane.at = 0;
      if (!this.#busy.includes(lane)) this.#busy.push(lane);
    }
    lane.frames.push(this.#sketch.wire ? this.#sketch.wire.written(frame) : frame);
    return true;
  }

  #next(lane: Lane, lose: boolean): void {
    const written = lane.frames[lane.at]!;
    lane.frames[lane.at++] = undefined; // what has arrived is not held in memory
    if (lose) return;
    const { agreement, router } = this.node(lane.to);
    this.#around(lane.to, () => {
      const frame = this.#sketch.wire ? this.#sketch.wire.read(written) : (written as Frame);
      if (frame.kind !== 'connectors') router.frame(lane.from, frame, () => {});
      else if (agreement.heard(lane.from, frame)) router.reconsider();
    });
  }

  #around(cluster: string, work: () => void): void {
    if (this.#sketch.around) this.#sketch.around(cluster, work);
    else work();
  }
}

interface Lane {
  readonly from: string;
  readonly to: string;
  frames: unknown[];
  at: number;
}

function laneKey(from: string, to: string): string {
  return `${from}\u0000${to}`;
}
