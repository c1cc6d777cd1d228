import type { QueueProperties } from '@tombolo/wire/frame';
import type { QueueDemand } from '../broker/port.ts';

/** A demand of the own cluster as it is advertised. */
export interface LocalDemand {
  readonly queue: string;
  consumers: number;
  capacity: number;
  properties: QueueProperties;
  /** Why the queue cannot be used for now, although it exists: its demand stands without capacity. */
  unavailable: string | undefined;
  /** The last consumer has left: when the demand will be withdrawn (monotonic ms); undefined while there are some. */
  withdrawAt: number | undefined;
}

/** How long an advertisement outlives its last consumer: short absences (a consumer that reconnects) are not worth telling. */
const HYSTERESIS_MS = 3_000;

export type DemandChange =
  /** The demand appeared, or what is advertised of it changed. */
  | { readonly is: 'advertise'; readonly demand: LocalDemand }
  | { readonly is: 'withdraw'; readonly queue: string }
  /** What the consumers can hold changed: credit follows at once, advertised or not. */
  | { readonly is: 'capacity'; readonly queue: string; readonly capacity: number };

/**
 * Consumers of the own cluster that no bridge owns, per queue. Pure. Hysteresis holds the advertisement, never the credit; a
 * deleted queue is withdrawn at once.
 */
export class DemandTable {
  readonly #demands = new Map<string, LocalDemand>();

  get all(): IterableIterator<LocalDemand> {
    return this.#demands.values();
  }

  get(queue: string): LocalDemand | undefined {
    return this.#demands.get(queue);
  }

  changed(told: QueueDemand, now: number): DemandChange[] {
    const known = this.#demands.get(told.queue);
    if (!known) {
      if (told.consumers === 0) return [];
      const demand: LocalDemand = {
        queue: told.queue,
        consumers: told.consumers,
        capacity: told.capacity,
        properties: told.properties,
        unavailable: told.unavailable,
        withdrawAt: undefined,
      };
      this.#demands.set(told.queue, demand);
      return [
        { is: 'capacity', queue: told.queue, capacity: told.capacity },
        { is: 'advertise', demand },
      ];
    }
    const changes: DemandChange[] = [];
    if (known.capacity !== told.capacity) {
      known.capacity = told.capacity;
      changes.push({ is: 'capacity', queue: told.queue, capacity: told.capacity });
    }
    known.properties = told.properties;
    known.unavailable = told.unavailable;
    if (told.consumers === 0) known.withdrawAt ??= now + HYSTERESIS_MS;
    else known.withdrawAt = undefined;
    if (told.consumers > 0 && known.consumers !== told.consumers) {
      known.consumers = told.consumers;
      changes.push({ is: 'advertise', demand: known });
    }
    return changes;
  }

  deleted(queue: string): DemandChange[] {
    const known = this.#demands.get(queue);
    if (!known) return [];
    this.#demands.delete(queue);
    return [
      { is: 'capacity', queue, capacity: 0 },
      { is: 'withdraw', queue },
    ];
  }

  /** When `expire` is due next; Infinity: never. */
  nextExpiry(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const { withdrawAt } of this.#demands.values()) if (withdrawAt !== undefined) at = Math.min(at, withdrawAt);
    return at;
  }

  expire(now: number): DemandChange[] {
    const changes: DemandChange[] = [];
    for (const demand of this.#demands.values()) {
      if (demand.withdrawAt === undefined || demand.withdrawAt > now) continue;
      this.#demands.delete(demand.queue);
      changes.push({ is: 'withdraw', queue: demand.queue });
    }
    return changes;
  }

  /** Everything is withdrawn: the bridge drains. */
  clear(): DemandChange[] {
    return [...this.#demands.keys()].flatMap((queue) => this.deleted(queue));
  }
}
