import type { Writable } from 'node:stream';
import { Fault } from '@tombolo/kernel/fault';
import type { Channel } from 'amqplib';
import type { ConsumerEnd, ConsumerHandler, Delivery } from '../port.ts';
import type { Log } from '../surroundings.ts';
import { AckRuns } from './ack-runs.ts';
import { isAnswerTo, queueFault } from './close-codes.ts';
import type { Connection } from './connection.ts';
import { ContentReader } from './data-path/content-reader.ts';
import type { DataChannel } from './data-path/data-path.ts';
import { frameType } from './data-path/frame-reader.ts';
import { encodeAcks } from './data-path/frame-writer.ts';
import { methodId, readLong, ShortStringReader } from './data-path/methods.ts';
import type { RawFrame } from './data-path/raw-frame.ts';
import { bufferOf, numberOf } from './seam.ts';

/** What the broker knows as one consumer. */
export interface Turn {
  readonly tag: string;
  readonly prefetch: number;
}

/** One consumer on its channel; with several turns it is several to the broker, which share its handler. */
export interface ConsumerEntry {
  readonly turns: Turn[];
  readonly queue: string;
  readonly arguments: Record<string, unknown>;
  readonly handler: ConsumerHandler;
  cancelling: boolean;
  ended: boolean;
  batch: Delivery[];
}

interface Announced {
  readonly entry: ConsumerEntry | undefined;
  readonly tag: number;
  readonly redelivered: boolean;
  readonly exchange: string;
  readonly routingKey: string;
}

export interface ConsumeChannelOwner {
  readonly log: Log;
  /** It has died, with all that is unacknowledged on it: before any of its consumers is told. Not after `close`. */
  lost(channel: ConsumeChannel): void;
  /** The consumer is on: the broker accepted it. */
  accepted(entry: ConsumerEntry): void;
  /** It has ended; the handler was told. */
  ended(entry: ConsumerEntry, end: ConsumerEnd): void;
  closed(channel: ConsumeChannel): void;
}

/** A channel that consumes: several consumers, raw deliveries, and the acknowledgements of all of them. */
export class ConsumeChannel implements DataChannel {
  readonly #connection: Connection;
  readonly #owner: ConsumeChannelOwner;
  readonly #consumers = new Map<string, ConsumerEntry>();
  readonly #runs = new AckRuns<ConsumerEntry>();
  readonly #content = new ContentReader();
  readonly #consumerTags = new ShortStringReader();
  readonly #exchanges = new ShortStringReader();
  readonly #routingKeys = new ShortStringReader();
  #announced: Announced | undefined;
  #batches: ConsumerEntry[] = [];
  #channel: Channel | undefined;
  #number = 0;
  #buffer: Writable | undefined;
  #isClosing = false;
  #isClosed = false;
  #flushWanted = false;
  #barrierOut = false;
  #barriers: ((processed: boolean) => void)[] = [];

