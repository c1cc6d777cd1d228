import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Fault } from '@tombolo/kernel/fault';
import { connectFault, lostFault, Refused } from './brokers-words.ts';
import { type ActiveMqBrokerConfig, type ActiveMqUri, nameOf } from './config.ts';
import { encodeFrame, type StompFrame, type StompHeaders, StompReader } from './stomp-codec.ts';

type Headers = StompHeaders | ReadonlyArray<readonly [string, string]>;

/** What is told of a frame that a receipt was asked for. */
export type Answer = 'received' | 'lost' | Refused;

/** Messages of one subscription (or of several that have the same receiver), in the order in which they came in one chunk. */
export type Receiver = (messages: readonly StompFrame[]) => void;

/** One STOMP connection. Made by `open`; never opened again. */
export class StompConnection {
  readonly address: string;
  /** The client id, or, without one, the id by which advisories name this connection. */
  readonly session: string;
  /** What the broker says it is. */
  readonly product: string;
  readonly #socket: Socket;
  readonly #receivers = new Map<string, Receiver>();
  readonly #receipts = new Map<string, (answer: Answer) => void>();
  #closed: (error: unknown) => void;
  #receiptCount = 0;
  #subscriptionCount = 0;
  #open = true;
  #why: unknown;
  #strayError: (words: string) => void = () => {};
  #heartbeat: NodeJS.Timeout | undefined;
  #lastRead = Date.now();

  private constructor(socket: Socket, address: string, connected: StompFrame, closed: (error: unknown) => void) {
    this.#socket = socket;
    this.address = address;
    this.session = connected.headers.get('session') ?? '';
    this.product = (connected.headers.get('server') ?? 'STOMP server').replace('/', ' ');
    this.#closed = closed;
  }

