import type { Fault } from '@tombolo/kernel/fault';
import type { Binding } from '@tombolo/wire/binding';
import type { QueueProperties } from '@tombolo/wire/frame';

/**
 * The broker port: what a bridge asks of its own broker, in small roles. An adapter knows nothing of peers.
 * Adapters call back synchronously from their I/O loop and never throw into it; handlers must not block.
 */
export interface Broker {
  readonly source: Source;
  readonly sink: Sink;
  readonly demand: DemandWatch;
  readonly bindings: BindingWatch;
  readonly buffers: TopicBuffers;
  readonly browser: QueueBrowser;
  readonly inventory: Inventory;
  /** Begins to connect and never gives up (capped, jittered back-off over all URIs) until `stop`. Idempotent. */
  start(): void;
  /**
   * Whether this bridge may be its cluster's master, and so claims the lock; until told, it may not. When it may not any more, the
   * acknowledgements given so far are processed by the broker first (bounded in time), then everything that consumes or publishes
   * is let go of and the lock is free: `standby` follows, on connections of their own.
   */
  claim(wanted: boolean): void;
  /**
   * For how long, at least, every node of the broker has been running (ms): what a node had acknowledged may come back after a crash of
   * it. Undefined: that cannot be known, now or ever. May be seconds old, and so less than it is. Rejects with a Fault.
   */
  runningFor(): Promise<number | undefined>;
  /** Closes what is open in good order: pending acknowledgements are written and known to be processed first. */
  stop(): Promise<void>;
}

/**
 * down → connecting → standby (connected, but not claiming the lock, or another bridge holds it) → master (connected, lock held)
 * → down …  Consuming and publishing are possible in `master` only.
 */
export type BrokerState =
  | { readonly is: 'down'; readonly fault?: Fault; readonly attempt: number }
  | { readonly is: 'connecting'; readonly uri: string }
  | { readonly is: 'standby'; readonly uri: string; readonly reason: string }
  | { readonly is: 'master'; readonly uri: string; readonly product: string; readonly clusterName: string };

export interface BrokerListener {
  stateChanged(state: BrokerState): void;
  /** The broker stopped reading from the publishing connection (an alarm), or reads again (`undefined`). */
  blocked(reason: string | undefined): void;
}

// ---- source ----------------------------------------------------------------------------------------------------------

/** One message handed over by the broker. Valid for acknowledgement as long as its channel lives. */
export interface Delivery {
  readonly redelivered: boolean;
  readonly exchange: string;
  readonly routingKey: string;
  /** Property flags and list, raw (see Envelope). Not shared with a larger buffer that would be kept alive by it. */
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
  /** The adapter's handle: which channel, which delivery tag. */
  readonly token: DeliveryToken;
}

/** Opaque to everybody but the adapter. */
export interface DeliveryToken {
  readonly channel: object;
  readonly tag: number;
}

export type ConsumerEnd =
  /** `cancel` was asked for and is complete: everything that the broker sent before has been handed over. Unacknowledged stays valid. */
  | { readonly why: 'cancelled' }
  /** The broker cancelled it: the queue was deleted (or its node went). Unacknowledged messages are gone with it. */
  | { readonly why: 'queue-gone' }
  /** The channel or the connection died: no token of it is valid any more, the broker will deliver these messages again. */
  | { readonly why: 'lost' }
  /** The broker refused the consumer. */
  | { readonly why: 'refused'; readonly fault: Fault };

export interface ConsumerHandler {
  /** In queue order. One call per chunk read from the socket, so that work can be done in batches. */
  delivered(deliveries: readonly Delivery[]): void;
  /** Exactly once, and last. */
  ended(end: ConsumerEnd): void;
}

export interface Consumer {
  /**
   * It may hold so many more unacknowledged messages than its prefetch; order is kept. An adapter may do so by counting as one more
   * consumer when the broker gives messages in turn. Nothing once it is cancelled.
   */
  extend(more: number): void;
  /** Asks the broker to stop; `ended({why: 'cancelled'})` follows. Idempotent. */
  cancel(): void;
}

