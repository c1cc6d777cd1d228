import { Wakes } from '@tombolo/kernel/wakes';
import type { Destination } from '@tombolo/wire/frame';
import type { QueueDemand } from '../broker/port.ts';
import type { DemandChange } from '../demand/demand-table.ts';
import type { SinkGround } from './sink-ground.ts';
import type { SinkOpenings } from './sink-openings.ts';
import type { Sinkholes } from './sinkholes.ts';

/** What the own consumers want: the destinations' windows follow it, and the peers are told. */
export class SinkDemand {
  readonly #ground: SinkGround;
  readonly #sinkholes: Sinkholes;
  readonly #openings: SinkOpenings;
  readonly #wakes: Wakes<'expiry'>;

  constructor(ground: SinkGround, sinkholes: Sinkholes, openings: SinkOpenings) {
    this.#ground = ground;
    this.#sinkholes = sinkholes;
    this.#openings = openings;
    this.#wakes = new Wakes(ground.surroundings.clock, () => this.#apply(ground.table.expire(this.#now())));
  }

  changed(told: QueueDemand): void {
    if (this.#ground.draining) return;
    this.#apply(this.#ground.table.changed(told, this.#now()));
    const sinkhole = this.#sinkholes.get(queueNamed(told.queue));
    if (!sinkhole) return;
    sinkhole.setRoom(told.properties);
    this.#openings.judge(sinkhole, told.properties);
    const { ready } = told;
    if (ready !== undefined) sinkhole.run((machine, now) => machine.noticed(ready, now));
  }

  queueDeleted(queue: string): void {
    this.#apply(this.#ground.table.deleted(queue));
  }

  /** All demand is withdrawn. */
  withdraw(): void {
    this.#apply(this.#ground.table.clear());
  }

  close(): void {
    this.#wakes.clear();
  }

  #apply(changes: readonly DemandChange[]): void {
    for (const change of changes) this.#applyOne(change);
    this.#wakes.set('expiry', this.#ground.table.nextExpiry());
  }

  #applyOne(change: DemandChange): void {
    const { router } = this.#ground.surroundings;
    switch (change.is) {
      case 'capacity': {
        const destination = queueNamed(change.queue);
        const sinkhole = this.#sinkholes.of(destination);
        if (!sinkhole) break;
        if (change.capacity > 0) sinkhole.setRoom(this.#ground.table.get(change.queue)?.properties ?? {});
        sinkhole.machine.setBounds(this.#sinkholes.bounds(destination));
        sinkhole.run((machine, now) => machine.demand(change.capacity, now));
        break;
      }
      case 'advertise': {
        const { queue, consumers, properties } = change.demand;
        const destination = queueNamed(queue);
        this.#sinkholes.get(destination)?.machine.setBounds(this.#sinkholes.bounds(destination));
        router.advertise({ destination, consumers, queue: properties });
        break;
      }
      case 'withdraw': {
        const destination = queueNamed(change.queue);
        this.#sinkholes.get(destination)?.run((machine, now) => machine.withdraw(now));
        router.withdraw(destination);
        break;
      }
      default:
        throw new Error(`unexpected ${change satisfies never}`);
    }
  }

  #now(): number {
    return this.#ground.surroundings.clock.now();
  }
}

function queueNamed(name: string): Destination {
  return { kind: 'queue', name };
}
