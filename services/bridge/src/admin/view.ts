import type { Destination, SequenceRanges } from '@tombolo/wire/frame';

/**
 * What a running bridge shows of itself: plain data, made anew for each request. The API serialises it, `tombolo status`
 * renders it, metrics are set from it. No secret is in it, and no URI with credentials.
 */
export interface BridgeView {
  readonly network: string;
  readonly cluster: string;
  readonly instance: string;
  readonly version: string;
  readonly role: 'master' | 'standby';
  /** Why this bridge is a standby, or who is master when that is known. */
  readonly roleReason: string | undefined;
  /** `holder`: whose lease it is, as far as it is known; `leaseRemainingMs`: undefined where there are no leases. */
  readonly election: {
    readonly type: string;
    readonly holder: string | undefined;
    readonly leaseRemainingMs: number | undefined;
  };
  /** This bridge finishes what is in flight, and takes no more. */
  readonly draining: boolean;
  /** What operators have drained. */
  readonly drains: readonly DrainView[];
  readonly incarnation: number;
  readonly broker: BrokerView;
  readonly links: readonly LinkView[];
  readonly connectors: readonly ConnectorView[];
  readonly demand: readonly DemandView[];
  readonly streams: readonly StreamView[];
  /** Destinations whose two ends have counted differently, whether or not they have a stream now. */
  readonly differences: readonly DifferenceView[];
  readonly topicBuffers: readonly TopicBufferView[];
  /** Messages that peers want and that are here, by destination and sink; on the master only. */
  readonly waiting?: readonly WaitingView[];
  /** On the master only. */
  readonly deadLetters?: DeadLetterView | undefined;
  /** Of this bridge, in use for TLS. */
  readonly certificates: readonly CertificateView[];
  /** The topology that this process has in force; undefined where nobody follows a file. */
  readonly config?: ConfigView | undefined;
  /** Warnings of the topology file and what else an operator should know, as sentences. */
  readonly notes: readonly string[];
}

export interface CertificateView {
  /** What it is for: link, broker, election, deduplication; with `_ca`: the authorities that are trusted for it. */
  readonly use: string;
  readonly path: string;
  /** When it runs out, or the first of its chain, or of the authorities that are still valid; since 1970. */
  readonly expiresSeconds: number;
  /** What an operator should do about it, as a sentence; undefined: nothing. */
  readonly note: string | undefined;
}

/** The topology in force, and what became of the latest change of its file. */
export interface ConfigView {
  /** The file or directory. */
  readonly path: string;
  /** Of what is in force: the same at bridges with the same connectors. */
  readonly hash: number;
  /** When it came in force, ISO 8601 in UTC. */
  readonly since: string;
  /** Settings that the file has otherwise now and for which a restart is needed, as paths in the file. */
  readonly pendingRestart: readonly string[];
  /** Why the file as it is now is not in force, every error with file, line and column; undefined: it is. */
  readonly refused: { readonly at: string; readonly problems: readonly string[] } | undefined;
}

export interface DrainView {
  readonly scope: 'process' | 'cluster';
  /** What that means, and how to undo it, as a sentence. */
  readonly text: string;
}

export interface BrokerView {
  readonly type: string;
  readonly up: boolean;
  readonly state: 'down' | 'connecting' | 'standby' | 'master';
  /** host:port/vhost in use; no credentials. */
  readonly address: string | undefined;
  readonly product: string | undefined;
  /** Why it is not up, as a sentence with what to do. */
  readonly reason: string | undefined;
  /** The broker's alarm, when it refuses to read from publishers. */
  readonly blocked: string | undefined;
  /** How demand is seen, e.g. "management API + events". */
  readonly demandMethod: string;
}

