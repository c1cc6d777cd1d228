import { Fault, messageOf } from '@tombolo/kernel/fault';
import { type DeadLetterFacts, deadLetterFacts, replayedProperties } from '@tombolo/wire/dead-letter-properties';
import { contentType, messageId, timestampSeconds } from '@tombolo/wire/properties';
import type { DeadLetterSelection, DropResult, ParkedMessage, ParkedPage, ReplayResult } from '../admin/view.ts';
import type { Broker, Browsing, Delivery, Publisher, PublishOutcome } from '../broker/port.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { ShellLog } from './shell.ts';

/** Most messages that are read for one list. */
const LIST_LARGEST = 10_000;
/** Messages, and their bytes, that are being given back to their queues at a time. */
const UNDER_WAY = 100;
const UNDER_WAY_BYTES = 16 * 1024 * 1024;

/**
 * What operators do with dead letters: look at them, give them back to their queues, drop them. One such look at a time, since what
 * one has been handed another does not see.
 */
export class ParkedMessages {
  readonly #broker: Broker;
  readonly #deadLetters: DeadLetters;
  readonly #log: ShellLog;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(broker: Broker, deadLetters: DeadLetters, log: ShellLog) {
    this.#broker = broker;
    this.#deadLetters = deadLetters;
    this.#log = log;
  }

  /** One page of those that are selected. Rejects with a Fault. */
  list(selection: DeadLetterSelection, page: number, pageSize: number): Promise<ParkedPage> {
    return this.#inTurn(async () => {
      const items: ParkedMessage[] = [];
      let total = 0;
      const complete = await this.#walk(LIST_LARGEST, (delivery, facts) => {
        if (!isSelected(selection, delivery, facts)) return;
        if (total >= (page - 1) * pageSize && items.length < pageSize) items.push(shown(delivery, facts));
        total++;
      });
      return { queue: this.#deadLetters.queue, items, total, page, pageSize, complete };
    });
  }

  /** Removes those that are selected, with no trace but the log's. Rejects with a Fault. */
  drop(selection: DeadLetterSelection, dryRun: boolean): Promise<DropResult> {
    return this.#inTurn(async () => {
      const isNew = this.#deadLetters.mark();
      let selected = 0;
      await this.#walk(Number.POSITIVE_INFINITY, (delivery, facts, browsing) => {
        if (isNew(facts.id) || !isSelected(selection, delivery, facts)) return;
        selected++;
        if (!dryRun) browsing.remove(delivery);
      });
      this.#deadLetters.look();
      return { selected, dropped: dryRun ? 0 : selected };
    });
  }

  /**
   * Gives those that are selected back to the queues that they were taken from, as they were; each is removed from here once its
   * queue has it. Rejects with a Fault.
   */
  replay(selection: DeadLetterSelection, dryRun: boolean): Promise<ReplayResult> {
    return this.#inTurn(async () => {
      // What is rejected once more at once must not be replayed in a circle.
      const isNew = this.#deadLetters.mark();
      const replay = dryRun ? new Rehearsal(this.#broker) : new Replay(this.#broker);
      let selected = 0;
      try {
        await this.#walk(
          Number.POSITIVE_INFINITY,
          async (delivery, facts, browsing) => {
            if (isNew(facts.id) || !isSelected(selection, delivery, facts)) return;
            selected++;
            const { queue } = facts;
            if (queue === undefined || queue === this.#deadLetters.queue)
              replay.keep(undefined, 'it does not say which queue it was taken from');
            else await replay.give(queue, delivery, () => browsing.remove(delivery));
          },
          () => replay.done(),
        );
      } catch (thrown) {
        const code = thrown instanceof Fault ? thrown.code : 'TOMBOLO_INTERNAL';
        throw new Fault(code, `${messageOf(thrown)} ${replay.replayed} were replayed before.`, { cause: thrown });
      } finally {
        this.#deadLetters.look();
      }
      return { selected, replayed: replay.replayed, kept: replay.kept() };
    });
  }

  #inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(act);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Shows all, up to `most`, in order; false when there were more. `last` is waited for before the look ends. */
  async #walk(
    most: number,
    visit: (delivery: Delivery, facts: Partial<DeadLetterFacts>, browsing: Browsing) => Promise<void> | void,
    last: () => Promise<void> = async () => {},
  ): Promise<boolean> {
    const { queue } = this.#deadLetters;
    if (!(await this.#broker.source.inspect(queue))) return true;
    const browsing = await this.#broker.browser.browse(queue);
    try {
      for (let seen = 0; ; seen++) {
        const delivery = await browsing.next();
        if (!delivery) return true;
        if (seen >= most) return false;
        await visit(delivery, factsOf(delivery), browsing);
      }
    } finally {
      await last();
      await browsing.close().catch((thrown: unknown) => {
        this.#log.warn({ queue, reason: messageOf(thrown) }, 'a look at the dead letters did not end well');
      });
    }
  }
}

/** Gives messages back to their queues, and counts what becomes of it. */
class Replay {
  replayed = 0;
  protected readonly broker: Broker;
  readonly #kept = new Map<string, { queue: string | undefined; why: string; messages: number }>();
  readonly #publishers = new Map<string, Publisher>();
  readonly #underWay = new Map<number, { bytes: number; told: (outcome: PublishOutcome, why?: string) => void }>();
  #bytes = 0;
  #next = 0;
  #progress = (): void => {};

  constructor(broker: Broker) {
    this.broker = broker;
  }

  keep(queue: string | undefined, why: string): void {
    const key = `${queue}\u0000${why}`;
    const kept = this.#kept.get(key) ?? { queue, why, messages: 0 };
    kept.messages++;
    this.#kept.set(key, kept);
  }

  kept() {
    return [...this.#kept.values()];
  }

  /** Resolves once there is room for the next; `stored` is called when the queue has it. */
  async give(queue: string, delivery: Delivery, stored: () => void): Promise<void> {
    const { body, exchange } = delivery;
    const facts = factsOf(delivery);
    // A topic's buffer: its exchange and key tell the sink where it belongs, and the default exchange says neither.
    const tells = (facts.exchange ?? exchange) !== '' && queue.startsWith('tombolo.topic.');
    const properties = replayedProperties(delivery.properties, tells ? ['exchange', 'routing-key'] : []);
    const id = this.#next++;
    const bytes = properties.length + body.length;
    this.#bytes += bytes;
    this.#underWay.set(id, {
      bytes,
      told: (outcome, why) => {
        if (outcome === 'confirmed') {
          stored();
          this.replayed++;
        } else this.keep(queue, why ?? keptBecause[outcome]);
      },
    });
    this.#publisher(queue).publish([{ id, exchange: '', routingKey: queue, properties, body }]);
    while (this.#underWay.size >= UNDER_WAY || this.#bytes >= UNDER_WAY_BYTES) await this.#more();
  }

  /** Resolves when nothing is under way any more. */
  async done(): Promise<void> {
    while (this.#underWay.size > 0) await this.#more();
    for (const publisher of this.#publishers.values()) publisher.close();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#progress = resolve;
    });
  }

  #publisher(queue: string): Publisher {
    let publisher = this.#publishers.get(queue);
    if (!publisher) {
      publisher = this.broker.sink.publisher(queue, {
        outcome: (ids, outcome, detail) => {
          for (const id of ids) {
            const one = this.#underWay.get(id);
            if (!one) continue;
            this.#underWay.delete(id);
            this.#bytes -= one.bytes;
            one.told(outcome, outcome === 'poison' ? detail : undefined);
          }
          this.#progress();
        },
      });
      this.#publishers.set(queue, publisher);
    }
    return publisher;
  }
}

