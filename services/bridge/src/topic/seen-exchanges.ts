import { type Binding, bindingText } from '@tombolo/wire/binding';
import type { BindingListener, ExchangeBinding, ExchangeProperties } from '../broker/port.ts';

/** What applications have bound to one exchange of the own broker. */
export interface SeenExchange {
  readonly properties: ExchangeProperties;
  readonly bindings: ReadonlyMap<string, Binding>;
}

/** Who wants to know of changes: the topics of a master, while there is one. */
export interface ExchangeWatcher {
  /** The exchange, or what is bound to it, is another now; undefined: it is gone. */
  exchangeChanged(exchange: string, seen: SeenExchange | undefined): void;
  bindingsVisible(visible: boolean): void;
}

/** The exchanges that connectors mean, as far as the broker has told: they are watched before this bridge is the master. */
export class SeenExchanges implements BindingListener {
  readonly #exchanges = new Map<string, { properties: ExchangeProperties; readonly bindings: Map<string, Binding> }>();
  #routes: readonly ExchangeBinding[] = [];
  #visible = false;
  #reason: string | undefined;
  #watcher: ExchangeWatcher | undefined;

  get all(): ReadonlyMap<string, SeenExchange> {
    return this.#exchanges;
  }
  /** Every binding of an exchange to an exchange. */
  get bindingsBetween(): readonly ExchangeBinding[] {
    return this.#routes;
  }
  /** Why bindings cannot be seen, or undefined. */
  get blindness(): string | undefined {
    return this.#visible ? undefined : this.#reason;
  }

  /** Tells this watcher of all that is known, then of changes; undefined: nobody. */
  watchedBy(watcher: ExchangeWatcher | undefined): void {
    this.#watcher = watcher;
    if (!watcher) return;
    for (const [exchange, seen] of this.#exchanges) watcher.exchangeChanged(exchange, seen);
    watcher.bindingsVisible(this.#visible);
  }

  exchange(exchange: string, properties: ExchangeProperties, bindings: readonly Binding[]): void {
    const texts = new Map(bindings.map((binding) => [bindingText(binding), binding]));
    this.#exchanges.set(exchange, { properties, bindings: texts });
    this.#tell(exchange);
  }

  changed(exchange: string, added: readonly Binding[], removed: readonly Binding[]): void {
    const seen = this.#exchanges.get(exchange);
    if (!seen) return;
    for (const binding of added) seen.bindings.set(bindingText(binding), binding);
    for (const binding of removed) seen.bindings.delete(bindingText(binding));
    this.#tell(exchange);
  }

  deleted(exchange: string): void {
    if (this.#exchanges.delete(exchange)) this.#tell(exchange);
  }

  routes(bindings: readonly ExchangeBinding[]): void {
    this.#routes = bindings;
  }

  visible(visible: boolean, reason: string | undefined): void {
    this.#visible = visible;
    this.#reason = reason;
    this.#watcher?.bindingsVisible(visible);
  }

  #tell(exchange: string): void {
    this.#watcher?.exchangeChanged(exchange, this.#exchanges.get(exchange));
  }
}
