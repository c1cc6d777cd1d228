import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import type { BridgeView, LinkView } from '../admin/view.ts';
import { BatchHistogram, Family, otherDestinations } from './family.ts';
import { type MetricName, metricTable } from './metric-table.ts';

export interface MetricsOptions {
  readonly network: string;
  /** The own cluster. */
  readonly cluster: string;
  readonly version: string;
  /** Every cluster with which a connector joins the own one: their links are shown as down from the start. */
  readonly peers: readonly string[];
  /** Which destinations may have a label of their own (`bridge.metrics.destinations`); default: none. */
  readonly destinations?: (destination: string) => boolean;
  /** How many of those get one, first come, first served; default 200. */
  readonly maxDestinations?: number;
  /** Whether prom-client's process and event-loop metrics are shown too; default true. */
  readonly process?: boolean;
}

/** From a message between two racks to one that waited for a slow consumer across an ocean. */
const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Why replies are dropped at the origin. */
const replyDrops = ['late', 'expired', 'forged', 'unroutable'] as const;

type LinkTotals = Pick<LinkView, 'reconnects' | 'bytesIn' | 'bytesOut'>;

/**
 * All metrics of one bridge. Counters are added to while messages move, in batches; gauges are set from the bridge's
 * view at every scrape, so that what has vanished from the view vanishes from the metrics.
 */
