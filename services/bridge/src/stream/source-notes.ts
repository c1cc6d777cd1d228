import type { Outbox, SourceEffect } from './effects.ts';
import type { InFlight } from './in-flight.ts';
import type { Intake } from './intake.ts';
import type { SourceReconciliation } from './reconciliation.ts';
import type { Removal } from './removal.ts';
import type { SourceSettings } from './source-settings.ts';

const STATE_MS = 1_000;
const LAST_WORDS = 4;

/** What a source stream tells its sink of itself: the question with which it opens, how things stand, and its end. Pure. */
export class SourceNotes<Owner> {
  readonly #settings: SourceSettings;
  readonly #flight: InFlight<Owner>;
  readonly #intake: Intake;
  readonly #removal: Removal;
  readonly #reconciliation: SourceReconciliation;
  readonly #out: Outbox<SourceEffect>;
  #attempt = 0;
  #dueAt = Number.POSITIVE_INFINITY;
  #lastWords = 0;
  /** Something has happened that was not told yet. */
  #news = false;
  /** Up to which number the sink was told that all are done with, and whether that was all there is to say of them, from the first time on. */
  #told = { through: 0, whole: false };

  constructor(
    settings: SourceSettings,
    flight: InFlight<Owner>,
    intake: Intake,
    removal: Removal,
    reconciliation: SourceReconciliation,
    out: Outbox<SourceEffect>,
  ) {
    this.#settings = settings;
    this.#flight = flight;
    this.#intake = intake;
    this.#removal = removal;
    this.#reconciliation = reconciliation;
    this.#out = out;
  }

  /** Which of the questions the sink's answer must name. */
  get attempt(): number {
    return this.#attempt;
  }
  /** When the sink is to be told again how things stand (monotonic ms); Infinity: there is no need. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** Something is new: it is told at `at` at the latest. */
  dueBy(at: number): void {
    this.#news = true;
    this.#dueAt = Math.min(this.#dueAt, at);
  }

  /** Something is new, as soon as there is nothing newer. */
  soon(now: number): void {
    this.dueBy(now + STATE_MS);
  }

  /** More numbers are done with: that is worth a few last words. */
  advanced(): void {
    this.#lastWords = LAST_WORDS;
  }

  open(): void {
    const { address, epoch, connector, queue } = this.#settings;
    const { last, settledThrough } = this.#flight;
    const gone = this.#flight.gone();
    const attempt = ++this.#attempt;
    const frame = { kind: 'open' as const, address, ...epoch, connector, attempt, last, settledThrough, gone, queue };
    this.#out.add({ do: 'send', frame });
  }

  /** @param heard the link is up, and the sink has answered on it */
  state(heard: boolean, now: number): void {
    // A relay may lose the last word: it is said a few times before the stream falls silent.
    this.#lastWords = this.#flight.unsettled > 0 ? LAST_WORDS : this.#lastWords - 1;
    this.#dueAt = this.#lastWords > 0 ? now + STATE_MS : Number.POSITIVE_INFINITY;
    if (!heard) return;
    this.#news = false;
    const { settledThrough } = this.#flight;
    const { removedThrough } = this.#removal;
    const empty = this.#flight.unsettled + this.#flight.unsent === 0;
    const whole = empty && removedThrough === settledThrough;
    if (settledThrough > this.#told.through) this.#told = { through: settledThrough, whole };
    const removed = this.#reconciliation.through(settledThrough);
    this.#out.add({
      do: 'send',
      frame: {
        kind: 'state',
        address: this.#settings.address,
        ...this.#settings.epoch,
        settledThrough,
        removedThrough,
        creditVersion: this.#intake.answered,
        taken: this.#flight.taken,
        returned: this.#flight.gone(),
        empty,
        ...(removed && { removed }),
      },
    });
  }

  /** The sink has heard that all numbers up to this one are done with. When that was the last word, it need not be said again. */
  heard(through: number): void {
    if (this.#news || !this.#told.whole || through !== this.#told.through) return;
    this.#lastWords = 0;
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  closed(reason: string): void {
    const { address, epoch } = this.#settings;
    this.#out.add({ do: 'send', frame: { kind: 'closed', address, ...epoch, reason } });
  }

  silence(): void {
    this.#dueAt = Number.POSITIVE_INFINITY;
  }
}
