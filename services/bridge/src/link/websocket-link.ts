import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '@tombolo/kernel/clock';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import { decodeFrame, encodeFrame, weightOf } from '@tombolo/wire/codec';
import type { ControlFrame, MessagesFrame } from '@tombolo/wire/frame';
import type { Refusal } from '@tombolo/wire/greeting';
import type { Surroundings } from '@tombolo/wire/handshake';
import { WebSocket } from 'ws';
import { Greeter, type Identity } from './greeter.ts';
import { Incoming, type Lane, type LaneHandler, laneLimits, Outgoing } from './lanes.ts';
import { type EndListener, type LinkEnd, nobody } from './link-end.ts';
import { handshakeRefusal, isPlainAnswer, judgeCertificate, type LinkTlsSource, plainWanted } from './link-tls.ts';

/** Bytes that may wait in this process for the socket; the kernel's buffers come on top. Keeps urgent records urgent. */
const socketBytes = 256 * 1024;
const closeMs = 1_000;
const ignore = () => {};

/** Options of every WebSocket of ours. Batches are small, so a message above them is not from a bridge. */
export const socketOptions = { perMessageDeflate: false, maxPayload: laneLimits.batchBytes * 2 } as const;

/** One WebSocket connection to a peer. */
export class WebsocketLink implements LinkEnd {
  readonly address: string;
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #greeter: Greeter;
  readonly #outgoing = new Outgoing();
  readonly #incoming = new Incoming();
  readonly #handler: LaneHandler;
  #raw: Socket | undefined;
  #listener: EndListener = nobody;
  #open = true;
  #scheduled = false;
  #farewell: string | undefined;
  #sentence: string | undefined;

