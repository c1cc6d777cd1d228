import { Fault } from '@tombolo/kernel/fault';
import type { Holdings, Inventory } from '../port.ts';
import type { MemoryConnection } from './memory-broker.ts';

/** What the queues of the memory server hold: exact, and as of now. */
export class MemoryInventory implements Inventory {
  #connection: MemoryConnection | undefined;

  attach(connection: MemoryConnection): void {
    this.#connection = connection;
  }

  detach(): void {
    this.#connection = undefined;
  }

  async take(): Promise<Holdings> {
    if (!this.#connection)
      throw new Fault('TOMBOLO_BROKER_LOST', 'Counting messages is not possible now: there is no connection.');
    const queues = [...this.#connection.server.queues].map(([queue, { properties, ready, unacknowledged }]) => ({
      ...{ queue, properties, ready: ready.length, unacknowledged: unacknowledged.length },
    }));
    return { queues, incomplete: undefined, readyAgeMs: 0, unacknowledgedAgeMs: 0 };
  }
}
