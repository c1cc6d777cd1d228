import type { Envelope } from './envelope.ts';

/**
 * A queue or a topic; with the sink's and the source's cluster it names a stream. `reply`: answers to a request, by the name of
 * their queue. `cluster`: a cluster itself, by its name; it is advertised like a demand, so that frames find their way to it.
 */
export interface Destination {
  readonly kind: 'queue' | 'topic' | 'reply' | 'cluster';
  readonly name: string;
}

/** What a queue is made of, as far as it decides whether a stream may be opened; absent fields are not known. */
export interface QueueProperties {
  readonly type?: 'classic' | 'quorum' | 'stream' | string;
  readonly durable?: boolean;
  readonly autoDelete?: boolean;
  readonly exclusive?: boolean;
  readonly expires?: boolean;
  readonly maxLength?: number;
  readonly maxLengthBytes?: number;
  readonly overflow?: string;
  readonly singleActiveConsumer?: boolean;
  readonly maxPriority?: number;
  /** How often a quorum queue may take a message back before it drops it or parks it elsewhere. */
  readonly deliveryLimit?: number;
  readonly internalPurpose?: string;
}

/** Names a stream between two clusters. */
export interface StreamAddress {
  readonly source: string;
  readonly sink: string;
  readonly destination: Destination;
}

/** Which life of a stream a frame speaks of: a source's incarnation, and a counter within it. Older ones are ignored. */
export interface StreamEpoch {
  readonly incarnation: number;
  readonly epoch: number;
}

/** Inclusive ranges of sequence numbers, flattened: [from, to, from, to, …], ascending and disjoint. */
export type SequenceRanges = readonly number[];

// ---- agreement and routing: between neighbours ---------------------------------------------------------------------

/** What one end's file says of the connectors between the two; sent after the handshake and after each change of file. */
export interface ConnectorsFrame {
  readonly kind: 'connectors';
  readonly connectors: readonly { readonly name: string; readonly from: string; readonly to: string }[];
}

/** A demand of `sink`: consumers that no bridge owns. `version` grows with every change; older ones are ignored. */
export interface DemandFrame {
  readonly kind: 'demand';
  readonly sink: string;
  readonly destination: Destination;
  /** The sink's incarnation, and a version within it. */
  readonly incarnation: number;
  readonly version: number;
  /** Clusters crossed so far, the sink first, the sender last. As many connectors are crossed once it has arrived. */
  readonly path: readonly string[];
  /** The lowest networkTTL of all connectors on the path: none of them lets a longer path pass. 0: the sender has paused its own. */
  readonly ttl: number;
  /** Longer ways of the sender, each with a higher ttl than those before: they lead clusters farther off, where `path` may not. */
  readonly farther?: readonly { readonly path: readonly string[]; readonly ttl: number }[];
  /** The connector, by name, whose permission this advertisement uses on this link. */
  readonly connector: string;
  readonly consumers: number;
  /** What the sink's queue is; the source may have to create its own alike. */
  readonly queue: QueueProperties;
  /** How long the advertisement stands without a refresh, ms. */
  readonly leaseMs: number;
}

/** Said by the sink's own bridge: the demand is gone. A higher version than every advertisement it kills. */
export interface WithdrawFrame {
  readonly kind: 'withdraw';
  readonly sink: string;
  readonly destination: Destination;
  readonly incarnation: number;
  readonly version: number;
}

/** The sender has no way to this demand any more; it may still stand. */
export interface UnreachableFrame {
  readonly kind: 'unreachable';
  readonly sink: string;
  readonly destination: Destination;
}

/**
 * Told to every bridge, ahead of what follows from it: the link between these two is gone, as `cluster` has seen it. No way over it is
 * worth trying, whoever advertised it. `incarnation` is the cluster's, `version` counts its losses.
 */
export interface HopLostFrame {
  readonly kind: 'hop-lost';
  readonly cluster: string;
  readonly peer: string;
  readonly incarnation: number;
  readonly version: number;
  /** For how long it is still told to those who link up, ms. */
  readonly leaseMs: number;
}

