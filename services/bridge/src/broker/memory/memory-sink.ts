import { Fault } from '@tombolo/kernel/fault';
import type { Publication, Publisher, PublisherHandler, PublishOutcome, Sink } from '../port.ts';
import type { MemoryConnection } from './memory-broker.ts';

interface Under {
  readonly handler: PublisherHandler;
  readonly ids: Set<number>;
}

/** The publishing half of the memory adapter. */
export class MemorySink implements Sink {
  #connection: MemoryConnection | undefined;
  #reader: MemoryConnection | undefined;
  #underway = new Set<Under>();

  attach(connection: MemoryConnection): void {
    this.#connection = connection;
  }

  attachReader(connection: MemoryConnection): void {
    this.#reader = connection;
  }

  detach(): void {
    this.#connection = undefined;
    this.#reader = undefined;
    const underway = [...this.#underway];
    this.#underway.clear();
    for (const { handler, ids } of underway) {
      if (ids.size > 0) handler.outcome([...ids], 'unknown', 'the connection to the broker was lost');
    }
  }

  publisher(_destination: string, handler: PublisherHandler): Publisher {
    return {
      publish: (publications) => this.#publish(publications, handler),
      close: () => {},
    };
  }

  unpublishable(message: { readonly properties: Uint8Array; readonly body: Uint8Array }): string | undefined {
    return message.body.length > 134_217_728 ? `the body of ${message.body.length} bytes is too large` : undefined;
  }

  async probe(queue: string): Promise<{ readonly ready: number; readonly consumers: number } | undefined> {
    if (!this.#reader) throw new Fault('TOMBOLO_BROKER_LOST', 'Looking is not possible now: there is no connection.');
    const found = this.#reader.server.queues.get(queue);
    return found && { ready: found.ready.length, consumers: found.consumers.length };
  }

  #publish(publications: readonly Publication[], handler: PublisherHandler): void {
    const connection = this.#connection;
    const ids = publications.map((publication) => publication.id);
    if (ids.length === 0) return;
    if (!connection) {
      queueMicrotask(() => handler.outcome(ids, 'refused', 'not connected to the broker'));
      return;
    }
    const under: Under = { handler, ids: new Set(ids) };
    this.#underway.add(under);
    connection.pipes.toServer(() => {
      const { server } = connection;
      const results = publications.map(({ id, exchange, routingKey, properties, body }) => {
        const reason = server.poison?.(body);
        if (reason !== undefined) return { id, outcome: 'poison' as PublishOutcome, detail: reason };
        const outcome: PublishOutcome = server.route({ exchange, routingKey, properties, body });
        return { id, outcome, detail: outcome === 'returned' ? 'NO_ROUTE' : undefined };
      });
      connection.pipes.toClient(() => {
        this.#underway.delete(under);
        for (let from = 0, to = 1; to <= results.length; to++) {
          const first = results[from] as (typeof results)[number];
          if (to < results.length && results[to]?.outcome === first.outcome) continue;
          handler.outcome(
            results.slice(from, to).map((result) => result.id),
            first.outcome,
            first.detail,
          );
          from = to;
        }
      });
    });
  }
}