  constructor(
    socket: WebSocket,
    address: string,
    raw: Socket | undefined,
    around: Surroundings,
    clock: Clock,
    handshakeMs: number,
  ) {
    this.#socket = socket;
    this.address = address;
    this.#raw = raw;
    this.#clock = clock;
    this.#greeter = new Greeter(
      around,
      (bytes) => socket.send(bytes, ignore),
      () => this.#listener,
    );
    this.#handler = {
      frame: (lane, bytes) => this.#frame(lane, bytes),
      ping: (at) => this.#outgoing.pong(at),
      pong: (at) => this.#pong(at),
      goodbye: (reason) => {
        this.#sentence = `The peer closed the link: ${printable(reason)}`;
        this.#end(1000);
      },
      granted: (consumed, window) => {
        if (this.#outgoing.granted(consumed, window)) this.#listener.writable();
      },
      wanted: () => {
        if (this.#incoming.wanted()) this.#grant();
      },
    };
    socket.binaryType = 'nodebuffer';
    socket.on('message', (bytes: Buffer, binary: boolean) => this.#message(bytes, binary));
    socket.on('error', (error) => {
      this.#sentence ??= messageOf(error);
    });
    socket.on('close', (code, reason) => this.#closed(code, reason.toString()));
    const cancel = clock.wake(clock.now() + handshakeMs, () => {
      if (this.#greeter.outcome !== 'open') return;
      if (socket.readyState === WebSocket.CONNECTING) return socket.terminate();
      this.#greeter.timedOut();
      this.#end(1008);
    });
    socket.once('close', cancel);
  }

  /** Dials a peer. Nothing is thrown: `closed` tells what went wrong. */
  static dial(
    uri: string,
    target: {
      readonly cluster: string;
      readonly attempt: number;
      readonly tls: LinkTlsSource | undefined;
      readonly tlsIdentity: string | undefined;
    },
    identity: Identity,
    around: Surroundings,
    clock: Clock,
    handshakeMs: number,
  ): WebsocketLink {
    const socket = new WebSocket(uri, {
      ...socketOptions,
      ...target.tls?.(),
      // Judged once the connection is open, so that the other side can be told why there is no link.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      handshakeTimeout: handshakeMs,
      // An all-zero mask is left out by ws: masking protects proxies from scripts in browsers, not from bridges.
      generateMask: (mask: Buffer) => mask.fill(0),
    } as unknown as ConstructorParameters<typeof WebSocket>[2]);
    const link = new WebsocketLink(socket, addressOf(uri), undefined, around, clock, handshakeMs);
    socket.on('upgrade', (response) => {
      link.#raw = response.socket;
      response.socket.setNoDelay(true);
    });
    const refused = (refusal: Refusal) => link.#listener.refused(refusal, 'self', target.cluster);
    socket.on('error', (error) => {
      const refusal = handshakeRefusal(error, target.cluster);
      if (refusal) refused(refusal);
    });
    socket.on('unexpected-response', (request, response) => {
      if (isPlainAnswer(response.headers.upgrade)) refused(plainWanted(target.cluster));
      link.#sentence ??= `It answers ${response.statusCode}, as something does that is no bridge, or has too many connections`;
      request.destroy();
    });
    const { cluster } = identity;
    const parties = { peer: target.cluster, identity: target.tlsIdentity, self: cluster };
    socket.on('open', () => {
      const secure = uri.startsWith('wss:');
      const refusal = secure ? judgeCertificate(link.#raw as TLSSocket, parties) : undefined;
      if (refusal) link.#greeter.turnAway(identity, target.cluster, refusal);
      else link.#greeter.dial(identity, target.cluster, target.attempt);
      if (link.#greeter.outcome === 'refused') link.#end(1008);
    });
    return link;
  }

  /** Takes a connection that a peer has dialled. */
  static accept(
    socket: WebSocket,
    raw: Socket,
    identity: Identity,
    around: Surroundings,
    clock: Clock,
    handshakeMs: number,
  ): WebsocketLink {
    const address = `${raw.remoteAddress}:${raw.remotePort}`;
    const link = new WebsocketLink(socket, address, raw, around, clock, handshakeMs);
    raw.setNoDelay(true);
    link.#greeter.listen(identity);
    return link;
  }

  get received(): number {
    return this.#raw?.bytesRead ?? 0;
  }

  get written(): number {
    return this.#raw?.bytesWritten ?? 0;
  }

  attach(listener: EndListener): void {
    this.#listener = listener;
  }

  control(frame: ControlFrame): boolean {
    if (!this.#open || !this.#outgoing.control(encodeFrame(frame))) return false;
    this.#schedule();
    return true;
  }

  data(frame: MessagesFrame): boolean {
    // Judged by weight first, so that nothing is encoded in vain while the grant is used up.
    if (!this.#open) return false;
    if (!this.#outgoing.offer(weightOf(frame))) {
      this.#schedule();
      return false;
    }
    const bytes = encodeFrame(frame);
    const taken = this.#outgoing.offer(bytes.length);
    if (taken) this.#outgoing.data(bytes);
    this.#schedule();
    return taken;
  }

  ping(): void {
    this.#outgoing.ping(this.#clock.now());
    this.#schedule();
  }

  close(goodbye: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#farewell = goodbye;
    this.#sentence ??= goodbye;
    this.#outgoing.goodbye(goodbye);
    this.#pump();
    this.#clock.wake(this.#clock.now() + closeMs, () => this.#socket.terminate());
  }

  abort(): void {
    this.#open = false;
    this.#socket.terminate();
  }

  #message(bytes: Buffer, binary: boolean): void {
    try {
      if (!binary) throw new Fault('TOMBOLO_FRAME_INVALID', 'The peer sent text: it is not a Tombolo bridge.');
      if (this.#greeter.outcome === 'open') {
        this.#greet(bytes);
      } else if (this.#open) {
        this.#incoming.batch(bytes, this.#handler);
        if (this.#outgoing.pending) this.#schedule();
      }
    } catch (thrown) {
      // Frames of a peer that breaks the rules, or a fault of ours while one was worked on: both end the connection.
      this.#sentence = messageOf(thrown);
      this.close(this.#sentence);
    }
  }

  #greet(bytes: Buffer): void {
    this.#greeter.received(bytes);
    if (this.#greeter.outcome === 'refused') {
      // A refusal of ours is on its way; the connection ends behind it.
      this.#end(1008);
    } else if (this.#greeter.outcome === 'accepted' && this.#open) {
      this.#outgoing.grant(0, this.#incoming.window);
      this.#schedule();
    }
  }

  /** Closes in good order, and by force when the peer does not answer. */
  #end(code: number): void {
    this.#open = false;
    this.#socket.close(code);
    this.#clock.wake(this.#clock.now() + closeMs, () => this.#socket.terminate());
  }

  #frame(lane: Lane, bytes: Uint8Array): void {
    if (!this.#open) return;
    const frame = decodeFrame(bytes);
    if (frame.kind === 'unknown') {
      if (lane === 'data') this.#consumed(bytes.length);
      return;
    }
    if ((frame.kind === 'messages') !== (lane === 'data')) {
      throw new Fault('TOMBOLO_FRAME_INVALID', `The peer sent a ${frame.kind} frame as ${lane}.`);
    }
    if (lane === 'control') {
      this.#listener.frame(frame, bytes.length, ignore);
      return;
    }
    let counted = false;
    this.#listener.frame(frame, bytes.length, () => {
      if (counted) return;
      counted = true;
      this.#consumed(bytes.length);
    });
  }

  #consumed(length: number): void {
    if (this.#incoming.consume(length)) this.#grant();
  }

  #grant(): void {
    this.#outgoing.grant(this.#incoming.consumed, this.#incoming.window);
    this.#incoming.reported();
    this.#schedule();
  }

  #pong(at: number): void {
    const elapsed = this.#clock.now() - at;
    if (elapsed >= 0 && elapsed < 60_000) this.#listener.pong(elapsed);
  }

  /**
   * One write for what is said first in a turn of the event loop, as soon as it is said, and one for the rest of the turn: a message that
   * travels alone does not wait for what else the turn brings.
   */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#pump);
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  readonly #pump = (): void => {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN || !this.#outgoing.pending) return;
    if (this.#incoming.unreported) {
      this.#outgoing.grant(this.#incoming.consumed, this.#incoming.window);
      this.#incoming.reported();
    }
    while (socket.bufferedAmount < socketBytes) {
      const batch = this.#outgoing.next();
      if (!batch) break;
      socket.send(batch, this.#pump);
    }
    if (this.#farewell !== undefined && !this.#outgoing.pending) socket.close(1000);
  };

  #closed(code: number, reason: string): void {
    this.#open = false;
    const sentence = this.#sentence ?? (reason ? printable(reason) : `The connection was closed (${code}).`);
    const listener = this.#listener;
    this.#listener = nobody;
    listener.closed(sentence);
  }
}

/** Host and port of a URI: what may be shown of it. */
export function addressOf(uri: string): string {
  try {
    const { protocol, host, pathname } = new URL(uri);
    return `${protocol}//${host}${pathname}`;
  } catch {
    return 'an invalid address';
  }
}

function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a peer says goes to a log and a terminal
  return text.slice(0, 300).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}
