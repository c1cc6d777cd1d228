/** A message as a consumer got it. */
export interface Delivery {
  readonly number: number;
  readonly redelivered: boolean;
  /** On the monotonic clock, in ms. */
  readonly at: number;
}

/** What the applications saw from the first message to the last. */
export interface Observed {
  /** Numbers that the source's broker took and confirmed. */
  readonly confirmed: ReadonlySet<number>;
  /** Numbers were given from 0 up to this one; those not confirmed may arrive or not. */
  readonly attempted: number;
  readonly deliveries: readonly Delivery[];
  /** Messages that somebody destroyed on purpose, as the broker counted them, and nobody got. */
  readonly destroyed: number;
  /** Messages that were left at the source although all had ended. */
  readonly left: number;
}

export interface Outcome {
  readonly published: number;
  /** Confirmed at the source, never delivered, and not destroyed on purpose. */
  readonly lost: number;
  readonly destroyed: number;
  /** Deliveries beyond the first of a number, and copies that were still waiting. */
  readonly duplicated: number;
  /**
   * Duplicates that the sink's broker cannot have made by itself. It may deliver one copy again and says so (redelivered); what is
   * beyond that was published there twice.
   */
  readonly doubledOnTheWay: number;
  readonly redelivered: number;
  readonly longestGapMs: number;
}

/** Judges a run. @throws Error when something arrived that nobody sent */
export function judge({ confirmed, attempted, deliveries, destroyed, left }: Observed): Outcome {
  const copies = new Map<number, { fresh: number; firstFlagged: boolean }>();
  let redelivered = 0;
  let longestGapMs = 0;
  let before: number | undefined;
  for (const { number, redelivered: flagged, at } of deliveries) {
    if (!Number.isInteger(number) || number < 0 || number >= attempted) throw new Error(`nobody sent number ${number}`);
    const known = copies.get(number);
    if (!known) copies.set(number, { fresh: flagged ? 0 : 1, firstFlagged: flagged });
    else if (!flagged) known.fresh++;
    if (flagged) redelivered++;
    if (before !== undefined) longestGapMs = Math.max(longestGapMs, at - before);
    before = at;
  }
  let missing = 0;
  for (const number of confirmed) if (!copies.has(number)) missing++;
  let doubledOnTheWay = left;
  for (const { fresh, firstFlagged } of copies.values()) doubledOnTheWay += fresh + (firstFlagged ? 1 : 0) - 1;
  return {
    published: confirmed.size,
    lost: Math.max(0, missing - destroyed),
    destroyed,
    duplicated: deliveries.length - copies.size + left,
    doubledOnTheWay,
    redelivered,
    longestGapMs: Math.round(longestGapMs),
  };
}
