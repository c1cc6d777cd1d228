import type { Writable } from 'node:stream';
import type { Fault } from '@tombolo/kernel/fault';
import { header } from '@tombolo/wire/header-table';
import type { Channel } from 'amqplib';
import type { Browsing, Delivery } from '../port.ts';
import { queueFault } from './close-codes.ts';
import type { Connection } from './connection.ts';
import { ContentReader } from './data-path/content-reader.ts';
import type { DataChannel } from './data-path/data-path.ts';
import { frameType } from './data-path/frame-reader.ts';
import { encodeAcks, encodeGet } from './data-path/frame-writer.ts';
import { methodId, readLong } from './data-path/methods.ts';
import type { RawFrame } from './data-path/raw-frame.ts';
import { bufferOf, numberOf } from './seam.ts';

export interface BrowseLimits {
  /** A message that came back more often than this (x-delivery-count) ends the look. */
  readonly returnsMost: number;
  exhausted(): Fault;
}

type Announced = Pick<Delivery, 'redelivered' | 'exchange' | 'routingKey'> & { readonly tag: number };

interface Waiting {
  resolve(delivery: Delivery | undefined): void;
  reject(fault: Fault): void;
}

/** A channel that reads one queue message by message (basic.get), and holds what it read until it closes. */
export class BrowseChannel implements Browsing, DataChannel {
  readonly #connection: Connection;
  readonly #queue: string;
  readonly #limits: BrowseLimits;
  readonly #content = new ContentReader();
  readonly #held = new Set<number>();
  #channel: Channel | undefined;
  #number = 0;
  #buffer: Writable | undefined;
  #announced: Announced | undefined;
  #waiting: Waiting | undefined;
  /** Why nothing more can be read. */
  #over: Fault | undefined;
  #closing: Promise<void> | undefined;

  private constructor(connection: Connection, queue: string, limits: BrowseLimits) {
    this.#connection = connection;
    this.#queue = queue;
    this.#limits = limits;
  }

  /** Rejects with a Fault when there is no channel to be had. */
  static async open(connection: Connection, queue: string, limits: BrowseLimits): Promise<BrowseChannel> {
    const browse = new BrowseChannel(connection, queue, limits);
    try {
      const channel = await connection.channel((error) => browse.#closed(error));
      browse.#channel = channel;
      browse.#number = numberOf(channel);
      browse.#buffer = bufferOf(connection.wire, channel);
      connection.data.register(browse.#number, browse);
      return browse;
    } catch (error) {
      throw queueFault(error, 'Reading', queue, connection.address);
    }
  }

  next(): Promise<Delivery | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#over) return reject(this.#over);
      if (this.#waiting || this.#closing) throw new Error('one message is read at a time, and none after close');
      this.#waiting = { resolve, reject };
      this.#write(encodeGet(this.#number, this.#queue));
    });
  }

  remove(delivery: Delivery): void {
    const { channel, tag } = delivery.token;
    if (channel !== this || !this.#held.delete(tag) || this.#over) return;
    this.#write(encodeAcks(this.#number, [{ kind: 'ack', tag, multiple: false }]));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // ---- from the data path ----

  frame(frame: RawFrame): boolean {
    if (frame.type !== frameType.method) {
      const announced = this.#announced;
      if (!announced) return false;
      const content = this.#content.take(frame);
      if (!content) return true;
      this.#announced = undefined;
      this.#got({ ...announced, ...content, token: { channel: this, tag: announced.tag } });
      return true;
    }
    const { bytes, start, method } = frame;
    if (method === methodId.basicGetEmpty) {
      this.#answer()?.resolve(undefined);
      return true;
    }
    if (method !== methodId.basicGetOk) return false;
    let at = start + 20;
    const text = () => {
      const length = bytes[at] as number;
      const value = bytes.toString('utf8', at + 1, at + 1 + length);
      at += 1 + length;
      return value;
    };
    const tag = readLong(bytes, start + 11);
    const redelivered = (frame.at(19) & 1) === 1;
    const exchange = text();
    this.#announced = { tag, redelivered, exchange, routingKey: text() };
    this.#held.add(tag);
    return true;
  }

  handOver(): void {}

  // ---- inside ----

  #got(delivery: Delivery): void {
    const waiting = this.#answer();
    if (returnsOf(delivery.properties) <= this.#limits.returnsMost) return waiting?.resolve(delivery);
    this.#over = this.#limits.exhausted();
    waiting?.reject(this.#over);
  }

  #answer(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }

  #write(frames: Buffer): void {
    this.#buffer?.write(frames);
    this.#connection.wire.sentSinceLastCheck = true;
  }

  async #close(): Promise<void> {
    // By nack, not by the channel's end: that would count against a quorum queue's limit in every version (rabbit_fifo).
    if (this.#held.size > 0) this.#write(encodeAcks(this.#number, [{ kind: 'nack', tag: 0, multiple: true }]));
    this.#held.clear();
    await this.#channel?.close().catch(() => {});
  }

  #closed(error: unknown): void {
    this.#connection.data.release(this.#number, this);
    this.#buffer = undefined;
    this.#over ??= queueFault(error, 'Reading', this.#queue, this.#connection.address);
    this.#answer()?.reject(this.#over);
  }
}

/** How often a quorum queue's message was returned; a signed 64-bit count in RabbitMQ. 0 where nothing is told. */
function returnsOf(properties: Uint8Array): number {
  const field = header(properties, 'x-delivery-count');
  return field?.type === 'l' ? Number(Buffer.from(field.value).readBigInt64BE()) : 0;
}
