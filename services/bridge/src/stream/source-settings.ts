import type { QueueProperties, StreamAddress, StreamEpoch } from '@tombolo/wire/frame';
import type { Obstacle } from './obstacle.ts';
import type { Orphans } from './orphans.ts';
import type { Throttle } from './rate-limit.ts';

/** What connectors set of a stream, and a changed file may set anew. */
export interface SourceBounds {
  /** The largest window, in messages. */
  readonly largestWindow: number;
  readonly prefetchBytes: number;
  /** See `holdWhenLinkLost`. */
  readonly holdMs: number;
}

export interface SourceSettings extends SourceBounds {
  readonly address: StreamAddress;
  readonly connector: string;
  readonly epoch: StreamEpoch;
  readonly queue: QueueProperties;
}

/** What streams of one queue and of one bridge share. */
export interface SourceEnvironment<Owner> {
  readonly orphans: Orphans<Owner>;
  /** Bytes that the bridge may still take from its broker. */
  bytesFree(): number;
  /** Why the queue must not be consumed at present, or undefined. */
  barred(): Obstacle | undefined;
  /** How many consumers the stream stands for: one, unless each of the sink's is to have a window of its own. */
  turns(): number;
  /** A message that was never delivered before was seen. */
  sawFresh(): void;
  /** The limit that messages are under; undefined: none. */
  throttle?(): Throttle | undefined;
}