  constructor(connection: Connection, owner: ConsumeChannelOwner) {
    this.#connection = connection;
    this.#owner = owner;
    connection
      .channel(() => this.#closed())
      .then((channel) => this.#opened(channel))
      .catch(() => this.#closed());
  }

  /** How busy it is: consumers first, then deliveries that are not settled. */
  get load(): number {
    return this.#consumers.size * 1_000_000 + this.#runs.size;
  }

  get isIdle(): boolean {
    return this.#consumers.size === 0 && this.#runs.size === 0;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  consume(entry: ConsumerEntry): void {
    for (const { tag } of entry.turns) this.#consumers.set(tag, entry);
    if (this.#channel) this.#start(this.#channel, entry, entry.turns);
  }

  /** One more turn, beside those that it has. */
  extend(entry: ConsumerEntry, turn: Turn): void {
    entry.turns.push(turn);
    this.#consumers.set(turn.tag, entry);
    if (this.#channel) this.#start(this.#channel, entry, [turn]);
  }

  cancel(entry: ConsumerEntry): void {
    if (entry.cancelling || entry.ended) return;
    entry.cancelling = true;
    const channel = this.#channel;
    if (!channel) {
      queueMicrotask(() => this.#end(entry, { why: 'cancelled' }));
      return;
    }
    Promise.all(entry.turns.map(({ tag }) => channel.cancel(tag))).then(
      () => this.#end(entry, { why: 'cancelled' }),
      () => this.#end(entry, { why: 'lost' }),
    );
  }

  /** Settles a delivery; what is settled in one turn of the event loop is written at its end. */
  settle(tag: number, kind: 'ack' | 'nack'): void {
    if (this.#runs.settle(tag, kind)) this.#flushSoon();
  }

  /** Writes what is settled now. */
  flush(): void {
    this.#flushWanted = false;
    if (this.#isClosed || !this.#buffer || this.#runs.pending === 0) return;
    this.#buffer.write(encodeAcks(this.#number, this.#runs.flush()));
    this.#connection.wire.sentSinceLastCheck = true;
  }

  /** Calls back when the broker's channel has processed everything written before. */
  barrier(done: (processed: boolean) => void): void {
    if (this.#isClosed) {
      queueMicrotask(() => done(false));
      return;
    }
    this.#barriers.push(done);
    this.#sendBarrier();
  }

  /** Only of an idle one: nothing is lost with it. */
  close(): void {
    if (!this.#channel) return;
    this.#isClosing = true;
    this.#channel.close().catch(() => {});
  }

  // ---- from the data path ----

  frame(frame: RawFrame): boolean {
    if (frame.type === frameType.method) {
      if (frame.method !== methodId.basicDeliver) return false;
      const { bytes, start } = frame;
      let at = start + 11;
      const consumerTag = this.#consumerTags.read(bytes, at);
      at += 1 + (bytes[at] as number);
      const tag = readLong(bytes, at);
      const redelivered = ((bytes[at + 8] as number) & 1) === 1;
      at += 9;
      const exchange = this.#exchanges.read(bytes, at);
      at += 1 + (bytes[at] as number);
      const routingKey = this.#routingKeys.read(bytes, at);
      this.#announced = { entry: this.#consumers.get(consumerTag), tag, redelivered, exchange, routingKey };
      return true;
    }
    const announced = this.#announced;
    if (!announced) return false;
    const content = this.#content.take(frame);
    if (!content) return true;
    this.#announced = undefined;
    const { entry, tag, redelivered, exchange, routingKey } = announced;
    this.#runs.delivered(tag, entry ?? nobody);
    if (!entry) {
      // The broker cancelled the consumer and this was under way: it goes back.
      this.settle(tag, 'nack');
      return true;
    }
    if (entry.batch.length === 0) this.#batches.push(entry);
    entry.batch.push({
      redelivered,
      exchange,
      routingKey,
      properties: content.properties,
      body: content.body,
      token: { channel: this, tag },
    });
    return true;
  }

  handOver(): void {
    if (this.#batches.length === 0) return;
    const batches = this.#batches;
    this.#batches = [];
    for (const entry of batches) {
      const batch = entry.batch;
      entry.batch = [];
      try {
        entry.handler.delivered(batch);
      } catch (error) {
        this.#owner.log.error({ queue: entry.queue, err: error }, 'a delivery handler threw');
      }
    }
  }

  // ---- inside ----

  #opened(channel: Channel): void {
    if (this.#isClosed) return;
    this.#channel = channel;
    this.#number = numberOf(channel);
    // Throws when the connection went in the same breath: then nobody was there to hear the channel's end.
    this.#buffer = bufferOf(this.#connection.wire, channel);
    this.#connection.data.register(this.#number, this);
    for (const entry of new Set(this.#consumers.values()))
      if (!entry.cancelling) this.#start(channel, entry, entry.turns);
    if (this.#barriers.length > 0) this.#sendBarrier();
  }

  #start(channel: Channel, entry: ConsumerEntry, turns: readonly Turn[]): void {
    const cancelled = (message: unknown) => {
      if (message === null) this.#queueGone(entry);
    };
    const { queue } = entry;
    const consumed = turns.map(({ tag: consumerTag, prefetch }) => {
      // Both are queued in one go: no other qos comes between (it holds for the consumers that follow it).
      channel.prefetch(prefetch, false).catch(() => {});
      return channel.consume(queue, cancelled, { consumerTag, noAck: false, arguments: entry.arguments });
    });
    Promise.all(consumed).then(
      () => {
        if (!entry.ended) this.#owner.accepted(entry);
      },
      (error) => {
        // The other consumers of the channel are `lost`, which its close tells them.
        if (!isAnswerTo(error, 60, 20)) return;
        const fault = queueFault(error, 'Consuming from', queue, this.#connection.address);
        this.#end(entry, { why: 'refused', fault });
      },
    );
  }

  #queueGone(entry: ConsumerEntry): void {
    // Where the queue is gone this says nothing to anybody, where only its consumer was ended it gives them back; either
    // way the channel's runs are not held up by tags that nobody will settle.
    for (const tag of this.#runs.unsettledOf(entry)) this.#runs.settle(tag, 'nack');
    this.#flushSoon();
    queueMicrotask(() => this.#end(entry, { why: 'queue-gone' }));
  }

  #end(entry: ConsumerEntry, end: ConsumerEnd): void {
    if (entry.ended) return;
    entry.ended = true;
    for (const { tag } of entry.turns) this.#consumers.delete(tag);
    try {
      entry.handler.ended(end);
    } catch (error) {
      this.#owner.log.error({ queue: entry.queue, err: error }, 'an end-of-consumer handler threw');
    }
    this.#owner.ended(entry, end);
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isClosing) this.#owner.lost(this);
    this.#connection.data.release(this.#number, this);
    this.#owner.closed(this);
    // Behind the rejection of a consume that was the cause: it knows more.
    setImmediate(() => {
      for (const entry of new Set(this.#consumers.values()))
        this.#end(entry, { why: entry.cancelling && !this.#channel ? 'cancelled' : 'lost' });
      for (const done of this.#barriers.splice(0)) done(false);
    });
  }

  #flushSoon(): void {
    if (this.#flushWanted || this.#isClosed) return;
    this.#flushWanted = true;
    setImmediate(() => this.flush());
  }

  #sendBarrier(): void {
    const channel = this.#channel;
    if (this.#barrierOut || !channel || this.#isClosed) return;
    this.flush();
    this.#barrierOut = true;
    const waiting = this.#barriers.splice(0);
    const answer = (processed: boolean) => {
      this.#barrierOut = false;
      for (const done of waiting) done(processed);
      if (this.#barriers.length > 0) this.#sendBarrier();
    };
    // Any harmless call: the broker's channel processes its methods in order. Consumers set their own qos before they start.
    channel.prefetch(1, false).then(
      () => answer(true),
      () => answer(false),
    );
  }
}

/** Owns deliveries that belong to no consumer any more. */
const nobody = { queue: '' } as ConsumerEntry;

/** The fault of a consume without a connection. */
export function notConnected(doing: string): Fault {
  return new Fault(
    'TOMBOLO_BROKER_LOST',
    `${doing} is not possible now: there is no connection to the broker. It is being opened.`,
  );
}
