import type { Channel } from 'amqplib';
import type { QueueDeclaration } from '../port.ts';
import { codeOf, hasOtherExpiry, queueFault, replyCode } from './close-codes.ts';
import type { Connection } from './connection.ts';
import { notConnected } from './consume-channel.ts';
import { declareArguments } from './queue-properties.ts';

const lanes = 4;

type Work = (lane: Lane | undefined) => Promise<void>;

interface Lane {
  channel: Channel | undefined;
  busy: boolean;
}

/**
 * Declares and deletes queues, on channels of its own since a refusal closes the channel: one queue at a time per channel, a few
 * channels side by side, so that a thousand declarations at once need no thousand channels.
 */
export class Declarer {
  #connection: Connection | undefined;
  #lanes: Lane[] = [];
  #waiting: Work[] = [];

  attach(connection: Connection): void {
    this.#connection = connection;
    this.#lanes = Array.from({ length: lanes }, () => ({ channel: undefined, busy: false }));
  }

  detach(): void {
    this.#connection = undefined;
    this.#lanes = [];
    for (const work of this.#waiting.splice(0)) void work(undefined);
  }

  /** Rejects with a Fault; a queue that is there with another expiry is taken as it is. */
  async declare(queue: string, properties: QueueDeclaration): Promise<void> {
    try {
      await this.#do('Declaring', queue, (channel) =>
        channel.assertQueue(queue, { durable: true, arguments: declareArguments(properties) }),
      );
    } catch (error) {
      if (!hasOtherExpiry((error as Error).cause)) throw error;
    }
  }

  /** False when it holds messages, has consumers, or is not there. Rejects with a Fault. */
  async deleteIfIdle(queue: string): Promise<boolean> {
    try {
      await this.#do('Deleting', queue, (channel) => channel.deleteQueue(queue, { ifUnused: true, ifEmpty: true }));
      return true;
    } catch (error) {
      if (codeOf((error as Error).cause) === replyCode.preconditionFailed) return false;
      throw error;
    }
  }

  #do(doing: string, queue: string, act: (channel: Channel) => Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      const connection = this.#connection;
      this.#waiting.push(async (lane) => {
        if (!lane || !connection?.isOpen) return reject(notConnected(`${doing} queue "${queue}"`));
        try {
          await act(lane.channel ?? (await this.#open(connection, lane)));
          resolve();
        } catch (error) {
          lane.channel = undefined;
          reject(queueFault(error, doing, queue, connection.address));
        }
      });
      if (connection?.isOpen) this.#next();
      else for (const work of this.#waiting.splice(0)) void work(undefined);
    });
  }

  async #open(connection: Connection, lane: Lane): Promise<Channel> {
    const channel: Channel = await connection.channel(() => {
      if (lane.channel === channel) lane.channel = undefined;
    });
    lane.channel = channel;
    return channel;
  }

  #next(): void {
    for (const lane of this.#lanes) {
      if (lane.busy) continue;
      const work = this.#waiting.shift();
      if (!work) return;
      lane.busy = true;
      void work(lane).then(() => {
        lane.busy = false;
        this.#next();
      });
    }
  }
}
