import type { ControlFrame, Frame, MessagesFrame } from '@tombolo/wire/frame';
import type { Hello, Refusal } from '@tombolo/wire/greeting';

/**
 * This side's end of one connection to a peer, whatever carries it. It begins with the handshake; frames pass once that has
 * let the peer in. It does not reconnect and judges no silence: the link machine does.
 */
export interface LinkEnd {
  /** Where the peer is: no credentials. */
  readonly address: string;
  /** Bytes that came and went so far, on the lowest level that can be seen. */
  readonly received: number;
  readonly written: number;
  /** From now on events go to this listener. Set it before anything can happen: in the same turn. */
  attach(listener: EndListener): void;
  /** Control goes ahead of data and needs no grant. False: the connection is hopelessly behind, or gone. */
  control(frame: ControlFrame): boolean;
  /** False: not taken; `writable` follows when it is worth another try. */
  data(frame: MessagesFrame): boolean;
  /** Asks for a sign of life; `pong` tells the round trip. */
  ping(): void;
  /** Says goodbye with the reason, lets what waits go, and closes. Bounded in time. */
  close(goodbye: string): void;
  /** Drops the connection at once. */
  abort(): void;
}

export interface EndListener {
  /** The dialler only: this side has proved itself and awaits the peer's proof. */
  proved(): void;
  /** The peer is proved and let in. */
  accepted(peer: Hello, version: number): void;
  refused(refusal: Refusal, by: 'self' | 'peer', peer: string | undefined): void;
  /** The proved peer has seen a higher incarnation of this cluster than it has. */
  seen(peer: string, incarnation: number): void;
  /** `bytes` is what counts against the grant until `consumed` is called (once; for control frames it does nothing). */
  frame(frame: Frame, bytes: number, consumed: () => void): void;
  writable(): void;
  pong(roundTripMs: number): void;
  /** The connection is gone. Exactly once, and last. */
  closed(sentence: string): void;
}

/** What an end tells to nobody. */
export const nobody: EndListener = {
  proved() {},
  accepted() {},
  refused() {},
  seen() {},
  frame() {},
  writable() {},
  pong() {},
  closed() {},
};