/** A replay that only looks whether the queues are there. */
class Rehearsal extends Replay {
  readonly #there = new Map<string, boolean>();

  override async give(queue: string): Promise<void> {
    let isThere = this.#there.get(queue);
    if (isThere === undefined) {
      isThere = (await this.broker.sink.probe(queue)) !== undefined;
      this.#there.set(queue, isThere);
    }
    if (isThere) this.replayed++;
    else this.keep(queue, keptBecause.returned);
  }
}

const keptBecause: Record<Exclude<PublishOutcome, 'confirmed'>, string> = {
  returned: 'there is no such queue',
  refused: 'the queue takes no more',
  forbidden: 'the bridge may not write to the queue',
  postponed: 'this bridge is not the master any more',
  unknown: 'the connection was lost: it may be in its queue as well',
  poison: 'the broker refuses it',
};

/** What is no dead letter of a bridge says nothing of itself. */
function factsOf({ properties }: Delivery): Partial<DeadLetterFacts> {
  try {
    return deadLetterFacts(properties);
  } catch {
    return {};
  }
}

function isSelected(
  { id, destination, peer, reason }: DeadLetterSelection,
  { properties }: Delivery,
  facts: Partial<DeadLetterFacts>,
): boolean {
  return (
    (id === undefined || facts.id === id || messageId(properties) === id) &&
    (destination === undefined || facts.destination === destination) &&
    (peer === undefined || facts.peer === peer) &&
    (reason === undefined || facts.reason?.includes(reason) === true)
  );
}

function shown({ properties, body }: Delivery, facts: Partial<DeadLetterFacts>): ParkedMessage {
  const { id, destination, peer, connector, queue, reason, attempts, time } = facts;
  const tries = Number(attempts);
  return {
    id,
    messageId: messageId(properties),
    ...{ destination, peer, connector, queue, reason },
    attempts: Number.isSafeInteger(tries) ? tries : undefined,
    time,
    bytes: body.length,
    contentType: contentType(properties),
    timestampSeconds: timestampSeconds(properties),
  };
}
