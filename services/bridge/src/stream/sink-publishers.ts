import { selects } from '@tombolo/topology/filter';
import type { StreamEpoch, StreamMessage } from '@tombolo/wire/frame';
import { hasRoutingHeader } from '@tombolo/wire/routing-headers';
import type { Publication, Publisher, PublishOutcome } from '../broker/port.ts';
import { keyedExchange } from '../routing/agreement.ts';
import { shownName } from '../routing/destination-key.ts';
import { delaySeconds } from './delay.ts';
import type { Decided } from './landing.ts';
import type { SinkDestination } from './sink-destination.ts';
import { compareEpochs } from './sink-epoch.ts';
import type { SinkSurroundings } from './sink-ground.ts';

/** What became of messages of this source and epoch. */
export type HeardOutcome = (
  source: string,
  epoch: StreamEpoch,
  ids: readonly number[],
  outcome: PublishOutcome,
  detail: string | undefined,
) => void;

/** The publishers of one destination at the sink: one for the present epoch of each source's stream. */
export class SinkPublishers {
  readonly #surroundings: SinkSurroundings;
  readonly #machine: SinkDestination;
  readonly #heard: HeardOutcome;
  readonly #publishers = new Map<string, { readonly epoch: StreamEpoch; readonly publisher: Publisher }>();

  constructor(surroundings: SinkSurroundings, machine: SinkDestination, heard: HeardOutcome) {
    this.#surroundings = surroundings;
    this.#machine = machine;
    this.#heard = heard;
  }

  /** @param via the neighbour that the messages have come by */
  publish(source: string, via: string, messages: readonly StreamMessage[]): void {
    const { admission, broker, metrics, records } = this.#surroundings;
    const stream = this.#machine.streams.get(source);
    const epoch = stream?.epoch;
    if (!epoch) return;
    const { destination } = this.#machine;
    const landing = this.#surroundings.landing(destination.kind);
    const publisher = this.#publisher(source, epoch);
    const publications: Publication[] = [];
    const decided: (Decided & { readonly sequence: number })[] = [];
    for (const arrived of messages) {
      const { sequence } = arrived;
      const properties = admission.admitted(arrived.properties);
      const message = properties === arrived.properties ? arrived : { ...arrived, properties };
      const reason = broker.sink.unpublishable(message) ?? this.#forbidden(via, message);
      const landed = reason
        ? { outcome: 'poison' as const, detail: reason }
        : landing.publication(destination, message);
      if ('outcome' in landed) decided.push({ sequence, ...landed });
      else publications.push(landed);
    }
    if (records && !records.up && publications.length > 0)
      metrics.possibleDuplicates(stream.connector, shownName(destination), 'unrecorded', publications.length);
    if (publications.length > 0) {
      const delay = delaySeconds(publications[0]!.properties, this.#surroundings.wallClock());
      if (delay !== undefined) metrics.endToEndDelay(stream.connector, delay, publications.length);
      this.#passOn(source, epoch, publisher, publications);
    }
    for (const { sequence, outcome, detail } of decided) this.#heard(source, epoch, [sequence], outcome, detail);
  }

  /** Why the message would get where the connector does not lead, whatever its source says; undefined: it would not. */
  #forbidden(via: string, { properties, routingKey }: StreamMessage): string | undefined {
    if (hasRoutingHeader(properties)) return 'its headers CC or BCC name other queues, which no bridge sends';
    const { kind, name } = this.#machine.destination;
    if (kind !== 'topic' || name !== keyedExchange) return undefined;
    const { connector } = this.#surroundings.agreement.inbound(via, this.#machine.destination);
    if (connector && selects(connector, { kind: 'topic', name: routingKey }).permitted) return undefined;
    return `no connector with ${via} includes topic ${routingKey}`;
  }

  close(): void {
    for (const { publisher } of this.#publishers.values()) publisher.close();
  }

  #publisher(source: string, epoch: StreamEpoch): Publisher {
    const current = this.#publishers.get(source);
    if (current && compareEpochs(current.epoch, epoch) === 0) return current.publisher;
    current?.publisher.close();
    const { broker, log } = this.#surroundings;
    const { destination } = this.#machine;
    const landing = this.#surroundings.landing(destination.kind);
    const publisher = broker.sink.publisher(
      destination.name,
      {
        outcome: (ids, answer, detail) => {
          if (answer !== 'confirmed') {
            const fields = { queue: destination.name, source, answer, detail, count: ids.length };
            log.debug(fields, 'not confirmed');
          }
          this.#heard(source, epoch, ids, landing.outcome(destination, answer, ids.length), detail);
        },
      },
      { isolated: landing.isolated?.(destination) ?? false },
    );
    this.#publishers.set(source, { epoch, publisher });
    return publisher;
  }

  /** Publishes at once, or when the queues exist to which these messages will be answered. */
  #passOn(source: string, epoch: StreamEpoch, publisher: Publisher, publications: readonly Publication[]): void {
    const pass = this.#surroundings.admission.pass(publisher, publications, (verdict) => {
      const current = this.#machine.streams.get(source)?.epoch;
      // An epoch that has ended meanwhile has given these messages back.
      if (verdict === 'publish' && current && compareEpochs(current, epoch) === 0)
        return publisher.publish(publications);
      const ids = publications.map(({ id }) => id);
      this.#heard(source, epoch, ids, 'postponed', undefined);
    });
    if (pass) publisher.publish(publications);
  }
}
