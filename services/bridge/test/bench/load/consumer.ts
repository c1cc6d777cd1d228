import { frameType } from '@tombolo/bridge/broker/rabbitmq/data-path/frame-reader';
import { encodeAcks } from '@tombolo/bridge/broker/rabbitmq/data-path/frame-writer';
import { methodId, readLong } from '@tombolo/bridge/broker/rabbitmq/data-path/methods';
import type { RawFrame } from '@tombolo/bridge/broker/rabbitmq/data-path/raw-frame';
import { type ArrivalReport, Arrivals } from './arrivals.ts';
import { now, type Place, Session } from './session.ts';

export interface ConsumeOrder extends Place {
  readonly queues: readonly string[];
  /** Of each consumer; default 1,000. */
  readonly prefetch?: number;
  /** The messages are numbered from 0 to below this. */
  readonly numbers: number;
  /** Note latencies, from this number on. */
  readonly warm?: number;
}

/** A client with a consumer on each of its queues that acknowledges what it has read, once per chunk. */
export class LoadConsumer {
  readonly #session: Session;
  readonly #arrivals: Arrivals;
  #write: (bytes: Buffer) => boolean = () => true;
  #number = 0;
  #tag = 0;
  #bodyLeft = 0;
  /** The last message that came whole, and the last that is acknowledged. */
  #whole = 0;
  #acked = 0;

  private constructor(session: Session, arrivals: Arrivals) {
    this.#session = session;
    this.#arrivals = arrivals;
  }

  /** Resolves when all its consumers are on. */
  static async start(order: ConsumeOrder): Promise<LoadConsumer> {
    const session = await Session.open(order);
    const channel = await session.model.createChannel();
    const consumer = new LoadConsumer(session, new Arrivals(order.numbers, order.warm));
    const line = session.raw(channel, {
      frame: (frame) => consumer.#frame(frame),
      handOver: () => consumer.#handOver(),
    });
    consumer.#number = line.number;
    consumer.#write = (bytes) => line.write(bytes);
    await channel.prefetch(order.prefetch ?? 1_000, false);
    await Promise.all(order.queues.map((queue) => channel.consume(queue, () => {}, { noAck: false })));
    return consumer;
  }

  report(): ArrivalReport {
    return this.#arrivals.report();
  }

  wait(distinct: number, withinMs: number): Promise<ArrivalReport> {
    return this.#arrivals.wait(distinct, withinMs);
  }

  async stop(): Promise<ArrivalReport> {
    await this.#session.close();
    return this.report();
  }

  #frame(frame: RawFrame): boolean {
    const { bytes, start } = frame;
    if (frame.type === frameType.method) {
      if (frame.method !== methodId.basicDeliver) return false;
      this.#tag = readLong(bytes, start + 12 + frame.at(11));
      return true;
    }
    if (frame.type === frameType.header) {
      this.#bodyLeft = readLong(bytes, start + 11);
      return true;
    }
    this.#bodyLeft -= frame.length - 8;
    if (this.#bodyLeft > 0) return true;
    this.#whole = this.#tag;
    this.#arrivals.arrived(bytes, start + 7, now);
    return true;
  }

  #handOver(): void {
    if (this.#whole === this.#acked) return;
    this.#acked = this.#whole;
    this.#arrivals.noted(now());
    this.#write(encodeAcks(this.#number, [{ kind: 'ack', tag: this.#acked, multiple: true }]));
  }
}
