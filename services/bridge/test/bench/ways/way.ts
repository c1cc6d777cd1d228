import type { Site } from '../ground.ts';

/** A way for messages from one broker to another: Tombolo, or something that it is compared with. */
export interface Way {
  /** As tables call it. */
  readonly name: string;
  readonly source: Site;
  readonly sink: Site;
  /** Messages wait in, and are produced to, these queues of the source; they are consumed from these of the sink. */
  readonly queues: readonly string[];
  /** Produced to this exchange, with the queues' names as keys, instead of to the queues. */
  readonly exchange?: string;
  /** Processes of the way's own, besides the brokers. */
  readonly pids: readonly number[];
  /** It is ready for consumers to come. */
  start(): Promise<void>;
  /** Nothing of it is left running. */
  stop(): Promise<void>;
  /** For a way that moves messages whether or not somebody wants them: from now on it does, and no more. */
  readonly tap?: { open(): Promise<void>; close(): Promise<void> };
}
