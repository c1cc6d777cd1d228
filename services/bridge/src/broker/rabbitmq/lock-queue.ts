import type { Clock } from '@tombolo/kernel/clock';
import { Fault } from '@tombolo/kernel/fault';
import { codeOf, replyCode } from './close-codes.ts';
import type { Connection } from './connection.ts';

/** The exclusive queues that are the lock of a cluster's master, one on each of its connections. */
export const lockQueues = ['tombolo.master', 'tombolo.master.publish'] as const;

/** How often it is looked whether the lock is still held (ms): so long there may be two masters where it was taken away. */
const LOOK_MS = 2_000;

/** Declares a lock queue on this connection, or again. Rejects as amqplib does: with 405 when another connection has it. */
export async function holdLock(connection: Connection, queue: string): Promise<void> {
  const channel = await connection.channel(() => {});
  // Explicitly classic: under a default queue type it would be a quorum queue, which exclusiveness does not hold for.
  await channel.assertQueue(queue, { exclusive: true, durable: false, arguments: { 'x-queue-type': 'classic' } });
  await channel.close().catch(() => {});
}

/**
 * Declares the lock queues that are held again and again. The broker does not tell the holder of a queue that it was deleted, by hand, by
 * a policy with `expires` (which a declaration postpones), or when a node of its cluster died: those that stay delete by name what
 * they found on it. Then another bridge may have declared it.
 */
export class LockWatch {
  readonly #clock: Clock;
  readonly #lost: (connection: Connection, fault: Fault) => void;
  #held: readonly Connection[] = [];
  #cancelWakes: (() => void)[] = [];

  constructor(clock: Clock, lost: (connection: Connection, fault: Fault) => void) {
    this.#clock = clock;
    this.#lost = lost;
  }

  /** @param held the connections that hold the lock queues, in their order */
  attach(held: readonly Connection[]): void {
    this.detach();
    this.#held = held;
    for (const index of held.keys()) this.#later(index, held);
  }

  detach(): void {
    this.#held = [];
    for (const cancel of this.#cancelWakes) cancel();
    this.#cancelWakes = [];
  }

  #later(index: number, held: readonly Connection[]): void {
    this.#cancelWakes[index] = this.#clock.wake(this.#clock.now() + LOOK_MS, () => void this.#look(index, held));
  }

  async #look(index: number, held: readonly Connection[]): Promise<void> {
    const connection = held[index] as Connection;
    const queue = lockQueues[index] as string;
    try {
      // Where an alarm keeps the broker from reading, the answer comes when that is over.
      await holdLock(connection, queue);
    } catch (error) {
      if (this.#held === held && codeOf(error) === replyCode.resourceLocked) {
        const why = `its lock was taken away: the queue "${queue}" was deleted (by hand, by a policy with expires, or with a node of the broker), and another bridge declared it`;
        return this.#lost(
          connection,
          new Fault('TOMBOLO_BROKER_LOST', `This bridge is not the master at ${connection.address} any more: ${why}.`),
        );
      }
    }
    if (this.#held === held) this.#later(index, held);
  }
}