export class Metrics {
  readonly #families = new Map<string, Family>();
  readonly #durations: BatchHistogram;
  readonly #registries: { readonly always: Registry; readonly master: Registry };
  readonly #options: MetricsOptions;
  readonly #labelled = new Set<string>();
  /** What was read of each link last: links count for themselves, and a link that is made anew begins at 0. */
  readonly #linkTotals = new Map<string, LinkTotals>();
  #hasStoodBy = false;
  #showsMaster = true;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#registries = { always: new Registry(), master: new Registry() };
    for (const registry of Object.values(this.#registries)) {
      registry.setDefaultLabels({ network: options.network, broker_cluster: options.cluster });
    }
    if (options.process ?? true) collectDefaultMetrics({ register: this.#registries.always });
    this.#durations = new BatchHistogram(
      'tombolo_forward_duration_seconds',
      metricTable.tombolo_forward_duration_seconds,
      durationBounds,
    );
    for (const [name, definition] of Object.entries(metricTable)) {
      const family =
        definition.type === 'histogram'
          ? this.#durations
          : new Family(name, definition, (destination) => this.#label(destination));
      if (family instanceof Family) this.#families.set(name, family);
      // prom-client asks a metric for no more than its name and `get`; its type wants its own class.
      this.#registries[definition.shown].registerMetric(family as unknown as Metric);
    }
    this.#set('tombolo_build_info', [options.version], 1);
    for (const result of ['success', 'failure']) this.#add('tombolo_config_reloads_total', [result], 0);
    this.#set('tombolo_master', [], 0);
    this.#set('tombolo_broker_up', [], 0);
    this.#set('tombolo_draining', [], 0);
    this.#set('tombolo_dead_letters', [], 0);
    for (const reason of replyDrops) this.#add('tombolo_replies_dropped_total', [reason], 0);
    this.#set('tombolo_reply_queues', [], 0);
    this.#beginPeers();
  }

  /** Settled as accepted, at the source; `peer` is the sink. */
  forwarded(connector: string, destination: string, peer: string, n: number): void {
    this.#add('tombolo_messages_forwarded_total', [connector, destination, peer], n);
  }

  /** Confirmed by the own broker, at the sink; `peer` is the source. */
  delivered(connector: string, destination: string, peer: string, n: number): void {
    this.#add('tombolo_messages_delivered_total', [connector, destination, peer], n);
  }

  /** Relayed to `peer` without touching the own broker. */
  transit(peer: string, n: number): void {
    this.#add('tombolo_messages_transit_total', [peer], n);
  }

  /** Given back to the queue they came from. */
  returned(connector: string, destination: string, reason: string, n: number): void {
    this.#add('tombolo_messages_returned_total', [connector, destination, reason], n);
  }

  /** Topic messages that were deliberately not taken, e.g. because a bridge had published them. */
  notCaptured(connector: string, destination: string, reason: string, n: number): void {
    this.#add('tombolo_messages_not_captured_total', [connector, destination, reason], n);
  }

  /** Topic messages that nothing at this cluster took. */
  unroutable(destination: string, n: number): void {
    this.#add('tombolo_messages_unroutable_total', [destination], n);
  }

  /** Copies that were recognised and not published again. */
  suppressed(connector: string, destination: string, n: number): void {
    this.#add('tombolo_duplicates_suppressed_total', [connector, destination], n);
  }

  /** Messages that may come twice, and why; see the table. */
  possibleDuplicates(
    connector: string,
    destination: string,
    reason: 'published_again' | 'given_back' | 'unrecorded',
    n: number,
  ): void {
    this.#add('tombolo_possible_duplicates_total', [connector, destination, reason], n);
  }

  /** Whether the record of what is in doubt is written to Redis; undefined: it is not meant to be. */
  deduplicationUp(up: boolean | undefined): void {
    if (up === undefined) this.#family('tombolo_deduplication_up').clear();
    else this.#set('tombolo_deduplication_up', [], up ? 1 : 0);
  }

  /** Messages whose queue will drop them, or park them elsewhere, after one delivery more; `peer` is the sink. */
  nearDeliveryLimit(connector: string, destination: string, peer: string, n: number): void {
    this.#add('tombolo_messages_near_delivery_limit_total', [connector, destination, peer], n);
  }

  /** Parked in the dead-letter queue: counted, and added to what is known to be there. */
  deadLettered(connector: string, destination: string, reason: string, n: number): void {
    this.#add('tombolo_messages_dead_lettered_total', [connector, destination, reason], n);
    this.#add('tombolo_dead_letters', [], n);
  }

  /** What the dead-letter queue holds, as its broker says. */
  deadLetters(n: number): void {
    this.#set('tombolo_dead_letters', [], n);
  }

  /** Replies came home and were dropped; counted at the origin. */
  repliesDropped(reason: (typeof replyDrops)[number], n: number): void {
    this.#add('tombolo_replies_dropped_total', [reason], n);
  }

  /** How many queues for replies the bridge keeps beside its own broker. */
  replyQueues(n: number): void {
    this.#set('tombolo_reply_queues', [], n);
  }

  /** `n` messages were settled `seconds` after the broker delivered them. */
  forwardDuration(connector: string, seconds: number, n: number): void {
    this.#durations.observe(connector, seconds, n);
  }

  /** Link attempts from or to `peer` were refused by either end. */
  linkRefused(peer: string, reason: string, n = 1): void {
    this.#add('tombolo_link_refused_total', [peer, reason], n);
  }

  /** Whether the link cannot send at present, and why. */
  linkBlocked(peer: string, reason: string, blocked: boolean): void {
    this.#set('tombolo_link_blocked', [peer, reason], blocked ? 1 : 0);
  }

  /** When the certificate for `use` (link, admin, broker) runs out, in seconds since 1970. */
  certificateExpires(use: string, timestampSeconds: number): void {
    this.#set('tombolo_certificate_expiry_timestamp_seconds', [use], timestampSeconds);
  }

  /** The topology that is in force from now on; `reload` false for the one that the process starts with. */
  configApplied(hash: number, timestampSeconds: number, reload: boolean): void {
    this.#set('tombolo_config_hash', [], hash);
    this.#set('tombolo_config_last_reload_success_timestamp_seconds', [], timestampSeconds);
    if (reload) this.#add('tombolo_config_reloads_total', ['success'], 1);
  }

  /** A change of the file was refused; the topology in force stays. */
  configRefused(): void {
    this.#add('tombolo_config_reloads_total', ['failure'], 1);
  }

  /** Sets every gauge from the bridge as it is now. Series of what is no longer in the view are removed. */
  collect(view: BridgeView): void {
    const standby = view.role === 'standby' && view.broker.state === 'standby';
    this.#hasStoodBy ||= standby;
    this.#showsMaster = view.role === 'master' || !this.#hasStoodBy;
    this.#set('tombolo_master', [], view.role === 'master' ? 1 : 0);
    this.#set('tombolo_broker_up', [], view.broker.up ? 1 : 0);
    this.#set('tombolo_draining', [], view.draining || view.drains.length > 0 ? 1 : 0);
    const { leaseRemainingMs } = view.election;
    if (leaseRemainingMs === undefined) this.#clear('tombolo_lease_remaining_seconds');
    else this.#set('tombolo_lease_remaining_seconds', [], leaseRemainingMs / 1000);
    this.#collectLinks(view);
    this.#clear('tombolo_connector_up', 'tombolo_connector_paused');
    for (const { name, peer, state } of view.connectors) {
      this.#set('tombolo_connector_up', [name, peer], state === 'up' ? 1 : 0);
      this.#set('tombolo_connector_paused', [name], state === 'paused' ? 1 : 0);
    }
    this.#collectDemand(view);
    this.#collectStreams(view);
    this.#collectTopicBuffers(view);
  }

  /** Everything in Prometheus' text format, as of the latest `collect`. */
  async text(): Promise<string> {
    const { always, master } = this.#registries;
    return this.#showsMaster ? `${await always.metrics()}\n${await master.metrics()}` : always.metrics();
  }

  /** The series that have a destination, for the destinations asked for, whether or not they have a label elsewhere. */
  async detailed(wanted: (destination: string) => boolean): Promise<string> {
    if (!this.#showsMaster) return '';
    const asked = [...this.#families.values()].filter((family) => family.definition.labels.includes('destination'));
    const registry = new Registry();
    registry.setDefaultLabels({ network: this.#options.network, broker_cluster: this.#options.cluster });
    for (const family of asked) {
      const frozen = { name: family.name, get: async () => family.detailed(wanted) };
      registry.registerMetric(frozen as unknown as Metric);
    }
    return registry.metrics();
  }

  /** The content type that goes with `text` and `detailed`. */
  get contentType(): string {
    return this.#registries.always.contentType;
  }

  #collectLinks(view: BridgeView): void {
    this.#clear('tombolo_link_up', 'tombolo_link_round_trip_seconds', 'tombolo_link_protocol_version');
    this.#beginPeers();
    for (const link of view.links) {
      const { peer } = link;
      this.#set('tombolo_link_up', [peer], link.up ? 1 : 0);
      if (link.up && link.roundTripMs !== undefined) {
        this.#set('tombolo_link_round_trip_seconds', [peer], link.roundTripMs / 1000);
      }
      if (link.up && link.protocolVersion !== undefined) {
        this.#set('tombolo_link_protocol_version', [peer], link.protocolVersion);
      }
      const last = this.#linkTotals.get(peer) ?? { reconnects: 0, bytesIn: 0, bytesOut: 0 };
      const grown = (field: keyof LinkTotals) => (link[field] >= last[field] ? link[field] - last[field] : link[field]);
      this.#add('tombolo_link_reconnects_total', [peer], grown('reconnects'));
      this.#add('tombolo_link_bytes_total', [peer, 'in'], grown('bytesIn'));
      this.#add('tombolo_link_bytes_total', [peer, 'out'], grown('bytesOut'));
      this.#linkTotals.set(peer, { reconnects: link.reconnects, bytesIn: link.bytesIn, bytesOut: link.bytesOut });
    }
  }

  #collectDemand(view: BridgeView): void {
    this.#clear('tombolo_demand_consumers', 'tombolo_demand_unserved');
    for (const cluster of [this.#options.cluster, ...this.#options.peers]) {
      this.#set('tombolo_demand_consumers', [otherDestinations, cluster], 0);
    }
    for (const { destination, cluster, consumers, unserved } of view.demand) {
      this.#add('tombolo_demand_consumers', [destination, cluster], consumers);
      if (unserved !== undefined) this.#add('tombolo_demand_unserved', [destination, unserved], consumers);
    }
  }

  #collectTopicBuffers(view: BridgeView): void {
    this.#clear('tombolo_topic_buffer_messages', 'tombolo_topic_buffer_bytes', 'tombolo_topic_buffer_limit_bytes');
    for (const { connector, exchange, sink, messages, bytes, limitBytes } of view.topicBuffers) {
      const labels = [connector, exchange, sink];
      this.#add('tombolo_topic_buffer_messages', labels, messages);
      if (bytes !== undefined) this.#add('tombolo_topic_buffer_bytes', labels, bytes);
      this.#add('tombolo_topic_buffer_limit_bytes', labels, limitBytes);
    }
  }

  #collectStreams(view: BridgeView): void {
    this.#clear('tombolo_messages_unsettled', 'tombolo_stream_credit', 'tombolo_reconciliation_difference');
    for (const { role, connector, destination, peer, unsettled, credit } of view.streams) {
      const labels = [connector, destination, peer];
      this.#add('tombolo_reconciliation_difference', labels, 0);
      // Both ends know these numbers; counted at the source alone, a sum over the network counts each message once.
      if (role !== 'source') continue;
      this.#add('tombolo_messages_near_delivery_limit_total', labels, 0);
      this.#add('tombolo_messages_unsettled', labels, unsettled);
      this.#add('tombolo_stream_credit', labels, credit);
    }
    for (const { connector, destination, peer, lost, doubled } of view.differences) {
      this.#add('tombolo_reconciliation_difference', [connector, destination, peer], lost + doubled);
    }
  }

  #beginPeers(): void {
    for (const peer of this.#options.peers) {
      this.#set('tombolo_link_up', [peer], 0);
      this.#add('tombolo_link_reconnects_total', [peer], 0);
      this.#add('tombolo_link_blocked', [peer, 'broker_alarm'], 0);
      for (const direction of ['in', 'out']) this.#add('tombolo_link_bytes_total', [peer, direction], 0);
    }
  }

  /** The label of a destination: its name if it is chosen and there is room, else `other`; it stays as it was first. */
  #label(destination: string): string {
    if (this.#labelled.has(destination)) return destination;
    const { destinations, maxDestinations = 200 } = this.#options;
    if (!destinations?.(destination) || this.#labelled.size >= maxDestinations) return otherDestinations;
    this.#labelled.add(destination);
    return destination;
  }

  #family(name: MetricName): Family {
    const family = this.#families.get(name);
    if (!family) throw new TypeError(`${name} is no counter or gauge`);
    return family;
  }

  #add(name: MetricName, labels: readonly string[], n: number): void {
    this.#family(name).add(labels, n);
  }

  #set(name: MetricName, labels: readonly string[], value: number): void {
    this.#family(name).set(labels, value);
  }

  #clear(...names: MetricName[]): void {
    for (const name of names) this.#family(name).clear();
  }
}
