import { messageOf } from '@tombolo/kernel/fault';
import { Wakes } from '@tombolo/kernel/wakes';
import type {
  Destination,
  InDoubtFrame,
  MessagesFrame,
  OpenFrame,
  QueueProperties,
  StreamControlFrame,
  StreamEpoch,
  StreamMessage,
} from '@tombolo/wire/frame';
import type { DemandView, LeftOver, StreamView } from '../admin/view.ts';
import type { Broker, Publication, Publisher, PublisherHandler, QueueDemand } from '../broker/port.ts';
import { type DemandChange, DemandTable } from '../demand/demand-table.ts';
import { destinationKey, shownName } from '../routing/destination-key.ts';
import type { Admission } from './admission.ts';
import { MOST_TURNS } from './credit.ts';
import type { StreamEnd } from './differences.ts';
import type { SinkEffect } from './effects.ts';
import { InDoubtAnswers } from './in-doubt-answers.ts';
import type { Decided, Landing, LandingOutcome } from './landing.ts';
import { leftOver } from './left-over.ts';
import type { HalfOptions } from './shell.ts';
import { type DestinationEffect, SinkDestination } from './sink-destination.ts';
import { compareEpochs, type SinkStream } from './sink-machine.ts';
import type { SinkRecords } from './sink-records.ts';

const REFUSE_RETRY_MS = 5_000;
const BLIND_RETRY_MS = 250;

/** Frames that a sink reads. */
export type SinkFrame =
  | MessagesFrame
  | Extract<StreamControlFrame, { kind: 'open' | 'state' | 'closed' }>
  | Extract<InDoubtFrame, { kind: 'collect' | 'forget' }>;

/** The queue of one destination, with the publishers of its streams. */
interface Sinkhole {
  readonly machine: SinkDestination;
  readonly publishers: Map<string, { epoch: StreamEpoch; publisher: Publisher }>;
  /** source → the neighbour that its frames come by. */
  readonly vias: Map<string, string>;
  static: boolean;
  /** Of messages that are here, as last counted. */
  bytes: number;
}

export interface SinkHalfOptions extends HalfOptions {
  readonly broker: Broker;
  readonly inFlightBytes: number;
  /** How messages of this kind of destination get into the broker. */
  landing(kind: Destination['kind']): Landing;
  readonly admission: Admission;
  /** What is written of its streams for the next process; undefined: nothing is. */
  readonly records?: SinkRecords | undefined;
}

/**
 * The sink's half of a bridge: tells peers what its consumers want, publishes what comes, settles it. The decisions are made
 * by the machines; this shell brings them broker, links and time.
 */
export class SinkHalf {
  readonly #options: SinkHalfOptions;
  readonly #table = new DemandTable();
  readonly #answers: InDoubtAnswers;
  #sinkholes = new Map<string, Sinkhole>();
  #refused = new Map<string, string>();
  #wakes: Wakes<Sinkhole | 'demand'>;
  #brokerUp = false;
  #whyDown = 'its broker is not reachable';
  #closed = false;
  #bytes = 0;
  readonly #waiting: (() => void)[] = [];
  #draining = false;
  /** False: the site is to be emptied, nothing is brought in. */
  #receiving = true;

