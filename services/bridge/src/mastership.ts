import type { Topology } from '@tombolo/topology/topology';
import type { BindingsRequestFrame, Destination, Frame, QueueProperties, RelayableFrame } from '@tombolo/wire/frame';
import { limits } from '@tombolo/wire/limits';
import { proofKeys, provenPath, withProof } from '@tombolo/wire/proof';
import type { Site } from './admin/site.ts';
import type { BridgeView, LeftOver, StreamView, WaitingView } from './admin/view.ts';
import type { Broker, QueueDemand } from './broker/port.ts';
import type { BridgeParts } from './host.ts';
import { Replies } from './reply/replies.ts';
import { ReplyLanding } from './reply/reply-landing.ts';
import { isReplyName, type ReplyOrigin } from './reply/reply-origin.ts';
import type { Agreement } from './routing/agreement.ts';
import { shownName } from './routing/destination-key.ts';
import { Questions } from './routing/questions.ts';
import { type LinkPort, Router } from './routing/router.ts';
import { BacklogWatch } from './stream/backlog-watch.ts';
import { DeadLetters } from './stream/dead-letters.ts';
import type { Differences } from './stream/differences.ts';
import { queueLanding } from './stream/landing.ts';
import { ParkedMessages } from './stream/parked-messages.ts';
import type { RecordStore } from './stream/record-store.ts';
import { Recorder } from './stream/recorder.ts';
import { type SinkFrame, SinkHalf } from './stream/sink-half.ts';
import { SinkRecords } from './stream/sink-records.ts';
import { SourceHalf } from './stream/source-half.ts';
import { Surveyor } from './surveyor.ts';
import type { SeenExchanges } from './topic/seen-exchanges.ts';
import { TopicSink } from './topic/topic-sink.ts';
import { TopicSource } from './topic/topic-source.ts';
import { Tracer } from './tracer.ts';

export interface MastershipOptions extends BridgeParts {
  readonly incarnation: number;
  readonly agreement: Agreement;
  readonly broker: Broker;
  readonly links: LinkPort;
  readonly differences: Differences;
  readonly exchanges: SeenExchanges;
  readonly replyOrigin: ReplyOrigin;
  readonly wallClock: () => number;
  readonly view: () => BridgeView;
  /** Where the record of what is in doubt outlives the process; absent: nowhere. */
  readonly createRecordStore?: () => RecordStore;
  readonly replies?: { readonly validMs?: number; readonly expiresMs?: number };
}

/** What lives as long as this bridge is the master of its cluster: routes, the two halves of its streams, topics and replies. */
export class Mastership {
  readonly incarnation: number;
  readonly router: Router;
  readonly source: SourceHalf;
  readonly sink: SinkHalf;
  readonly tracer: Tracer;
  readonly surveyor: Surveyor;
  readonly replies: Replies;
  readonly topicSink: TopicSink;
  readonly topicSource: TopicSource;
  readonly deadLetters: DeadLetters;
  readonly parkedMessages: ParkedMessages;
  readonly #backlog: BacklogWatch;
  readonly #cluster: string;
  readonly #exchanges: SeenExchanges;
  readonly #questions: Questions;
  readonly #recorder: Recorder | undefined;
  #topology: Topology;
  #proofKeys: readonly Uint8Array[];

