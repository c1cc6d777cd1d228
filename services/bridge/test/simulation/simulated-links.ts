import type { ControlFrame, MessagesFrame } from '@tombolo/wire/frame';
import type { BridgeLinks, LinksHost } from '../../src/bridge.ts';
import type { LinkCounters } from '../../src/link/links.ts';
import type { LinkStatus, PeerOptions } from '../../src/link/peer-link.ts';
import type { Connection } from './connection.ts';
import type { LinkNetwork } from './link-network.ts';
import type { ProcessClock } from './virtual-clock.ts';

/** The links of one bridge process, over simulated connections. */
export class SimulatedLinks implements BridgeLinks {
  readonly cluster: string;
  readonly host: LinksHost;
  #peers: readonly string[];
  readonly #network: LinkNetwork;
  readonly #clock: ProcessClock;
  readonly #ends = new Map<string, Connection>();
  /** The highest incarnations that were met. */
  readonly #met = new Map<string, number>();
  #running = false;

  constructor(
    cluster: string,
    host: LinksHost,
    peers: readonly PeerOptions[],
    network: LinkNetwork,
    clock: ProcessClock,
  ) {
    this.cluster = cluster;
    this.host = host;
    this.#peers = peers.map((peer) => peer.cluster);
    this.#network = network;
    this.#clock = clock;
  }

  /** Whether a peer may be linked now. */
  get accepts(): boolean {
    return this.#running && !this.#clock.paused && this.host.accepting() === 'master';
  }

  async start(): Promise<void> {
    this.#running = true;
    this.#network.join(this);
  }

  async stop(reason: string): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#network.leave(this);
    let last = this.#clock.now();
    for (const [peer, connection] of [...this.#ends]) {
      last = Math.max(last, connection.emptyAt(this.cluster));
      this.#letGo(peer, connection, reason, connection.emptyAt(this.cluster) - this.#clock.now());
    }
    await new Promise<void>((resolve) => this.#clock.wake(last, resolve));
  }

  /** The process is gone; whoever it was linked to finds out. */
  crash(): void {
    if (!this.#running) return;
    this.#running = false;
    this.#network.leave(this);
    for (const connection of this.#ends.values()) {
      connection.detach(this.cluster);
      connection.break('the peer closed the connection', () => this.#network.noticeMs());
    }
    this.#ends.clear();
  }

  /** Nobody has heard of the process for long: its peers give the links up. */
  sever(): void {
    for (const connection of this.#ends.values()) connection.break('silence', () => this.#network.noticeMs());
  }

  send(peer: string, frame: ControlFrame): boolean {
    return this.#ends.get(peer)?.send(this.cluster, frame) ?? false;
  }

  sendData(peer: string, frame: MessagesFrame): boolean {
    return this.#ends.get(peer)?.send(this.cluster, frame) ?? false;
  }

  roleChanged(): void {
    if (this.host.accepting() === 'master') {
      this.#network.wanted(this);
      return;
    }
    for (const [peer, connection] of [...this.#ends]) {
      this.#letGo(peer, connection, 'it is a standby now', connection.emptyAt(this.cluster) - this.#clock.now());
      this.host.listener.down(peer, 'this bridge is a standby');
    }
  }

  setPeers(peers: readonly PeerOptions[]): void {
    this.#peers = peers.map((peer) => peer.cluster);
    for (const [peer, connection] of [...this.#ends]) {
      if (this.#peers.includes(peer)) continue;
      this.#letGo(
        peer,
        connection,
        'there is no connector any more',
        connection.emptyAt(this.cluster) - this.#clock.now(),
      );
      this.host.listener.down(peer, 'there is no connector any more');
    }
    if (this.#running) this.#network.wanted(this);
  }

  isUp(peer: string): boolean {
    return this.#ends.has(peer);
  }

  peers(): readonly string[] {
    return this.#peers;
  }

  /** The incarnation of `peer` that was met last and highest. */
  met(peer: string): number {
    return Math.max(this.#met.get(peer) ?? 0, this.host.seenIncarnation(peer));
  }

  /** The handshake with `peer` is complete: this connection replaces what was. */
  adopt(peer: string, incarnation: number, connection: Connection): void {
    const former = this.#ends.get(peer);
    if (former) {
      this.#letGo(peer, former, 'replaced', 0);
      this.host.listener.down(peer, 'the peer has dialled anew');
    }
    this.#met.set(peer, Math.max(incarnation, this.met(peer)));
    this.#ends.set(peer, connection);
    connection.attach(this.cluster, {
      frame: (frame, bytes, consumed) =>
        this.#clock.run(() => {
          if (this.#ends.get(peer) === connection) this.host.listener.frame(peer, frame, bytes, consumed);
        }),
      writable: () =>
        this.#clock.run(() => {
          if (this.#ends.get(peer) === connection) this.host.listener.writable(peer);
        }),
      closed: (reason) =>
        this.#clock.run(() => {
          if (this.#ends.get(peer) !== connection) return;
          this.#ends.delete(peer);
          this.host.listener.down(peer, reason);
          this.#network.wanted(this);
        }),
    });
    this.host.listener.up(peer, { instance: '', incarnation, protocolVersion: 1 });
  }

  views(): LinkStatus[] {
    return this.#peers.map((peer) => {
      const up = this.#ends.has(peer);
      return {
        ...{ peer, up, state: up ? 'up' : 'backoff', reason: undefined, address: undefined, roundTripMs: undefined },
        ...{ protocolVersion: undefined, reconnects: 0, bytesIn: 0, bytesOut: 0 },
      };
    });
  }

  counters(): LinkCounters[] {
    return [];
  }

  /** Closes in good order: the peer hears of it after what was sent before. */
  #letGo(peer: string, connection: Connection, reason: string, afterMs: number): void {
    this.#ends.delete(peer);
    connection.detach(this.cluster);
    this.#network.closeLater(connection, reason, afterMs);
  }
}
