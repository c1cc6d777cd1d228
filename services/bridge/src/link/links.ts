import { randomUUID } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '@tombolo/kernel/clock';
import type { ControlFrame, MessagesFrame } from '@tombolo/wire/frame';
import type { Refusal, RefusalReason } from '@tombolo/wire/greeting';
import type { Surroundings } from '@tombolo/wire/handshake';
import type { Identity } from './greeter.ts';
import { type EndListener, type LinkEnd, nobody } from './link-end.ts';
import { type LinkPolicy, linkPolicy } from './link-machine.ts';
import { judgeCertificate, type LinkTlsSource } from './link-tls.ts';
import { Listener, type ListenerHandler, type ListenOptions } from './listener.ts';
import type { LoopbackHub, LoopbackLink } from './loopback-link.ts';
import {
  type LinkLog,
  type LinkStatus,
  type LinksListener,
  type PeerContext,
  PeerLink,
  type PeerOptions,
} from './peer-link.ts';
import { WebsocketLink } from './websocket-link.ts';

export interface LinksOptions {
  readonly network: string;
  readonly cluster: string;
  readonly instance: string;
  /** This cluster's incarnation as of now; asked for each handshake. */
  incarnation(): number;
  /** The highest incarnation of the peer that was ever seen; 0 when none. What links meet they remember themselves, too. */
  seenIncarnation(peer: string): number;
  /** A proved peer has seen a higher incarnation of this cluster: it refuses links until a higher one is taken. */
  onPeerSawIncarnation(peer: string, incarnation: number): void;
  readonly listen?: ListenOptions;
  /** For dialling wss:// addresses. */
  readonly tls?: LinkTlsSource;
  readonly peers: readonly PeerOptions[];
  /** A standby neither dials nor lets in. Call `roleChanged` when the answer changes. */
  accepting(): 'master' | 'standby';
  readonly clock: Clock;
  /** A number in [0, 1). */
  random(): number;
  readonly log: LinkLog;
  readonly listener: LinksListener;
  /** The clusters of this process: they are linked without a socket. */
  readonly loopback?: LoopbackHub;
  readonly policy?: LinkPolicy;
}

/** What both sides prove that have none; without a certificate it is not accepted. */
const noSecret = [''];

/** Counts for metrics, since the start. */
export interface LinkCounters {
  readonly peer: string;
  readonly reconnects: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly refused: ReadonlyMap<RefusalReason, number>;
}

/** All links of one cluster. */
export class Links {
  readonly #options: LinksOptions;
  readonly #listener: Listener | undefined;
  readonly #peers = new Map<string, PeerLink>();
  readonly #met = new Map<string, number>();
  readonly #refused = new Map<string, Map<RefusalReason, number>>();
  readonly #strangers = new Map<string, { reason: RefusalReason; at: number }>();
  readonly #life = randomUUID();
  readonly #context: PeerContext;
  #attempts = 0;
  #running = false;
  #leave: (() => void) | undefined;

