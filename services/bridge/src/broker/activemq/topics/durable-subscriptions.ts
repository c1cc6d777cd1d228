import { messageOf } from '@tombolo/kernel/fault';
import type { Surroundings } from '../../surroundings.ts';
import type { StompConnection } from '../connection.ts';
import { BrokerNote } from './broker-note.ts';
import type { DurableSubscription, TopicTable } from './topic-table.ts';

/** The queue that says which durable subscriptions bridges have seen. */
const queue = 'tombolo.durable-subscriptions';
/** Changes within this time are written together (ms). */
const WRITE_MS = 200;

interface Options {
  readonly surroundings: Surroundings;
  readonly topics: () => TopicTable | undefined;
  /** Undefined: that is not known. */
  readonly exists: (queue: string) => boolean | undefined;
  /** Told when some are known that were not. */
  readonly remembered: () => void;
}

/**
 * Applications' durable subscriptions, whose consumers may be away when a bridge starts: the broker tells of active ones only. The
 * master writes down those that it sees, and whoever connects reads them. One that is removed while no bridge is there is not missed.
 */
export class DurableSubscriptions {
  readonly #options: Options;
  #note: BrokerNote | undefined;
  #isRead = false;
  #writes = false;
  #scheduled = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: Options) {
    this.#options = options;
  }

  /** Resolves when those are known that were seen before, as far as they can be read. Never rejects. */
  async read(connection: StompConnection): Promise<void> {
    this.#note = new BrokerNote(queue, connection);
    this.#isRead = false;
    this.#writes = false;
    await this.#load().catch((error: unknown) => this.#warn(error));
  }

  /** This bridge is the master: from now on it writes them down. */
  attach(): void {
    this.#writes = true;
    this.changed();
  }

  detach(): void {
    this.#writes = false;
    this.#note = undefined;
  }

  changed(): void {
    if (this.#scheduled || !this.#writes) return;
    this.#scheduled = true;
    const { clock } = this.#options.surroundings;
    clock.wake(clock.now() + WRITE_MS, () => {
      this.#scheduled = false;
      this.#last = this.#last.then(() => this.#write()).catch((error: unknown) => this.#warn(error));
    });
  }

  async #load(): Promise<void> {
    const { exists, remembered, topics } = this.#options;
    const table = topics();
    if (this.#isRead || !this.#note || !table) return;
    if (exists(queue) === true) {
      const read: unknown = JSON.parse((await this.#note.read()) ?? '[]');
      if (Array.isArray(read)) table.remember(read as DurableSubscription[]);
      remembered();
    }
    this.#isRead = true;
  }

  async #write(): Promise<void> {
    // Those that are not known yet must not be forgotten by it.
    await this.#load();
    const all = this.#options.topics()?.durables();
    if (!all || !this.#isRead || !this.#writes) return;
    if (all.length > 0 || this.#options.exists(queue) === true) await this.#note?.write(JSON.stringify(all));
  }

  #warn(error: unknown): void {
    if (!this.#note) return;
    const advice = 'Let the bridge read and write this queue: subscribers that are away may miss messages else.';
    this.#options.surroundings.log.warn(
      { queue, reason: messageOf(error), advice },
      'durable subscriptions could not be read or written down',
    );
  }
}
