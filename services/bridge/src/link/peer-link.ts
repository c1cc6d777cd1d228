import type { Clock } from '@tombolo/kernel/clock';
import { messageOf } from '@tombolo/kernel/fault';
import type { ControlFrame, Frame, MessagesFrame } from '@tombolo/wire/frame';
import type { Hello, Refusal, RefusalReason } from '@tombolo/wire/greeting';
import type { EndListener, LinkEnd } from './link-end.ts';
import { admission, type LinkEffect, type LinkEvent, type LinkPolicy, step, unlinked, wakeAt } from './link-machine.ts';

/** A cluster that this one is linked to. */
export interface PeerOptions {
  readonly cluster: string;
  /** Where its bridges listen: ws:// or wss://, tried in order. */
  readonly uris: readonly string[];
  /** Whether this side dials; at least one side must. */
  readonly dial: boolean;
  /** Proves with the first, accepts all; one for this pair, or the network's. */
  readonly secrets: readonly string[];
  /** The SAN that its certificate must carry; default its name. */
  readonly tlsIdentity?: string;
}

export interface UpInfo {
  readonly instance: string;
  readonly incarnation: number;
  readonly protocolVersion: number;
}

/** What the layers above hear. Calls come in order, synchronously, between `up` and `down` of the peer. */
export interface LinksListener {
  up(peer: string, info: UpInfo): void;
  down(peer: string, reason: string): void;
  /** Data frames count against the peer's grant until `consumed` is called; for control frames it does nothing. */
  frame(peer: string, frame: Frame, bytes: number, consumed: () => void): void;
  /** `sendData` had not taken a frame and would now. */
  writable(peer: string): void;
}

/** A pino logger, as far as links need one. */
export interface LinkLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** A link as it is now, for status: the admin layer's LinkView. */
export interface LinkStatus {
  readonly peer: string;
  readonly up: boolean;
  readonly state: string;
  /** Why it is not up, as a sentence. */
  readonly reason: string | undefined;
  readonly address: string | undefined;
  readonly roundTripMs: number | undefined;
  readonly protocolVersion: number | undefined;
  readonly reconnects: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** So many different reasons are kept apart; they come from outside. */
const mostSaid = 20;

/** What a peer's link needs from its cluster's links. */
export interface PeerContext {
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: LinkLog;
  readonly policy: LinkPolicy;
  readonly listener: LinksListener;
  dial(peer: PeerOptions, address: number): LinkEnd;
  /** An incarnation of the peer was proved. */
  met(peer: string, incarnation: number): void;
  seen(peer: string, incarnation: number): void;
  refused(peer: string, reason: RefusalReason): void;
}

/** The link to one peer: runs the machine, owns the present connection. */
export class PeerLink {
  readonly #context: PeerContext;
  #options: PeerOptions;
  #state = unlinked(0);
  #end: { readonly epoch: number; readonly end: LinkEnd } | undefined;
  #met: { readonly hello: Hello; readonly version: number } | undefined;
  #adopting: LinkEnd | undefined;
  readonly #events: LinkEvent[] = [];
  #busy = false;
  #wake: { readonly at: number; readonly cancel: () => void } | undefined;
  #reason: string | undefined;
  /** What was given as a reason since the link was last up. */
  readonly #said = new Set<string>();
  #ups = 0;
  #roundTripMs: number | undefined;
  #bytesIn = 0;
  #bytesOut = 0;
  #whenStopped: (() => void)[] = [];

  constructor(options: PeerOptions, context: PeerContext) {
    this.#options = options;
    this.#context = context;
  }

  get options(): PeerOptions {
    return this.#options;
  }

  get up(): boolean {
    return this.#state.is === 'up';
  }

  get bytesIn(): number {
    return this.#bytesIn + (this.#end?.end.received ?? 0);
  }

  get bytesOut(): number {
    return this.#bytesOut + (this.#end?.end.written ?? 0);
  }