  constructor(options: MastershipOptions) {
    const { agreement, broker, clock, cluster, exchanges, incarnation, links, log, metrics } = options;
    const { replyOrigin, topology, view, wallClock } = options;
    const settings = topology.clusters[cluster]!.bridge;
    const { inFlightBytes } = settings;
    // Once each: a peer can send any number of them.
    const told = new Set<string>();
    const router = new Router({
      cluster,
      incarnation,
      agreement: agreement,
      links,
      clock,
      inFlightBytes,
      relayed: (neighbour, messages) => metrics.transit(neighbour, messages),
      refused: (neighbour, kind) => {
        metrics.frameRefused(neighbour, kind);
        const key = `${neighbour} ${kind}`;
        if (told.has(key)) return;
        told.add(key);
        const reason = `no connector with ${neighbour} lets it say this: compare networkTTL in both files, or mistrust its bridge`;
        log.warn({ peer: neighbour, frame: kind, reason }, 'frames refused');
      },
      listener: {
        routeChanged: (route) => {
          source.routeChanged(route);
          topicSource.routeChanged(route);
        },
        reachChanged: (peer) => {
          sink.reachable(peer, router.hop(peer) !== undefined);
          source.reachChanged(peer);
        },
        received: (via, frame, consumed) => {
          if (isForSink(frame)) return sink.frame(via, frame, consumed);
          if (frame.kind === 'bindings-request') {
            if (mayTellBindings(agreement, frame)) topicSink.requested(frame);
          } else if (frame.kind === 'bindings') topicSource.answered(frame);
          else if (frame.kind === 'ask' || frame.kind === 'answer') questions.frame(frame);
          else source.frame(frame);
          consumed();
        },
        writable: (neighbour) => source.writable(neighbour),
      },
    });
    const half = {
      differences: options.differences,
      cluster,
      incarnation,
      agreement: agreement,
      router,
      metrics,
      log,
      clock,
      wallClock,
      broker: broker,
      inFlightBytes,
    };
    this.#cluster = cluster;
    this.#topology = topology;
    this.#proofKeys = proofKeys(topology.network, cluster, settings.secrets);
    const topicSink = new TopicSink({
      cluster,
      incarnation,
      router,
      clock,
      proven: (message) => withProof(message, this.#proofKeys),
      unroutable: (exchange, messages) => metrics.unroutable(exchange, messages),
    });
    const origin = replyOrigin;
    const replies = new Replies({
      ...half,
      ...options.replies,
      origin,
      knows: (name) => this.#topology.clusters[name] !== undefined,
      draw: (to, queue) => source.draw(to, replyTo(queue), replyQueue),
      release: (to, queue) => source.release(to, replyTo(queue), 'nobody is answered by it any more'),
    });
    const landings = { queue: queueLanding, topic: topicSink, reply: new ReplyLanding(origin, metrics, wallClock) };
    const recorder = recorderOf(options);
    const sink = new SinkHalf({
      ...half,
      landing: (kind) => (kind === 'cluster' ? queueLanding : landings[kind]),
      admission: replies,
      records: recorder && new SinkRecords(recorder, clock, wallClock),
    });
    const deadLetters = new DeadLetters({
      ...{ broker, settings: settings.deadLetters, metrics, log, clock, wallClock, incarnation },
      restored: (properties) => origin.restored(properties),
    });
    const source: SourceHalf = new SourceHalf({
      ...half,
      deadLetters,
      ended: (peer, destination) => {
        if (destination.kind === 'reply') replies.ended(destination.name);
        else topicSource.ended(peer, destination);
      },
      drew: ({ kind, name }) => {
        if (kind === 'reply') replies.replied(name);
      },
      replyTo: () => origin.rewriter(wallClock()),
      spared: (destination) => sink.spared(destination),
      screen: (peer, destination, delivery) => topicSource.screen(peer, destination, delivery),
    });
    const seen = exchanges;
    const topicSource = new TopicSource({
      ...{ cluster, agreement: agreement, router, broker: broker, source, seen, clock, log },
      bridged: (delivery) => provenPath(delivery, this.#proofKeys) !== undefined,
    });
    const questions: Questions = new Questions({
      ...{ cluster, clock },
      send: (frame) => router.send(frame),
      answer: (destination) => tracer.answer(destination),
      site: () => siteText(surveyor.own()),
    });
    const tracer = new Tracer({ ...half, questions, topology: () => this.#topology, view });
    const surveyor = new Surveyor({ ...half, questions, topology: () => this.#topology, view });
    this.incarnation = incarnation;
    this.router = router;
    this.source = source;
    this.sink = sink;
    this.tracer = tracer;
    this.surveyor = surveyor;
    this.#questions = questions;
    this.replies = replies;
    this.topicSink = topicSink;
    this.topicSource = topicSource;
    this.deadLetters = deadLetters;
    this.parkedMessages = new ParkedMessages(broker, deadLetters, log);
    this.#backlog = new BacklogWatch({
      clock,
      probe: (queue) => broker.sink.probe(queue),
    });
    this.#exchanges = exchanges;
    this.#recorder = recorder;
    exchanges.watchedBy({
      exchangeChanged: (exchange, now) => {
        topicSink.exchangeChanged(exchange, now);
        topicSource.exchangeChanged(exchange);
      },
      bindingsVisible: (visible) => topicSink.bindingsVisible(visible),
    });
  }

  /** What an operator should know, as sentences. */
  get troubles(): readonly string[] {
    const trouble = this.#recorder?.trouble;
    return trouble === undefined ? [] : [trouble];
  }

  /** What waits here although peers want it. @param streams as they are shown now */
  waiting(streams: readonly StreamView[]): readonly WaitingView[] {
    return this.#backlog.views([...this.source.wanted(streams)]);
  }

  /** Another topology is in force: what is asked of it from now on is asked of that. The halves are told by `reconsider`. */
  amended(topology: Topology): void {
    this.#topology = topology;
    const { secrets } = topology.clusters[this.#cluster]!.bridge;
    this.#proofKeys = proofKeys(topology.network, this.#cluster, secrets);
  }

  /** Nothing is under way by this neighbour, in either direction. */
  nothingBy(neighbour: string): boolean {
    return this.source.nothingBy(neighbour) && this.sink.nothingBy(neighbour);
  }

  /** The consumers of the own cluster on this queue. */
  demanded(demand: QueueDemand): void {
    this.sink.demand(demand);
    this.source.localConsumers(demand.queue, demand.consumers);
  }

  queueDeleted(queue: string): void {
    this.sink.queueDeleted(queue);
    this.source.queueDeleted(queue);
    if (isReplyName(queue)) this.replies.gone(queue);
  }

  /** No connector means this queue any more, and nothing more is heard of it. */
  queueUnwatched(queue: string): void {
    this.sink.queueDeleted(queue);
    this.source.queueUnwatched(queue);
  }

  /** The broker has this queue. One for replies is served by its name, every other one as its filters say. */
  queueFound(queue: string, properties: QueueProperties): void {
    if (isReplyName(queue)) this.replies.found(queue);
    else {
      this.source.queueCreated(queue, properties);
      this.sink.queueFound(queue);
    }
  }

  /** Takes nothing more and settles what is under way, until the deadline (monotonic ms). Resolves with what was not settled by then. */
  async drain(deadline: number): Promise<readonly LeftOver[]> {
    const left = await Promise.all([this.sink.drain(deadline), this.source.drain(deadline)]);
    return left.flat();
  }

  /** Lets go of everything, in the order in which it leans on each other. */
  close(): void {
    this.#exchanges.watchedBy(undefined);
    this.#questions.close();
    this.replies.close();
    this.topicSource.close();
    this.topicSink.close();
    this.source.close();
    this.deadLetters.close();
    this.sink.close();
    this.router.close();
  }
}

/** One that is too large to be told is not told. */
function siteText(site: Site): string | undefined {
  const text = JSON.stringify(site);
  return Buffer.byteLength(text) > limits.siteBytes ? undefined : text;
}

/** Who writes down what is in doubt, if the cluster's section says where. */
function recorderOf({ createRecordStore, clock, wallClock, log, metrics }: MastershipOptions): Recorder | undefined {
  if (!createRecordStore) return undefined;
  return new Recorder({
    ...{ store: createRecordStore(), clock, wallClock, log },
    changed: (up) => metrics.deduplicationUp(up),
    unrecorded: ({ destination }, connector, messages) =>
      metrics.possibleDuplicates(connector, shownName(destination), 'unrecorded', messages),
  });
}

const replyQueue: QueueProperties = { type: 'classic', durable: true, expires: true };

function replyTo(queue: string): Destination {
  return { kind: 'reply', name: queue };
}

/**
 * What is bound to an exchange is told where some connector, be it paused, lets messages of the exchange come here. Whose it is does not
 * matter: in a one-way ring the question comes by the short way, by which no message may come.
 */
function mayTellBindings(agreement: Agreement, { exchange }: BindingsRequestFrame): boolean {
  const destination: Destination = { kind: 'topic', name: exchange };
  return agreement.peers.some((peer) => agreement.inbound(peer, destination).connector !== undefined);
}

/** Frames that the sink's half of the receiver is meant to read. */
function isForSink(frame: RelayableFrame): frame is SinkFrame {
  return sinkKinds.has(frame.kind);
}

const sinkKinds: ReadonlySet<Frame['kind']> = new Set<SinkFrame['kind']>([
  'open',
  'messages',
  'state',
  'closed',
  'collect',
  'forget',
]);
