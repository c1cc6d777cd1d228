import { Fault } from '@tombolo/kernel/fault';
import type { Channel } from 'amqplib';
import { codeOf, isUnavailable, queueFault, replyCode } from './close-codes.ts';
import type { Connection } from './connection.ts';
import { notConnected } from './consume-channel.ts';

export interface Counts {
  readonly ready: number;
  readonly consumers: number;
}

interface Wanted {
  readonly queue: string;
  readonly answer: Promise<Counts | undefined>;
  readonly resolve: (counts: Counts | undefined) => void;
  readonly reject: (fault: Fault) => void;
}

const lanes = 4;

/**
 * Passive declares on channels of their own, since a queue that is not there closes the channel: one queue at a time per
 * channel, a few channels side by side. On the consuming connection, which an alarm does not block.
 */
export class Prober {
  #connection: Connection | undefined;
  #waiting: Wanted[] = [];
  readonly #byQueue = new Map<string, Wanted>();
  #lanes: { channel: Channel | undefined; busy: boolean }[] = [];

  attach(connection: Connection): void {
    this.#connection = connection;
    this.#lanes = Array.from({ length: lanes }, () => ({ channel: undefined, busy: false }));
  }

  detach(): void {
    this.#connection = undefined;
    this.#lanes = [];
    this.#byQueue.clear();
    for (const wanted of this.#waiting.splice(0)) wanted.reject(notConnected(`Looking at queue "${wanted.queue}"`));
  }

  /** Ready messages and consumers; undefined: no such queue. One look serves all who ask before it begins. Rejects with a Fault. */
  probe(queue: string): Promise<Counts | undefined> {
    if (!this.#connection?.isOpen) return Promise.reject(notConnected(`Looking at queue "${queue}"`));
    const asked = this.#byQueue.get(queue);
    if (asked) return asked.answer;
    const { promise, resolve, reject } = withResolvers<Counts | undefined>();
    const wanted: Wanted = { queue, answer: promise, resolve, reject };
    this.#byQueue.set(queue, wanted);
    this.#waiting.push(wanted);
    this.#next();
    return promise;
  }

  #next(): void {
    const connection = this.#connection;
    if (!connection) return;
    for (const lane of this.#lanes) {
      if (lane.busy) continue;
      const wanted = this.#waiting.shift();
      if (!wanted) return;
      this.#byQueue.delete(wanted.queue);
      lane.busy = true;
      this.#look(connection, lane, wanted.queue).then(
        (counts) => {
          lane.busy = false;
          wanted.resolve(counts);
          this.#next();
        },
        (error) => {
          lane.busy = false;
          wanted.reject(
            error instanceof Fault ? error : queueFault(error, 'Looking at', wanted.queue, connection.address),
          );
          this.#next();
        },
      );
    }
  }

  async #look(
    connection: Connection,
    lane: { channel: Channel | undefined },
    queue: string,
  ): Promise<Counts | undefined> {
    if (!lane.channel) {
      const channel: Channel = await connection.channel(() => {
        if (lane.channel === channel) lane.channel = undefined;
      });
      lane.channel = channel;
    }
    try {
      const { messageCount, consumerCount } = await lane.channel.checkQueue(queue);
      return { ready: messageCount, consumers: consumerCount };
    } catch (error) {
      lane.channel = undefined;
      if (codeOf(error) === replyCode.notFound && !isUnavailable(error)) return undefined;
      throw error;
    }
  }
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: Fault) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
