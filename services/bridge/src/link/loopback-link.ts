import { weightOf } from '@tombolo/wire/codec';
import type { ControlFrame, Frame, MessagesFrame } from '@tombolo/wire/frame';
import type { Surroundings } from '@tombolo/wire/handshake';
import { Greeter, type Identity } from './greeter.ts';
import { laneLimits } from './lanes.ts';
import { type EndListener, type LinkEnd, nobody } from './link-end.ts';

/** One cluster in this process, as the others reach it. */
export interface LoopbackHost {
  readonly network: string;
  readonly cluster: string;
  /** Another cluster of this process dials. */
  connected(end: LoopbackLink): void;
  /** Another cluster of this process has come or gone. */
  changed(): void;
}

/** The clusters that one process serves: they are linked without a socket. */
export class LoopbackHub {
  readonly #hosts = new Set<LoopbackHost>();
  readonly #defer: (callback: () => void) => void;

  /** @param defer runs a callback soon, in order, and never at once */
  constructor(defer: (callback: () => void) => void = setImmediate) {
    this.#defer = defer;
  }

  /** Returns a function that leaves again. */
  join(host: LoopbackHost): () => void {
    this.#hosts.add(host);
    for (const other of this.#hosts) other.changed();
    return () => {
      if (!this.#hosts.delete(host)) return;
      for (const other of this.#hosts) other.changed();
    };
  }

  find(network: string, cluster: string): LoopbackHost | undefined {
    for (const host of this.#hosts) if (host.network === network && host.cluster === cluster) return host;
    return undefined;
  }

  /** Two ends of a connection: the dialler's, and what the other cluster is handed. */
  pair(from: string, to: string): readonly [LoopbackLink, LoopbackLink] {
    const dialler = new LoopbackLink(`in this process (${to})`, this.#defer);
    const listener = new LoopbackLink(`in this process (${from})`, this.#defer);
    dialler.join(listener);
    listener.join(dialler);
    return [dialler, listener];
  }
}

type Item =
  | { readonly is: 'greeting'; readonly bytes: Uint8Array }
  | { readonly is: 'control'; readonly frame: ControlFrame }
  | { readonly is: 'data'; readonly frame: MessagesFrame; readonly weight: number }
  | { readonly is: 'ping' | 'pong' }
  | { readonly is: 'end'; readonly sentence: string };

/** One of two ends in the same process: frames pass as objects, in order, in a later turn; data under the same kind of grant. */
export class LoopbackLink implements LinkEnd {
  readonly address: string;
  readonly #defer: (callback: () => void) => void;
  #other: LoopbackLink | undefined;
  #greeter: Greeter | undefined;
  #listener: EndListener = nobody;
  #inbox: Item[] = [];
  #received = 0;
  #written = 0;
  #outstanding = 0;
  #wanting = false;
  #open = true;

  constructor(address: string, defer: (callback: () => void) => void) {
    this.address = address;
    this.#defer = defer;
  }

  join(other: LoopbackLink): void {
    this.#other = other;
  }

  get received(): number {
    return this.#received;
  }

  get written(): number {
    return this.#written;
  }

  attach(listener: EndListener): void {
    this.#listener = listener;
  }

  /** Says hello; call it after `attach`. The secrets are the file's own, so the handshake is the same as over a socket. */
  dial(identity: Identity, to: string, attempt: number, around: Surroundings): void {
    this.#greet(around).dial(identity, to, attempt);
  }

  listen(identity: Identity, around: Surroundings): void {
    this.#greet(around).listen(identity);
  }

  control(frame: ControlFrame): boolean {
    return this.#send({ is: 'control', frame }, 64);
  }

  data(frame: MessagesFrame): boolean {
    const weight = weightOf(frame);
    if (this.#outstanding > 0 && this.#outstanding + weight > laneLimits.windowBytes) {
      this.#wanting = true;
      return false;
    }
    if (!this.#send({ is: 'data', frame, weight }, weight)) return false;
    this.#outstanding += weight;
    return true;
  }

  ping(): void {
    this.#send({ is: 'ping' }, 1);
  }

  close(goodbye: string): void {
    this.#finish(goodbye, `The peer closed the link: ${goodbye}`);
  }

  abort(): void {
    this.#finish('The link was dropped.', 'The peer dropped the link.');
  }

  #greet(around: Surroundings): Greeter {
    this.#greeter = new Greeter(
      around,
      (bytes) => this.#send({ is: 'greeting', bytes }, bytes.length),
      () => this.#listener,
    );
    return this.#greeter;
  }

  #send(item: Item, weight: number): boolean {
    if (!this.#open) return false;
    this.#written += weight;
    this.#other!.#take(item, weight);
    return true;
  }

  #take(item: Item, weight: number): void {
    if (!this.#open) return;
    this.#received += weight;
    this.#inbox.push(item);
    if (this.#inbox.length === 1) this.#defer(() => this.#deliver());
  }

  #deliver(): void {
    const items = this.#inbox;
    this.#inbox = [];
    for (const item of items) if (this.#open) this.#handle(item);
  }

  #handle(item: Item): void {
    switch (item.is) {
      case 'greeting':
        this.#greeter?.received(item.bytes);
        if (this.#greeter?.outcome === 'refused') this.#finish('The link was refused.', undefined);
        break;
      case 'control':
        this.#hand(item.frame, 64, () => {});
        break;
      case 'data':
        this.#hand(
          item.frame,
          item.weight,
          once(() => this.#other!.#consumed(item.weight)),
        );
        break;
      case 'ping':
        this.#send({ is: 'pong' }, 1);
        break;
      case 'pong':
        this.#listener.pong(0);
        break;
      case 'end':
        this.#finish(item.sentence, undefined);
        break;
    }
  }

  #hand(frame: Frame, weight: number, consumed: () => void): void {
    this.#listener.frame(frame, weight, consumed);
  }

  #consumed(weight: number): void {
    this.#outstanding -= weight;
    if (!this.#wanting || this.#outstanding >= laneLimits.windowBytes) return;
    this.#wanting = false;
    this.#defer(() => {
      if (this.#open) this.#listener.writable();
    });
  }

  /** Ends this side now (its listener hears in a later turn), and the other one behind what was sent, if it is to be told. */
  #finish(sentence: string, theirs: string | undefined): void {
    if (!this.#open) return;
    if (theirs !== undefined) this.#send({ is: 'end', sentence: theirs }, 1);
    this.#open = false;
    this.#defer(() => {
      const listener = this.#listener;
      this.#listener = nobody;
      listener.closed(sentence);
    });
  }
}

function once(callback: () => void): () => void {
  let called = false;
  return () => {
    if (called) return;
    called = true;
    callback();
  };
}
