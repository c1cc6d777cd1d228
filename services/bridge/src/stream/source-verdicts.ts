import type { SequenceRanges } from '@tombolo/wire/frame';
import type { DeliveryToken } from '../broker/port.ts';
import type { Outbox, SourceEffect, Taken } from './effects.ts';
import type { Entry, InFlight } from './in-flight.ts';
import type { Intake } from './intake.ts';
import type { SourceReconciliation } from './reconciliation.ts';
import type { Removal } from './removal.ts';
import { clip } from './settlement.ts';

/**
 * How messages of a source stream end, and the count of it: acknowledged because the sink or the dead-letter queue has them,
 * acknowledged as copies that were recognised, or given back to their queue. Pure.
 */
export class SourceVerdicts<Owner> {
  readonly counts = { accepted: 0, released: 0, rejected: 0, returned: 0, suppressed: 0 };
  readonly #flight: InFlight<Owner>;
  readonly #intake: Intake;
  readonly #removal: Removal;
  readonly #reconciliation: SourceReconciliation;
  readonly #out: Outbox<SourceEffect>;

  constructor(
    flight: InFlight<Owner>,
    intake: Intake,
    removal: Removal,
    reconciliation: SourceReconciliation,
    out: Outbox<SourceEffect>,
  ) {
    this.#flight = flight;
    this.#intake = intake;
    this.#removal = removal;
    this.#reconciliation = reconciliation;
    this.#out = out;
  }

  /** @param since of the frame that says so, see SourceReconciliation */
  accept(ranges: SequenceRanges, since: number | undefined, now: number): void {
    const { last, settledThrough } = this.#flight;
    this.#reconciliation.accepted(clip(ranges, settledThrough + 1, last), since);
    const { accepted, age, done } = this.#flight.accept(ranges, now);
    this.#withhold(done, now);
    if (accepted === 0) return;
    this.counts.accepted += accepted;
    this.#out.add({ do: 'count', what: 'forwarded', n: accepted }, { do: 'duration', ms: age / accepted, n: accepted });
  }

  /** @param giveBack it is not to be sent again: the stream ends */
  release(sequence: number, giveBack: boolean, now: number): void {
    if (!this.#flight.release(sequence, now)) return;
    this.counts.released++;
    if (giveBack) this.returned(this.#flight.giveBack(this.#flight.entry(sequence)), 'released');
  }

  reject(sequence: number, reason: string): void {
    const entry = this.#flight.reject(sequence, reason);
    if (!entry) return;
    this.counts.rejected++;
    this.#out.add({ do: 'count', what: 'rejected', n: 1, reason });
    this.#park(entry);
  }

  /** What could not be parked is tried again when its time has come; the sink is not asked once more. */
  parkAgain(now: number): void {
    for (const entry of this.#flight.parkable(now)) this.#park(entry);
  }

  /** The dead-letter queue has it. */
  parked(entry: Entry, now: number): void {
    this.#reconciliation.parked(entry.sequence);
    this.#removal.parked(entry.sequence, entry.taken);
    if (this.#flight.finish(entry, now)) this.#withhold([entry], now);
  }

  /** Copies of messages that a sink has stored. */
  suppress(copies: readonly Taken[], now: number): void {
    if (copies.length === 0) return;
    this.counts.suppressed += copies.length;
    this.#removal.recognised(copies);
    this.#out.add({ do: 'count', what: 'suppressed', n: copies.length });
    this.acknowledge(
      copies.map(({ token }) => token),
      now,
    );
  }

  returned(tokens: readonly DeliveryToken[], reason: string): void {
    if (tokens.length === 0) return;
    this.counts.returned += tokens.length;
    this.#out.add({ do: 'requeue', tokens }, { do: 'count', what: 'returned', n: tokens.length, reason });
  }

  /** What was sent and is not settled goes back, and may come to be delivered twice. */
  expire(reason: string): void {
    const { sent } = this.#flight.held();
    this.returned(this.#flight.expire(), reason);
    if (sent > 0) this.#out.add({ do: 'count', what: 'possible-duplicates', n: sent });
  }

  acknowledgePermitted(now: number): void {
    const entries = this.#intake.permitted(now);
    if (entries.length === 0) return;
    const tokens = entries.map(({ token }) => token!);
    for (const entry of entries) {
      this.#flight.acknowledged(entry);
      this.#reconciliation.acknowledged(entry.sequence);
    }
    this.acknowledge(tokens, now);
  }

  acknowledge(tokens: readonly DeliveryToken[], now: number): void {
    if (tokens.length === 0) return;
    this.#out.add({ do: 'acknowledge', tokens });
    this.#removal.acknowledged(tokens, now);
  }

  #park({ sequence, taken, reason = '', sent }: Entry): void {
    this.#out.add({ do: 'park', sequence, message: taken, reason, attempts: sent });
  }

  #withhold(entries: readonly Entry[], now: number): void {
    if (entries.length === 0) return;
    this.#intake.withhold(entries, now);
    this.acknowledgePermitted(now);
  }
}