export interface Source {
  /**
   * Consumes with manual acknowledgement and a per-consumer prefetch (never channel-global).
   * @param prefetch at least 1; how many unacknowledged messages the broker may have handed to this consumer
   * @param priority consumer priority, −1 for remote demand, undefined for none
   * @param turns how many consumers it counts as when the broker gives messages in turn; the prefetch is that of all. An adapter
   *   whose broker has no such turns takes it as 1
   */
  consume(
    request: {
      readonly queue: string;
      readonly prefetch: number;
      readonly priority: number | undefined;
      readonly turns?: number;
    },
    handler: ConsumerHandler,
  ): Consumer;
  /** Removes the messages from their queue. Runs are merged into multiples per channel; tokens of a dead channel are ignored. */
  acknowledge(tokens: readonly DeliveryToken[]): void;
  /** Gives the messages back to their queue (basic.nack, requeue). */
  requeue(tokens: readonly DeliveryToken[]): void;
  /**
   * Calls back once the broker has processed every acknowledgement given before for the channel of this token (a barrier), with
   * false when the channel died meanwhile.
   */
  flushed(token: DeliveryToken, done: (processed: boolean) => void): void;
  /**
   * Who is told of a consuming channel's death: one listener, the later call replaces it. Called synchronously and before
   * anything else when such a channel dies (also with its connection, or by `stop`), whatever consumers it has at that
   * moment: also when it only holds unacknowledged messages of cancelled consumers, whom no `ended` tells any more. Not when
   * the adapter closes a channel that holds nothing. `channel` is the object of `DeliveryToken.channel`; none of its tokens is
   * valid any more, and the broker will deliver what they stand for again.
   */
  onChannelLost(listener: (channel: object) => void): void;
  /**
   * Properties and counts of a queue; undefined: there is none. Rejects with a Fault when it cannot be known.
   * @param wanted its bytes too, which not every broker tells, and which may have to be asked for
   */
  inspect(queue: string, wanted?: { readonly bytes?: boolean }): Promise<QueueInspection | undefined>;
  /**
   * Declares a durable queue as described. One that is there already may have another expiry, and must else be alike. Rejects
   * with a Fault.
   */
  declare(queue: string, properties: QueueDeclaration): Promise<void>;
  /** Deletes the queue, unless it holds messages or has a consumer. False: it stays, or is not there. Rejects with a Fault. */
  deleteIfIdle(queue: string): Promise<boolean>;
}

export interface QueueDeclaration extends QueueProperties {
  readonly messageTtlMs?: number;
  /** Deleted by the broker once nobody has used it for so long. */
  readonly expiresMs?: number;
}

/** `ready` and `consumers` as the broker counts them (a bridge's own included); properties as far as they can be known. */
export interface QueueInspection {
  readonly ready: number;
  /** Of all its messages, where the broker tells; may be seconds old. */
  readonly bytes?: number;
  readonly consumers: number;
  readonly properties: QueueProperties;
}

// ---- looking into a queue ----------------------------------------------------------------------------------------------

export interface QueueBrowser {
  /**
   * Looks into a queue from its head on, over a channel of its own that no consumer shares. Rejects with a Fault, also
   * (TOMBOLO_QUEUE_REFUSED) where being looked at would bring messages nearer to being dropped: a quorum queue's delivery limit.
   */
  browse(queue: string): Promise<Browsing>;
}

/** A look into one queue. What it was handed is out of everybody else's sight until `close`. */
export interface Browsing {
  /**
   * The next message in queue order, one at a time; undefined: none is ready. Its body is not kept here. Rejects with a Fault
   * when the queue is gone or the channel was lost: everything not removed is the queue's again.
   */
  next(): Promise<Delivery | undefined>;
  /** Removes a message that `next` gave. */
  remove(delivery: Delivery): void;
  /**
   * Gives back what was not removed, to its place (before or, on a quorum queue, behind what came meanwhile) and flagged as
   * redelivered; resolves once the broker has processed that and the
   * removals, or the channel is gone. Idempotent.
   */
  close(): Promise<void>;
}

// ---- sink ------------------------------------------------------------------------------------------------------------

