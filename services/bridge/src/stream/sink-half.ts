import { Wakes } from '@tombolo/kernel/wakes';
import type { Destination, InDoubtFrame, MessagesFrame, OpenFrame, StreamControlFrame } from '@tombolo/wire/frame';
import type { DemandView, LeftOver, StreamView } from '../admin/view.ts';
import type { QueueDemand } from '../broker/port.ts';
import { DemandTable } from '../demand/demand-table.ts';
import { InDoubtAnswers } from './in-doubt-answers.ts';
import { InboundBytes } from './inbound-bytes.ts';
import { leftOver } from './left-over.ts';
import { SinkDemand } from './sink-demand.ts';
import type { SinkDestination } from './sink-destination.ts';
import type { SinkGround, SinkSurroundings } from './sink-ground.ts';
import { SinkOpenings } from './sink-openings.ts';
import type { DestinationEffect } from './sink-streams.ts';
import { SinkVerdicts } from './sink-verdicts.ts';
import type { Sinkhole } from './sinkhole.ts';
import { Sinkholes } from './sinkholes.ts';

const UNREACHABLE = 'its broker is not reachable';

/** Frames that a sink reads. */
export type SinkFrame =
  | MessagesFrame
  | Extract<StreamControlFrame, { kind: 'open' | 'state' | 'closed' }>
  | Extract<InDoubtFrame, { kind: 'collect' | 'forget' }>;

/**
 * The sink's half of a bridge: tells peers what its consumers want, publishes what comes, settles it. The decisions are made
 * by the machines; this shell brings them broker, links and time.
 */
export class SinkHalf {
  readonly #options: SinkSurroundings;
  readonly #ground: SinkGround;
  readonly #sinkholes: Sinkholes;
  readonly #openings: SinkOpenings;
  readonly #demand: SinkDemand;
  readonly #answers: InDoubtAnswers;

