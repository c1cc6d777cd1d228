import { messageOf } from '@tombolo/kernel/fault';
import type { Destination, QueueProperties, StreamEpoch } from '@tombolo/wire/frame';
import type { StreamView } from '../admin/view.ts';
import type { PublishOutcome } from '../broker/port.ts';
import { shownName } from '../routing/destination-key.ts';
import type { WindowBounds } from './credit.ts';
import type { StreamEnd } from './differences.ts';
import type { SinkEffect } from './effects.ts';
import { SinkDestination } from './sink-destination.ts';
import type { SinkGround } from './sink-ground.ts';
import type { SinkStream } from './sink-machine.ts';
import { SinkPublishers } from './sink-publishers.ts';
import type { DestinationEffect } from './sink-streams.ts';

/** One destination at its sink: its machine, its publishers, and the effects that are carried out for it. */
export class Sinkhole {
  readonly machine: SinkDestination;
  /** source → the neighbour that its frames come by. */
  readonly vias = new Map<string, string>();
  readonly #ground: SinkGround;
  readonly #publishers: SinkPublishers;
  #static = false;
  /** Of messages that are here, as last counted. */
  #bytes = 0;

  constructor(ground: SinkGround, destination: Destination, bounds: WindowBounds) {
    this.#ground = ground;
    const { cluster, incarnation, records } = ground.surroundings;
    this.machine = new SinkDestination(cluster, incarnation, destination, bounds, (stream) => records?.attach(stream));
    this.#publishers = new SinkPublishers(ground.surroundings, this.machine, (...heard) => this.#outcome(...heard));
    // Nobody draws on it yet, so nothing follows; and run now, it would be taken for idle and removed before it is used.
    this.machine.brokerUp(ground.brokerDown === undefined, this.#now());
    if (!ground.receiving && destination.kind !== 'reply') this.machine.drain(this.#now());
  }

  get destination(): Destination {
    return this.machine.destination;
  }

  /** Lets the machine act, and does what it wants done. */
  run(act: (machine: SinkDestination, now: number) => readonly DestinationEffect[]): void {
    // What the machine was told counts even when nothing is done about it any more.
    const effects = act(this.machine, this.#now());
    if (this.#ground.closed) return;
    for (const effect of effects) {
      if (effect.do === 'probe') this.#probe();
      else this.#effect(effect.source, effect.effect);
    }
    this.#ground.wakes.set(this, this.machine.nextWake());
    const { bytes } = this.machine;
    const grown = bytes - this.#bytes;
    this.#bytes = bytes;
    this.#ground.inbound.weigh(grown);
    if (this.machine.idle) this.#ground.idle(this);
  }

  /** With overflow drop-head a queue never refuses, it throws away: the room under its bounds limits credit. */
  setRoom({ maxLength, maxLengthBytes }: QueueProperties): void {
    this.machine.setRoom(maxLength ?? Number.POSITIVE_INFINITY, maxLengthBytes ?? Number.POSITIVE_INFINITY);
  }

  /** Messages come without demand from now on. */
  setStatic(properties: QueueProperties): void {
    if (this.#static) return;
    this.#static = true;
    this.setRoom(properties);
    this.run((machine, now) => machine.setStatic(now));
  }

  closePublishers(): void {
    this.#publishers.close();
  }

  views(): StreamView[] {
    const { machine } = this;
    const { differences } = this.#ground.surroundings;
    return [...machine.streams.values()]
      .filter((stream) => stream.epoch)
      .map((stream) => ({
        role: 'sink' as const,
        peer: stream.address.source,
        connector: stream.connector,
        kind: stream.address.destination.kind,
        destination: stream.address.destination.name,
        state: stream.open ? 'flowing' : 'suspended',
        blockedBy: this.#blockedBy(),
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
        inDoubt: stream.unremoved,
        missing: stream.missing,
        comparedThrough: stream.comparison?.through,
        ...differences.of(endOf(stream)),
      }));
  }

  #blockedBy(): string | undefined {
    if (this.#ground.brokerDown !== undefined) return this.#ground.brokerDown;
    const { capacity, ready, window, fill } = this.machine.window;
    const { kind, name } = this.destination;
    const unavailable = kind === 'queue' ? this.#ground.table.get(name)?.unavailable : undefined;
    if (unavailable !== undefined) return `the queue is not available: ${unavailable}`;
    if (this.machine.blocked) return this.machine.blocked.detail;
    if (capacity === 0) return 'no consumer';
    if (fill === 0 && ready >= window)
      return `the consumers are busy: ${ready === 1 ? '1 message waits' : `${ready} messages wait`} in the queue`;
    return undefined;
  }

  // ---- effects -----------------------------------------------------------------------------------------------------------

  #probe(): void {
    const { broker, log } = this.#ground.surroundings;
    const { name } = this.destination;
    broker.sink.probe(name).then(
      (found) => {
        // Nothing at all, although consumers are known: a quorum queue without a leader. That is not known to be empty.
        const demanded = (this.#ground.table.get(name)?.capacity ?? 0) > 0;
        const unknown = found?.ready === 0 && found.consumers === 0 && demanded;
        this.run((machine, now) => machine.probed(unknown ? undefined : found?.ready, now));
      },
      (thrown: unknown) => {
        log.debug({ queue: name, reason: messageOf(thrown) }, 'probe failed');
        this.run((machine, now) => machine.probed(undefined, now));
      },
    );
  }

  #effect(source: string, effect: SinkEffect): void {
    switch (effect.do) {
      case 'send':
        this.#ground.verdicts.send(effect.frame);
        break;
      case 'publish':
        this.#publishers.publish(source, this.vias.get(source) ?? source, effect.messages);
        break;
      case 'compared':
        this.#compared(source, effect);
        break;
      case 'count':
        this.#count(source, effect);
        break;
      default:
        throw new Error(`unexpected ${effect satisfies never}`);
    }
  }

  #count(source: string, { what, n }: Extract<SinkEffect, { do: 'count' }>): void {
    const { metrics } = this.#ground.surroundings;
    const connector = this.machine.streams.get(source)?.connector ?? '';
    const destination = shownName(this.destination);
    if (what === 'delivered') metrics.delivered(connector, destination, source, n);
    else if (what === 'reconciled') metrics.reconciled(connector, destination, source, n);
    else if (what === 'suppressed') metrics.suppressed(connector, destination, n);
    else if (what === 'possible-duplicates') metrics.possibleDuplicates(connector, destination, 'published_again', n);
  }

  #compared(peer: string, { count, difference }: Extract<SinkEffect, { do: 'compared' }>): void {
    const { differences, log } = this.#ground.surroundings;
    const stream = this.machine.streams.get(peer);
    if (!stream || !differences.compared(endOf(stream), count, difference)) return;
    const fields = { destination: shownName(this.destination), peer, ...difference };
    log.error(fields, 'the two ends of a stream count differently');
  }

  #outcome(
    source: string,
    epoch: StreamEpoch,
    ids: readonly number[],
    outcome: PublishOutcome,
    detail: string | undefined,
  ): void {
    const { log } = this.#ground.surroundings;
    const before = this.machine.blocked;
    this.run((machine, now) => machine.outcome(source, epoch, ids, outcome, detail, now));
    const after = this.machine.blocked;
    const destination = shownName(this.destination);
    if (after && !before) log.warn({ destination, ...after }, 'destination refuses messages for now');
    else if (before && !after) log.info({ destination }, 'destination takes messages again');
  }

  #now(): number {
    return this.#ground.surroundings.clock.now();
  }
}

function endOf({ address: { source: peer, destination }, connector }: SinkStream): StreamEnd {
  return { role: 'sink', connector, peer, destination };
}
