import { messageOf } from '@tombolo/kernel/fault';
import type { Surroundings } from '../surroundings.ts';
import { instanceProperty } from './connection.ts';
import type { Management } from './management.ts';

/** How often it is asked again: the holder may be another one by now. */
const againMs = 5_000;

/** The name of the bridge that holds a lock queue, as far as the management API tells: for people, nothing depends on it. */
export class LockHolder {
  readonly #management: Management | undefined;
  readonly #surroundings: Surroundings;
  #name: string | undefined;
  #askAt = 0;

  constructor(management: Management | undefined, surroundings: Surroundings) {
    this.#management = management;
    this.#surroundings = surroundings;
  }

  /** What is known now, perhaps a few seconds old; asks for news. */
  nameOf(queue: string, vhost: string): string | undefined {
    const { clock, log } = this.#surroundings;
    if (this.#management && clock.now() >= this.#askAt) {
      this.#askAt = clock.now() + againMs;
      this.#management.ownersProperty(vhost, queue, instanceProperty).then(
        (name) => {
          this.#name = name;
          // The owner of a queue is told with its statistics, some seconds after it has declared it.
          if (name === undefined) this.#askAt = clock.now() + againMs / 5;
        },
        (error: unknown) => log.debug({ reason: messageOf(error) }, 'who holds the lock is not known'),
      );
    }
    return this.#name;
  }
}
