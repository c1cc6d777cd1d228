import type { QueueProperties } from '@tombolo/wire/frame';
import type { Broker, DemandListener, QueueDemand } from './broker/port.ts';
import { type ClusterDrain, drainMarker } from './drain/cluster-drain.ts';
import type { Mastership } from './mastership.ts';
import { isReplyName } from './reply/reply-origin.ts';
import type { Agreement } from './routing/agreement.ts';
import { SeenExchanges } from './topic/seen-exchanges.ts';

export interface BrokerWatchOptions {
  readonly broker: Pick<Broker, 'demand' | 'bindings'>;
  readonly agreement: Agreement;
  readonly clusterDrain: ClusterDrain;
}

/** What the own broker has of what connectors mean, as far as it was told: it is watched before this bridge is the master. */
export class BrokerWatch {
  readonly exchanges = new SeenExchanges();
  readonly #options: BrokerWatchOptions;
  readonly #demands = new Map<string, QueueDemand>();
  readonly #queues = new Map<string, QueueProperties>();
  readonly #listener: DemandListener;
  #watchesExchanges = false;
  #mastership: Mastership | undefined;

  constructor(options: BrokerWatchOptions) {
    this.#options = options;
    const { clusterDrain } = options;
    this.#listener = {
      changed: (demand) => {
        if (!isReplyName(demand.queue) && demand.queue !== drainMarker) this.#demanded(demand);
      },
      deleted: (queue) => (queue === drainMarker ? clusterDrain.seen(false) : this.#deleted(queue)),
      created: (queue, properties) =>
        queue === drainMarker ? clusterDrain.seen(true) : this.#created(queue, properties),
      visible: (visible) => clusterDrain.visible(visible),
    };
  }

  /** Begins to watch; called again when connectors mean other destinations than before. */
  watch(): void {
    const { agreement, broker } = this.#options;
    for (const queue of new Set([...this.#demands.keys(), ...this.#queues.keys()])) {
      if (!agreement.concerns(queue) && !isReplyName(queue)) this.#meantNoMore(queue);
    }
    for (const exchange of [...this.exchanges.all.keys()]) {
      if (!agreement.concernsExchange(exchange)) this.exchanges.deleted(exchange);
    }
    const matches = (queue: string): boolean =>
      agreement.concerns(queue) || isReplyName(queue) || queue === drainMarker;
    broker.demand.watch({ matches, exact: [...agreement.exactQueues(), drainMarker] }, this.#listener);
    // Every queue is bound to the default exchange: of thousands, lists and events took a tenth of an idle bridge's time, for nothing.
    this.#watchesExchanges ||= agreement.concernsExchanges;
    if (this.#watchesExchanges)
      broker.bindings.watch((exchange) => agreement.concernsExchange(exchange), this.exchanges);
  }

  /** Tells this mastership what is known, then what changes; undefined: nobody. */
  serve(mastership: Mastership | undefined): void {
    this.#mastership = mastership;
    if (!mastership) return;
    for (const [queue, properties] of this.#queues) mastership.queueFound(queue, properties);
    for (const demand of this.#demands.values()) mastership.demanded(demand);
  }

  #demanded(demand: QueueDemand): void {
    if (demand.consumers === 0) this.#demands.delete(demand.queue);
    else this.#demands.set(demand.queue, demand);
    this.#mastership?.demanded(demand);
  }

  #created(queue: string, properties: QueueProperties): void {
    this.#queues.set(queue, properties);
    this.#mastership?.queueFound(queue, properties);
  }

  #deleted(queue: string): void {
    this.#forget(queue);
    this.#mastership?.queueDeleted(queue);
  }

  /** It may be there as ever: its consumers are no demand any more. */
  #meantNoMore(queue: string): void {
    this.#forget(queue);
    this.#mastership?.queueUnwatched(queue);
  }

  #forget(queue: string): void {
    this.#demands.delete(queue);
    this.#queues.delete(queue);
  }
}
