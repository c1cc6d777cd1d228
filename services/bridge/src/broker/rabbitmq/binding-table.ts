import { type Binding, bindingText } from '@tombolo/wire/binding';
import type { ExchangeBinding, ExchangeProperties } from '../port.ts';

/** A binding as the management API or an event tells of it. */
export interface BindingFact {
  readonly source: string;
  readonly destination: string;
  readonly destinationKind: 'queue' | 'exchange';
  readonly binding: Binding;
}

export interface ExchangeFact {
  readonly name: string;
  readonly properties: ExchangeProperties;
}

export type TopologyEvent =
  | { readonly was: 'exchange created'; readonly exchange: ExchangeFact }
  | { readonly was: 'exchange deleted'; readonly exchange: string }
  | { readonly was: 'binding created'; readonly fact: BindingFact }
  | { readonly was: 'binding deleted'; readonly fact: BindingFact }
  | { readonly was: 'queue deleted'; readonly queue: string };

export type BindingChange =
  | {
      readonly is: 'exchange';
      readonly exchange: string;
      readonly properties: ExchangeProperties;
      readonly bindings: readonly Binding[];
    }
  | {
      readonly is: 'changed';
      readonly exchange: string;
      readonly added: readonly Binding[];
      readonly removed: readonly Binding[];
    }
  | { readonly is: 'deleted'; readonly exchange: string }
  | { readonly is: 'routes'; readonly bindings: readonly ExchangeBinding[] };

interface Row {
  readonly properties: ExchangeProperties;
  /** By their text; conduit: who is bound is counted, not told. */
  readonly bindings: Map<string, { readonly binding: Binding; readonly destinations: Set<string> }>;
}

type Rows = Map<string, Row>;

/** What bridges and federation have bound is no demand. */
const foreign = ['tombolo.', 'federation:'] as const;

/**
 * Which applications' bindings every exchange has, from snapshots and events together. Pure: every method returns what has to
 * be told. A snapshot is of some moment between its request and its answer, so what events told meanwhile is applied to it
 * once more; every event is idempotent.
 */
export class BindingTable {
  #rows: Rows = new Map();
  #matches: (exchange: string) => boolean = () => false;
  /** Events since the last look began; undefined when none is under way. */
  #meanwhile: TopologyEvent[] | undefined;
  #known = false;

