import type { Wakes } from '@tombolo/kernel/wakes';
import type { Destination } from '@tombolo/wire/frame';
import type { ReplyToRewrite } from '@tombolo/wire/reply-properties';
import type { Broker, Delivery } from '../broker/port.ts';
import type { BrokerRestarts } from './broker-restarts.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Forwarders } from './forwarder.ts';
import type { Predecessor } from './predecessor.ts';
import type { HalfOptions } from './shell.ts';
import type { SourceFlow } from './source-flow.ts';
import type { SourceLimits } from './source-limits.ts';
import type { SourceQueues } from './source-queues.ts';

/** What a source's streams are to the rest of the bridge. */
export interface SourceSurroundings extends HalfOptions {
  readonly broker: Broker;
  readonly deadLetters: DeadLetters;
  readonly inFlightBytes: number;
  /** The own consumers of this queue had no room for a message: the broker gave it to this bridge. */
  spared(destination: Destination): void;
  /** Why a message in a topic's buffer is not to be forwarded, as a word for metrics, or undefined. */
  screen(sink: string, destination: Destination, delivery: Delivery): string | undefined;
  /** Messages were taken for a stream that was opened by `draw`. */
  drew(destination: Destination): void;
  /** What the `reply-to` of messages that are taken now becomes. */
  replyTo(): ReplyToRewrite;
}

/** What the streams of one source share. */
export interface SourceGround {
  readonly surroundings: SourceSurroundings;
  readonly queues: SourceQueues;
  readonly predecessor: Predecessor;
  readonly restarts: BrokerRestarts;
  readonly forwarders: Forwarders;
  readonly limits: SourceLimits<SourceFlow>;
  readonly wakes: Wakes<SourceFlow>;
  /** Bytes of messages that they hold in memory, all together. */
  bytes: number;
  /** The bridge is not the master any more: nothing is done. */
  closed: boolean;
  ended(flow: SourceFlow, reason: string): void;
}
