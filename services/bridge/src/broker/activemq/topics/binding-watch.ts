import type { Binding } from '@tombolo/wire/binding';
import type { BindingListener, BindingWatch, ExchangeProperties } from '../../port.ts';
import type { Surroundings } from '../../surroundings.ts';
import { topicExchange } from '../mapping/destinations.ts';
import type { TopicTable } from './topic-table.ts';

/** Topics of ActiveMQ as the one exchange that they are. */
export const topicExchangeProperties: ExchangeProperties = {
  type: 'topic',
  durable: true,
  autoDelete: false,
  internal: false,
};

/** Where demand comes from: the table that advisories fill. */
export interface TopicView {
  readonly topics: TopicTable | undefined;
  anew(): void;
}

const byAdvisories = 'consumer advisories';
const nothingYet = 'consumer advisories, which have not come yet';
/** Consumers come one by one: what comes within this time is told at once (ms). */
const TELL_MS = 10;

/** Demand for topics: what is consumed from them, as bindings of the exchange that they are the routing keys of. */
export class ActiveMqBindingWatch implements BindingWatch {
  readonly #view: TopicView;
  readonly #surroundings: Surroundings;
  #matches: (exchange: string) => boolean = () => false;
  #listener: BindingListener | undefined;
  /** By key; undefined: the exchange was not told. */
  #told: Map<string, Binding> | undefined;
  #method = nothingYet;
  #blindness: string | undefined;
  #scheduled = false;

  constructor(view: TopicView, surroundings: Surroundings) {
    this.#view = view;
    this.#surroundings = surroundings;
  }

  get method(): string {
    return this.#method;
  }

  watch(matches: (exchange: string) => boolean, listener: BindingListener): void {
    const known = this.#listener === listener;
    this.#matches = matches;
    this.#listener = listener;
    if (!known) this.#told = undefined;
    if (this.#told && !matches(topicExchange)) {
      this.#told = undefined;
      listener.deleted(topicExchange);
    }
    if (this.#blindness !== undefined) listener.visible(false, this.#blindness);
    else if (this.#view.topics) this.known();
  }

  refresh(): void {
    this.#view.anew();
  }

  // ---- what advisories tell ----------------------------------------------------------------------------------------------

  known(): void {
    if (!this.#view.topics) return;
    this.#method = byAdvisories;
    this.#blindness = undefined;
    this.#tell();
    this.#listener?.visible(true, undefined);
  }

  changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const { clock } = this.#surroundings;
    clock.wake(clock.now() + TELL_MS, () => {
      this.#scheduled = false;
      this.#tell();
    });
  }

  blind(reason: string): void {
    this.#blindness = `the broker sends no consumer advisories (${reason})`;
    this.#method = this.#blindness;
    this.#listener?.visible(false, this.#blindness);
  }

  detach(): void {
    this.#method = nothingYet;
    this.#blindness = undefined;
    this.#listener?.visible(false, 'the broker is not connected');
  }

  #tell(): void {
    const { topics } = this.#view;
    if (!topics || !this.#listener || !this.#matches(topicExchange)) return;
    const now = new Map([...topics.bindingKeys()].map((routingKey) => [routingKey, { routingKey, arguments: {} }]));
    const before = this.#told;
    this.#told = now;
    if (!before) return this.#listener.exchange(topicExchange, topicExchangeProperties, [...now.values()]);
    const added = [...now.values()].filter(({ routingKey }) => !before.has(routingKey));
    const removed = [...before.values()].filter(({ routingKey }) => !now.has(routingKey));
    if (added.length + removed.length > 0) this.#listener.changed(topicExchange, added, removed);
  }
}
