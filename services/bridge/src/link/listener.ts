import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import { type AddressInfo, createServer as createFront, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { Refusal } from '@tombolo/wire/greeting';
import { type WebSocket, WebSocketServer } from 'ws';
import { type LinkTls, type LinkTlsSource, plainAnswer } from './link-tls.ts';
import { socketOptions } from './websocket-link.ts';

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** With certificate and key: wss. With authorities too: peers must show a certificate of theirs. */
  readonly tls?: LinkTlsSource;
}

export interface ListenerHandler {
  /**
   * A WebSocket was opened. `asked` is its connection when a certificate was asked for: it is there to be judged, whatever it is.
   * `acquainted` is to be called when the handshake has let the peer in.
   */
  connected(socket: WebSocket, raw: Socket, asked: TLSSocket | undefined, acquainted: () => void): void;
  /** Somebody did not get as far as a WebSocket. */
  refused(refusal: Refusal, address: string): void;
  master(): boolean;
}

/** Connections that have not yet completed their handshake: more are turned away. */
const strangers = 64;
/** Connections in all, idle ones and those that say nothing included: more are closed at once. */
const connections = 1_024;
/** The type of the record with which a TLS connection begins (RFC 8446, 5.1). */
const tlsHandshake = 0x16;

/**
 * The link address: WebSockets on any path, and `GET /master` for load balancers. The first byte tells TLS from plain HTTP, so that who
 * uses the wrong one is told so.
 */
export class Listener {
  readonly #options: ListenOptions;
  readonly #handler: ListenerHandler;
  readonly #stepMs: number;
  readonly #front = createFront();
  /** What is spoken here: the secure one, or the plain one. */
  readonly #server: Server;
  readonly #secure: SecureServer | undefined;
  readonly #sockets = new WebSocketServer({ ...socketOptions, noServer: true, clientTracking: false });
  readonly #open = new Set<Socket>();
  readonly #late = new WeakMap<Socket, NodeJS.Timeout>();
  #tls: LinkTls | undefined;
  #strangers = 0;

