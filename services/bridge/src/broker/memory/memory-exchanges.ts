import { type Binding, bindingText } from '@tombolo/wire/binding';
import { bindingMatches, type Routed } from '@tombolo/wire/binding-match';
import type { BufferBinding, ExchangeBinding, ExchangeProperties } from '../port.ts';

/** Who is bound: by kind and name. */
export interface BoundTo {
  readonly kind: 'queue' | 'exchange';
  readonly name: string;
}

interface Exchange {
  readonly properties: ExchangeProperties;
  readonly bindings: Map<string, { readonly binding: Binding; readonly to: BoundTo }>;
}

const durable = { durable: true, autoDelete: false, internal: false };

/** The exchanges of the memory server and what is bound to them: direct, fanout, topic and headers. */
export class MemoryExchanges {
  readonly #exchanges = new Map<string, Exchange>();
  readonly #changed: (exchange: string) => void;

  /** @param changed called whenever an exchange or its bindings have changed, come or gone */
  constructor(changed: (exchange: string) => void) {
    this.#changed = changed;
    for (const type of ['direct', 'fanout', 'headers', 'topic']) this.declare(`amq.${type}`, { type });
  }

  /** Declares an exchange, durable unless said otherwise; one that exists stays as it is. */
  declare(name: string, properties: Partial<ExchangeProperties> & Pick<ExchangeProperties, 'type'>): void {
    if (this.#exchanges.has(name)) return;
    this.#exchanges.set(name, { properties: { ...durable, ...properties }, bindings: new Map() });
    this.#changed(name);
  }

  delete(name: string): void {
    if (!this.#exchanges.delete(name)) return;
    this.#changed(name);
    this.forget({ kind: 'exchange', name });
  }

  /** False: there is no such exchange. */
  bind(exchange: string, to: BoundTo, binding: Binding): boolean {
    const found = this.#exchanges.get(exchange);
    if (!found || (to.kind === 'exchange' && !this.#exchanges.has(to.name))) return false;
    found.bindings.set(textOf(binding, to), { binding, to });
    this.#changed(exchange);
    return true;
  }

  /** False: there is no such exchange. */
  unbind(exchange: string, to: BoundTo, binding: Binding): boolean {
    const found = this.#exchanges.get(exchange);
    if (!found) return false;
    if (found.bindings.delete(textOf(binding, to))) this.#shrank(exchange, found);
    return true;
  }

  /** The queue or exchange is gone, and every binding to it. */
  forget(to: BoundTo): void {
    for (const [name, exchange] of [...this.#exchanges]) {
      let lost = false;
      for (const [text, entry] of exchange.bindings) {
        if (entry.to.kind !== to.kind || entry.to.name !== to.name) continue;
        exchange.bindings.delete(text);
        lost = true;
      }
      if (lost) this.#shrank(name, exchange);
    }
  }

  /** A restart: what is not durable is gone. */
  crash(): void {
    for (const [name, { properties }] of [...this.#exchanges]) if (!properties.durable) this.delete(name);
  }

  names(): string[] {
    return [...this.#exchanges.keys()];
  }

  propertiesOf(exchange: string): ExchangeProperties | undefined {
    return this.#exchanges.get(exchange)?.properties;
  }

  /** Each with whom it leads to, in the order in which they were made. */
  bindingsOf(exchange: string): { readonly binding: Binding; readonly to: BoundTo }[] {
    return [...(this.#exchanges.get(exchange)?.bindings.values() ?? [])];
  }

  bindingsTo(queue: string): BufferBinding[] {
    return this.names().flatMap((exchange) =>
      this.bindingsOf(exchange).flatMap(({ binding, to }) =>
        to.kind === 'queue' && to.name === queue ? [{ exchange, binding }] : [],
      ),
    );
  }

  routes(): ExchangeBinding[] {
    return [...this.#exchanges].flatMap(([from, { properties, bindings }]) =>
      [...bindings.values()].flatMap(({ binding, to }) =>
        to.kind === 'exchange' ? [{ from, type: properties.type, to: to.name, binding }] : [],
      ),
    );
  }

  /** The names of the queues that a message reaches, each once; undefined: no such exchange. */
  route(exchange: string, message: Routed): Set<string> | undefined {
    if (!this.#exchanges.has(exchange)) return undefined;
    const queues = new Set<string>();
    const seen = new Set([exchange]);
    // An exchange that is reached while the loop runs is visited by it, too.
    for (const name of seen) {
      const { properties, bindings } = this.#exchanges.get(name) as Exchange;
      for (const { binding, to } of bindings.values()) {
        if (!bindingMatches(properties.type, binding, message)) continue;
        (to.kind === 'queue' ? queues : seen).add(to.name);
      }
    }
    return queues;
  }

  #shrank(name: string, exchange: Exchange): void {
    if (exchange.properties.autoDelete && exchange.bindings.size === 0) this.delete(name);
    else this.#changed(name);
  }
}

function textOf(binding: Binding, { kind, name }: BoundTo): string {
  return `${kind} ${name} ${bindingText(binding)}`;
}