  /** Other exchanges are watched from now on. */
  watch(matches: (exchange: string) => boolean): BindingChange[] {
    const before = this.#matches;
    this.#matches = matches;
    if (!this.#known) return [];
    return [...this.#rows].flatMap(([exchange, row]) =>
      matches(exchange) && !before(exchange) ? [introduce(exchange, row)] : [],
    );
  }

  /** Tells everything again, as to a new listener. */
  retell(): BindingChange[] {
    if (!this.#known) return [];
    const shown = [...this.#rows].filter(([exchange]) => this.#matches(exchange));
    return [...shown.map(([exchange, row]) => introduce(exchange, row)), this.#routes()];
  }

  /** True when the exchange is known: an event about another one's binding says that something was missed. */
  knows(exchange: string): boolean {
    return this.#rows.has(exchange);
  }

  propertiesOf(exchange: string): ExchangeProperties | undefined {
    return this.#rows.get(exchange)?.properties;
  }

  lookBegan(): void {
    this.#meanwhile = [];
  }

  lookFailed(): void {
    this.#meanwhile = undefined;
  }

  /** The answer of the look that began last. */
  snapshot(exchanges: readonly ExchangeFact[], facts: readonly BindingFact[]): BindingChange[] {
    const rows: Rows = new Map();
    for (const { name, properties } of exchanges) rows.set(name, { properties, bindings: new Map() });
    for (const fact of facts) apply(rows, { was: 'binding created', fact });
    for (const event of this.#meanwhile ?? []) apply(rows, event);
    this.#meanwhile = undefined;
    const isFirst = !this.#known;
    this.#known = true;
    const before = this.#rows;
    this.#rows = rows;
    const changes: BindingChange[] = [];
    for (const exchange of before.keys()) {
      if (!rows.has(exchange) && this.#matches(exchange)) changes.push({ is: 'deleted', exchange });
    }
    for (const [exchange, row] of rows) {
      if (!this.#matches(exchange)) continue;
      const was = before.get(exchange);
      if (was && sameProperties(was.properties, row.properties)) {
        const added = missing(row, was);
        const removed = missing(was, row);
        if (added.length > 0 || removed.length > 0) changes.push({ is: 'changed', exchange, added, removed });
      } else {
        changes.push(introduce(exchange, row));
      }
    }
    if (isFirst || routesText(before) !== routesText(rows)) changes.push(this.#routes());
    return changes;
  }

  /** Something has happened. Before the first snapshot nothing is told. */
  happened(event: TopologyEvent): BindingChange[] {
    this.#meanwhile?.push(event);
    if (!this.#known) return [];
    const changes: BindingChange[] = [];
    const { touched, routes } = apply(this.#rows, event);
    for (const [exchange, touch] of touched) {
      if (!this.#matches(exchange)) continue;
      const row = this.#rows.get(exchange);
      if (!row) changes.push({ is: 'deleted', exchange });
      else if (touch === 'anew') changes.push(introduce(exchange, row));
      else changes.push({ is: 'changed', exchange, ...touch });
    }
    if (routes) changes.push(this.#routes());
    return changes;
  }

  #routes(): BindingChange {
    return { is: 'routes', bindings: routesOf(this.#rows) };
  }
}

type Touch = 'anew' | { readonly added: readonly Binding[]; readonly removed: readonly Binding[] };

/** Changes the rows; returns the exchanges whose set of bindings is another now, and whether routes are. */
function apply(rows: Rows, event: TopologyEvent): { readonly touched: Map<string, Touch>; readonly routes: boolean } {
  const touched = new Map<string, Touch>();
  let routes = false;
  const unbind = (exchange: string, row: Row, text: string, destination: string) => {
    const entry = row.bindings.get(text);
    if (!entry?.destinations.delete(destination)) return;
    if (destination.startsWith('exchange ')) routes = true;
    if (entry.destinations.size > 0) return;
    row.bindings.delete(text);
    const before = touched.get(exchange);
    const removed = typeof before === 'object' ? before.removed : [];
    touched.set(exchange, { added: [], removed: [...removed, entry.binding] });
  };
  const unbindAll = (destination: string) => {
    for (const [exchange, row] of rows) {
      for (const text of [...row.bindings.keys()]) unbind(exchange, row, text, destination);
    }
  };
  switch (event.was) {
    case 'exchange created': {
      const { name, properties } = event.exchange;
      const row = rows.get(name);
      if (row && sameProperties(row.properties, properties)) break;
      rows.set(name, { properties, bindings: new Map() });
      touched.set(name, 'anew');
      break;
    }
    case 'exchange deleted': {
      const row = rows.get(event.exchange);
      if (row && [...row.bindings.values()].some(leadsToExchange)) routes = true;
      if (rows.delete(event.exchange)) touched.set(event.exchange, 'anew');
      unbindAll(`exchange ${event.exchange}`);
      break;
    }
    case 'queue deleted':
      unbindAll(`queue ${event.queue}`);
      break;
    case 'binding created': {
      const { source, destination, destinationKind, binding } = event.fact;
      const row = rows.get(source);
      if (!row || foreign.some((prefix) => destination.startsWith(prefix))) break;
      const text = bindingText(binding);
      let entry = row.bindings.get(text);
      if (!entry) {
        entry = { binding, destinations: new Set() };
        row.bindings.set(text, entry);
        touched.set(source, { added: [binding], removed: [] });
      }
      const name = `${destinationKind} ${destination}`;
      if (destinationKind === 'exchange' && !entry.destinations.has(name)) routes = true;
      entry.destinations.add(name);
      break;
    }
    case 'binding deleted': {
      const { source, destination, destinationKind, binding } = event.fact;
      const row = rows.get(source);
      if (row) unbind(source, row, bindingText(binding), `${destinationKind} ${destination}`);
      break;
    }
  }
  return { touched, routes };
}

function introduce(exchange: string, { properties, bindings }: Row): BindingChange {
  return { is: 'exchange', exchange, properties, bindings: [...bindings.values()].map((entry) => entry.binding) };
}

/** The bindings that `row` has and `other` has not. */
function missing(row: Row, other: Row): Binding[] {
  return [...row.bindings].flatMap(([text, { binding }]) => (other.bindings.has(text) ? [] : [binding]));
}

function leadsToExchange({ destinations }: { readonly destinations: ReadonlySet<string> }): boolean {
  for (const destination of destinations) if (destination.startsWith('exchange ')) return true;
  return false;
}

function routesOf(rows: Rows): ExchangeBinding[] {
  const found: ExchangeBinding[] = [];
  for (const [from, { properties, bindings }] of rows) {
    for (const { binding, destinations } of bindings.values()) {
      for (const destination of destinations) {
        if (!destination.startsWith('exchange ')) continue;
        found.push({ from, type: properties.type, to: destination.slice('exchange '.length), binding });
      }
    }
  }
  return found;
}

function routesText(rows: Rows): string {
  const lines = routesOf(rows).map(({ from, type, to, binding }) =>
    JSON.stringify([from, type, to, bindingText(binding)]),
  );
  return lines.sort().join('\n');
}

/** Same in everything that is told of an exchange. */
export function sameProperties(a: ExchangeProperties, b: ExchangeProperties): boolean {
  return a.type === b.type && a.durable === b.durable && a.autoDelete === b.autoDelete && a.internal === b.internal;
}
