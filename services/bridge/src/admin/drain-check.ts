/** What is left of one destination at a cluster that is to be switched off. At least one number is not 0, or not known. */
export interface DrainRow {
  readonly kind: 'queue' | 'topic' | 'reply' | 'dead-letters';
  readonly destination: string;
  /** Of a topic: the cluster whose subscribers it is kept for. */
  readonly peer: string | undefined;
  readonly ready: number;
  /** Handed out by the broker, to consumers here or to the bridge; undefined: not known. */
  readonly unacknowledged: number | undefined;
  /** In streams, from here or to here, without a verdict. */
  readonly unsettled: number;
  /** Stored here, and not yet known to be removed where they came from: they come again if this bridge's record is lost. */
  readonly inDoubt: number;
  readonly deadLettered: number;
  /** Kept for subscribers of another cluster. */
  readonly buffered: number;
  /** Why what is ready does not leave; undefined: it does, as its consumers elsewhere take it. */
  readonly stays: string | undefined;
}

/** What `GET /api/v1/drain` answers: whether this site can be switched off, and if not, what would be lost. */
export interface DrainCheck {
  readonly cluster: string;
  /** The cluster is drained: nothing is brought in. */
  readonly draining: boolean;
  /** False only when nothing is left, and that is known. */
  readonly left: boolean;
  readonly items: readonly DrainRow[];
  /** False: not every queue could be looked at. */
  readonly complete: boolean;
  /** How old the numbers may be, in milliseconds. */
  readonly ageMs: { readonly ready: number; readonly unacknowledged: number };
  /** What else must be known to judge by them, as sentences. */
  readonly notes: readonly string[];
}
