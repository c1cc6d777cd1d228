import { messageOf } from '@tombolo/kernel/fault';
import type { PublisherHandler, PublishOutcome } from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import { codeOf, publishFailure } from './close-codes.ts';
import type { Verdict } from './confirms.ts';
import type { Connection } from './connection.ts';
import { type Outgoing, PublishChannel } from './publish-channel.ts';

/**
 * One of the pool's lanes: the destinations that share a publish channel. When the broker closes the channel because of
 * a message, what was unconfirmed is published again one by one, in order, on a quarantine channel, until the one that closes
 * that too is found; the rest goes on, on a fresh channel. Where its exchange was the reason, all for that exchange is refused.
 */
export class PublishLane {
  readonly #surroundings: Surroundings;
  #connection: Connection | undefined;
  #channel: PublishChannel | undefined;
  #backlog: Outgoing[] = [];
  /** Suspects in publish order; the first one is on the quarantine channel. */
  #suspects: Outgoing[] | undefined;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  attach(connection: Connection): void {
    this.#connection = connection;
  }

  /** The connection is gone: what was written is in doubt (its channel says so), what was not is free of doubt. */
  detach(): void {
    this.#connection = undefined;
    this.#channel = undefined;
    this.#abandonSuspects();
    this.#refuseBacklog();
  }

  publish(batch: Outgoing[]): void {
    if (!this.#connection?.isOpen) {
      queueMicrotask(() => tell(batch, 'refused', 'not connected to the broker', this.#surroundings));
      return;
    }
    if (this.#channel?.isOpen && !this.#suspects && this.#backlog.length === 0) {
      this.#write(this.#channel, batch);
      return;
    }
    for (const outgoing of batch) this.#backlog.push(outgoing);
    this.#goOn();
  }

  /** Opens the channel that the backlog waits for, unless one is being opened or suspects come first. */
  #goOn(): void {
    if (this.#backlog.length > 0 && !this.#channel && !this.#suspects) this.#open();
  }

  /** The channel must be open. What no frame can be made of takes no other along; false when nothing was written. */
  #write(channel: PublishChannel, batch: readonly Outgoing[]): boolean {
    try {
      channel.publish(batch);
      return true;
    } catch (error) {
      if (batch.length > 1) return batch.map((outgoing) => this.#write(channel, [outgoing])).includes(true);
      queueMicrotask(() => tell(batch, 'poison', messageOf(error), this.#surroundings));
      return false;
    }
  }

  #open(): void {
    const connection = this.#connection;
    if (!connection?.isOpen) {
      this.#refuseBacklog();
      return;
    }
    let wasOpen = false;
    const channel: PublishChannel = new PublishChannel(connection, {
      log: this.#surroundings.log,
      opened: () => {
        wasOpen = true;
        if (this.#channel !== channel) return;
        const backlog = this.#backlog;
        this.#backlog = [];
        if (backlog.length > 0) this.#write(channel, backlog);
      },
      verdicts: (verdicts) => tellVerdicts(verdicts, this.#surroundings),
      closed: (open, error) => {
        if (this.#channel === channel) this.#channel = undefined;
        if (!wasOpen || codeOf(error) === undefined || this.#connection !== connection) {
          tell(open, 'unknown', 'the connection to the broker was lost', this.#surroundings);
          if (this.#connection !== connection) return;
          // A channel that cannot even be opened would be tried in a busy loop.
          if (wasOpen) this.#goOn();
          else this.#refuseBacklog();
          return;
        }
        this.#surroundings.log.warn(
          { code: codeOf(error), unconfirmed: open.length, reason: publishFailure(error).detail },
          'the broker closed a publish channel: its unconfirmed messages are published one by one',
        );
        this.#suspects = [...open];
        this.#quarantine();
      },
    });
    this.#channel = channel;
  }

  #quarantine(): void {
    const connection = this.#connection;
    const suspects = this.#suspects ?? [];
    if (suspects.length === 0 || !connection) {
      this.#resume();
      return;
    }
    const next = () => {
      // Verdicts come while the channel closes, too: then `closed` says what becomes of the rest.
      while (channel.isOpen && this.#suspects === suspects) {
        const alone = suspects.shift();
        if (alone && this.#write(channel, [alone])) return;
        if (alone) continue;
        channel.close();
        this.#resume();
      }
    };
    const channel: PublishChannel = new PublishChannel(connection, {
      log: this.#surroundings.log,
      opened: next,
      verdicts: (verdicts) => {
        tellVerdicts(verdicts, this.#surroundings);
        next();
      },
      closed: (open, error) => {
        if (codeOf(error) === undefined || this.#suspects !== suspects) {
          tell(open, 'unknown', 'the connection to the broker was lost', this.#surroundings);
          if (this.#suspects === suspects) this.#abandonSuspects();
          if (this.#connection === connection) this.#goOn();
          return;
        }
        const { outcome, detail } = publishFailure(error);
        tell(open, outcome, detail, this.#surroundings);
        if (outcome !== 'poison') this.#dismiss(open, outcome, detail);
        this.#resume();
      },
    });
  }

  /** It was not about the message but about its exchange: the same holds for all that wait for that one. */
  #dismiss(refused: readonly Outgoing[], outcome: 'refused' | 'forbidden', detail: string): void {
    const exchange = refused[0]?.publication.exchange;
    const concerned = (this.#suspects ?? []).filter(({ publication }) => publication.exchange === exchange);
    this.#suspects = this.#suspects?.filter(({ publication }) => publication.exchange !== exchange);
    tell(concerned, outcome, detail, this.#surroundings);
  }

  /** The rest of the suspects goes first, then what came meanwhile. */
  #resume(): void {
    this.#backlog = [...(this.#suspects ?? []), ...this.#backlog];
    this.#suspects = undefined;
    this.#goOn();
  }

  /** They were written once already. */
  #abandonSuspects(): void {
    const suspects = this.#suspects ?? [];
    this.#suspects = undefined;
    tell(suspects, 'unknown', 'the connection to the broker was lost', this.#surroundings);
  }

  #refuseBacklog(): void {
    const backlog = this.#backlog;
    this.#backlog = [];
    tell(backlog, 'refused', 'not connected to the broker', this.#surroundings);
  }
}

/** Tells whom it concerns what the broker said. */
export function tellVerdicts(verdicts: readonly Verdict<PublisherHandler>[], surroundings: Surroundings): void {
  // Runs of the same handler and outcome: nearly always one.
  let from = 0;
  for (let index = 1; index <= verdicts.length; index++) {
    const first = verdicts[from] as Verdict<PublisherHandler>;
    const verdict = verdicts[index];
    if (verdict && verdict.handler === first.handler && verdict.outcome === first.outcome) continue;
    const ids = verdicts.slice(from, index).map((each) => each.publication.id);
    call(first.handler, ids, first.outcome, first.detail, surroundings);
    from = index;
  }
}

/** The same outcome for all of a batch. */
export function tell(
  batch: readonly Outgoing[],
  outcome: PublishOutcome,
  detail: string,
  surroundings: Surroundings,
): void {
  const byHandler = new Map<PublisherHandler, number[]>();
  for (const { handler, publication } of batch) {
    const ids = byHandler.get(handler);
    if (ids) ids.push(publication.id);
    else byHandler.set(handler, [publication.id]);
  }
  for (const [handler, ids] of byHandler) call(handler, ids, outcome, detail, surroundings);
}

function call(
  handler: PublisherHandler,
  ids: readonly number[],
  outcome: PublishOutcome,
  detail: string | undefined,
  surroundings: Surroundings,
): void {
  try {
    handler.outcome(ids, outcome, detail);
  } catch (error) {
    surroundings.log.error({ err: error }, 'a publish handler threw');
  }
}