  constructor(options: SinkHalfOptions) {
    this.#options = options;
    const { cluster, router, clock } = options;
    this.#answers = new InDoubtAnswers(cluster, clock, (frame) => router.send(frame));
    this.#wakes = new Wakes(options.clock, (key) => {
      if (key === 'demand') this.#apply(this.#table.expire(this.#now()));
      else this.#run(key, key.machine.wake(this.#now()));
    });
  }

  // ---- local demand ------------------------------------------------------------------------------------------------------

  demand(told: QueueDemand): void {
    if (this.#draining) return;
    this.#apply(this.#table.changed(told, this.#now()));
    const sinkhole = this.#sinkholes.get(`queue:${told.queue}`);
    if (!sinkhole) return;
    setRoom(sinkhole.machine, told.properties);
    this.#judge(sinkhole, told.properties);
    if (told.ready !== undefined) this.#run(sinkhole, sinkhole.machine.noticed(told.ready, this.#now()));
  }

  /** The broker gave a message of this queue to this bridge's source half: the own consumers have no room. */
  spared(destination: Destination): void {
    const sinkhole = this.#sinkholes.get(destinationKey(destination));
    if (sinkhole) this.#run(sinkhole, sinkhole.machine.spared(this.#now()));
  }

  /** The own broker has this queue: it may be what was missing. */
  queueFound(queue: string): void {
    const sinkhole = this.#sinkholes.get(`queue:${queue}`);
    if (sinkhole) this.#run(sinkhole, sinkhole.machine.mended(this.#now()));
  }

  queueDeleted(queue: string): void {
    this.#apply(this.#table.deleted(queue));
  }

  /** The own broker's consumers are known; while they are not, what was told stands, and nothing new is said. */
  visible(visible: boolean): void {
    this.#options.router.setSighted(visible);
  }

  /** @param why it is not usable, as words that follow the cluster's name */
  brokerUp(up: boolean, why = 'its broker is not reachable'): void {
    this.#brokerUp = up;
    this.#whyDown = why;
    for (const sinkhole of this.#sinkholes.values()) this.#run(sinkhole, sinkhole.machine.brokerUp(up, this.#now()));
    if (!up) this.#options.admission.clear();
  }

  /** What the connectors permit has changed: streams that are not permitted any more are refused. */
  reconsider(): void {
    const { agreement, router } = this.#options;
    for (const { machine, vias } of this.#sinkholes.values()) {
      for (const [source, { address, epoch }] of machine.streams) {
        const passage = agreement.inbound(vias.get(source) ?? source, address.destination);
        if (passage.open || !epoch) continue;
        router.send({ kind: 'refuse', address, ...epoch, reason: passage.detail, retryAfterMs: REFUSE_RETRY_MS });
      }
    }
  }

  #apply(changes: readonly DemandChange[]): void {
    for (const change of changes) {
      switch (change.is) {
        case 'capacity': {
          const sinkhole = this.#sinkholeOf({ kind: 'queue', name: change.queue });
          if (!sinkhole) break;
          if (change.capacity > 0) setRoom(sinkhole.machine, this.#table.get(change.queue)?.properties ?? {});
          sinkhole.machine.setLargest(this.#largest(sinkhole.machine.destination));
          this.#run(sinkhole, sinkhole.machine.demand(change.capacity, this.#now()));
          break;
        }
        case 'advertise':
          this.#sinkholes
            .get(destinationKey({ kind: 'queue', name: change.demand.queue }))
            ?.machine.setLargest(this.#largest({ kind: 'queue', name: change.demand.queue }));
          this.#options.router.advertise({
            destination: { kind: 'queue', name: change.demand.queue },
            consumers: change.demand.consumers,
            queue: change.demand.properties,
          });
          break;
        case 'withdraw': {
          const sinkhole = this.#sinkholes.get(`queue:${change.queue}`);
          if (sinkhole) this.#run(sinkhole, sinkhole.machine.withdraw(this.#now()));
          this.#options.router.withdraw({ kind: 'queue', name: change.queue });
          break;
        }
        default:
          throw new Error(`unexpected ${change satisfies never}`);
      }
    }
    this.#wakes.set('demand', this.#table.nextExpiry());
  }

  /** To be called from time to time: what nobody asks for is forgotten. */
  tick(): void {
    for (const sinkhole of [...this.#sinkholes.values()]) {
      for (const stream of sinkhole.machine.streams.values()) stream.prune(this.#now());
      if (sinkhole.machine.idle) this.#remove(sinkhole);
    }
    this.#options.records?.tick();
  }

  // ---- links ---------------------------------------------------------------------------------------------------------------

  /** Whether frames can be sent to this source. */
  reachable(source: string, is: boolean): void {
    for (const sinkhole of this.#sinkholes.values()) {
      this.#run(sinkhole, is ? sinkhole.machine.linkUp(source, this.#now()) : sinkhole.machine.linkLost(source));
    }
    if (is) return;
    this.#answers.cancel(source);
    this.#options.records?.cancel(source);
  }

  /** A frame for this half; `consumed` is called once the messages are with the broker or at least counted. */
  frame(via: string, frame: SinkFrame, consumed: () => void): void {
    if (frame.kind === 'messages') this.#waiting.push(consumed);
    this.#heard(via, frame);
    while (this.#waiting.length > 0 && this.#bytes < this.#options.inFlightBytes) this.#waiting.shift()!();
  }

  #heard(via: string, frame: SinkFrame): void {
    switch (frame.kind) {
      case 'open':
        this.#opening(via, frame);
        break;
      case 'messages':
        this.#with(via, frame, (machine) => machine.messages(frame, this.#now()));
        break;
      case 'state':
        this.#with(via, frame, (machine) => machine.stated(frame, this.#now()));
        break;
      case 'closed':
        this.#options.records?.forsake({ source: frame.address.source, destination: frame.address.destination });
        this.#with(via, frame, (machine) => machine.closed(frame, this.#now()));
        break;
      case 'collect':
        this.#collect(frame);
        break;
      case 'forget':
        this.#sinkholes.get(destinationKey(frame.destination))?.machine.streams.get(frame.source)?.forget(this.#now());
        break;
      default:
        throw new Error(`unexpected ${frame satisfies never}`);
    }
  }

  #with(
    via: string,
    { address }: Pick<OpenFrame, 'address'>,
    act: (machine: SinkDestination) => DestinationEffect[],
  ): void {
    const sinkhole = this.#sinkholes.get(destinationKey(address.destination));
    if (!sinkhole?.machine.streams.has(address.source)) return;
    sinkhole.vias.set(address.source, via);
    this.#run(sinkhole, act(sinkhole.machine));
  }

  /** What a predecessor of this bridge has written of the stream decides what need not be sent again. */
  #opening(via: string, frame: OpenFrame): void {
    const { source, destination } = frame.address;
    const { records } = this.#options;
    const known = this.#sinkholes.get(destinationKey(destination))?.machine.streams.has(source);
    if (!records || known) return this.#open(via, frame);
    records.before({ source, destination }, () => {
      if (!this.#closed) this.#open(via, frame);
    });
  }

  /** The answer has what is known here, and what a predecessor of this bridge has written. */
  #collect(frame: Extract<SinkFrame, { kind: 'collect' }>): void {
    const { source, incarnation } = frame;
    const { records } = this.#options;
    const streams = () => [...this.#sinkholes.values()].flatMap(({ machine }) => machine.streams.get(source) ?? []);
    for (const stream of streams()) stream.supersede(incarnation, this.#now());
    if (!records) return this.#answers.collect(frame, streams);
    const of = (destination: Destination) => this.#sinkholes.get(destinationKey(destination))?.machine.streams;
    records.collect(
      source,
      (destination) => of(destination)?.has(source) ?? false,
      (destination) => this.#sinkholeOf(destination)?.machine.known(source),
      () => {
        if (!this.#closed) this.#answers.collect(frame, streams);
      },
    );
  }

  #open(via: string, frame: OpenFrame): void {
    const { destination } = frame.address;
    const { agreement, cluster, router } = this.#options;
    const passage = agreement.inbound(via, destination);
    if (!passage.open) return this.#turnAway(frame, passage.detail);
    const crossed = (frame.hops ?? 0) + 1;
    if (crossed > passage.connector.networkTTL) {
      const { name, networkTTL } = passage.connector;
      return this.#turnAway(frame, `it crosses ${crossed} connectors, connector ${name} has networkTTL ${networkTTL}`);
    }
    if (this.#draining) return this.#refuse(frame, `the bridge of ${cluster} is draining`);
    if (!this.#brokerUp) return this.#refuse(frame, `${cluster}: ${this.#whyDown}`, BLIND_RETRY_MS);
    if (destination.kind !== 'queue') return this.#admit(via, frame, {});
    const demand = this.#table.get(destination.name);
    if (!passage.static && !demand) {
      if (!router.sighted)
        return this.#refuse(frame, `${cluster} does not see the consumers of its broker yet`, BLIND_RETRY_MS);
      // Without a consumer there is no credit, but what was sent before still has to be told apart: stored, or not.
      if (frame.last > frame.settledThrough) return this.#admit(via, frame, {});
      return this.#refuse(frame, `${cluster} has no consumer of it any more`);
    }
    if (demand && !passage.static) return this.#admit(via, frame, demand.properties);
    this.#inspectStatic(via, frame, passage.connector.createDestinations).catch((thrown: unknown) => {
      this.#refuse(frame, messageOf(thrown));
    });
  }

  /** Nothing more may come this way, but what came before still has to be told apart: notes are compared, and that is all. */
  #turnAway(frame: OpenFrame, reason: string): void {
    const { source, destination } = frame.address;
    const sinkhole = this.#sinkholes.get(destinationKey(destination));
    const known = sinkhole?.machine.streams.get(source)?.epoch;
    if (sinkhole && known && compareEpochs(known, frame) === 0) {
      this.#run(sinkhole, sinkhole.machine.opened(frame, this.#now()));
      this.#run(sinkhole, sinkhole.machine.linkLost(source));
    }
    this.#refuse(frame, reason);
  }

  /** Forwarded without demand: the queue may not even be there. */
  async #inspectStatic(via: string, frame: OpenFrame, create: string): Promise<void> {
    const { broker, cluster } = this.#options;
    const { name } = frame.address.destination;
    const found = await broker.source.inspect(name);
    if (found) return this.#admit(via, frame, found.properties);
    if (create !== 'sink' && create !== 'both') {
      return this.#refuse(
        frame,
        `queue ${name} does not exist on ${cluster}; declare it, or set createDestinations: sink`,
      );
    }
    await broker.source.declare(name, frame.queue);
    this.#options.log.info({ queue: name, cluster }, 'queue declared');
    this.#admit(via, frame, frame.queue);
  }

  #admit(via: string, frame: OpenFrame, properties: QueueProperties): void {
    const { destination, source } = frame.address;
    if (this.#draining) return this.#refuse(frame, `the bridge of ${this.#options.cluster} is draining`);
    const passage = this.#options.agreement.inbound(via, destination);
    if (!passage.open) return this.#refuse(frame, passage.detail);
    const volatility =
      passage.connector.volatileDestinations === 'refuse' ? volatileSink(properties, frame.queue) : undefined;
    const reason = properties.type === 'stream' ? 'it is a stream, which cannot be bridged' : volatility;
    if (reason) return this.#refuse(frame, `queue ${destination.name} on ${this.#options.cluster}: ${reason}`);
    const sinkhole = this.#sinkholeOf(destination);
    if (!sinkhole) return;
    this.#refused.delete(refusalKey(source, destination));
    sinkhole.vias.set(source, via);
    this.#run(sinkhole, sinkhole.machine.opened(frame, this.#now()));
    if ((passage.static || destination.kind !== 'queue') && !sinkhole.static) {
      sinkhole.static = true;
      setRoom(sinkhole.machine, properties);
      this.#run(sinkhole, sinkhole.machine.setStatic(this.#now()));
    }
  }

  /** What the queue is was learnt late (a policy, say): a stream that would not be admitted now is refused. */
  #judge({ machine, vias }: Sinkhole, properties: QueueProperties): void {
    for (const [source, stream] of machine.streams) {
      const passage = this.#options.agreement.inbound(vias.get(source) ?? source, machine.destination);
      if (!stream.open || !stream.epoch || !passage.open || passage.connector.volatileDestinations === 'allow')
        continue;
      const reason = volatileSink(properties, stream.queue);
      if (!reason) continue;
      this.#refuse({ address: stream.address, ...stream.epoch }, `queue ${machine.destination.name}: ${reason}`);
    }
  }

  #refuse(
    frame: Pick<OpenFrame, 'address' | 'incarnation' | 'epoch'>,
    reason: string,
    retryAfterMs = REFUSE_RETRY_MS,
  ): void {
    const { source, destination } = frame.address;
    const key = refusalKey(source, destination);
    if (this.#refused.get(key) !== reason)
      this.#options.log.warn({ peer: source, destination: destination.name, reason }, 'stream refused');
    this.#refused.set(key, reason);
    const { address, incarnation, epoch } = frame;
    this.#options.router.send({ kind: 'refuse', address, incarnation, epoch, reason, retryAfterMs });
  }

  // ---- effects -----------------------------------------------------------------------------------------------------------

  #sinkholeOf(destination: Destination): Sinkhole | undefined {
    const key = destinationKey(destination);
    let sinkhole = this.#sinkholes.get(key);
    if (!sinkhole) {
      const { cluster, incarnation, records } = this.#options;
      const largest = this.#largest(destination);
      if (largest === 0) return undefined;
      sinkhole = {
        machine: new SinkDestination(cluster, incarnation, destination, largest, (stream) => records?.attach(stream)),
        publishers: new Map(),
        vias: new Map(),
        static: false,
        bytes: 0,
      };
      this.#sinkholes.set(key, sinkhole);
      // Nobody draws on it yet, so nothing follows; and run now, it would be taken for idle and removed before it is used.
      sinkhole.machine.brokerUp(this.#brokerUp, this.#now());
      if (!this.#receives(destination)) sinkhole.machine.drain(this.#now());
    }
    return sinkhole;
  }

  /** The largest window that a connector gives; 0: none means this destination. Without conduit it is for each consumer. */
  #largest(destination: Destination): number {
    const { agreement } = this.#options;
    const consumers = Math.max(1, this.#table.get(destination.name)?.consumers ?? 1);
    const sizes = agreement.peers.map((peer) => {
      const passage = agreement.inbound(peer, destination);
      if (!passage.open) return passage.connector?.prefetchSize ?? 0;
      return (
        passage.entry.prefetchSize * (passage.connector.conduitSubscriptions ? 1 : Math.min(MOST_TURNS, consumers))
      );
    });
    return Math.max(0, ...sizes);
  }

  #run(sinkhole: Sinkhole, effects: readonly DestinationEffect[]): void {
    if (this.#closed) return;
    for (const effect of effects) {
      if (effect.do === 'probe') this.#probe(sinkhole);
      else this.#streamEffect(sinkhole, effect.source, effect.effect);
    }
    this.#wakes.set(sinkhole, sinkhole.machine.nextWake());
    this.#weigh(sinkhole);
    if (sinkhole.machine.idle) this.#remove(sinkhole);
  }

  /** Data counts against the link's grant until there is room for more: a peer cannot fill our memory. */
  #weigh(sinkhole: Sinkhole): void {
    const bytes = sinkhole.machine.bytes;
    this.#bytes += bytes - sinkhole.bytes;
    sinkhole.bytes = bytes;
    while (this.#waiting.length > 0 && this.#bytes < this.#options.inFlightBytes) this.#waiting.shift()!();
  }

  #remove(sinkhole: Sinkhole): void {
    const key = destinationKey(sinkhole.machine.destination);
    const { kind, name } = sinkhole.machine.destination;
    if (this.#sinkholes.get(key) !== sinkhole || (kind === 'queue' && this.#table.get(name))) return;
    this.#sinkholes.delete(key);
    this.#wakes.delete(sinkhole);
    for (const { publisher } of sinkhole.publishers.values()) publisher.close();
    for (const stream of sinkhole.machine.streams.values()) this.#options.records?.release(stream);
  }

  #probe(sinkhole: Sinkhole): void {
    const { broker, clock, log } = this.#options;
    const { name } = sinkhole.machine.destination;
    broker.sink.probe(name).then(
      (found) => {
        // Nothing at all, although consumers are known: a quorum queue without a leader. That is not known to be empty.
        const unknown = found?.ready === 0 && found.consumers === 0 && (this.#table.get(name)?.capacity ?? 0) > 0;
        this.#run(sinkhole, sinkhole.machine.probed(unknown ? undefined : found?.ready, clock.now()));
      },
      (thrown: unknown) => {
        log.debug({ queue: name, reason: messageOf(thrown) }, 'probe failed');
        this.#run(sinkhole, sinkhole.machine.probed(undefined, clock.now()));
      },
    );
  }

  #streamEffect(sinkhole: Sinkhole, source: string, effect: SinkEffect): void {
    const { metrics, router } = this.#options;
    const { destination } = sinkhole.machine;
    switch (effect.do) {
      case 'send':
        router.send(effect.frame);
        break;
      case 'publish':
        this.#publish(sinkhole, source, effect.messages);
        break;
      case 'compared':
        this.#compared(sinkhole.machine.streams.get(source), effect);
        break;
      case 'count': {
        const connector = sinkhole.machine.streams.get(source)?.connector ?? '';
        if (effect.what === 'delivered') metrics.delivered(connector, shownName(destination), source, effect.n);
        else if (effect.what === 'suppressed') metrics.suppressed(connector, shownName(destination), effect.n);
        else if (effect.what === 'possible-duplicates')
          metrics.possibleDuplicates(connector, shownName(destination), 'published_again', effect.n);
        break;
      }
      default:
        throw new Error(`unexpected ${effect satisfies never}`);
    }
  }

  #compared(stream: SinkStream | undefined, { count, difference }: Extract<SinkEffect, { do: 'compared' }>): void {
    const { differences, log } = this.#options;
    if (!stream || !differences.compared(endOf(stream), count, difference)) return;
    const { source: peer, destination } = stream.address;
    const fields = { destination: shownName(destination), peer, ...difference };
    log.error(fields, 'the two ends of a stream count differently');
  }

  #publish(sinkhole: Sinkhole, source: string, messages: readonly StreamMessage[]): void {
    const { admission, broker } = this.#options;
    const stream = sinkhole.machine.streams.get(source);
    const epoch = stream?.epoch;
    if (!epoch) return;
    const { destination } = sinkhole.machine;
    const landing = this.#options.landing(destination.kind);
    let current = sinkhole.publishers.get(source);
    if (!current || current.epoch.incarnation !== epoch.incarnation || current.epoch.epoch !== epoch.epoch) {
      current?.publisher.close();
      const handler: PublisherHandler = {
        outcome: (ids, answer, detail) => {
          if (answer !== 'confirmed')
            this.#options.log.debug(
              { queue: destination.name, source, answer, detail, count: ids.length },
              'not confirmed',
            );
          const outcome = landing.outcome(destination, answer, ids.length);
          this.#outcome(sinkhole, source, epoch, ids, outcome, detail);
        },
      };
      const isolated = landing.isolated?.(destination) ?? false;
      const publisher = broker.sink.publisher(destination.name, handler, { isolated });
      current = { epoch, publisher };
      sinkhole.publishers.set(source, current);
    }
    const publications: Publication[] = [];
    const decided: (Decided & { readonly sequence: number })[] = [];
    for (const arrived of messages) {
      const { sequence } = arrived;
      const properties = admission.admitted(arrived.properties);
      const message = properties === arrived.properties ? arrived : { ...arrived, properties };
      const reason = broker.sink.unpublishable(message);
      const landed = reason
        ? { outcome: 'poison' as const, detail: reason }
        : landing.publication(destination, message);
      if ('outcome' in landed) decided.push({ sequence, ...landed });
      else publications.push(landed);
    }
    const { metrics, records } = this.#options;
    if (records && !records.up && publications.length > 0)
      metrics.possibleDuplicates(stream.connector, shownName(destination), 'unrecorded', publications.length);
    if (publications.length > 0) this.#passOn(sinkhole, source, { epoch, publisher: current.publisher }, publications);
    for (const { sequence, outcome, detail } of decided)
      this.#outcome(sinkhole, source, epoch, [sequence], outcome, detail);
  }

  #outcome(
    sinkhole: Sinkhole,
    source: string,
    epoch: StreamEpoch,
    ids: readonly number[],
    outcome: LandingOutcome,
    detail: string | undefined,
  ): void {
    const { log } = this.#options;
    const { machine } = sinkhole;
    const before = machine.blocked;
    this.#run(sinkhole, machine.outcome(source, epoch, ids, outcome, detail, this.#now()));
    const after = machine.blocked;
    const destination = shownName(machine.destination);
    if (after && !before) log.warn({ destination, ...after }, 'destination refuses messages for now');
    else if (before && !after) log.info({ destination }, 'destination takes messages again');
  }

  /** Publishes at once, or when the queues exist to which these messages will be answered. */
  #passOn(
    sinkhole: Sinkhole,
    source: string,
    { epoch, publisher }: { readonly epoch: StreamEpoch; readonly publisher: Publisher },
    publications: readonly Publication[],
  ): void {
    const pass = this.#options.admission.pass(publisher, publications, (verdict) => {
      const current = sinkhole.machine.streams.get(source)?.epoch;
      // An epoch that has ended meanwhile has given these messages back.
      if (verdict === 'publish' && current && compareEpochs(current, epoch) === 0)
        return publisher.publish(publications);
      const ids = publications.map(({ id }) => id);
      this.#outcome(sinkhole, source, epoch, ids, 'postponed', undefined);
    });
    if (pass) publisher.publish(publications);
  }

  // ---- drain, stop and view ------------------------------------------------------------------------------------------------

  /**
   * Whether messages are brought in. While they are not, consumers are known and get no credit; answers to requests that were sent
   * from here still come.
   */
  setReceiving(receiving: boolean): void {
    if (receiving === this.#receiving) return;
    this.#receiving = receiving;
    const now = this.#now();
    for (const sinkhole of [...this.#sinkholes.values()]) {
      const { machine } = sinkhole;
      if (machine.destination.kind === 'reply' || this.#draining) continue;
      this.#run(sinkhole, receiving ? machine.undrain(now) : machine.drain(now));
    }
  }

  #receives({ kind }: Destination): boolean {
    return this.#receiving || kind === 'reply';
  }

  /** Resolves at the deadline, or when sources have given their credit back and all that they had taken under it is decided. */
  async quiet(deadline: number): Promise<void> {
    const { clock } = this.#options;
    while (clock.now() < deadline && !this.#closed && this.#busy().length > 0) {
      await new Promise<void>((resolve) => clock.wake(clock.now() + 10, resolve));
    }
  }

  #busy(): Sinkhole[] {
    return [...this.#sinkholes.values()].filter(
      ({ machine }) => (this.#draining || machine.destination.kind !== 'reply') && !machine.quiet,
    );
  }

  /**
   * Takes no more: credit goes back first, so that sources forward what they hold; resolves when all of it is stored and settled,
   * and the demand is withdrawn, with what was not.
   */
  async drain(deadline: number): Promise<LeftOver[]> {
    this.#draining = true;
    for (const sinkhole of this.#sinkholes.values()) this.#run(sinkhole, sinkhole.machine.drain(this.#now()));
    await this.quiet(deadline);
    const left = this.left();
    this.#apply(this.#table.clear());
    await this.#options.records?.settled();
    return left;
  }

  /** What is here and not in the broker yet. */
  left(): LeftOver[] {
    return leftOver(this.streamViews());
  }

  close(): void {
    this.#closed = true;
    this.#wakes.clear();
    for (const consumed of this.#waiting) consumed();
    for (const { publishers } of this.#sinkholes.values())
      for (const { publisher } of publishers.values()) publisher.close();
    this.#answers.close();
    this.#options.records?.close();
  }

  demandViews(): DemandView[] {
    const { agreement, cluster } = this.#options;
    return [...this.#table.all].map(({ queue, consumers }) => {
      const destination: Destination = { kind: 'queue', name: queue };
      const connectors = agreement.peers.flatMap((peer) => {
        const passage = agreement.inbound(peer, destination);
        return passage.open ? [passage.connector.name] : [];
      });
      const suffix = refusalKey('', destination);
      const refusal = [...this.#refused].find(([key]) => key.endsWith(suffix))?.[1];
      const blocked = this.#sinkholes.get(destinationKey(destination))?.machine.blocked;
      return {
        kind: 'queue' as const,
        destination: queue,
        cluster,
        consumers,
        ...(this.#receiving
          ? { unserved: refusal ? 'refused' : blocked?.reason, detail: refusal ?? blocked?.detail }
          : {
              unserved: 'drained',
              detail: `${cluster} is drained: nothing is brought in until \`tombolo resume --cluster\``,
            }),
        connectors: [...new Set(connectors)],
      };
    });
  }

  /** By destination, what is stored here and may still be at its source. */
  inDoubt(): { readonly kind: Destination['kind']; readonly destination: string; readonly messages: number }[] {
    return [...this.#sinkholes.values()].map(({ machine: { destination, streams } }) => ({
      kind: destination.kind,
      destination: destination.name,
      messages: [...streams.values()].reduce((sum, { unremoved }) => sum + unremoved, 0),
    }));
  }

  streamViews(): StreamView[] {
    return [...this.#sinkholes.values()].flatMap(({ machine }) =>
      [...machine.streams.values()]
        .filter((stream) => stream.epoch)
        .map((stream) => ({
          role: 'sink' as const,
          peer: stream.address.source,
          connector: stream.connector,
          kind: stream.address.destination.kind,
          destination: stream.address.destination.name,
          state: stream.open ? 'flowing' : 'suspended',
          blockedBy: this.#blockedBy(machine),
          epoch: `${stream.epoch?.incarnation}.${stream.epoch?.epoch}`,
          granted: stream.granted,
          credit: stream.outstanding,
          window: machine.window.window + machine.window.fill,
          last: stream.received,
          unsettled: stream.unsettled,
          unsettledBytes: stream.unsettledBytes,
          accepted: stream.counts.accepted,
          released: stream.counts.released,
          rejected: stream.counts.rejected,
          returned: 0,
          suppressed: stream.counts.suppressed,
          unrecorded: stream.unrecorded,
          missing: stream.missing,
          comparedThrough: stream.comparison?.through,
          ...this.#options.differences.of(endOf(stream)),
        })),
    );
  }

  #blockedBy(machine: SinkDestination): string | undefined {
    if (!this.#brokerUp) return this.#whyDown;
    const { capacity, ready, window, fill } = machine.window;
    const { kind, name } = machine.destination;
    const unavailable = kind === 'queue' ? this.#table.get(name)?.unavailable : undefined;
    if (unavailable !== undefined) return `the queue is not available: ${unavailable}`;
    if (machine.blocked) return machine.blocked.detail;
    if (capacity === 0) return 'no consumer';
    if (fill === 0 && ready >= window) return `the consumers are busy: ${ready} messages wait in the queue`;
    return undefined;
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

function endOf({ address: { source: peer, destination }, connector }: SinkStream): StreamEnd {
  return { role: 'sink', connector, peer, destination };
}

function refusalKey(peer: string, destination: Destination): string {
  return `${peer}\u0000${destinationKey(destination)}`;
}

/** With overflow drop-head a queue never refuses, it throws away: the room under its bounds limits credit. */
function setRoom(machine: SinkDestination, { maxLength, maxLengthBytes }: QueueProperties): void {
  machine.setRoom(maxLength ?? Number.POSITIVE_INFINITY, maxLengthBytes ?? Number.POSITIVE_INFINITY);
}

/** Why a queue at the sink is more perishable than the one at the source, or undefined. */
export function volatileSink(sink: QueueProperties, source: QueueProperties): string | undefined {
  if (source.durable === false && sink.durable === false) return undefined;
  const advice = 'messages would be lost with it; set volatileDestinations: allow if that is meant';
  if (sink.exclusive) return `it is exclusive, it goes with its connection and ${advice}`;
  if (sink.autoDelete) return `it is auto-delete, it goes with its last consumer and ${advice}`;
  if (sink.expires) return `it expires when unused, and ${advice}`;
  if (sink.durable === false) return `it is not durable, a restart deletes it and ${advice}`;
  return undefined;
}