/** Anti-entropy: all demands of the sender as sent on this link; a receiver with another digest asks for a snapshot. */
export interface DigestFrame {
  readonly kind: 'digest';
  readonly incarnation: number;
  readonly count: number;
  readonly digest: string;
}

/** Asks the neighbour for a full snapshot of its advertisements. */
export interface SnapshotRequestFrame {
  readonly kind: 'snapshot-request';
}

/**
 * Begins a full snapshot. What was advertised before on this link and is not repeated until `snapshot-end` has no way by the sender any
 * more. That is not withdrawn, also when it is the sender's own: another connector may permit it. Only what an earlier incarnation of
 * the sender had advertised is.
 */
export interface SnapshotFrame {
  readonly kind: 'snapshot-begin' | 'snapshot-end';
  readonly incarnation: number;
  readonly version: number;
  /** False: the sender does not see its own broker; what it said of its own demand stands. */
  readonly sighted: boolean;
}

/**
 * Transit → the neighbour before it: how many bytes of data for this sink have left the transit, in all since the link began.
 * The neighbour lets only so much more be on its way.
 */
export interface RelayedFrame {
  readonly kind: 'relayed';
  readonly sink: string;
  readonly bytes: number;
}

// ---- streams: between the two ends, relayed by transits --------------------------------------------------------------

interface Relayable {
  /** How many bridges have relayed it; absent: none. */
  readonly hops?: number;
}

interface StreamFrame extends StreamEpoch, Relayable {
  readonly address: StreamAddress;
}

/**
 * Source → sink. Opens a stream, or takes it up again after a broken link. Sequence numbers start at 1 in every epoch.
 * The sink answers with `resume` or `refuse`.
 */
export interface OpenFrame extends StreamFrame {
  readonly kind: 'open';
  readonly connector: string;
  /** Counts the opens of this epoch: data that was sent before this one is not wanted any more. */
  readonly attempt: number;
  /** The highest sequence number assigned so far. */
  readonly last: number;
  /** All numbers up to this one are settled and known to the source as such. */
  readonly settledThrough: number;
  /** Above it: numbers that are settled already or were given back to the source's queue; they will not be sent again. */
  readonly gone: SequenceRanges;
  readonly queue: QueueProperties;
}

/**
 * Sink → source. The answer to `open`: what the sink knows of this epoch, and the credit.
 */
export interface ResumeFrame extends StreamFrame {
  readonly kind: 'resume';
  /** Of the `open` that it answers: the answer to an earlier one is void. */
  readonly attempt: number;
  /** The sink's incarnation: another one than before has forgotten what it held unpublished. */
  readonly sinkIncarnation: number;
  /** Received (and not lost since) numbers above `settledThrough` of the open frame: they need not be sent again. */
  readonly received: SequenceRanges;
  readonly accepted: SequenceRanges;
  readonly rejected: readonly { readonly sequence: number; readonly reason: string }[];
  readonly creditVersion: number;
  readonly granted: number;
  /** The attempt with which this sink began to count what its broker confirms of this epoch; absent: it does not count. */
  readonly countedSince?: number;
}

/** Sink → source. The stream is not permitted or cannot be; the source tries again after `retryAfterMs`, or on new demand. */
export interface RefuseFrame extends StreamFrame {
  readonly kind: 'refuse';
  readonly reason: string;
  readonly retryAfterMs: number;
}

/** Sink → source. The running total of messages that the sink allows in this epoch; it may be lowered (down to what was taken). */
export interface CreditFrame extends StreamFrame {
  readonly kind: 'credit';
  readonly creditVersion: number;
  readonly granted: number;
  /**
   * The sink's broker refuses messages for now, and why: what the sink gives back meanwhile is better off in its queue than sent
   * again. Absent: it takes them.
   */
  readonly blocked?: Blocked;
}

/** `reason` is a word for metrics (queue_absent, no_permission, sink_refuses), `detail` a sentence for people. */
export interface Blocked {
  readonly reason: string;
  readonly detail: string;
}

/** One message of a batch. `resent` says that an earlier copy with this number may have arrived. */
export interface StreamMessage extends Envelope {
  readonly sequence: number;
  readonly redelivered: boolean;
  readonly resent: boolean;
  readonly digest: Uint8Array;
  readonly hasId: boolean;
}

