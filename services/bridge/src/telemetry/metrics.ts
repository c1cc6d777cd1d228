import type { BridgeView } from '../admin/view.ts';
import { MetricSet, type MetricSetOptions } from './metric-set.ts';
import { Rates } from './rates.ts';
import { ViewGauges, type ViewGaugesOptions } from './view-gauges.ts';

export interface MetricsOptions extends MetricSetOptions, ViewGaugesOptions {
  readonly version: string;
}

/** Why replies are dropped at the origin. */
const replyDrops = ['late', 'expired', 'forged', 'unroutable'] as const;

/**
 * All metrics of one bridge. Counters are added to while messages move, in batches; gauges are set from the bridge's
 * view at every scrape, so that what has vanished from the view vanishes from the metrics.
 */
export class Metrics {
  readonly #set: MetricSet;
  readonly #gauges: ViewGauges;
  /** Messages forwarded, by connector. */
  readonly forwardRates = new Rates();
  /** Messages confirmed by the own broker, by connector. */
  readonly deliveryRates = new Rates();
  /** Messages relayed, by the neighbour that they were handed to. */
  readonly transitRates = new Rates();

  constructor(options: MetricsOptions) {
    const set = new MetricSet(options);
    this.#set = set;
    set.set('tombolo_build_info', [options.version], 1);
    for (const result of ['success', 'failure']) set.add('tombolo_config_reloads_total', [result], 0);
    set.set('tombolo_dead_letters', [], 0);
    for (const reason of replyDrops) set.add('tombolo_replies_dropped_total', [reason], 0);
    set.set('tombolo_reply_queues', [], 0);
    this.#gauges = new ViewGauges(set, options);
  }

  /**
   * Other peers and other chosen destinations from now on: series of new peers begin, those of what is gone go.
   * @param gone connectors that are in the topology no more
   */
  amend(changed: Pick<MetricsOptions, 'peers' | 'destinations' | 'maxDestinations'>, gone: ReadonlySet<string>): void {
    this.#set.amend(changed);
    const goneBy = this.#gauges.amend(changed.peers);
    this.#set.remove(goneBy, gone);
  }

  /** Settled as accepted, at the source; `peer` is the sink. */
  forwarded(connector: string, destination: string, peer: string, n: number): void {
    this.#set.add('tombolo_messages_forwarded_total', [connector, destination, peer], n);
    this.forwardRates.add(connector, n);
  }

  /** Confirmed by the own broker, at the sink; `peer` is the source. */
  delivered(connector: string, destination: string, peer: string, n: number): void {
    this.#set.add('tombolo_messages_delivered_total', [connector, destination, peer], n);
    this.deliveryRates.add(connector, n);
  }

  /** Relayed to `peer` without touching the own broker. */
  transit(peer: string, n: number): void {
    this.#set.add('tombolo_messages_transit_total', [peer], n);
    this.transitRates.add(peer, n);
  }

  /** Given back to the queue they came from. */
  returned(connector: string, destination: string, reason: string, n: number): void {
    // A reason that is told to people and peers too is words.
    this.#set.add('tombolo_messages_returned_total', [connector, destination, reason.replaceAll(' ', '_')], n);
  }

  /** Topic messages that were deliberately not taken, e.g. because a bridge had published them. */
  notCaptured(connector: string, destination: string, reason: string, n: number): void {
    this.#set.add('tombolo_messages_not_captured_total', [connector, destination, reason], n);
  }

  /** Topic messages that nothing at this cluster took. */
  unroutable(destination: string, n: number): void {
    this.#set.add('tombolo_messages_unroutable_total', [destination], n);
  }

  /** Copies that were recognised and not published again. */
  suppressed(connector: string, destination: string, n: number): void {
    this.#set.add('tombolo_duplicates_suppressed_total', [connector, destination], n);
  }

  /** Messages that may come twice, and why; see the table. */
  possibleDuplicates(
    connector: string,
    destination: string,
    reason: 'published_again' | 'given_back' | 'unrecorded',
    n: number,
  ): void {
    this.#set.add('tombolo_possible_duplicates_total', [connector, destination, reason], n);
  }

  /** Whether the record of what is in doubt is written to Redis; undefined: it is not meant to be. */
  deduplicationUp(up: boolean | undefined): void {
    if (up === undefined) this.#set.clear('tombolo_deduplication_up');
    else this.#set.set('tombolo_deduplication_up', [], up ? 1 : 0);
  }

