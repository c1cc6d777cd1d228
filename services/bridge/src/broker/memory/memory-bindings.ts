import { type Binding, bindingText } from '@tombolo/wire/binding';
import type { BindingListener, BindingWatch, ExchangeProperties } from '../port.ts';
import type { MemoryConnection } from './memory-broker.ts';

/** What bridges and federation have bound is no demand. */
const foreign = ['tombolo.', 'federation:'] as const;
const isForeign = (name: string) => foreign.some((prefix) => name.startsWith(prefix));

interface Told {
  readonly properties: ExchangeProperties;
  readonly bindings: ReadonlyMap<string, Binding>;
}

/** Bindings as the memory server knows them: exact, and late by the latency. */
export class MemoryBindings implements BindingWatch {
  readonly method = 'memory';
  #connection: MemoryConnection | undefined;
  #visible = false;
  #matches: (exchange: string) => boolean = () => false;
  #listener: BindingListener | undefined;
  readonly #told = new Map<string, Told>();
  #toldRoutes: string | undefined;

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

  watch(matches: (exchange: string) => boolean, listener: BindingListener): void {
    const isNew = listener !== this.#listener;
    if (isNew) {
      this.#told.clear();
      this.#toldRoutes = undefined;
    }
    this.#matches = matches;
    this.#listener = listener;
    for (const exchange of [...this.#told.keys()]) if (!matches(exchange)) this.#told.delete(exchange);
    if (!this.#visible) return;
    this.#lookAtAll();
    if (isNew) listener.visible(true, undefined);
  }

  refresh(): void {
    this.#connection?.pipes.toClient(() => this.#lookAtAll());
  }

  /** This exchange or its bindings changed at the server. */
  serverChanged(exchange: string): void {
    const connection = this.#connection;
    if (!connection) return;
    const existed = connection.server.exchanges.propertiesOf(exchange) !== undefined;
    connection.pipes.toClient(() => {
      this.#look(exchange, !existed);
      this.#lookAtRoutes();
    });
  }

  #lookAtAll(): void {
    const exchanges = this.#connection?.server.exchanges;
    if (!exchanges || !this.#listener) return;
    for (const exchange of new Set([...this.#told.keys(), ...exchanges.names()])) this.#look(exchange, false);
    this.#lookAtRoutes();
  }

  #look(exchange: string, wasDeleted: boolean): void {
    const listener = this.#listener;
    const exchanges = this.#connection?.server.exchanges;
    if (!listener || !exchanges || !this.#matches(exchange)) return;
    const properties = exchanges.propertiesOf(exchange);
    if ((wasDeleted || !properties) && this.#told.delete(exchange)) listener.deleted(exchange);
    if (!properties) return;
    const bindings = new Map<string, Binding>();
    for (const { binding, to } of exchanges.bindingsOf(exchange)) {
      if (!isForeign(to.name)) bindings.set(bindingText(binding), binding);
    }
    const before = this.#told.get(exchange);
    this.#told.set(exchange, { properties, bindings });
    if (!before || JSON.stringify(before.properties) !== JSON.stringify(properties)) {
      listener.exchange(exchange, properties, [...bindings.values()]);
      return;
    }
    const added = missing(bindings, before.bindings);
    const removed = missing(before.bindings, bindings);
    if (added.length > 0 || removed.length > 0) listener.changed(exchange, added, removed);
  }

  #lookAtRoutes(): void {
    const exchanges = this.#connection?.server.exchanges;
    if (!exchanges || !this.#listener) return;
    const routes = exchanges.routes().filter((route) => !isForeign(route.to));
    const text = JSON.stringify(routes);
    if (text === this.#toldRoutes) return;
    this.#toldRoutes = text;
    this.#listener.routes(routes);
  }

  #see(visible: boolean): void {
    if (this.#visible === visible) return;
    this.#visible = visible;
    this.#listener?.visible(visible, visible ? undefined : 'the broker is not connected');
  }
}

/** What the first map has and the second has not. */
function missing(has: ReadonlyMap<string, Binding>, other: ReadonlyMap<string, Binding>): Binding[] {
  return [...has].flatMap(([text, binding]) => (other.has(text) ? [] : [binding]));
}