  /** @param stepMs what each step of a stranger may take: its first byte, the TLS handshake, the HTTP request */
  constructor(options: ListenOptions, handler: ListenerHandler, stepMs: number) {
    this.#options = options;
    this.#stepMs = stepMs;
    this.#handler = handler;
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response);
    this.#tls = options.tls?.();
    if (this.#tls?.cert) {
      this.#secure = createSecureServer({ ...contextOf(this.#tls), handshakeTimeout: stepMs }, answer);
      this.#secure.on('secureConnection', (socket) => this.#hurry(socket));
      // A peer that ends the handshake without a word, and whoever looks whether the port is open, are nothing to tell of.
      this.#secure.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
        const { code = '' } = error;
        const sentence = `A TLS handshake failed (${code || messageOf(error)}). Check the certificates and the TLS versions of both sides.`;
        if (code.startsWith('ERR_SSL_')) this.#refused('tls', sentence, socket);
      });
    }
    this.#server = this.#secure ?? createServer(answer);
    this.#front.maxConnections = connections;
    this.#front.on('connection', (socket: Socket) => this.#sort(socket));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head));
    // A client that fails its TLS or HTTP: its connection ends, nothing else does.
    this.#server.on('clientError', (_, socket) => socket.destroy());
  }

  /** The port that is listened on. */
  get port(): number {
    return (this.#front.address() as AddressInfo | null)?.port ?? this.#options.port;
  }

  /** @throws Fault TOMBOLO_ADDRESS_IN_USE when the address cannot be had */
  async start(): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#front.once('error', (cause: NodeJS.ErrnoException) => {
        const why = cause.code === 'EADDRINUSE' ? 'it is in use by another process' : messageOf(cause);
        const message = `Cannot listen for links on ${host}:${port}: ${why}. Stop what listens there, or set another bridge.listen (or --listen for a replica).`;
        reject(new Fault('TOMBOLO_ADDRESS_IN_USE', message, { cause }));
      });
      this.#front.listen({ host, port, exclusive: true }, () => {
        this.#front.removeAllListeners('error');
        // For instance too many open files: the next connection may succeed.
        this.#front.on('error', () => {});
        resolve();
      });
    });
  }

  /** Stops listening and drops every connection. */
  async stop(): Promise<void> {
    if (!this.#front.listening) return;
    await new Promise<void>((resolve) => {
      this.#front.close(() => resolve());
      for (const socket of this.#open) socket.destroy();
    });
  }

  /** Looks at the first byte of a connection, and hands it to who understands it. */
  #sort(socket: Socket): void {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    socket.on('error', () => socket.destroy());
    const silent = () => socket.destroy();
    socket.setTimeout(this.#stepMs, silent);
    socket.once('readable', () => {
      const first = socket.read(1) as Buffer | null;
      if (first === null) return;
      socket.unshift(first);
      socket.setTimeout(0, silent);
      socket.removeListener('timeout', silent);
      const isTls = first[0] === tlsHandshake;
      if (isTls !== (this.#secure !== undefined)) return this.#misplaced(socket, isTls);
      this.#renew();
      if (!this.#secure) this.#hurry(socket);
      this.#server.emit('connection', socket);
    });
  }

  /** A connection on which HTTP is spoken has to become a WebSocket in time. */
  #hurry(socket: Socket): void {
    const late = setTimeout(() => socket.destroy(), this.#stepMs);
    this.#late.set(socket, late);
    socket.once('close', () => clearTimeout(late));
  }

  #misplaced(socket: Socket, isTls: boolean): void {
    const [spoken, wanted] = isTls ? ['TLS', 'plain ws://'] : ['plain HTTP', 'TLS'];
    const advice = isTls
      ? 'set bridge.tls cert and key here, or write ws:// in the bridge.uris by which peers find this cluster'
      : 'write wss:// in the bridge.uris by which peers find this cluster';
    this.#refused('tls', `Somebody spoke ${spoken} to the link address, which wants ${wanted}: ${advice}.`, socket);
    // To a TLS client any answer in plain text says that there is no TLS.
    socket.end(isTls ? 'HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n' : plainAnswer);
    socket.resume();
    socket.setTimeout(this.#stepMs, () => socket.destroy());
  }

  /** New handshakes are made with the files as they are now. */
  #renew(): void {
    const now = this.#options.tls?.();
    if (!this.#secure || !now || now === this.#tls) return;
    this.#tls = now;
    this.#secure.setSecureContext(contextOf(now));
  }

  #refused(reason: Refusal['reason'], sentence: string, socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#handler.refused({ reason, sentence }, `${socket.remoteAddress}:${socket.remotePort}`);
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    clearTimeout(this.#late.get(socket));
    socket.on('error', () => socket.destroy());
    if (this.#strangers >= strangers) {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n');
      this.#refused(
        'busy',
        `There are ${strangers} connections whose handshake is not complete; more are turned away.`,
        socket,
      );
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (opened) => {
      this.#strangers++;
      let strange = true;
      const acquainted = () => {
        if (strange) this.#strangers--;
        strange = false;
      };
      opened.once('close', acquainted);
      const asked = this.#secure && this.#tls?.ca !== undefined ? (socket as TLSSocket) : undefined;
      this.#handler.connected(opened, socket, asked, acquainted);
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').split('?')[0];
    const status = path !== '/master' ? 426 : this.#handler.master() ? 200 : 503;
    const text = { 200: 'master', 426: 'This is the address for links between Tombolo bridges.', 503: 'standby' }[
      status
    ];
    const headers = { 'content-type': 'text/plain', connection: 'close' };
    response.writeHead(status, { ...headers, ...(status === 426 && { upgrade: 'websocket' }) });
    response.end(`${text}\n`);
  }
}

/**
 * What the secure server is made with. A certificate is asked for where there are authorities to judge it by; it is judged once the peer
 * has said who it is, and then refused with a reason that it can read. A load balancer, which has none, may ask for `/master`.
 */
function contextOf(tls: LinkTls) {
  return { ...tls, ...(tls.ca !== undefined && { requestCert: true, rejectUnauthorized: false }) };
}
