import { compileWildcard, isExact } from '@tombolo/topology/pattern';
import { type Advisory, type ConsumerFact, isBeingMade } from './advisory.ts';

/** The client ids of bridges begin so, those of the lock's holder among them. */
export const bridgePrefix = 'tombolo.';

/** The largest prefetch that clients may ask for (ActiveMQPrefetchPolicy.MAX_PREFETCH_SIZE): whoever does wants no bound. */
const UNBOUNDED = 32_766;

/** Who can take messages of a queue. */
export interface Wanted {
  readonly consumers: number;
  /** Sum of their prefetches. */
  readonly capacity: number;
  /** Consumers that are no demand, because of their selector. */
  readonly selective: number;
}

interface Connection {
  readonly clientId: string;
  readonly from: string;
}

/** The queues of a broker and who consumes from them, as advisories tell. Pure. */
export class ConsumerTable {
  readonly #own: readonly string[];
  readonly #queues = new Set<string>();
  readonly #consumers = new Map<string, ConsumerFact>();
  readonly #connections = new Map<string, Connection>();
  /** By the name that they asked for. */
  readonly #exact = new Map<string, Set<ConsumerFact>>();
  readonly #wild = new Map<ConsumerFact, (queue: string) => boolean>();

  /** @param own the ids of the bridge's connections that look: what they have is no demand */
  constructor(own: readonly string[]) {
    this.#own = own;
  }

  /** @returns the queues about which something may have changed */
  take(advisory: Advisory): Iterable<string> {
    switch (advisory.is) {
      case 'queue':
        this.#queues.add(advisory.queue);
        return [advisory.queue];
      case 'queue-gone':
        this.#queues.delete(advisory.queue);
        return [advisory.queue];
      case 'consumer': {
        const { consumer } = advisory;
        this.#forget(consumer.id);
        this.#consumers.set(consumer.id, consumer);
        for (const queue of consumer.queues) this.#enter(queue, consumer);
        return this.#of(consumer);
      }
      case 'consumer-gone':
        return this.#forget(advisory.id);
      case 'connection': {
        this.#connections.set(advisory.id, advisory);
        // Whose they are is known now.
        return [...this.#consumers.values()]
          .filter(({ connection }) => connection === advisory.id)
          .flatMap((of) => this.#of(of));
      }
      case 'connection-gone':
        this.#connections.delete(advisory.id);
        return [];
      case 'subscription-gone':
        return [];
    }
  }

  get queues(): ReadonlySet<string> {
    return this.#queues;
  }

  has(queue: string): boolean {
    return this.#queues.has(queue);
  }

  /** Whether the broker has told of the connection with this id. */
  knows(connection: string): boolean {
    return this.#connections.has(connection);
  }

  /** Where the connection with this client id comes from; undefined: there is none. */
  holder(clientId: string): string | undefined {
    for (const connection of this.#connections.values()) if (connection.clientId === clientId) return connection.from;
    return undefined;
  }

  /** The prefetches of all who take messages of this queue, bridges and networks among them. */
  prefetched(queue: string): number {
    return this.#on(queue).reduce((sum, { prefetch, browser }) => sum + (browser ? 0 : prefetch), 0);
  }

  /** The names, wildcards among them, of queues of which some consumer's prefetch is not known. */
  beingMade(): string[] {
    return [...this.#consumers.values()].filter(isBeingMade).flatMap(({ queues }) => queues);
  }

  /** All of its consumers. */
  consumers(queue: string): number {
    return this.#on(queue).filter(({ browser }) => !browser).length;
  }

  /**
   * The demand on a queue: not those of bridges and of networks of brokers, nor browsers, nor consumers behind everybody else. A
   * consumer with a selector is none either: what would be fetched for it may be nothing that it takes, and would be stranded
   * here. Of exclusive consumers one is active: the foremost in priority, then in time (Queue.addSubscription).
   */
  wanted(queue: string): Wanted {
    const able = this.#on(queue).filter((each) => this.#isDemand(each));
    const plain = able.filter(({ selector }) => selector === undefined);
    const selective = able.length - plain.length;
    const [first, ...rest] = plain.filter(({ exclusive }) => exclusive);
    const taking = first ? [rest.reduce((best, each) => (each.priority > best.priority ? each : best), first)] : plain;
    // A consumer without prefetch asks for one message at a time.
    const capacity = taking.reduce(
      (sum, { prefetch }) => sum + (prefetch < UNBOUNDED ? Math.max(1, prefetch) : Number.POSITIVE_INFINITY),
      0,
    );
    return { consumers: taking.length, capacity, selective };
  }

  #isDemand({ browser, network, priority, temporary, connection }: ConsumerFact): boolean {
    if (browser || network || temporary || priority < 0 || this.#own.includes(connection)) return false;
    return !this.#connections.get(connection)?.clientId.startsWith(bridgePrefix);
  }

  #on(queue: string): ConsumerFact[] {
    const found = [...(this.#exact.get(queue) ?? [])];
    for (const [consumer, matches] of this.#wild) if (matches(queue)) found.push(consumer);
    return found;
  }

  #of({ queues }: ConsumerFact): string[] {
    return queues.flatMap((name) => (isExact(name) ? [name] : [...this.#queues].filter(compileWildcard(name))));
  }

  #enter(name: string, consumer: ConsumerFact): void {
    if (!isExact(name)) {
      const before = this.#wild.get(consumer);
      const matches = compileWildcard(name);
      this.#wild.set(consumer, before ? (queue) => before(queue) || matches(queue) : matches);
      return;
    }
    const there = this.#exact.get(name);
    if (there) there.add(consumer);
    else this.#exact.set(name, new Set([consumer]));
  }

  #forget(id: string): string[] {
    const consumer = this.#consumers.get(id);
    if (!consumer) return [];
    const queues = this.#of(consumer);
    this.#consumers.delete(id);
    this.#wild.delete(consumer);
    for (const name of consumer.queues) {
      const there = this.#exact.get(name);
      there?.delete(consumer);
      if (there?.size === 0) this.#exact.delete(name);
    }
    return queues;
  }
}