export interface LinkView {
  readonly peer: string;
  readonly up: boolean;
  readonly state: string;
  readonly reason: string | undefined;
  readonly address: string | undefined;
  readonly roundTripMs: number | undefined;
  readonly protocolVersion: number | undefined;
  readonly reconnects: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface ConnectorView {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly duplex: boolean;
  readonly peer: string;
  /** up: agreed on by both ends over a live link; pending: only one end knows it; down: no link; paused. */
  readonly state: 'up' | 'pending' | 'down' | 'paused';
  readonly reason: string | undefined;
}

export interface DemandView {
  readonly kind: Destination['kind'];
  readonly destination: string;
  /** The cluster whose consumers these are; the own cluster for local demand. */
  readonly cluster: string;
  readonly consumers: number;
  /** Served: a stream may flow or flows. Otherwise why not: queue_absent, no_permission, no_route, paused, refused, drained. */
  readonly unserved: string | undefined;
  /** A sentence for people. */
  readonly detail: string | undefined;
  /** Connectors by which this demand is told to peers (local demand) or was heard (remote demand). */
  readonly connectors: readonly string[];
}

/** What waits at this cluster for the subscribers of another, as last looked at. */
export interface TopicBufferView {
  readonly sink: string;
  readonly exchange: string;
  readonly connector: string;
  readonly messages: number;
  /** Undefined where the broker does not tell. */
  readonly bytes: number | undefined;
  readonly limitBytes: number;
}

/** Messages of one destination that wait here although another cluster wants them. */
export interface WaitingView {
  readonly kind: Destination['kind'];
  readonly destination: string;
  /** The cluster whose consumers want them. */
  readonly sink: string;
  readonly connector: string;
  /** Why they do not move, as a word: of `obstacleReasons`, or why the demand is not served; undefined: they move. */
  readonly reason: string | undefined;
  /** The oldest has waited at least this long. */
  readonly ageMs: number;
}

/** The queue of what could not be delivered. */
export interface DeadLetterView {
  readonly queue: string;
  /** As last looked at, seconds ago; undefined: not yet. */
  readonly messages: number | undefined;
  /** Why messages cannot be parked at present, and what to do, as a sentence. */
  readonly problem: string | undefined;
}

export interface StreamView {
  readonly role: 'source' | 'sink';
  readonly peer: string;
  readonly connector: string;
  readonly kind: Destination['kind'];
  readonly destination: string;
  readonly state: string;
  /** Why nothing moves at present, as a sentence; undefined when it flows or there is nothing to move. */
  readonly blockedBy: string | undefined;
  /** Source: the same as one of `obstacleReasons`. */
  readonly blockedReason?: string | undefined;
  /** Source: how long ago the oldest message was taken that is in hand and not settled; undefined: none is. */
  readonly heldMs?: number | undefined;
  readonly epoch: string;
  readonly granted: number;
  /** Credit left: granted less what was taken. */
  readonly credit: number;
  readonly window: number;
  /** Highest sequence number taken (source) or received (sink). */
  readonly last: number;
  readonly unsettled: number;
  readonly unsettledBytes: number;
  readonly accepted: number;
  readonly released: number;
  readonly rejected: number;
  readonly returned: number;
  readonly suppressed: number;
  /**
   * Sink: messages that would be doubled if this bridge died now, as far as the record in Redis goes; undefined at a source, and
   * without Redis.
   */
  readonly unrecorded?: number | undefined;
  /** Sink: messages that are stored here, and of which the source has not said that they are removed there. */
  readonly inDoubt?: number | undefined;
  /** Sequence numbers that are missing, when something is being asked for again. */
  readonly missing: SequenceRanges;
  /** Up to which number of this epoch both ends have compared what they counted; undefined: they have not yet. */
  readonly comparedThrough: number | undefined;
  /** Messages removed at the source that the sink never confirmed, of all epochs since the process began. */
  readonly lost: number;
  /** Messages confirmed at the sink that went back to their queue at the source, likewise. */
  readonly doubled: number;
}

/** What the two ends of a destination's streams count differently, as seen from one of them. */
export interface DifferenceView {
  readonly role: 'source' | 'sink';
  readonly connector: string;
  readonly peer: string;
  readonly kind: Destination['kind'];
  readonly destination: string;
  readonly lost: number;
  readonly doubled: number;
}

/** Which dead letters are meant: those to which all applies that is given. */
export interface DeadLetterSelection {
  /** The dead letter's own id, or the message id that its sender gave it. */
  readonly id?: string;
  readonly destination?: string;
  readonly peer?: string;
  /** A part of the reason. */
  readonly reason?: string;
}

/** A dead letter as it is shown: never its body. */
export interface ParkedMessage {
  readonly id: string | undefined;
  readonly messageId: string | undefined;
  readonly destination: string | undefined;
  readonly peer: string | undefined;
  readonly connector: string | undefined;
  /** The queue that it goes back to when it is replayed. */
  readonly queue: string | undefined;
  readonly reason: string | undefined;
  readonly attempts: number | undefined;
  /** When it was parked, ISO 8601 in UTC. */
  readonly time: string | undefined;
  /** Of its body. */
  readonly bytes: number;
  readonly contentType: string | undefined;
  /** When its sender says that it was made, since 1970. */
  readonly timestampSeconds: number | undefined;
}

export interface ParkedPage {
  readonly queue: string;
  readonly items: readonly ParkedMessage[];
  /** Those that were selected among those that were read. */
  readonly total: number;
  readonly page: number;
  readonly pageSize: number;
  /** False: there are more than are read for a list. */
  readonly complete: boolean;
}

export interface ReplayResult {
  readonly selected: number;
  /** Back in their queues; of a dry run: whose queues are there. */
  readonly replayed: number;
  /** Stay parked. */
  readonly kept: readonly { readonly queue: string | undefined; readonly why: string; readonly messages: number }[];
}

export interface DropResult {
  readonly selected: number;
  readonly dropped: number;
}

/** What was still in flight on a stream when the time for it was over. */
export interface LeftOver {
  readonly destination: string;
  readonly peer: string;
  readonly messages: number;
}

/** What was held for a peer on a stream. */
export interface GivenBack {
  readonly destination: string;
  readonly messages: number;
  /** Of these, what was sent: it may have been delivered at the peer, and may be delivered again. */
  readonly mayBeDoubled: number;
}
