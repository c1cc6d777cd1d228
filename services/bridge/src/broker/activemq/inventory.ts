import type { Holding, Holdings, Inventory } from '../port.ts';
import { type QueueLook, queueProperties, type TableView } from './queue-look.ts';

/** Queues that are counted at a time. */
const AT_A_TIME = 32;

/** What every queue holds, looked at one by one; advisories tell which there are. */
export class ActiveMqInventory implements Inventory {
  readonly #view: TableView;
  readonly #look: QueueLook;

  constructor(view: TableView, look: QueueLook) {
    this.#view = view;
    this.#look = look;
  }

  async take(names: readonly string[]): Promise<Holdings> {
    const { table } = this.#view;
    const all = [...new Set([...names, ...(table?.queues ?? [])])];
    const queues: Holding[] = [];
    for (let at = 0; at < all.length; at += AT_A_TIME) {
      const some = await Promise.all(
        all.slice(at, at + AT_A_TIME).map(async (queue): Promise<Holding | undefined> => {
          const held = await this.#look.holding(queue);
          return held && { queue, properties: queueProperties, ...held };
        }),
      );
      queues.push(...some.filter((each) => each !== undefined));
    }
    const incomplete = table
      ? undefined
      : 'the broker sends no consumer advisories: only queues that the topology names are seen';
    return { queues, incomplete, readyAgeMs: 0, unacknowledgedAgeMs: 0 };
  }
}
