import { Fault } from '@tombolo/kernel/fault';
import type { Binding } from '@tombolo/wire/binding';
import type { BufferBinding, BufferProperties, ExchangeProperties, TopicBuffers } from '../port.ts';
import type { MemoryConnection } from './memory-broker.ts';
import type { MemoryServer } from './memory-server.ts';

const prefix = 'tombolo.topic.';

/** The buffers of the memory adapter. They do not expire: nothing here happens by itself. */
export class MemoryBuffers implements TopicBuffers {
  #connection: MemoryConnection | undefined;

  attach(connection: MemoryConnection): void {
    this.#connection = connection;
  }

  detach(): void {
    this.#connection = undefined;
  }

  async declare(buffer: string, { type, maxLength, maxBytes }: BufferProperties): Promise<void> {
    const server = this.#server(`Declaring queue "${buffer}"`);
    const properties = {
      type,
      durable: true,
      expires: true,
      maxLength,
      maxLengthBytes: maxBytes,
      overflow: 'drop-head',
    };
    const existing = server.queues.get(buffer)?.properties;
    if (!existing) {
      server.declare(buffer, properties);
      return;
    }
    const alike = (Object.keys(properties) as (keyof typeof properties)[]).every(
      (name) => existing[name] === properties[name],
    );
    if (alike) return;
    throw new Fault(
      'TOMBOLO_QUEUE_REFUSED',
      `Declaring queue "${buffer}" was refused: it exists with other properties.`,
    );
  }

  async bind(buffer: string, exchange: string, bindings: readonly Binding[]): Promise<void> {
    const server = this.#bindable('Binding', buffer, exchange, bindings);
    for (const binding of bindings) server?.exchanges.bind(exchange, { kind: 'queue', name: buffer }, binding);
  }

  async unbind(buffer: string, exchange: string, bindings: readonly Binding[]): Promise<void> {
    const server = this.#bindable('Unbinding', buffer, exchange, bindings);
    for (const binding of bindings) server?.exchanges.unbind(exchange, { kind: 'queue', name: buffer }, binding);
  }

  async bindings(buffer: string): Promise<readonly BufferBinding[]> {
    return this.#server(`Looking at queue "${buffer}"`).exchanges.bindingsTo(buffer);
  }

  async list(): Promise<readonly string[]> {
    const server = this.#server('Looking at the queues');
    return [...server.queues.keys()].filter((name) => name.startsWith(prefix));
  }

  async delete(buffer: string, { ifEmpty = false }: { readonly ifEmpty?: boolean } = {}) {
    const server = this.#server(`Deleting queue "${buffer}"`);
    const queue = server.queues.get(buffer);
    if (!queue) return 'absent';
    if (ifEmpty && queue.ready.length > 0) return 'not-empty';
    server.deleteQueue(buffer);
    return 'deleted';
  }

  async exchange(exchange: string): Promise<ExchangeProperties | undefined> {
    return this.#server(`Looking at exchange "${exchange}"`).exchanges.propertiesOf(exchange);
  }

  #bindable(doing: string, buffer: string, exchange: string, bindings: readonly Binding[]): MemoryServer | undefined {
    const what = `${doing} queue "${buffer}" to exchange "${exchange}"`;
    const server = this.#server(what);
    if (bindings.length === 0) return undefined;
    if (server.exchanges.propertiesOf(exchange) === undefined) {
      // A broker that undoes a binding of nothing has nothing to do (RabbitMQ since 3.2).
      if (doing === 'Unbinding') return undefined;
      throw new Fault('TOMBOLO_EXCHANGE_ABSENT', `${what} failed: there is no such exchange.`);
    }
    if (server.queues.has(buffer)) return server;
    if (doing === 'Unbinding') return undefined;
    throw new Fault('TOMBOLO_QUEUE_ABSENT', `${what} failed: there is no such queue.`);
  }

  #server(doing: string): MemoryServer {
    if (!this.#connection)
      throw new Fault('TOMBOLO_BROKER_LOST', `${doing} is not possible now: there is no connection.`);
    return this.#connection.server;
  }
}
