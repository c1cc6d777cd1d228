import { randomUUID } from 'node:crypto';
import { awaitUntil } from '@tombolo/testing/await-until';
import { decodeFrame, encodeFrame } from '@tombolo/wire/codec';
import type { ControlFrame, Destination, Frame, MessagesFrame, OpenFrame, StreamMessage } from '@tombolo/wire/frame';
import type { Hello, Refusal } from '@tombolo/wire/greeting';
import type { Surroundings } from '@tombolo/wire/handshake';
import { WebSocket } from 'ws';
import { Greeter } from '../../src/link/greeter.ts';
import { Incoming, type LaneHandler } from '../../src/link/lanes.ts';
import { nobody } from '../../src/link/link-end.ts';

/** What a peer says of itself, true or not. */
export interface Claims {
  readonly cluster: string;
  readonly secret: string;
  readonly network?: string;
  readonly incarnation?: number;
  /** Of the cluster that it dials. */
  readonly seenIncarnation?: number;
}

type Kind = Frame['kind'];

/** Speaks the link protocol to a real bridge, and says whatever the test wants. */
export class HostilePeer {
  readonly frames: Frame[] = [];
  hello: Hello | undefined;
  refused: Refusal | undefined;
  /** Why the connection ended. */
  closed: string | undefined;
  readonly claims: Required<Claims>;
  readonly #socket: WebSocket;
  readonly #incoming = new Incoming();
  readonly #to: string;

  private constructor(port: number, to: string, claims: Required<Claims>) {
    this.claims = claims;
    this.#to = to;
    const { cluster, network, incarnation, secret, seenIncarnation } = claims;
    const identity = { network, cluster, instance: `${cluster}-liar`, life: randomUUID(), incarnation };
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: false });
    this.#socket = socket;
    const around: Surroundings = {
      peer: () => ({ secrets: [secret], seenIncarnation }),
      accepting: () => 'master',
      admit: () => undefined,
    };
    const greeter = new Greeter(
      around,
      (bytes) => socket.send(bytes),
      () => ({
        ...nobody,
        accepted: (peer) => {
          this.hello = peer;
          const grant = Buffer.alloc(12);
          grant.writeUInt32BE(this.#incoming.window, 8);
          this.sendRecord(4, grant);
        },
        refused: (refusal) => {
          this.refused = refusal;
        },
      }),
    );
    socket.on('error', () => {});
    socket.on('close', (code) => {
      this.closed ??= `closed (${code})`;
    });
    socket.on('open', () => greeter.dial(identity, to, 1));
    socket.on('message', (bytes: Buffer) => {
      if (greeter.outcome === 'open') greeter.received(bytes);
      else this.#incoming.batch(bytes, this.#handler);
    });
  }

  readonly #handler: LaneHandler = {
    frame: (_lane, bytes) => {
      const frame = decodeFrame(bytes);
      if (frame.kind === 'unknown') return;
      this.frames.push(frame);
      // Nothing is in doubt here. While that is not said, a bridge takes nothing from a queue that existed before it.
      if (frame.kind === 'collect') {
        const { source, sink, incarnation } = frame;
        this.send({ kind: 'collected', source, sink, incarnation, complete: true, items: [] });
      }
    },
    ping: (at) => {
      const pong = Buffer.alloc(8);
      pong.writeDoubleBE(at);
      this.sendRecord(2, pong);
    },
    pong: () => {},
    goodbye: (reason) => {
      this.closed = reason;
    },
    granted: () => {},
    wanted: () => {},
  };

  /** Dials a bridge, and resolves when it was let in, refused or dropped. */
  static async dial(port: number, to: string, claims: Claims): Promise<HostilePeer> {
    const all = { network: 'e2e', incarnation: Date.now(), seenIncarnation: 0, ...claims };
    const peer = new HostilePeer(port, to, all);
    await awaitUntil('the bridge has decided', () => peer.hello ?? peer.refused ?? peer.closed);
    return peer;
  }

  /** As an honest bridge, it says at first which connectors it knows, and that it has no demand. */
  agree(...connectors: { name: string; from: string; to: string }[]): void {
    const snapshot = { incarnation: this.claims.incarnation, version: 0, sighted: true };
    this.send({ kind: 'connectors', connectors });
    this.send({ kind: 'snapshot-begin', ...snapshot });
    this.send({ kind: 'snapshot-end', ...snapshot });
  }

  /** Whatever it was granted. */
  send(frame: ControlFrame | MessagesFrame): void {
    this.sendRecord(frame.kind === 'messages' ? 17 : 16, encodeFrame(frame));
  }

  /** A record of the link, see lanes.ts: type and content as they are. */
  sendRecord(type: number, content: Uint8Array): void {
    const head = Buffer.alloc(5);
    head[0] = type;
    head.writeUInt32BE(content.length, 1);
    this.#socket.send(Buffer.concat([head, content]));
  }

  /** Nothing more is read from now on. */
  deafen(): void {
    this.#socket.pause();
  }

  /** The frames of this kind that came so far. */
  of<K extends Kind>(kind: K): Extract<Frame, { kind: K }>[] {
    return this.frames.filter((frame): frame is Extract<Frame, { kind: K }> => frame.kind === kind);
  }

  /** The latest frame of this kind about this destination. */
  async awaited<K extends 'resume' | 'refuse' | 'credit' | 'settle' | 'open' | 'messages'>(kind: K, name: string) {
    const isIt = (frame: Frame): frame is Extract<Frame, { kind: K }> =>
      frame.kind === kind && 'address' in frame && frame.address.destination.name === name;
    return awaitUntil(`a ${kind} frame about ${name}`, () => this.frames.filter(isIt).at(-1));
  }

  /** The most messages that the bridge has allowed on a stream to this destination so far. */
  granted(name: string): number {
    const told = [...this.of('resume'), ...this.of('credit')];
    return Math.max(
      0,
      ...told.filter(({ address }) => address.destination.name === name).map(({ granted }) => granted),
    );
  }

  /** A stream of the peer's to the bridge, as it would open it. */
  opening(destination: Destination, more: Partial<OpenFrame> = {}): OpenFrame {
    const { cluster: source, incarnation } = this.claims;
    const address = { source, sink: this.#to, destination };
    const numbers = { epoch: 1, attempt: 1, last: 0, settledThrough: 0, gone: [] };
    return { kind: 'open', address, incarnation, ...numbers, connector: 'whatever', queue: { durable: true }, ...more };
  }

  /** Messages on such a stream with the numbers from `from` on. */
  messages(open: OpenFrame, from: number, count: number, more: Partial<StreamMessage> = {}): MessagesFrame {
    const { address, incarnation, epoch, attempt } = open;
    const messages = Array.from({ length: count }, (_, index) => ({
      ...{ sequence: from + index, redelivered: false, resent: false, digest: Buffer.alloc(16), hasId: false },
      ...{
        exchange: '',
        routingKey: address.destination.name,
        properties: persistent,
        body: Buffer.from(`${from + index}`),
      },
      ...more,
    }));
    return { kind: 'messages', address, incarnation, epoch, attempt, last: from + count - 1, messages };
  }

  leave(): void {
    this.#socket.terminate();
  }
}

/** delivery-mode 2, and nothing else. */
const persistent = Buffer.from([0x10, 0x00, 2]);

/** A WebSocket to a bridge that has not said a word. */
export async function stranger(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: false });
  socket.on('error', () => {});
  await new Promise((resolve) => {
    socket.once('open', resolve);
    socket.once('close', resolve);
  });
  return socket;
}