  constructor(options: LinksOptions) {
    this.#options = options;
    this.#context = {
      cluster: options.cluster,
      clock: options.clock,
      random: () => options.random(),
      log: options.log,
      policy: options.policy ?? linkPolicy,
      listener: options.listener,
      dial: (peer, address) => this.#dial(peer, address),
      met: (peer, incarnation) => {
        this.#met.set(peer, Math.max(incarnation, this.#met.get(peer) ?? 0));
        this.#strangers.delete(peer);
      },
      seen: (peer, incarnation) => options.onPeerSawIncarnation(peer, incarnation),
      refused: (peer, reason) => this.#count(peer, reason),
    };
    if (options.listen) {
      const handler: ListenerHandler = {
        master: () => options.accepting() === 'master',
        refused: (refusal, address) => this.#turnedAway(refusal, undefined, address),
        connected: (socket, raw, asked, acquainted) => {
          const around = this.#around(asked !== undefined, asked);
          const end = WebsocketLink.accept(socket, raw, this.#identity(), around, options.clock, this.#handshakeMs);
          end.attach(this.#stranger(end, acquainted));
        },
      };
      this.#listener = new Listener(options.listen, handler, this.#handshakeMs);
    }
  }

  /** The port that is listened on, once started. */
  get port(): number | undefined {
    return this.#listener?.port;
  }

  /** Listens and begins to dial. @throws Fault TOMBOLO_ADDRESS_IN_USE */
  async start(): Promise<void> {
    if (this.#running) return;
    await this.#listener?.start();
    this.#running = true;
    const { network, cluster, loopback } = this.#options;
    this.setPeers(this.#options.peers);
    this.#leave = loopback?.join({
      network,
      cluster,
      connected: (end) => {
        end.attach(this.#stranger(end, () => {}));
        end.listen(this.#identity(), this.#around(true));
      },
      changed: () => {
        for (const peer of this.#peers.values()) peer.configure(peer.options, this.#addresses(peer.options));
      },
    });
    this.roleChanged();
  }

  /** Says goodbye to every peer, lets what waits go (bounded in time), and stops listening. */
  async stop(reason: string): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#leave?.();
    await Promise.all([...this.#peers.values()].map((peer) => peer.stop(reason)));
    await this.#listener?.stop();
  }

  /** To be called when `accepting()` answers otherwise than before. */
  roleChanged(): void {
    const master = this.#options.accepting() === 'master';
    const reason = `Bridge '${this.#options.instance}' is a standby.`;
    for (const peer of this.#peers.values()) peer.dispatch(master ? { is: 'started' } : { is: 'resigned', reason });
  }

  /** The peers as the file has them now. Links to those that stay are not disturbed; those that are gone are closed. */
  setPeers(peers: readonly PeerOptions[]): void {
    const names = new Set(peers.map((peer) => peer.cluster));
    for (const [name, link] of this.#peers) {
      if (names.has(name)) continue;
      this.#peers.delete(name);
      void link.stop(`Cluster '${this.#options.cluster}' has no networkConnector with '${name}' any more.`);
    }
    for (const options of peers) {
      let link = this.#peers.get(options.cluster);
      const fresh = link === undefined;
      link ??= new PeerLink(options, this.#context);
      this.#peers.set(options.cluster, link);
      link.configure(options, this.#addresses(options));
      if (fresh && this.#running && this.#options.accepting() === 'master') link.dispatch({ is: 'started' });
    }
  }

  /** False: there is no link, or it is hopelessly behind; the frame is dropped. @throws Fault when the frame is too large */
  send(peer: string, frame: ControlFrame): boolean {
    return this.#peers.get(peer)?.control(frame) ?? false;
  }

  /**
   * False: not taken. While the link is up, `writable` follows when it is worth another try.
   * @throws Fault TOMBOLO_FRAME_INVALID when the frame is too large for any link
   */
  sendData(peer: string, frame: MessagesFrame): boolean {
    return this.#peers.get(peer)?.data(frame) ?? false;
  }

  isUp(peer: string): boolean {
    return this.#peers.get(peer)?.up ?? false;
  }

  views(): LinkStatus[] {
    return [...this.#peers.values()].map((peer) => peer.view());
  }

  /** Counters by peer; refusals of those who are no peer of this cluster are counted under the empty name. */
  counters(): LinkCounters[] {
    const names = new Set([...this.#peers.keys(), ...this.#refused.keys()]);
    return [...names].map((peer) => ({
      peer,
      reconnects: this.#peers.get(peer)?.reconnects ?? 0,
      bytesIn: this.#peers.get(peer)?.bytesIn ?? 0,
      bytesOut: this.#peers.get(peer)?.bytesOut ?? 0,
      refused: this.#refused.get(peer) ?? new Map(),
    }));
  }

  get #handshakeMs(): number {
    return this.#context.policy.handshakeMs;
  }

  #identity(): Identity {
    const { network, cluster, instance } = this.#options;
    return { network, cluster, instance, life: this.#life, incarnation: this.#options.incarnation() };
  }

  #addresses(peer: PeerOptions): number {
    const { loopback, network, cluster } = this.#options;
    if (loopback?.find(network, peer.cluster)) return cluster < peer.cluster ? 1 : 0;
    return peer.dial ? peer.uris.length : 0;
  }

  /**
   * @param certified a certificate is judged before the handshake can succeed, or both are of this process: a pair may do without a secret
   * @param asked the connection by which the peer was asked for it; a dialler has judged it before
   */
  #around(certified: boolean, asked?: TLSSocket): Surroundings {
    const { cluster: self } = this.#options;
    return {
      peer: (cluster) => {
        const options = this.#peers.get(cluster)?.options;
        if (!options) return undefined;
        const seen = Math.max(this.#options.seenIncarnation(cluster), this.#met.get(cluster) ?? 0);
        const secrets = options.secrets.length === 0 && certified ? noSecret : options.secrets;
        return { secrets, seenIncarnation: seen };
      },
      accepting: () => (this.#running ? this.#options.accepting() : 'standby'),
      admit: (hello, role) => (role === 'listener' ? this.#peers.get(hello.cluster)?.admit(hello) : undefined),
      ...(asked && {
        certificate: (peer: string) =>
          judgeCertificate(asked, { peer, identity: this.#peers.get(peer)?.options.tlsIdentity, self }),
      }),
    };
  }

  #dial(peer: PeerOptions, address: number): LinkEnd {
    const { loopback, network, cluster, clock, tls } = this.#options;
    const attempt = ++this.#attempts;
    const near = loopback?.find(network, peer.cluster);
    if (near && loopback) {
      const [mine, theirs] = loopback.pair(cluster, peer.cluster);
      near.connected(theirs);
      // The listener is attached before anything can be answered: that happens in a later turn.
      mine.dial(this.#identity(), peer.cluster, attempt, this.#around(true));
      return mine;
    }
    const uri = peer.uris[address] ?? peer.uris[0]!;
    const around = this.#around(uri.startsWith('wss:'));
    const target = { cluster: peer.cluster, attempt, tls, tlsIdentity: peer.tlsIdentity };
    return WebsocketLink.dial(uri, target, this.#identity(), around, clock, this.#handshakeMs);
  }

  /** Hears the handshake of a connection that somebody dialled; a proved peer's is handed on. */
  #stranger(end: WebsocketLink | LoopbackLink, acquainted: () => void): EndListener {
    return {
      ...nobody,
      accepted: (hello, version) => {
        acquainted();
        const peer = this.#peers.get(hello.cluster);
        if (peer) peer.adopt(end, hello, version);
        else end.abort();
      },
      refused: (refusal, _, claimed) => this.#turnedAway(refusal, claimed, end.address),
      seen: (peer, incarnation) => this.#options.onPeerSawIncarnation(peer, incarnation),
    };
  }

  /** Logged once per change of reason and not often: whoever can reach the port can cause it. */
  #turnedAway(refusal: Refusal, claimed: string | undefined, address: string): void {
    const known = claimed === undefined ? undefined : this.#peers.get(claimed);
    const name = known?.options.cluster ?? '';
    this.#count(name, refusal.reason);
    if (refusal.reason === 'standby' || refusal.reason === 'duplicate') return;
    const now = this.#options.clock.now();
    const last = this.#strangers.get(name);
    if (last && (last.reason === refusal.reason || now - last.at < 5_000)) return;
    this.#strangers.set(name, { reason: refusal.reason, at: now });
    known?.turnedAway(refusal);
    if (!known || known.up) {
      const facts = { peer: claimed, address, refused: refusal.reason, reason: refusal.sentence };
      this.#options.log.warn(facts, 'link refused');
    }
  }

  #count(peer: string, reason: RefusalReason): void {
    const name = this.#peers.has(peer) ? peer : '';
    const counts = this.#refused.get(name) ?? new Map<RefusalReason, number>();
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
    this.#refused.set(name, counts);
  }
}
