import { randomBytes } from 'node:crypto';
import type { Refusal } from '@tombolo/wire/greeting';
import {
  dial,
  type HandshakeState,
  type HandshakeStep,
  listen,
  protocolVersions,
  received,
  type Self,
  type Surroundings,
  timedOut,
  turnAway,
} from '@tombolo/wire/handshake';
import type { EndListener } from './link-end.ts';

/** What a bridge says of itself in every hello. */
export type Identity = Pick<Self, 'network' | 'cluster' | 'instance' | 'life' | 'incarnation'>;

/** Runs the handshake over anything that carries bytes. */
export class Greeter {
  readonly #around: Surroundings;
  readonly #send: (bytes: Uint8Array) => void;
  readonly #listener: () => EndListener;
  #state: HandshakeState = { is: 'over' };
  #outcome: 'open' | 'accepted' | 'refused' = 'open';

  constructor(around: Surroundings, send: (bytes: Uint8Array) => void, listener: () => EndListener) {
    this.#around = around;
    this.#send = send;
    this.#listener = listener;
  }

  /** How it ended: the peer was let in, or one side refused. */
  get outcome(): 'open' | 'accepted' | 'refused' {
    return this.#outcome;
  }

  /** This side dialled: says hello. */
  dial(identity: Identity, to: string, attempt: number): void {
    this.#take(dial({ ...identity, attempt, versions: protocolVersions, nonce: randomBytes(32) }, to, this.#around));
  }

  /** This side dialled, and wants no link with what it has found there: says why, and nothing else. */
  turnAway(identity: Identity, to: string, refusal: Refusal): void {
    this.#take(turnAway(identity, to, refusal));
  }

  /** The peer dialled: waits for its hello. */
  listen(identity: Identity): void {
    this.#state = listen({ ...identity, attempt: 0, versions: protocolVersions, nonce: randomBytes(32) });
  }

  received(bytes: Uint8Array): void {
    const before = this.#state;
    this.#take(received(before, bytes, this.#around));
    if (before.is === 'hello-awaited' && before.role === 'dialler' && this.#state.is === 'proof-awaited') {
      this.#listener().proved();
    }
  }

  timedOut(): void {
    this.#take(timedOut(this.#state));
  }

  #take([state, effects]: HandshakeStep): void {
    this.#state = state;
    for (const effect of effects) {
      switch (effect.do) {
        case 'send':
          this.#send(effect.bytes);
          break;
        case 'accept':
          this.#outcome = 'accepted';
          this.#listener().accepted(effect.peer, effect.version);
          break;
        case 'report-seen':
          this.#listener().seen(effect.peer, effect.incarnation);
          break;
        case 'refuse':
          this.#outcome = 'refused';
          this.#listener().refused(effect.refusal, effect.by, effect.peer);
          break;
      }
    }
  }
}
