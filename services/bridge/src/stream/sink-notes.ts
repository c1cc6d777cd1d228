import type { Blocked, OpenFrame, StateFrame, StreamAddress } from '@tombolo/wire/frame';
import type { Outbox, SinkEffect } from './effects.ts';
import type { Comparison } from './reconciliation.ts';
import { clip, RangeSet } from './settlement.ts';
import { SEQUENCE_LARGEST, type SinkEpoch } from './sink-epoch.ts';
import { ToldCredit } from './told-credit.ts';

const GAP_MS = 200;

/** What the sink of a stream tells its source: what it knows, credit, verdicts, and what has not come. Pure. */
export class SinkNotes {
  readonly credit = new ToldCredit();
  /** There is a way to the source. */
  linked = true;
  readonly #address: StreamAddress;
  readonly #incarnation: number;
  readonly #out: Outbox<SinkEffect>;
  #blocked: Blocked | undefined;
  #gapAt = 0;
  #missing: number[] = [];

  /** @param incarnation the own cluster's incarnation */
  constructor(address: StreamAddress, incarnation: number, out: Outbox<SinkEffect>) {
    this.#address = address;
    this.#incarnation = incarnation;
    this.#out = out;
  }

  /** What was missing when messages came last. */
  get missing(): readonly number[] {
    return this.#missing;
  }

  get blocked(): Blocked | undefined {
    return this.#blocked;
  }

  /** Answers the source's question. @param since of the counts that the two ends compare */
  resume(epoch: SinkEpoch, { attempt, gone }: OpenFrame, since: number): void {
    this.#send({
      kind: 'resume',
      ...this.#head(epoch),
      attempt,
      sinkIncarnation: this.#incarnation,
      received: epoch.received(gone),
      accepted: epoch.accepted.toRanges(),
      rejected: rejectedOf(epoch),
      creditVersion: this.credit.version,
      granted: this.credit.granted,
      countedSince: since,
    });
  }

  /** Why messages are not taken for now; undefined: they are. @returns whether that is new */
  setBlocked(blocked: Blocked | undefined): boolean {
    if (this.#blocked === blocked) return false;
    this.#blocked = blocked;
    return true;
  }

  tellCredit(epoch: SinkEpoch, granted: number, now: number): void {
    this.credit.tell(granted, now);
    this.#sendCredit(epoch);
  }

  repeatCredit(epoch: SinkEpoch, now: number): void {
    this.credit.repeated(now);
    this.#sendCredit(epoch);
  }

  /** Tells verdicts that are new. */
  settle(
    epoch: SinkEpoch,
    verdicts: {
      readonly accepted?: RangeSet;
      readonly released?: RangeSet;
      readonly rejected?: readonly { readonly sequence: number; readonly reason: string }[];
    },
    since: number,
  ): void {
    const accepted = verdicts.accepted?.toRanges() ?? [];
    const released = verdicts.released?.toRanges() ?? [];
    const rejected = verdicts.rejected ?? [];
    if (accepted.length === 0 && released.length === 0 && rejected.length === 0) return;
    this.#send({
      kind: 'settle',
      ...this.#head(epoch),
      accepted,
      released,
      rejected: [...rejected],
      countedSince: since,
    });
  }

  /** The source lacks verdicts that were sent: they are said again. @param comparison of the counts, when it is worth telling */
  settleAgain(epoch: SinkEpoch, { settledThrough }: StateFrame, since: number, comparison?: Comparison): void {
    const accepted = clip(epoch.accepted.toRanges(), settledThrough + 1, SEQUENCE_LARGEST);
    const { untold } = epoch;
    if (accepted.length === 0 && epoch.rejected.size === 0 && untold.length === 0 && !comparison) return;
    const released = new RangeSet();
    for (const sequence of untold.sort((a, b) => a - b)) released.add(sequence);
    this.#send({
      kind: 'settle',
      ...this.#head(epoch),
      accepted,
      released: released.toRanges(),
      rejected: rejectedOf(epoch),
      countedSince: since,
      ...(comparison && { comparison }),
    });
  }

  /** What has not come up to `upTo` is asked for. */
  askForGaps(epoch: SinkEpoch, upTo: number, now: number): void {
    this.#missing = epoch.missing(upTo);
    if (this.#missing.length === 0 || now < this.#gapAt) return;
    this.#gapAt = now + GAP_MS;
    this.#send({ kind: 'gap', ...this.#head(epoch), missing: this.#missing });
  }

  #sendCredit(epoch: SinkEpoch): void {
    const credit = { creditVersion: this.credit.version, granted: this.credit.granted };
    this.#send({ kind: 'credit', ...this.#head(epoch), ...credit, ...(this.#blocked && { blocked: this.#blocked }) });
  }

  #head({ id: { incarnation, epoch } }: SinkEpoch): { address: StreamAddress; incarnation: number; epoch: number } {
    return { address: this.#address, incarnation, epoch };
  }

  #send(frame: Extract<SinkEffect, { do: 'send' }>['frame']): void {
    if (this.linked) this.#out.add({ do: 'send', frame });
  }
}

function rejectedOf({ rejected }: SinkEpoch): { sequence: number; reason: string }[] {
  return [...rejected].map(([sequence, reason]) => ({ sequence, reason }));
}