/** Source → sink. The only data frame: subject to the byte grant of the link. */
export interface MessagesFrame extends StreamFrame {
  readonly kind: 'messages';
  /** Of the `open` that it was sent under. */
  readonly attempt: number;
  /** The highest number assigned so far: whatever of it the receiver lacks now was lost on the way. Data frames keep their order. */
  readonly last: number;
  /** May be empty: then the frame only tells `last`. */
  readonly messages: readonly StreamMessage[];
}

/** Sink → source. Verdicts. `released` asks to send again later under the same number. */
export interface SettleFrame extends StreamFrame {
  readonly kind: 'settle';
  readonly accepted: SequenceRanges;
  readonly released: SequenceRanges;
  readonly rejected: readonly { readonly sequence: number; readonly reason: string }[];
  /** As in `resume`: whose verdicts these are. */
  readonly countedSince?: number;
  /** The sink has compared its count with the source's; it says so when they differ or have differed, and when nothing is under way. */
  readonly comparison?: CountComparison;
}

/** What the source has removed from its queue because the sink has it, of all numbers up to `settledThrough`. */
export interface RemovedCount {
  /** The sink's `countedSince`: what its predecessors have confirmed is not counted. */
  readonly since: number;
  readonly count: number;
  /** Of these numbers, modulo 2³². */
  readonly sum: number;
}

/** Messages that the two ends count differently, of all numbers up to `through`. */
export interface CountComparison {
  readonly through: number;
  /** Removed at the source, never confirmed at the sink. */
  readonly lost: number;
  /** Confirmed at the sink, and back in their queue at the source. */
  readonly doubled: number;
}

/** Source → sink, from time to time while something is open: lets the sink notice lost frames and drop old records. */
export interface StateFrame extends StreamFrame {
  readonly kind: 'state';
  readonly settledThrough: number;
  /** All numbers up to this one are known to be removed from the source's queue. */
  readonly removedThrough: number;
  /** The version of the credit that the source obeys; `taken` was its count of messages then. */
  readonly creditVersion: number;
  readonly taken: number;
  /** Numbers that were given back to the source's queue: the sink must not publish them. */
  readonly returned: SequenceRanges;
  /** The source's queue has nothing ready for this stream. */
  readonly empty: boolean;
  /** Absent: the sink does not count, or there is nothing to compare with. */
  readonly removed?: RemovedCount;
}

/** Sink → source. Numbers that the sink misses although later ones or a `state` came. */
export interface GapFrame extends StreamFrame {
  readonly kind: 'gap';
  readonly missing: SequenceRanges;
}

/** Source → sink: this epoch has ended; everything is settled or was returned. */
export interface ClosedFrame extends StreamFrame {
  readonly kind: 'closed';
  readonly reason: string;
}

// ---- in doubt: between a source's bridge and every sink's bridge that may have had its streams -----------------------

/**
 * Source → sink, at the beginning of each link: everything of older incarnations of `source` is dead. The sink publishes
 * nothing more of it, waits for what is being published, and answers with `collected`.
 */
export interface CollectFrame extends Relayable {
  readonly kind: 'collect';
  readonly source: string;
  readonly sink: string;
  readonly incarnation: number;
}

/**
 * Sink → source: messages of dead incarnations that the sink's broker has confirmed and of which the source never said that
 * they are removed. Several frames may come; `complete` is set on the last.
 */
export interface CollectedFrame extends Relayable {
  readonly kind: 'collected';
  readonly source: string;
  readonly sink: string;
  readonly incarnation: number;
  readonly complete: boolean;
  /**
   * `digests`: 16 bytes each, concatenated; `ids`: a byte each, 1 when the message has an id; `ageMs`: none of them was confirmed
   * longer ago, ms; absent: unknown.
   */
  readonly items: readonly {
    readonly destination: Destination;
    readonly digests: Uint8Array;
    readonly ids: Uint8Array;
    readonly ageMs?: number;
  }[];
}