export interface Publication {
  /** The caller's number, handed back with the outcome. */
  readonly id: number;
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

export type PublishOutcome =
  /** Stored by the broker. */
  | 'confirmed'
  /** No queue took it (mandatory). Comes instead of `confirmed`. */
  | 'returned'
  /** The broker said nack (full queue with reject-publish, internal error): try later. */
  | 'refused'
  /** The broker does not let this user publish there: an operator's matter, try later. */
  | 'forbidden'
  /** The broker was not given it, for a reason on this side: it is its source's again. */
  | 'postponed'
  /** The connection died before an answer: it may or may not be stored. */
  | 'unknown'
  /** The broker closed a channel, or an isolated connection, because of this very message (found by publishing it alone); detail has the reason. */
  | 'poison';

export interface PublisherHandler {
  /** In batches. `ids` all have this outcome. */
  outcome(ids: readonly number[], outcome: PublishOutcome, detail: string | undefined): void;
}

export interface Publisher {
  /** Publishes in this order, mandatory and with confirms. Every publication gets exactly one outcome. */
  publish(publications: readonly Publication[]): void;
  /** No further publish; outcomes of what is under way still come. */
  close(): void;
}

export interface Sink {
  /**
   * A publisher for one destination; order is kept within it. `isolated`: for what may end the very connection that it is
   * published by, and so uses one that nothing else depends on; not mandatory, so never `returned`.
   */
  publisher(destination: string, handler: PublisherHandler, options?: { readonly isolated?: boolean }): Publisher;
  /** Why a message can never be published here, or undefined: size, frame-max with headers, malformed expiration. Pure and cheap. */
  unpublishable(message: { readonly properties: Uint8Array; readonly body: Uint8Array }): string | undefined;
  /** Ready messages and all consumers, by the cheapest way (passive declare); undefined: no such queue. */
  probe(queue: string): Promise<{ readonly ready: number; readonly consumers: number } | undefined>;
}

// ---- demand ----------------------------------------------------------------------------------------------------------

/** Consumers of one queue that no bridge owns and whose priority is not negative. */
export interface QueueDemand {
  readonly queue: string;
  readonly consumers: number;
  /** Sum of their prefetch counts; Infinity when one of them has none (or acknowledges automatically). */
  readonly capacity: number;
  readonly properties: QueueProperties;
  /** Ready messages, when the last snapshot told; may be seconds old. */
  readonly ready: number | undefined;
  /** Why the queue, which exists, cannot be used for now (its node is down): what was told of its consumers stands, their capacity is 0. */
  readonly unavailable?: string;
}

export interface DemandListener {
  /** The demand on this queue is now as told; consumers = 0 when it has gone. */
  changed(demand: QueueDemand): void;
  /** The queue is gone (or was deleted and made again: then `created` follows). */
  deleted(queue: string): void;
  /** A queue that matches the watched names exists now: a source may have messages. */
  created(queue: string, properties: QueueProperties): void;
  /** The broker cannot be seen for now (`false`): what was told stands, but is unknown. */
  visible(visible: boolean): void;
}

export interface DemandWatch {
  /**
   * Watches the queues for which `matches` is true; `exact` lists names that are watched even when no list of queues can be had
   * (no management API). May be called again with other names: differences are told to the listener.
   */
  watch(
    names: { readonly matches: (queue: string) => boolean; readonly exact: readonly string[] },
    listener: DemandListener,
  ): void;
  /** Asks for a fresh look at this queue (or at all) soon. */
  refresh(queue?: string): void;
  /** How demand is seen at present, for status: e.g. "management API + events", "passive declares". */
  readonly method: string;
}

// ---- topics: demand for an exchange is what applications have bound to it --------------------------------------------

export interface ExchangeProperties {
  /** direct, fanout, topic, headers, or what a plugin brings. */
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  /** No client may publish to it: it can be captured from, and never be a sink. */
  readonly internal: boolean;
}

/** A binding of an exchange to an exchange. */
export interface ExchangeBinding {
  readonly from: string;
  /** The type of `from`, which decides what the binding takes. */
  readonly type: string;
  readonly to: string;
  readonly binding: Binding;
}

export interface BindingListener {
  /**
   * This exchange exists, and these are all bindings of it that applications made. Told once when it is first seen, and again
   * when it was made anew with other properties: then it replaces what was told.
   */
  exchange(exchange: string, properties: ExchangeProperties, bindings: readonly Binding[]): void;
  /** Bindings that nobody else had have come or gone. No binding is in both. */
  changed(exchange: string, added: readonly Binding[], removed: readonly Binding[]): void;
  /** The exchange is gone, and with it all that was bound. */
  deleted(exchange: string): void;
  /**
   * Every binding of an exchange to an exchange, of all exchanges, watched or not; told when one has come or gone. Only
   * those that applications made.
   */
  routes(bindings: readonly ExchangeBinding[]): void;
  /** Bindings cannot be seen for now, or at all (`false`, with the reason): what was told stands, but is unknown. */
  visible(visible: boolean, reason: string | undefined): void;
}

export interface BindingWatch {
  /**
   * Watches the exchanges for which `matches` is true. Bindings are told by routing key and arguments, however many queues and
   * exchanges are bound alike. The buffers of bridges and the exchanges and queues of federation are no demand; whether
   * somebody consumes behind a binding is not looked at. May be called again with other names: differences are told.
   */
  watch(matches: (exchange: string) => boolean, listener: BindingListener): void;
  /** Asks for a fresh look soon. */
  refresh(): void;
  /** How bindings are seen at present, for status. */
  readonly method: string;
}

/** What a topic keeps for a peer that is away. What goes over a bound drops the oldest. */
export interface BufferProperties {
  readonly type: 'classic' | 'quorum';
  /** The broker deletes a buffer that nobody consumed from for this long. */
  readonly ttlMs: number;
  readonly maxLength: number;
  readonly maxBytes: number;
}

/** A binding of a buffer, and the exchange it is bound to. */
export interface BufferBinding {
  readonly exchange: string;
  readonly binding: Binding;
}

/**
 * The queues that capture what exchanges are given, for one sink each. They are consumed like any other queue. All calls reject
 * with a Fault; calls for one buffer are carried out in order.
 */
export interface TopicBuffers {
  /** Durable, as described. One that exists with other properties is refused (TOMBOLO_QUEUE_REFUSED) and stays as it is. */
  declare(buffer: string, properties: BufferProperties): Promise<void>;
  /**
   * Binds the buffer, many at a time. What is bound already stays bound; after a failure some of them may be. Rejects with
   * TOMBOLO_EXCHANGE_ABSENT when there is no such exchange.
   */
  bind(buffer: string, exchange: string, bindings: readonly Binding[]): Promise<void>;
  /** Undoes `bind`. What is not bound is no failure. */
  unbind(buffer: string, exchange: string, bindings: readonly Binding[]): Promise<void>;
  /** All bindings of the buffer, so that a restart binds the difference only; undefined when the broker does not show them. */
  bindings(buffer: string): Promise<readonly BufferBinding[] | undefined>;
  /** The names of all buffers that exist, whoever made them; undefined when the broker does not show them. */
  list(): Promise<readonly string[] | undefined>;
  /**
   * Deletes the buffer with what it holds, or, with `ifEmpty`, only when no message is ready in it: unbind it first, since the look and
   * the deletion are two steps, and acknowledge what was consumed.
   */
  delete(buffer: string, options?: { readonly ifEmpty?: boolean }): Promise<'deleted' | 'not-empty' | 'absent'>;
  /** The exchange's properties as far as they can be seen; undefined: there is none. */
  exchange(exchange: string): Promise<Partial<ExchangeProperties> | undefined>;
}

// ---- what the broker holds --------------------------------------------------------------------------------------------

/** A queue, and how many messages are in it. */
export interface Holding {
  readonly queue: string;
  readonly properties: QueueProperties;
  readonly ready: number;
  /** Handed out and not acknowledged, by whomever; undefined where the broker does not tell. */
  readonly unacknowledged: number | undefined;
}

export interface Holdings {
  readonly queues: readonly Holding[];
  /** Undefined: these are all queues of the virtual host. Otherwise why only those that were named could be looked at. */
  readonly incomplete: string | undefined;
  /** How old the numbers may be, in milliseconds; those of ready messages are as of now, unless a queue cannot be looked at. */
  readonly readyAgeMs: number;
  readonly unacknowledgedAgeMs: number;
}

export interface Inventory {
  /** Counts what every queue holds, at the least those `names` that exist. Needs no mastership. Rejects with a Fault. */
  take(names: readonly string[]): Promise<Holdings>;
}
