import type { Advisory, ConsumerFact } from '../advisory.ts';
import { bridgePrefix } from '../consumer-table.ts';
import { bindingKeyOf } from '../mapping/destinations.ts';
import { advisoryPrefix } from './topic-cover.ts';

/** A durable subscription of an application: while its consumer is away, the broker keeps for it what its topics are given. */
export interface DurableSubscription {
  readonly clientId: string;
  readonly subscription: string;
  readonly topics: readonly string[];
}

/** Who consumes from topics, as advisories tell. Pure. */
export class TopicTable {
  readonly #connections = new Map<string, string>();
  readonly #consumers = new Map<string, ConsumerFact>();
  readonly #away = new Map<string, DurableSubscription>();

  /**
   * Advisories tell of durable subscriptions while their consumers are there: what was known of others is taken over.
   * @param before what was known before everything was told anew
   */
  constructor(before?: TopicTable) {
    if (before) this.remember(before.durables());
  }

  /** These were seen before. Those of them whose consumers are not there are away. */
  remember(durables: readonly DurableSubscription[]): void {
    for (const each of durables) this.#away.set(keyOf(each), each);
    for (const consumer of this.#consumers.values()) this.#isBack(consumer);
  }

  /** All that are known, in the same order always. */
  durables(): DurableSubscription[] {
    const there = [...this.#consumers.keys()].flatMap((id) => this.#durableOf(id) ?? []);
    const byKey = [...there, ...this.#away.values()].map((each) => [keyOf(each), each] as const);
    return [...new Map(byKey.sort(([a], [b]) => (a < b ? -1 : 1))).values()];
  }

  /** @returns whether demand may be another now */
  take(advisory: Advisory): boolean {
    switch (advisory.is) {
      case 'consumer': {
        const { consumer } = advisory;
        if (consumer.topics.length === 0) return false;
        this.#consumers.set(consumer.id, consumer);
        this.#isBack(consumer);
        return true;
      }
      case 'consumer-gone': {
        const away = this.#durableOf(advisory.id);
        if (away) this.#away.set(keyOf(away), away);
        return this.#consumers.delete(advisory.id);
      }
      case 'subscription-gone':
        return this.#away.delete(keyOf(advisory));
      case 'connection':
        this.#connections.set(advisory.id, advisory.clientId);
        for (const consumer of this.#consumers.values())
          if (consumer.connection === advisory.id) this.#isBack(consumer);
        return true;
      case 'connection-gone':
        this.#connections.delete(advisory.id);
        return false;
      default:
        return false;
    }
  }

  /**
   * The binding keys of `amq.topic` that take what is wanted here: not by bridges, nor by networks of brokers. A consumer with a
   * selector counts: what it does not take is stranded nowhere.
   */
  bindingKeys(): Set<string> {
    const keys = new Set<string>();
    const add = (topic: string) => {
      if (!topic.startsWith(advisoryPrefix)) keys.add(bindingKeyOf(topic));
    };
    for (const { topics, network, connection } of this.#consumers.values()) {
      if (network || this.#connections.get(connection)?.startsWith(bridgePrefix)) continue;
      for (const topic of topics) add(topic);
    }
    for (const { topics } of this.#away.values()) for (const topic of topics) add(topic);
    return keys;
  }

  #isBack({ connection, subscription }: ConsumerFact): void {
    const clientId = this.#connections.get(connection);
    if (clientId !== undefined && subscription !== undefined) this.#away.delete(keyOf({ clientId, subscription }));
  }

  /** What this consumer leaves behind when it goes; undefined: nothing. */
  #durableOf(consumer: string): DurableSubscription | undefined {
    const { connection = '', subscription, topics = [], network } = this.#consumers.get(consumer) ?? {};
    const clientId = this.#connections.get(connection);
    if (clientId === undefined || subscription === undefined || network) return undefined;
    return clientId.startsWith(bridgePrefix) ? undefined : { clientId, subscription, topics };
  }
}

function keyOf({ clientId, subscription }: { readonly clientId: string; readonly subscription: string }): string {
  return `${clientId}\u0000${subscription}`;
}