/** Source → sink: what was collected for this destination is no longer needed (messages without an id). */
export interface ForgetFrame extends Relayable {
  readonly kind: 'forget';
  readonly source: string;
  readonly sink: string;
  readonly incarnation: number;
  readonly destination: Destination;
}

// ---- topics: between a source's bridge and the sink's whose bindings it captures for ----------------------------------

/** Source → sink. Asks for the bindings of an exchange at the sink, or for what happened to them since `held`. Always answered. */
export interface BindingsRequestFrame extends Relayable {
  readonly kind: 'bindings-request';
  readonly source: string;
  readonly sink: string;
  readonly exchange: string;
  /** The version that the source has; version 0 of incarnation 0: none. */
  readonly incarnation: number;
  readonly version: number;
}

/** Flat on purpose: bindings travel as their text. */
export type BindingUpdate =
  /** What happened after version `from`: `+` or `-` and the binding's text, each makes the next version. */
  | { readonly is: 'ops'; readonly incarnation: number; readonly from: number; readonly ops: readonly string[] }
  /** One of `parts` parts of the whole set at this version. */
  | {
      readonly is: 'full';
      readonly incarnation: number;
      readonly version: number;
      readonly part: number;
      readonly parts: number;
      readonly bindings: readonly string[];
    };

/** Sink → source. Several may answer one request. */
export interface BindingsFrame extends Relayable {
  readonly kind: 'bindings';
  readonly source: string;
  readonly sink: string;
  readonly exchange: string;
  readonly update: BindingUpdate;
}

export type TopicFrame = BindingsRequestFrame | BindingsFrame;

// ---- questions: between any two bridges, for `tombolo trace` and the picture of the network -------------------------------

/**
 * `source` asks the bridge of `sink` what it knows of a destination, or, if that is the cluster `sink` itself, of its own cluster. Who
 * does not know this kind of frame does not answer.
 */
export interface AskFrame extends Relayable {
  readonly kind: 'ask';
  readonly source: string;
  readonly sink: string;
  /** Chosen by who asks; the answer carries it. */
  readonly question: number;
  readonly destination: Destination;
}

/** The answer of `sink` to `source`, in one or several parts that follow each other; `complete` on the last one. */
export interface AnswerFrame extends Relayable {
  readonly kind: 'answer';
  readonly source: string;
  readonly sink: string;
  readonly question: number;
  readonly complete: boolean;
  /** At most `limits.findings`; longer texts are cut off by the sender. */
  readonly findings: readonly Finding[];
  /** What the bridge says of its own cluster, as JSON: for people and pictures, nothing follows from it. At most `limits.siteBytes`. */
  readonly site?: string;
}

/** One thing that a bridge knows of a destination. Words that a receiver does not know are shown, and mean nothing to it. */
export interface Finding {
  readonly code: string;
  /** `ok`, `info`, or `stops`: messages wait because of it. */
  readonly state: string;
  /** A sentence for people. */
  readonly text: string;
}

/**
 * Between the two ends of a stream, of an in-doubt exchange or of a question: to be relayed when it is for another cluster.
 */
export type RelayableFrame = InDoubtFrame | TopicFrame | QuestionFrame | StreamControlFrame | MessagesFrame;
export type QuestionFrame = AskFrame | AnswerFrame;
export type InDoubtFrame = CollectFrame | CollectedFrame | ForgetFrame;
export type RoutingFrame =
  | ConnectorsFrame
  | DemandFrame
  | WithdrawFrame
  | UnreachableFrame
  | HopLostFrame
  | RelayedFrame
  | DigestFrame
  | SnapshotRequestFrame
  | SnapshotFrame;
export type StreamControlFrame =
  | OpenFrame
  | ResumeFrame
  | RefuseFrame
  | CreditFrame
  | SettleFrame
  | StateFrame
  | GapFrame
  | ClosedFrame;
/** Everything that two bridges say to each other after the handshake. Keepalive and byte grants are the link's own. */
export type Frame = RoutingFrame | RelayableFrame;
/** Frames that go ahead of data and need no grant. */
export type ControlFrame = Exclude<Frame, MessagesFrame>;
