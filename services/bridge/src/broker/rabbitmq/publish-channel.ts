import type { Writable } from 'node:stream';
import type { ConfirmChannel } from 'amqplib';
import type { PublisherHandler } from '../port.ts';
import type { Log } from '../surroundings.ts';
import { Confirms, type Pending, type Returned, type Verdict } from './confirms.ts';
import type { Connection } from './connection.ts';
import { ContentReader } from './data-path/content-reader.ts';
import type { DataChannel } from './data-path/data-path.ts';
import { frameType } from './data-path/frame-reader.ts';
import { encodePublications } from './data-path/frame-writer.ts';
import { methodId, readLong } from './data-path/methods.ts';
import type { RawFrame } from './data-path/raw-frame.ts';
import { bufferOf, numberOf } from './seam.ts';

export type Outgoing = Pending<PublisherHandler>;

export interface PublishChannelOwner {
  readonly log: Log;
  opened(): void;
  /** In publish order, once per chunk read. */
  verdicts(verdicts: readonly Verdict<PublisherHandler>[]): void;
  /** Once. `error` is the broker's reason; undefined when the connection went, or nothing is known. */
  closed(open: readonly Outgoing[], error: unknown): void;
}

/** One channel in confirm mode: raw publications out, acks, nacks and returns in. */
export class PublishChannel implements DataChannel {
  readonly #connection: Connection;
  readonly #owner: PublishChannelOwner;
  readonly #confirms = new Confirms<PublisherHandler>();
  readonly #content = new ContentReader();
  #verdicts: Verdict<PublisherHandler>[] = [];
  #returning: Omit<Returned, 'properties' | 'body'> | undefined;
  #channel: ConfirmChannel | undefined;
  #number = 0;
  #buffer: Writable | undefined;
  #isClosed = false;

  constructor(connection: Connection, owner: PublishChannelOwner) {
    this.#connection = connection;
    this.#owner = owner;
    connection
      .confirmChannel((error) => this.#closed(error))
      .then((channel) => {
        if (this.#isClosed) return;
        this.#channel = channel;
        this.#number = numberOf(channel);
        // Throws when the connection went in the same breath: then nobody was there to hear the channel's end.
        this.#buffer = bufferOf(connection.wire, channel);
        connection.data.register(this.#number, this);
        owner.opened();
      })
      .catch((error) => this.#closed(error));
  }

  get isOpen(): boolean {
    return this.#buffer !== undefined && !this.#isClosed;
  }

  /** Writes the batch. The channel must be open. */
  publish(batch: readonly Outgoing[], mandatory = true): void {
    const buffer = this.#buffer;
    if (!buffer || this.#isClosed) throw new Error('the channel is not open');
    const wire = this.#connection.wire;
    const publications = batch.map((outgoing) => outgoing.publication);
    const chunks = encodePublications(this.#number, publications, wire.frameMax, mandatory);
    for (const outgoing of batch) this.#confirms.published(outgoing);
    for (const chunk of chunks) buffer.write(chunk);
    wire.sentSinceLastCheck = true;
  }

  close(): void {
    this.#channel?.close().catch(() => {});
  }

  // ---- from the data path ----

  frame(frame: RawFrame): boolean {
    if (frame.type !== frameType.method) {
      const returning = this.#returning;
      if (!returning) return false;
      const content = this.#content.take(frame);
      if (!content) return true;
      this.#returning = undefined;
      if (!this.#confirms.returned({ ...returning, ...content })) {
        this.#owner.log.error(
          { exchange: returning.exchange, routingKey: returning.routingKey },
          'a returned message matches none that was published',
        );
      }
      return true;
    }
    const { bytes, start, method } = frame;
    if (method === methodId.basicAck || method === methodId.basicNack) {
      const multiple = (frame.at(19) & 1) === 1;
      const verdicts = this.#confirms.settled(
        readLong(bytes, start + 11),
        multiple,
        method === methodId.basicAck ? 'ack' : 'nack',
      );
      if (this.#verdicts.length === 0) this.#verdicts = verdicts;
      else for (const verdict of verdicts) this.#verdicts.push(verdict);
      return true;
    }
    if (method !== methodId.basicReturn) return false;
    let at = start + 13;
    const text = () => {
      const length = bytes[at] as number;
      const value = bytes.toString('utf8', at + 1, at + 1 + length);
      at += 1 + length;
      return value;
    };
    const reason = text();
    const exchange = text();
    this.#returning = { reason, exchange, routingKey: text() };
    return true;
  }

  handOver(): void {
    if (this.#verdicts.length === 0) return;
    const verdicts = this.#verdicts;
    this.#verdicts = [];
    this.#owner.verdicts(verdicts);
  }

  #closed(error: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.data.release(this.#number, this);
    this.handOver();
    const { returned, open } = this.#confirms.abandon();
    if (returned.length > 0) this.#owner.verdicts(returned);
    this.#owner.closed(open, error);
  }
}
