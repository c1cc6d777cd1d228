import { messageOf } from '@tombolo/kernel/fault';
import type { Holding, Holdings, Inventory } from '../port.ts';
import type { Management } from './management.ts';
import type { Prober } from './probe.ts';

/** A queue tells its numbers every 5 s, and they are collected every 5 s (`collect_statistics_interval`). */
const statisticsMs = 10_000;

/** What queues hold: listed by the management API, whose numbers lag, and counted one by one by passive declares, which do not. */
export class RabbitInventory implements Inventory {
  readonly #management: Management | undefined;
  readonly #prober: Prober;
  #vhost = '/';

  constructor(management: Management | undefined, prober: Prober) {
    this.#management = management;
    this.#prober = prober;
  }

  attach(vhost: string): void {
    this.#vhost = vhost;
  }

  async take(names: readonly string[]): Promise<Holdings> {
    const { listed, incomplete } = await this.#list();
    const known = new Set(listed.map(({ queue }) => queue));
    const unlisted = names.filter((name) => !known.has(name));
    const all: Holding[] = [
      ...listed,
      ...unlisted.map((queue) => ({ queue, properties: {}, ready: 0, unacknowledged: undefined })),
    ];
    let readyAgeMs = 0;
    const counted = await Promise.all(
      all.map(async (holding): Promise<Holding | undefined> => {
        const { queue, properties } = holding;
        // Another connection's exclusive queue may not be declared, and a stream has no ready messages.
        if (properties.exclusive || properties.type === 'stream') {
          if (holding.ready > 0) readyAgeMs = statisticsMs;
          return holding;
        }
        try {
          const counts = await this.#prober.probe(queue);
          return counts && { ...holding, ready: counts.ready };
        } catch (thrown) {
          if (!known.has(queue)) throw thrown;
          readyAgeMs = statisticsMs;
          return holding;
        }
      }),
    );
    const queues = counted.filter((holding) => holding !== undefined);
    return { queues, incomplete, readyAgeMs, unacknowledgedAgeMs: statisticsMs };
  }

  async #list(): Promise<{ listed: readonly Holding[]; incomplete: string | undefined }> {
    if (!this.#management)
      return {
        listed: [],
        incomplete: 'no management API is configured: only queues that the topology names are seen',
      };
    try {
      return { listed: await this.#management.holdings(this.#vhost), incomplete: undefined };
    } catch (thrown) {
      return { listed: [], incomplete: messageOf(thrown) };
    }
  }
}
