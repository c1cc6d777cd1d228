import type { Destination } from '@tombolo/wire/frame';
import { destinationKey } from '../routing/destination-key.ts';
import { MOST_TURNS, type WindowBounds } from './credit.ts';
import type { SinkGround } from './sink-ground.ts';
import { Sinkhole } from './sinkhole.ts';

/** The destinations of a sink that are wanted, or of whose streams something is worth keeping. */
export class Sinkholes {
  readonly #ground: SinkGround;
  readonly #byKey = new Map<string, Sinkhole>();

  constructor(ground: SinkGround) {
    this.#ground = ground;
  }

  all(): IterableIterator<Sinkhole> {
    return this.#byKey.values();
  }

  get(destination: Destination): Sinkhole | undefined {
    return this.#byKey.get(destinationKey(destination));
  }

  /** The destination's, made when there is none; undefined: no connector means this destination. */
  of(destination: Destination): Sinkhole | undefined {
    const known = this.get(destination);
    if (known) return known;
    const bounds = this.bounds(destination);
    if (bounds.largest === 0) return undefined;
    const sinkhole = new Sinkhole(this.#ground, destination, bounds);
    this.#byKey.set(destinationKey(destination), sinkhole);
    return sinkhole;
  }

  /** The largest that a connector gives; 0: none means this destination. Without conduit they are for each consumer. */
  bounds(destination: Destination): WindowBounds {
    const { agreement } = this.#ground.surroundings;
    const consumers = Math.max(1, this.#ground.table.get(destination.name)?.consumers ?? 1);
    let [usual, largest] = [0, 0];
    for (const peer of agreement.peers) {
      const passage = agreement.inbound(peer, destination);
      const { prefetchSize = 0, largestWindow = 0 } = passage.open ? passage.entry : (passage.connector ?? {});
      const turns = passage.open && !passage.connector.conduitSubscriptions ? Math.min(MOST_TURNS, consumers) : 1;
      usual = Math.max(usual, prefetchSize * turns);
      largest = Math.max(largest, largestWindow * turns);
    }
    return { usual, largest };
  }

  /** Windows are as large as the connectors say now; one that none means any more keeps its size until it ends. */
  resize(): void {
    for (const { machine } of this.#byKey.values()) {
      const bounds = this.bounds(machine.destination);
      if (bounds.largest > 0) machine.setBounds(bounds);
    }
  }

  /** Forgets a destination, unless it is still wanted. */
  remove(sinkhole: Sinkhole): void {
    const { kind, name } = sinkhole.destination;
    if (this.get(sinkhole.destination) !== sinkhole || (kind === 'queue' && this.#ground.table.get(name))) return;
    this.#byKey.delete(destinationKey(sinkhole.destination));
    this.#ground.wakes.delete(sinkhole);
    sinkhole.closePublishers();
    for (const stream of sinkhole.machine.streams.values()) this.#ground.surroundings.records?.release(stream);
  }
}