  /**
   * Opens a connection. Rejects with a Fault, or with Refused when the client id is another connection's.
   * @param clientId the broker lets one connection have it at a time
   * @param closed called once when an open connection has closed, whoever did it
   */
  static async open(
    config: ActiveMqBrokerConfig,
    uri: ActiveMqUri,
    clientId: string | undefined,
    closed: (connection: StompConnection, error: unknown) => void,
  ): Promise<StompConnection> {
    const address = nameOf(uri);
    const beatMs = (config.heartbeatSeconds ?? 10) * 1_000;
    const { username, password } = config;
    const { host, port } = uri;
    // The name that the certificate must show is the host's, unless another one is given; an address has none (RFC 6066, 3).
    const named = isIP(host) === 0 ? { servername: host } : {};
    const socket = uri.tls ? connectTls({ host, port, ...named, ...config.tls?.() }) : connectTcp({ host, port });
    socket.setNoDelay(true).setKeepAlive(true);
    const headers: [string, string][] = [
      ['accept-version', '1.2'],
      ['host', host],
      ['heart-beat', `${beatMs},${beatMs}`],
    ];
    if (username !== '') headers.push(['login', username], ['passcode', password]);
    if (clientId !== undefined) headers.push(['client-id', clientId]);
    try {
      const { frame, reader, rest } = await greet(socket, headers, config.connectTimeoutMs ?? 5_000, uri.tls);
      const connection: StompConnection = new StompConnection(socket, address, frame, (error) =>
        closed(connection, error),
      );
      connection.#begin(reader, rest, beatMs);
      return connection;
    } catch (error) {
      socket.destroy();
      if (error instanceof Refused) throw error;
      throw connectFault(error, { address, username });
    }
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Bytes that the socket has not taken yet. */
  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Buffer): void {
    if (this.#open) this.#socket.write(bytes);
  }

  send(command: string, headers: Headers, body?: Uint8Array): void {
    this.write(encodeFrame(command, headers, body));
  }

  /** A receipt's number; its answer comes once, and 'lost' when the connection ends before. Put it into the frame's `receipt`. */
  receipt(answered: (answer: Answer) => void): string {
    const id = `r${++this.#receiptCount}`;
    if (this.#open) this.#receipts.set(id, answered);
    else queueMicrotask(() => answered('lost'));
    return id;
  }

  /** Sends a frame and resolves with its receipt. Rejects with Refused, or with a Fault when the connection is lost. */
  request(command: string, headers: ReadonlyArray<readonly [string, string]>, body?: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const id = this.receipt((answer) => {
        if (answer === 'received') resolve();
        else reject(answer === 'lost' ? this.lost(this.#why) : answer);
      });
      this.send(command, [...headers, ['receipt', id]], body);
    });
  }

  /** A number for a subscription, whose messages go to `receiver` from now on. */
  subscriber(receiver: Receiver): string {
    const id = String(++this.#subscriptionCount);
    this.#receivers.set(id, receiver);
    return id;
  }

  /** Messages of this subscription that still come are nobody's. */
  unsubscribed(id: string): void {
    this.#receivers.delete(id);
  }

  /** Who is told of an ERROR frame that answers no receipt. */
  onStrayError(tell: (words: string) => void): void {
    this.#strayError = tell;
  }

  /** The fault of its loss, for whoever waited on it. */
  lost(error: unknown): Fault {
    return lostFault(error, this.address);
  }

  /** Closes in good order, within a second; then the hard way. `closed` is not called. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#closed = () => {};
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, 1_000);
      // The broker has processed everything before it when it answers.
      const receipt = this.receipt(() => resolve());
      this.send('DISCONNECT', [['receipt', receipt]]);
    });
    clearTimeout(timer);
    this.#end(undefined);
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #begin(reader: StompReader, rest: readonly StompFrame[], beatMs: number): void {
    this.#socket.on('data', (chunk) => {
      this.#lastRead = Date.now();
      try {
        this.#take(reader.read(chunk));
      } catch (error) {
        this.#end(error);
      }
    });
    this.#socket.on('error', (error) => {
      this.#why ??= error;
    });
    this.#socket.on('close', () => this.#end(this.#why));
    // Twice as often as promised: the broker gives no grace.
    this.#heartbeat = setInterval(() => {
      if (Date.now() - this.#lastRead > beatMs * 2.5)
        return this.#end(new Error('no heartbeat came for two intervals'));
      if (this.#socket.writableLength === 0) this.#socket.write('\n');
    }, beatMs / 2.5);
    this.#take(rest);
  }

  #take(frames: readonly StompFrame[]): void {
    const byReceiver = new Map<Receiver, StompFrame[]>();
    for (const frame of frames) {
      if (frame.command === 'MESSAGE') {
        const receiver = this.#receivers.get(frame.headers.get('subscription') ?? '');
        if (!receiver) continue;
        const known = byReceiver.get(receiver);
        if (known) known.push(frame);
        else byReceiver.set(receiver, [frame]);
        continue;
      }
      // What came before is told first.
      flush(byReceiver);
      if (frame.command === 'RECEIPT') this.#answered(frame, 'received');
      else if (frame.command === 'ERROR') this.#refused(frame);
    }
    flush(byReceiver);
  }

  #refused(frame: StompFrame): void {
    const refused = new Refused(refusalOf(frame));
    if (this.#answered(frame, refused)) return;
    this.#why = refused;
    this.#strayError(refused.message);
  }

  #answered(frame: StompFrame, answer: Answer): boolean {
    const id = frame.headers.get('receipt-id') ?? '';
    const waiting = this.#receipts.get(id);
    this.#receipts.delete(id);
    waiting?.(answer);
    return waiting !== undefined;
  }

  #end(error: unknown): void {
    if (!this.#open) return;
    this.#open = false;
    this.#why ??= error;
    clearInterval(this.#heartbeat);
    this.#socket.destroy();
    this.#receivers.clear();
    const waiting = [...this.#receipts.values()];
    this.#receipts.clear();
    for (const answered of waiting) answered('lost');
    this.#closed(this.#why);
  }
}

function flush(byReceiver: Map<Receiver, StompFrame[]>): void {
  if (byReceiver.size === 0) return;
  for (const [receiver, messages] of byReceiver) receiver(messages);
  byReceiver.clear();
}

function refusalOf({ headers, body }: StompFrame): Refused['refusal'] {
  const exception = body.toString('utf8').split('\n', 1)[0] ?? '';
  return { words: (headers.get('message') ?? exception).replace(/\.+$/, ''), exception };
}

/** CONNECT and its answer; `rest` are the frames that came in the same chunk. */
function greet(
  socket: Socket,
  headers: readonly (readonly [string, string])[],
  timeoutMs: number,
  secure: boolean,
): Promise<{ readonly frame: StompFrame; readonly reader: StompReader; readonly rest: StompFrame[] }> {
  const reader = new StompReader();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => done(new Error(`it did not answer within ${timeoutMs} ms`)), timeoutMs);
    const done = (error: unknown, frames: StompFrame[] = []) => {
      clearTimeout(timer);
      socket.removeAllListeners('data');
      socket.removeAllListeners('error');
      socket.removeAllListeners('close');
      const [frame, ...rest] = frames;
      if (error !== undefined || !frame) {
        // A socket that fails later than this is nobody's business, and must not end the process.
        socket.on('error', () => {});
        return reject(error);
      }
      resolve({ frame, reader, rest });
    };
    socket.once(secure ? 'secureConnect' : 'connect', () => socket.write(encodeFrame('CONNECT', headers)));
    socket.on('error', (error) => done(error));
    socket.on('close', () => done(new Error('it closed the connection without an answer')));
    socket.on('data', (chunk) => {
      try {
        const frames = reader.read(chunk);
        const [first] = frames;
        if (!first) return;
        if (first.command === 'CONNECTED') done(undefined, frames);
        else done(first.command === 'ERROR' ? new Refused(refusalOf(first)) : new Error('it does not speak STOMP'));
      } catch (error) {
        done(error);
      }
    });
  });
}
