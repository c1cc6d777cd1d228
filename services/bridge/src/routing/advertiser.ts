import type { ControlFrame, Destination } from '@tombolo/wire/frame';
import type { DemandTable } from '../demand/demand-table.ts';
import type { Agreement } from './agreement.ts';
import { advertisementLine, Digest } from './digest.ts';

/** How long an advertisement stands without a refresh. */
const LEASE_MS = 90_000;

export interface AdvertiserOptions {
  readonly cluster: string;
  readonly incarnation: number;
  readonly agreement: Agreement;
  readonly table: DemandTable;
  readonly send: (peer: string, frame: ControlFrame) => boolean;
}

/** Tells peers of the own cluster's demand: a snapshot when a link begins, changes after it, a digest from time to time. */
export class Advertiser {
  readonly #options: AdvertiserOptions;
  /** False: the own broker's consumers are not known; what was told stands, and nothing new is said. */
  #sighted = false;

  constructor(options: AdvertiserOptions) {
    this.#options = options;
  }

  get sighted(): boolean {
    return this.#sighted;
  }

  setSighted(sighted: boolean): void {
    const news = sighted && !this.#sighted;
    this.#sighted = sighted;
    if (news) this.snapshots();
  }

  advertise(queue: string): void {
    for (const peer of this.#options.agreement.peers) this.#advertise(peer, queue);
  }

  withdraw(queue: string, version: number): void {
    const { agreement, cluster, incarnation, send } = this.#options;
    const destination: Destination = { kind: 'queue', name: queue };
    for (const peer of agreement.peers)
      send(peer, { kind: 'withdraw', sink: cluster, destination, incarnation, version });
  }

  snapshots(): void {
    for (const peer of this.#options.agreement.peers) this.snapshot(peer);
  }

  /** Everything that this peer should know, in one go. */
  snapshot(peer: string): void {
    if (!this.#sighted) return;
    const { incarnation, send, table } = this.#options;
    send(peer, { kind: 'snapshot-begin', incarnation });
    for (const { queue } of table.all) this.#advertise(peer, queue);
    send(peer, { kind: 'snapshot-end', incarnation });
  }

  /** Repeats what was said in short, so that a peer that missed something asks again. */
  digests(): void {
    if (!this.#sighted) return;
    const { agreement, incarnation, send, table } = this.#options;
    for (const peer of agreement.peers) {
      const digest = new Digest();
      for (const { queue, version } of table.all) {
        if (!agreement.inbound(peer, { kind: 'queue', name: queue }).open) continue;
        digest.add(advertisementLine('queue', queue, incarnation, version));
      }
      send(peer, { kind: 'digest', incarnation, count: digest.count, digest: digest.toString() });
    }
  }

  #advertise(peer: string, queue: string): void {
    const { agreement, cluster, incarnation, send, table } = this.#options;
    const demand = table.get(queue);
    const destination: Destination = { kind: 'queue', name: queue };
    const passage = agreement.inbound(peer, destination);
    if (!demand || !passage.open) return;
    send(peer, {
      kind: 'demand',
      sink: cluster,
      destination,
      incarnation,
      version: demand.version,
      path: [cluster],
      connector: passage.connector.name,
      consumers: demand.consumers,
      queue: demand.properties,
      leaseMs: LEASE_MS,
    });
  }
}
