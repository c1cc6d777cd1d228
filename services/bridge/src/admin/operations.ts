import type { DeadLetterDesk } from './dead-letter-routes.ts';
import type { DrainCheck } from './drain-check.ts';
import type { GivenBack, LeftOver } from './view.ts';

/** Drained is this process, or the whole cluster. */
export type DrainScope = 'process' | 'cluster';

/** What an operator may do to a running bridge; each lasts until the process ends, if nothing else is said. */
export interface Operations {
  /** Takes no more messages for the connector; what is in flight is settled. */
  pause(connector: string): void | Promise<void>;
  resume(connector: string): void | Promise<void>;
  /** Deletes what was created for a peer, unless it is a dry run; says what that is, and what it holds. */
  cleanup(peer: string, dryRun: boolean): Promise<readonly { readonly queue: string; readonly messages: number }[]>;
  /**
   * `process`: takes no more, settles what is in flight and hands the mastership over; resolves with what was not settled in time.
   * `cluster`: brings nothing in any more; kept on the broker until it is undone. Rejects with a Fault.
   */
  drain(scope: DrainScope): Promise<readonly LeftOver[]>;
  /** Undoes `drain`. Rejects with a Fault. */
  undrain(scope: DrainScope): Promise<void>;
  /** What would be lost if this site were switched off. Rejects with a Fault when the broker cannot be asked. */
  checkDrain(): Promise<DrainCheck>;
  /** Gives back what is held for a peer, unless it is a dry run; says what that is, or that the peer is there. */
  release(peer: string, dryRun: boolean): readonly GivenBack[] | 'reachable';
  /** What could not be delivered; undefined on a standby. */
  readonly deadLetters: DeadLetterDesk | undefined;
}