  get reconnects(): number {
    return Math.max(0, this.#ups - 1);
  }

  /** The file says this now; `addresses` may be dialled. An established link stays. */
  configure(options: PeerOptions, addresses: number): void {
    const same = JSON.stringify(options.uris) === JSON.stringify(this.#options.uris);
    this.#options = options;
    if (!same || addresses !== this.#state.memory.addresses) this.dispatch({ is: 'addressed', addresses });
  }

  control(frame: ControlFrame): boolean {
    if (!this.up) return false;
    return this.#end?.end.control(frame) ?? false;
  }

  data(frame: MessagesFrame): boolean {
    if (!this.up) return false;
    return this.#end?.end.data(frame) ?? false;
  }

  /** Whether a proved connection of the peer may become the link. */
  admit(hello: Hello): Refusal | undefined {
    const { cluster, clock, policy } = this.#context;
    const received = this.#end?.end.received ?? 0;
    const verdict = admission(this.#state, hello, cluster < hello.cluster, clock.now(), received, policy);
    if (verdict === 'take') return undefined;
    return {
      reason: 'duplicate',
      sentence: `There is a link between '${hello.cluster}' and '${cluster}' already. Nothing needs to be done.`,
    };
  }

  /** The peer's own connection has completed its handshake. */
  adopt(end: LinkEnd, hello: Hello, version: number): void {
    this.#adopting = end;
    this.#met = { hello, version };
    this.dispatch({ is: 'accepted', peer: hello });
    if (!this.#adopting) return;
    this.#adopting = undefined;
    end.abort();
  }

  /** A connection that claimed to come from the peer was refused. */
  turnedAway(refusal: Refusal): void {
    if (!this.up) this.#report(refusal.sentence);
  }

  /** Resolves when the connection is closed. */
  stop(reason: string): Promise<void> {
    this.dispatch({ is: 'stop', reason });
    if (this.#state.is === 'stopped') return Promise.resolve();
    return new Promise((resolve) => this.#whenStopped.push(resolve));
  }

  view(): LinkStatus {
    const { up } = this;
    return {
      peer: this.#options.cluster,
      up,
      state: this.#state.is,
      reason: up ? undefined : this.#reason,
      address: this.#end?.end.address,
      roundTripMs: up ? this.#roundTripMs : undefined,
      protocolVersion: up ? this.#met?.version : undefined,
      reconnects: this.reconnects,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
    };
  }

  /** Feeds the machine; events that effects cause are fed after them. */
  dispatch(event: LinkEvent): void {
    this.#events.push(event);
    if (this.#busy) return;
    this.#busy = true;
    const { clock, random, policy } = this.#context;
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        const [state, effects] = step(this.#state, next, clock.now(), random(), policy);
        this.#state = state;
        if (next.is === 'resigned') this.#reason = next.reason;
        for (const effect of effects) this.#run(effect);
        if (state.is === 'stopped') for (const resolve of this.#whenStopped.splice(0)) resolve();
      }
    } finally {
      this.#busy = false;
      this.#rearm();
    }
  }

  #run(effect: LinkEffect): void {
    switch (effect.do) {
      case 'dial': {
        const end = this.#context.dial(this.#options, effect.address);
        this.#hold(effect.epoch, end);
        break;
      }
      case 'adopt':
        if (this.#adopting) this.#hold(effect.epoch, this.#adopting);
        this.#adopting = undefined;
        break;
      case 'close':
        if (this.#end?.epoch !== effect.epoch) break;
        if (effect.goodbye === undefined) this.#end.end.abort();
        else this.#end.end.close(effect.goodbye);
        // A closing end still tells when it is closed; in draining that is waited for.
        break;
      case 'ping':
        if (this.#end?.epoch === effect.epoch) this.#end.end.ping();
        break;
      case 'report':
        this.#report(effect.reason);
        break;
      case 'tell-up':
        this.#tellUp();
        break;
      case 'tell-down':
        this.#context.log.info({ peer: this.#options.cluster, reason: effect.reason }, 'link down');
        this.#guard(() => this.#context.listener.down(this.#options.cluster, effect.reason));
        break;
      default:
        effect satisfies never;
    }
  }

  #hold(epoch: number, end: LinkEnd): void {
    this.#settleBytes();
    this.#end = { epoch, end };
    end.attach(this.#listenerOf(epoch, end));
  }

  #listenerOf(epoch: number, end: LinkEnd): EndListener {
    const { listener } = this.#context;
    const peer = this.#options.cluster;
    const current = () => this.#state.is === 'up' && this.#state.epoch === epoch;
    return {
      proved: () => this.dispatch({ is: 'proved', epoch }),
      accepted: (hello, version) => {
        if (this.#end?.end !== end) return;
        this.#met = { hello, version };
        this.dispatch({ is: 'established', epoch, peer: hello });
      },
      refused: (refusal) => {
        this.#context.refused(peer, refusal.reason);
        this.dispatch({ is: 'refused', epoch, reason: refusal.reason, sentence: refusal.sentence });
      },
      seen: (who, incarnation) => this.#context.seen(who, incarnation),
      frame: (frame, bytes, consumed) => {
        if (current()) listener.frame(peer, frame, bytes, consumed);
      },
      writable: () => {
        if (current()) listener.writable(peer);
      },
      pong: (roundTripMs) => {
        if (current()) this.#roundTripMs = roundTripMs;
      },
      closed: (why) => {
        const dialing = this.#state.is === 'dialing' && this.#state.epoch === epoch;
        const cause = why.endsWith('.') ? why : `${why}.`;
        const advice = `Cannot reach cluster '${peer}' at ${end.address}: ${cause} Check that its bridge runs and that bridge.uris are right.`;
        this.dispatch({ is: 'lost', epoch, sentence: dialing ? advice : why });
        if (this.#end?.end === end) this.#settleBytes();
      },
    };
  }

  #settleBytes(): void {
    if (!this.#end) return;
    this.#bytesIn += this.#end.end.received;
    this.#bytesOut += this.#end.end.written;
    this.#end = undefined;
  }

  #tellUp(): void {
    const { hello, version } = this.#met!;
    const { log, listener } = this.#context;
    this.#ups++;
    this.#reason = undefined;
    this.#said.clear();
    this.#roundTripMs = undefined;
    const { instance, incarnation, cluster } = hello;
    this.#context.met(cluster, incarnation);
    log.info({ peer: cluster, instance, incarnation, version, address: this.#end?.end.address }, 'link up');
    this.#guard(() => listener.up(cluster, { instance, incarnation, protocolVersion: version }));
  }

  /** Says why there is no link: each reason once while it lasts, since several addresses have theirs in turn. */
  #report(reason: string): void {
    this.#reason = reason;
    if (this.#said.has(reason)) return;
    if (this.#said.size === mostSaid) this.#said.clear();
    this.#said.add(reason);
    this.#context.log.warn({ peer: this.#options.cluster, reason }, 'no link');
  }

  /** A fault of a layer above must not stop the machine halfway. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (thrown) {
      this.#context.log.error({ peer: this.#options.cluster, reason: messageOf(thrown) }, 'link listener failed');
    }
  }

  #rearm(): void {
    const at = wakeAt(this.#state);
    if (at === this.#wake?.at) return;
    this.#wake?.cancel();
    this.#wake = undefined;
    if (at === undefined) return;
    const cancel = this.#context.clock.wake(at, () => {
      this.#wake = undefined;
      this.dispatch({ is: 'woke', received: this.#end?.end.received ?? 0 });
    });
    this.#wake = { at, cancel };
  }
}