  constructor(options: SinkSurroundings) {
    this.#options = options;
    const { clock, cluster, inFlightBytes, router } = options;
    this.#ground = {
      surroundings: options,
      table: new DemandTable(),
      inbound: new InboundBytes(inFlightBytes),
      wakes: new Wakes(clock, (sinkhole) => sinkhole.run((machine, now) => machine.wake(now))),
      verdicts: new SinkVerdicts(clock, (frame) => router.send(frame)),
      brokerDown: UNREACHABLE,
      draining: false,
      receiving: true,
      closed: false,
      idle: (sinkhole) => this.#sinkholes.remove(sinkhole),
    };
    this.#sinkholes = new Sinkholes(this.#ground);
    this.#openings = new SinkOpenings(this.#ground, this.#sinkholes);
    this.#demand = new SinkDemand(this.#ground, this.#sinkholes, this.#openings);
    this.#answers = new InDoubtAnswers(cluster, clock, (frame) => router.send(frame));
  }

  // ---- the own broker ----------------------------------------------------------------------------------------------------

  demand(told: QueueDemand): void {
    this.#demand.changed(told);
  }

  /** The broker gave a message of this queue to this bridge's source half: the own consumers have no room. */
  spared(destination: Destination): void {
    this.#sinkholes.get(destination)?.run((machine, now) => machine.spared(now));
  }

  /** The own broker has this queue: it may be what was missing. */
  queueFound(queue: string): void {
    this.#sinkholes.get({ kind: 'queue', name: queue })?.run((machine, now) => machine.mended(now));
  }

  queueDeleted(queue: string): void {
    this.#demand.queueDeleted(queue);
  }

  /** The own broker's consumers are known; while they are not, what was told stands, and nothing new is said. */
  visible(visible: boolean): void {
    this.#options.router.setSighted(visible);
  }

  /** @param why it is not usable, as words that follow the cluster's name */
  brokerUp(up: boolean, why = UNREACHABLE): void {
    this.#ground.brokerDown = up ? undefined : why;
    for (const sinkhole of this.#sinkholes.all()) sinkhole.run((machine, now) => machine.brokerUp(up, now));
    if (!up) this.#options.admission.clear();
  }

  /** What the connectors permit has changed: windows are as large as they say now, streams that are not permitted any more are refused. */
  reconsider(): void {
    this.#sinkholes.resize();
    this.#openings.reconsider();
  }

  /** To be called from time to time: what nobody asks for is forgotten. */
  tick(): void {
    for (const sinkhole of [...this.#sinkholes.all()]) {
      for (const stream of sinkhole.machine.streams.values()) stream.prune(this.#now());
      if (sinkhole.machine.idle) this.#sinkholes.remove(sinkhole);
    }
    this.#options.records?.tick();
  }

  // ---- links ---------------------------------------------------------------------------------------------------------------

  /** Whether frames can be sent to this source. */
  reachable(source: string, is: boolean): void {
    for (const sinkhole of this.#sinkholes.all()) {
      sinkhole.run((machine, now) => (is ? machine.linkUp(source, now) : machine.linkLost(source, now)));
    }
    if (is) return;
    this.#answers.cancel(source);
    this.#options.records?.cancel(source);
  }

  /** No stream that is open came by this neighbour. */
  nothingBy(neighbour: string): boolean {
    return [...this.#sinkholes.all()].every(({ machine, vias }) =>
      [...machine.streams].every(([source, { open }]) => !open || (vias.get(source) ?? source) !== neighbour),
    );
  }

  /** A frame for this half; `consumed` is called once the messages are with the broker or at least counted. */
  frame(via: string, frame: SinkFrame, consumed: () => void): void {
    const { inbound } = this.#ground;
    if (frame.kind === 'messages') inbound.arrived(consumed);
    this.#heard(via, frame);
    inbound.grant();
  }

  #heard(via: string, frame: SinkFrame): void {
    switch (frame.kind) {
      case 'open':
        this.#opening(via, frame);
        break;
      case 'messages':
        this.#with(via, frame, (machine, now) => machine.messages(frame, now));
        break;
      case 'state':
        this.#with(via, frame, (machine, now) => machine.stated(frame, now));
        break;
      case 'closed':
        this.#options.records?.forsake({ source: frame.address.source, destination: frame.address.destination });
        this.#with(via, frame, (machine, now) => machine.closed(frame, now));
        break;
      case 'collect':
        this.#collect(frame);
        break;
      case 'forget':
        this.#sinkholes.get(frame.destination)?.machine.streams.get(frame.source)?.forget(this.#now());
        break;
      default:
        throw new Error(`unexpected ${frame satisfies never}`);
    }
  }

  #with(
    via: string,
    { address }: Pick<OpenFrame, 'address'>,
    act: (machine: SinkDestination, now: number) => DestinationEffect[],
  ): void {
    const sinkhole = this.#sinkholes.get(address.destination);
    if (!sinkhole?.machine.streams.has(address.source)) return;
    sinkhole.vias.set(address.source, via);
    sinkhole.run(act);
  }

  /** What a predecessor of this bridge has written of the stream decides what need not be sent again. */
  #opening(via: string, frame: OpenFrame): void {
    const { source, destination } = frame.address;
    const { records } = this.#options;
    const known = this.#sinkholes.get(destination)?.machine.streams.has(source);
    if (!records || known) return this.#openings.open(via, frame);
    records.before({ source, destination }, () => {
      if (!this.#ground.closed) this.#openings.open(via, frame);
    });
  }

  /** The answer has what is known here, and what a predecessor of this bridge has written. */
  #collect(frame: Extract<SinkFrame, { kind: 'collect' }>): void {
    const { source, incarnation } = frame;
    const { records } = this.#options;
    const streams = () => [...this.#sinkholes.all()].flatMap(({ machine }) => machine.streams.get(source) ?? []);
    for (const stream of streams()) stream.supersede(incarnation, this.#now());
    if (!records) return this.#answers.collect(frame, streams);
    records.collect(
      source,
      (destination) => this.#sinkholes.get(destination)?.machine.streams.has(source) ?? false,
      (destination) => this.#sinkholes.of(destination)?.machine.known(source),
      () => {
        if (!this.#ground.closed) this.#answers.collect(frame, streams);
      },
    );
  }

  // ---- drain, stop and view ------------------------------------------------------------------------------------------------

  /**
   * Whether messages are brought in. While they are not, consumers are known and get no credit; answers to requests that were sent
   * from here still come.
   */
  setReceiving(receiving: boolean): void {
    if (receiving === this.#ground.receiving) return;
    this.#ground.receiving = receiving;
    for (const sinkhole of [...this.#sinkholes.all()]) {
      if (sinkhole.destination.kind === 'reply' || this.#ground.draining) continue;
      sinkhole.run((machine, now) => (receiving ? machine.undrain(now) : machine.drain(now)));
    }
  }

  /** Resolves at the deadline, or when sources have given their credit back and all that they had taken under it is decided. */
  async quiet(deadline: number): Promise<void> {
    const { clock } = this.#options;
    while (clock.now() < deadline && !this.#ground.closed && this.#busy().length > 0) {
      await new Promise<void>((resolve) => clock.wake(clock.now() + 10, resolve));
    }
  }

  #busy(): Sinkhole[] {
    return [...this.#sinkholes.all()].filter(
      ({ machine }) => (this.#ground.draining || machine.destination.kind !== 'reply') && !machine.quiet,
    );
  }

  /**
   * Takes no more: credit goes back first, so that sources forward what they hold; resolves when all of it is stored and settled,
   * and the demand is withdrawn, with what was not.
   */
  async drain(deadline: number): Promise<LeftOver[]> {
    this.#ground.draining = true;
    for (const sinkhole of this.#sinkholes.all()) sinkhole.run((machine, now) => machine.drain(now));
    await this.quiet(deadline);
    this.#ground.verdicts.flush();
    const left = this.left();
    this.#demand.withdraw();
    await this.#options.records?.settled();
    return left;
  }

  /** What is here and not in the broker yet. */
  left(): LeftOver[] {
    return leftOver(this.streamViews());
  }

  close(): void {
    const { inbound, verdicts, wakes } = this.#ground;
    verdicts.flush();
    this.#ground.closed = true;
    wakes.clear();
    this.#demand.close();
    inbound.close();
    for (const sinkhole of this.#sinkholes.all()) sinkhole.closePublishers();
    this.#answers.close();
    this.#options.records?.close();
  }

  demandViews(): DemandView[] {
    const { agreement, cluster } = this.#options;
    return [...this.#ground.table.all].map(({ queue, consumers }) => {
      const destination: Destination = { kind: 'queue', name: queue };
      const passages = agreement.peers.map((peer) => agreement.inbound(peer, destination));
      const connectors = passages.flatMap((passage) => (passage.open ? [passage.connector.name] : []));
      const paused = passages.flatMap((passage) =>
        passage.open || passage.reason !== 'paused' ? [] : [{ reason: passage.reason, detail: passage.detail }],
      );
      const refusal = this.#openings.refusal(destination);
      const halted = connectors.length === 0 ? paused[0] : undefined;
      const blocked = halted ?? this.#sinkholes.get(destination)?.machine.blocked;
      return {
        kind: 'queue' as const,
        destination: queue,
        cluster,
        consumers,
        ...(this.#ground.receiving
          ? {
              unserved: refusal && !halted ? 'refused' : blocked?.reason,
              detail: halted?.detail ?? refusal ?? blocked?.detail,
            }
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
    return [...this.#sinkholes.all()].map(({ machine: { destination, streams } }) => ({
      kind: destination.kind,
      destination: destination.name,
      messages: [...streams.values()].reduce((sum, { unremoved }) => sum + unremoved, 0),
    }));
  }

  streamViews(): StreamView[] {
    return [...this.#sinkholes.all()].flatMap((sinkhole) => sinkhole.views());
  }

  #now(): number {
    return this.#options.clock.now();
  }
}
