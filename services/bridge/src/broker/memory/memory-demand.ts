import type { DemandListener, DemandWatch, QueueDemand } from '../port.ts';
import type { MemoryConnection } from './memory-broker.ts';

/** Demand as the memory server knows it: exact, and late by the latency. */
export class MemoryDemand implements DemandWatch {
  readonly method = 'memory';
  #connection: MemoryConnection | undefined;
  #visible = false;
  #matches: (queue: string) => boolean = () => false;
  #listener: DemandListener | undefined;
  /** Queues that were told, with the last demand told. */
  readonly #told = new Map<string, QueueDemand | undefined>();

  attach(connection: MemoryConnection): void {
    this.#connection = connection;
    connection.pipes.toClient(() => {
      this.#lookAtAll();
      this.#see(true);
    });
  }

  detach(): void {
    this.#connection = undefined;
    this.#see(false);
  }

  watch(
    names: { readonly matches: (queue: string) => boolean; readonly exact: readonly string[] },
    listener: DemandListener,
  ): void {
    if (listener !== this.#listener) this.#told.clear();
    const isNew = listener !== this.#listener;
    this.#matches = names.matches;
    this.#listener = listener;
    for (const queue of [...this.#told.keys()]) if (!this.#matches(queue)) this.#told.delete(queue);
    if (!this.#visible) return;
    this.#lookAtAll();
    if (isNew) listener.visible(true);
  }

  refresh(queue?: string): void {
    this.#connection?.pipes.toClient(() => (queue === undefined ? this.#lookAtAll() : this.#look(queue, false)));
  }

  /** Something about this queue changed at the server. */
  serverChanged(queue: string): void {
    const existed = this.#connection?.server.queues.has(queue) ?? false;
    this.#connection?.pipes.toClient(() => this.#look(queue, !existed));
  }

  #lookAtAll(): void {
    const server = this.#connection?.server;
    if (!server) return;
    for (const queue of [...this.#told.keys()]) if (!server.queues.has(queue)) this.#look(queue, true);
    for (const queue of server.queues.keys()) this.#look(queue, false);
  }

  #look(queue: string, wasDeleted: boolean): void {
    const listener = this.#listener;
    const server = this.#connection?.server;
    if (!listener || !server || !this.#matches(queue)) return;
    if (wasDeleted && this.#told.has(queue)) {
      this.#told.delete(queue);
      listener.deleted(queue);
    }
    const demand = server.demandOf(queue);
    if (!demand) return;
    if (!this.#told.has(queue)) {
      this.#told.set(queue, undefined);
      listener.created(queue, demand.properties);
    }
    const before = this.#told.get(queue);
    if (demand.consumers === (before?.consumers ?? 0) && demand.capacity === (before?.capacity ?? 0)) return;
    this.#told.set(queue, demand);
    listener.changed(demand);
  }

  #see(visible: boolean): void {
    if (this.#visible === visible) return;
    this.#visible = visible;
    this.#listener?.visible(visible);
  }
}
