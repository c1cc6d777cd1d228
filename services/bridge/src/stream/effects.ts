import type { StreamControlFrame, StreamMessage } from '@tombolo/wire/frame';
import type { DeliveryToken } from '../broker/port.ts';
import type { Difference } from './reconciliation.ts';

/** A message taken from the source's queue, ready to be forwarded: identity taken, properties rewritten. */
export interface Taken {
  readonly token: DeliveryToken;
  readonly redelivered: boolean;
  readonly digest: Uint8Array;
  readonly hasId: boolean;
  readonly exchange: string;
  readonly routingKey: string;
  /** As the source's broker handed them over, and as they will be published at the sink. */
  readonly original: Uint8Array;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
  /** When the broker handed it over (monotonic ms). */
  readonly at: number;
  /** It is not to be forwarded: it is done with. */
  readonly skipped?: boolean;
}

/** Bytes that a message counts for in every bound of bytes. */
export function weightOf(message: { readonly properties: Uint8Array; readonly body: Uint8Array }): number {
  return message.properties.length + message.body.length + 256;
}

/** What a stream machine wants done. Data, not calls: the shell does it, the simulation too. */
export type SourceEffect =
  | { readonly do: 'send'; readonly frame: StreamControlFrame }
  | { readonly do: 'offer' }
  | { readonly do: 'consume'; readonly generation: number; readonly prefetch: number }
  | { readonly do: 'extend'; readonly generation: number; readonly more: number }
  | { readonly do: 'cancel'; readonly generation: number }
  | { readonly do: 'acknowledge'; readonly tokens: readonly DeliveryToken[] }
  | { readonly do: 'requeue'; readonly tokens: readonly DeliveryToken[] }
  | { readonly do: 'flush'; readonly token: DeliveryToken; readonly id: number }
  | {
      readonly do: 'park';
      readonly sequence: number;
      readonly message: Taken;
      readonly reason: string;
      /** How many times the sink was given it. */
      readonly attempts: number;
    }
  | { readonly do: 'count'; readonly what: SourceCount; readonly n: number; readonly reason?: string }
  | { readonly do: 'duration'; readonly ms: number; readonly n: number }
  | Compared
  | { readonly do: 'ended'; readonly reason: string };

/** The two ends have compared what they counted. */
export interface Compared {
  readonly do: 'compared';
  /** Whose numbers these are: the epoch, and since when the sink counts. */
  readonly count: string;
  readonly difference: Difference;
}

export type SourceCount = 'forwarded' | 'returned' | 'suppressed' | 'rejected' | 'possible-duplicates';

export type SinkEffect =
  | { readonly do: 'send'; readonly frame: StreamControlFrame }
  | { readonly do: 'publish'; readonly messages: readonly StreamMessage[] }
  | Compared
  | {
      readonly do: 'count';
      readonly what: 'delivered' | 'released' | 'rejected' | 'suppressed' | 'possible-duplicates' | 'reconciled';
      readonly n: number;
    };

/** Effects that the parts of a machine gather until its shell takes them. */
export class Outbox<Effect> {
  #effects: Effect[] = [];

  add(...effects: readonly Effect[]): void {
    this.#effects.push(...effects);
  }

  take(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