  /** Messages whose queue will drop them, or park them elsewhere, after one delivery more; `peer` is the sink. */
  nearDeliveryLimit(connector: string, destination: string, peer: string, n: number): void {
    this.#set.add('tombolo_messages_near_delivery_limit_total', [connector, destination, peer], n);
  }

  /** Parked in the dead-letter queue: counted, and added to what is known to be there. */
  deadLettered(connector: string, destination: string, reason: string, n: number): void {
    this.#set.add('tombolo_messages_dead_lettered_total', [connector, destination, reason], n);
    this.#set.add('tombolo_dead_letters', [], n);
  }

  /** What the dead-letter queue holds, as its broker says. */
  deadLetters(n: number): void {
    this.#set.set('tombolo_dead_letters', [], n);
  }

  /** Replies came home and were dropped; counted at the origin. */
  repliesDropped(reason: (typeof replyDrops)[number], n: number): void {
    this.#set.add('tombolo_replies_dropped_total', [reason], n);
  }

  /** How many queues for replies the bridge keeps beside its own broker. */
  replyQueues(n: number): void {
    this.#set.set('tombolo_reply_queues', [], n);
  }

  /** `n` messages were settled `seconds` after the broker delivered them. */
  forwardDuration(connector: string, seconds: number, n: number): void {
    this.#set.observe('tombolo_forward_duration_seconds', connector, seconds, n);
  }

  /** A batch of `n` messages was published, of which the one that was looked at had been made `seconds` before. */
  endToEndDelay(connector: string, seconds: number, n: number): void {
    this.#set.observe('tombolo_end_to_end_delay_seconds', connector, seconds, n);
  }

  /** The two ends of a stream have counted the same fate, or not, for `n` messages more; counted at the sink, `peer` is the source. */
  reconciled(connector: string, destination: string, peer: string, n: number): void {
    this.#set.add('tombolo_messages_reconciled_total', [connector, destination, peer], n);
  }

  /** Link attempts from or to `peer` were refused by either end. */
  linkRefused(peer: string, reason: string, n = 1): void {
    this.#set.add('tombolo_link_refused_total', [peer, reason], n);
  }

  /** A frame of the peer was dropped that it had no permission to send. */
  frameRefused(peer: string, kind: string): void {
    this.#set.add('tombolo_link_frames_refused_total', [peer, kind], 1);
  }

  /** Whether the link cannot send at present, and why. */
  linkBlocked(peer: string, reason: string, blocked: boolean): void {
    this.#set.set('tombolo_link_blocked', [peer, reason], blocked ? 1 : 0);
  }

  /** The topology that is in force from now on; `reload` false for the one that the process starts with. */
  configApplied(hash: number, timestampSeconds: number, reload: boolean): void {
    this.#set.set('tombolo_config_hash', [], hash);
    this.#set.set('tombolo_config_last_reload_success_timestamp_seconds', [], timestampSeconds);
    this.#set.set('tombolo_config_last_reload_successful', [], 1);
    if (reload) this.#set.add('tombolo_config_reloads_total', ['success'], 1);
  }

  /** A change of the file was refused; the topology in force stays. */
  configRefused(): void {
    this.#set.set('tombolo_config_last_reload_successful', [], 0);
    this.#set.add('tombolo_config_reloads_total', ['failure'], 1);
  }

  /** Sets every gauge from the bridge as it is now. Series of what is no longer in the view are removed. */
  collect(view: BridgeView): void {
    this.#gauges.collect(view);
  }

  /** To be called a few times a second (`now`: monotonic ms): for how long streams are blocked is counted by looking. */
  look(view: BridgeView, now: number): void {
    this.#gauges.look(view, now);
  }

  /** Everything in Prometheus' text format, as of the latest `collect`. */
  text(): Promise<string> {
    return this.#set.text(this.#gauges.showsMaster);
  }

  /** The series that have a destination, for the destinations asked for, whether or not they have a label elsewhere. */
  async detailed(wanted: (destination: string) => boolean): Promise<string> {
    return this.#gauges.showsMaster ? this.#set.detailed(wanted) : '';
  }

  /** The content type that goes with `text` and `detailed`. */
  get contentType(): string {
    return this.#set.contentType;
  }
}
