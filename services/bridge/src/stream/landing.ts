import type { Destination, StreamMessage } from '@tombolo/wire/frame';
import type { Publication, PublishOutcome } from '../broker/port.ts';

/** A verdict that needs no publish. */
export interface Decided {
  readonly outcome: PublishOutcome;
  readonly detail: string | undefined;
}

/** How messages of one kind of destination get into the own broker. */
export interface Landing {
  /** Where the message is to be published, or what is to become of it without that. */
  publication(destination: Destination, message: StreamMessage): Publication | Decided;
  /** What the broker's answer to such a publication means for the source. */
  outcome(destination: Destination, outcome: PublishOutcome, messages: number): PublishOutcome;
  /** Whether publishing there may end the connection that is used; absent: never. */
  isolated?(destination: Destination): boolean;
}

/** A queue takes what its name is on, by the default exchange. */
export const queueLanding: Landing = {
  publication: ({ name }, { sequence, properties, body }) => ({
    id: sequence,
    exchange: '',
    routingKey: name,
    properties,
    body,
  }),
  outcome: (_destination, outcome) => outcome,
};
