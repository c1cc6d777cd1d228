import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import { type WebSocket, WebSocketServer } from 'ws';
import { carries, type LinkTls } from './link-tls.ts';
import { socketOptions } from './websocket-link.ts';

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** With certificate and key: wss. With authorities too: peers must show a certificate of theirs. */
  readonly tls?: LinkTls;
}

export interface ListenerHandler {
  /**
   * A WebSocket was opened. `certified` judges the client's certificate, when one was asked for; `acquainted` is to be called
   * when the handshake has let the peer in.
   */
  connected(
    socket: WebSocket,
    raw: Socket,
    certified: ((identity: string) => boolean) | undefined,
    acquainted: () => void,
  ): void;
  master(): boolean;
}

/** Connections that have not yet completed their handshake: more are turned away. */
const strangers = 64;

/** The link address: WebSockets on any path, and `GET /master` for load balancers. */
export class Listener {
  readonly #options: ListenOptions;
  readonly #handler: ListenerHandler;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ ...socketOptions, noServer: true, clientTracking: false });
  readonly #open = new Set<Socket>();
  #strangers = 0;

  constructor(options: ListenOptions, handler: ListenerHandler) {
    this.#options = options;
    this.#handler = handler;
    const { tls } = options;
    const limits = { headersTimeout: 10_000, requestTimeout: 10_000, keepAliveTimeout: 5_000 };
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response);
    this.#server = tls?.cert
      ? createSecureServer({ ...limits, ...tls, ...mutual(tls), handshakeTimeout: 10_000 }, answer)
      : createServer(limits, answer);
    this.#server.maxConnections = 1_024;
    this.#server.on('connection', (socket: Socket) => {
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head));
    // A client that fails its TLS or HTTP: its connection ends, nothing else does.
    this.#server.on('clientError', (_, socket) => socket.destroy());
  }

  /** The port that is listened on. */
  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? this.#options.port;
  }

  /** @throws Fault TOMBOLO_ADDRESS_IN_USE when the address cannot be had */
  async start(): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const why = cause.code === 'EADDRINUSE' ? 'it is in use by another process' : messageOf(cause);
        const message = `Cannot listen for links on ${host}:${port}: ${why}. Stop what listens there, or set another bridge.listen (or --listen for a replica).`;
        reject(new Fault('TOMBOLO_ADDRESS_IN_USE', message, { cause }));
      });
      this.#server.listen({ host, port, exclusive: true }, () => {
        this.#server.removeAllListeners('error');
        // For instance too many open files: the next connection may succeed.
        this.#server.on('error', () => {});
        resolve();
      });
    });
  }

  /** Stops listening and drops every connection. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#open) socket.destroy();
    });
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (this.#strangers >= strangers) {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n');
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
      const asked = this.#options.tls?.cert !== undefined && this.#options.tls.ca !== undefined;
      const certificate = asked ? (socket as TLSSocket).getPeerCertificate() : undefined;
      this.#handler.connected(
        opened,
        socket,
        certificate && ((identity) => carries(certificate, identity)),
        acquainted,
      );
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').split('?')[0];
    const status = path !== '/master' ? 426 : this.#handler.master() ? 200 : 503;
    const text = { 200: 'master', 426: 'This is the address for links between Tombolo bridges.', 503: 'standby' }[
      status
    ];
    response.writeHead(status, { 'content-type': 'text/plain', ...(status === 426 && { upgrade: 'websocket' }) });
    response.end(`${text}\n`);
  }
}

function mutual(tls: LinkTls) {
  return tls.ca === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
}
