import { refusalReasons } from '@tombolo/wire/greeting';
import type { BridgeView, ConnectorView, LinkView, StreamView } from '../admin/view.ts';
import { otherDestinations } from './family.ts';
import type { MetricSet } from './metric-set.ts';

export interface ViewGaugesOptions {
  /** The own cluster. */
  readonly cluster: string;
  /** Every cluster with which a connector joins the own one: their links are shown as down from the start. */
  readonly peers: readonly string[];
  /** The bound of what is in flight, for each direction. */
  readonly inFlightBytes?: number;
  /** How long a lease lasts; undefined: none elects. */
  readonly leaseMs?: number | undefined;
}

/** Why demand is not served, as far as this version knows: a peer's word that it does not know is counted as `other`. */
const unservedReasons: readonly string[] = [
  'queue_absent',
  'queue_unavailable',
  'no_permission',
  'no_route',
  'paused',
  'refused',
  'sink_refuses',
  'drained',
];

/** A stream's reason that lasted longer than between two looks is not known to have lasted: the process stood still. */
const longestLookMs = 15_000;

type LinkTotals = Pick<LinkView, 'reconnects' | 'bytesIn' | 'bytesOut'>;

/** What is read off a bridge's view: every gauge, and the counters of what links and streams only show. */
export class ViewGauges {
  readonly #set: MetricSet;
  #options: ViewGaugesOptions;
  /** What was read of each link last: links count for themselves, and a link that is made anew begins at 0. */
  readonly #linkTotals = new Map<string, LinkTotals>();
  #hasStoodBy = false;
  #showsMaster = true;
  #lookedAt: number | undefined;

  constructor(set: MetricSet, options: ViewGaugesOptions) {
    this.#set = set;
    this.#options = options;
    set.set('tombolo_master', [], 0);
    set.set('tombolo_broker_up', [], 0);
    set.set('tombolo_draining', [], 0);
    set.add('tombolo_messages_unroutable_total', [otherDestinations], 0);
    const { inFlightBytes, leaseMs } = options;
    if (inFlightBytes !== undefined) set.set('tombolo_in_flight_limit_bytes', [], inFlightBytes);
    if (leaseMs !== undefined) set.set('tombolo_lease_duration_seconds', [], leaseMs / 1000);
    this.#beginPeers();
  }

  /** Series of links and streams are shown: until this bridge has stood by, and while it is the master. */
  get showsMaster(): boolean {
    return this.#showsMaster;
  }

  /** These are the peers from now on. Returns those that are not any more. */
  amend(peers: readonly string[]): ReadonlySet<string> {
    const gone = new Set(this.#options.peers.filter((peer) => !peers.includes(peer)));
    this.#options = { ...this.#options, peers };
    for (const peer of gone) this.#linkTotals.delete(peer);
    this.#beginPeers();
    return gone;
  }

  /** Sets every gauge from the bridge as it is now. Series of what is no longer in the view are removed. */
  collect(view: BridgeView): void {
    const set = this.#set;
    const standby = view.role === 'standby' && view.broker.state === 'standby';
    this.#hasStoodBy ||= standby;
    this.#showsMaster = view.role === 'master' || !this.#hasStoodBy;
    set.set('tombolo_master', [], view.role === 'master' ? 1 : 0);
    set.set('tombolo_broker_up', [], view.broker.up ? 1 : 0);
    set.set('tombolo_draining', [], view.draining || view.drains.length > 0 ? 1 : 0);
    const { leaseRemainingMs } = view.election;
    if (leaseRemainingMs === undefined) set.clear('tombolo_lease_remaining_seconds');
    else set.set('tombolo_lease_remaining_seconds', [], leaseRemainingMs / 1000);
    set.clear('tombolo_certificate_expiry_timestamp_seconds');
    for (const { use, expiresSeconds } of view.certificates) {
      set.set('tombolo_certificate_expiry_timestamp_seconds', [use], expiresSeconds);
    }
    this.#collectLinks(view);
    this.#collectConnectors(view);
    this.#collectDemand(view);
    this.#collectStreams(view);
    this.#collectWaiting(view);
    this.#collectTopicBuffers(view);
  }

  /** Adds the time since the last look to the reason for which each stream does not move now. */
  look(view: BridgeView, now: number): void {
    const seconds = Math.min(now - (this.#lookedAt ?? now), longestLookMs) / 1000;
    this.#lookedAt = now;
    for (const { role, connector, destination, kind, peer, blockedReason } of view.streams) {
      if (role !== 'source' || blockedReason === undefined) continue;
      const labels = [connector, shown(kind, destination), peer, blockedReason];
      this.#set.add('tombolo_stream_blocked_seconds_total', labels, seconds);
    }
  }

  #collectLinks(view: BridgeView): void {
    const set = this.#set;
    set.clear('tombolo_link_up', 'tombolo_link_round_trip_seconds', 'tombolo_link_protocol_version');
    this.#beginPeers();
    for (const link of view.links) {
      const { peer } = link;
      set.set('tombolo_link_up', [peer], link.up ? 1 : 0);
      if (link.up && link.roundTripMs !== undefined) {
        set.set('tombolo_link_round_trip_seconds', [peer], link.roundTripMs / 1000);
      }
      if (link.up && link.protocolVersion !== undefined) {
        set.set('tombolo_link_protocol_version', [peer], link.protocolVersion);
      }
      const last = this.#linkTotals.get(peer) ?? { reconnects: 0, bytesIn: 0, bytesOut: 0 };
      const grown = (field: keyof LinkTotals) => (link[field] >= last[field] ? link[field] - last[field] : link[field]);
      set.add('tombolo_link_reconnects_total', [peer], grown('reconnects'));
      set.add('tombolo_link_bytes_total', [peer, 'in'], grown('bytesIn'));
      set.add('tombolo_link_bytes_total', [peer, 'out'], grown('bytesOut'));
      this.#linkTotals.set(peer, { reconnects: link.reconnects, bytesIn: link.bytesIn, bytesOut: link.bytesOut });
    }
  }

  /** What is counted by connector begins at 0, so that the first of it is seen as an increase. */
  #collectConnectors({ connectors, cluster }: BridgeView): void {
    const set = this.#set;
    set.clear('tombolo_connector_up', 'tombolo_connector_paused');
    for (const connector of connectors) {
      const { name, peer, state } = connector;
      set.set('tombolo_connector_up', [name, peer], state === 'up' ? 1 : 0);
      set.set('tombolo_connector_paused', [name], state === 'paused' ? 1 : 0);
      if (sends(connector, cluster)) {
        this.#beginSource(name, otherDestinations, peer);
        set.observe('tombolo_forward_duration_seconds', name, 0, 0);
      }
      if (receives(connector, cluster)) {
        this.#beginSink(name, otherDestinations, peer);
        set.observe('tombolo_end_to_end_delay_seconds', name, 0, 0);
      }
    }
  }

  #collectDemand({ demand, streams, cluster: own }: BridgeView): void {
    const set = this.#set;
    set.clear('tombolo_demand_consumers', 'tombolo_demand_unserved', 'tombolo_demand_without_source');
    for (const cluster of [this.#options.cluster, ...this.#options.peers]) {
      set.set('tombolo_demand_consumers', [otherDestinations, cluster], 0);
    }
    for (const reason of unservedReasons) set.set('tombolo_demand_unserved', [otherDestinations, reason], 0);
    set.set('tombolo_demand_without_source', [otherDestinations], 0);
    const fed = new Set<string>();
    for (const { role, state, kind, destination } of streams)
      if (role === 'sink' && state === 'flowing' && kind === 'queue') fed.add(destination);
    for (const { kind, destination, cluster, consumers, unserved, connectors } of demand) {
      set.add('tombolo_demand_consumers', [destination, cluster], consumers);
      if (unserved !== undefined) {
        const reason = unservedReasons.includes(unserved) ? unserved : 'other';
        set.add('tombolo_demand_unserved', [destination, reason], consumers);
      }
      const wanting = cluster === own && kind === 'queue' && connectors.length > 0;
      if (wanting && !fed.has(destination)) set.add('tombolo_demand_without_source', [destination], consumers);
    }
  }

  #collectStreams(view: BridgeView): void {
    const set = this.#set;
    set.clear('tombolo_messages_unsettled', 'tombolo_stream_credit', 'tombolo_reconciliation_difference');
    set.clear('tombolo_messages_in_doubt', 'tombolo_in_flight_bytes');
    for (const direction of ['out', 'in']) set.set('tombolo_in_flight_bytes', [direction], 0);
    for (const stream of view.streams) {
      const { role, connector, peer, unsettled, unsettledBytes, credit } = stream;
      const destination = shown(stream.kind, stream.destination);
      const labels = [connector, destination, peer];
      const label = this.#set.label(destination);
      set.add('tombolo_reconciliation_difference', labels, 0);
      set.add('tombolo_in_flight_bytes', [role === 'source' ? 'out' : 'in'], unsettledBytes);
      // Both ends know these numbers; counted at the source alone, a sum over the network counts each message once.
      if (role === 'source') {
        this.#beginSource(connector, label, peer);
        set.add('tombolo_messages_unsettled', labels, unsettled);
        set.add('tombolo_stream_credit', labels, credit);
      } else {
        this.#beginSink(connector, label, peer);
        set.add('tombolo_messages_in_doubt', labels, stream.inDoubt ?? 0);
      }
    }
    for (const { connector, destination, kind, peer, lost, doubled } of view.differences) {
      set.add('tombolo_reconciliation_difference', [connector, shown(kind, destination), peer], lost + doubled);
    }
  }

  #collectWaiting({ connectors, waiting = [], cluster }: BridgeView): void {
    const name = 'tombolo_oldest_unforwarded_message_age_seconds';
    this.#set.clear(name);
    for (const connector of connectors) {
      if (sends(connector, cluster))
        this.#set.set(name, [connector.name, otherDestinations, connector.peer, 'none'], 0);
    }
    for (const { kind, destination, connector, sink, reason, ageMs } of waiting)
      this.#set.raise(name, [connector, shown(kind, destination), sink, reason ?? 'none'], ageMs / 1000);
  }

  #collectTopicBuffers(view: BridgeView): void {
    const set = this.#set;
    set.clear('tombolo_topic_buffer_messages', 'tombolo_topic_buffer_bytes', 'tombolo_topic_buffer_limit_bytes');
    for (const { connector, exchange, sink, messages, bytes, limitBytes } of view.topicBuffers) {
      const labels = [connector, exchange, sink];
      set.add('tombolo_topic_buffer_messages', labels, messages);
      if (bytes !== undefined) set.add('tombolo_topic_buffer_bytes', labels, bytes);
      set.add('tombolo_topic_buffer_limit_bytes', labels, limitBytes);
    }
  }

  #beginPeers(): void {
    const set = this.#set;
    for (const peer of this.#options.peers) {
      set.set('tombolo_link_up', [peer], 0);
      set.add('tombolo_link_reconnects_total', [peer], 0);
      set.add('tombolo_link_blocked', [peer, 'broker_alarm'], 0);
      set.add('tombolo_messages_transit_total', [peer], 0);
      for (const reason of refusalReasons) set.add('tombolo_link_refused_total', [peer, reason], 0);
      for (const direction of ['in', 'out']) set.add('tombolo_link_bytes_total', [peer, direction], 0);
    }
  }

  /** @param label of the destination: those without one of their own share a series from the start */
  #beginSource(connector: string, label: string, sink: string): void {
    const set = this.#set;
    set.add('tombolo_messages_forwarded_total', [connector, label, sink], 0);
    set.add('tombolo_messages_near_delivery_limit_total', [connector, label, sink], 0);
    set.add('tombolo_messages_dead_lettered_total', [connector, label, 'rejected'], 0);
    set.add('tombolo_duplicates_suppressed_total', [connector, label], 0);
    set.add('tombolo_possible_duplicates_total', [connector, label, 'given_back'], 0);
    set.add('tombolo_messages_not_captured_total', [connector, label, 'already_bridged'], 0);
    for (const reason of ['link_lost', 'withdrawn'])
      set.add('tombolo_messages_returned_total', [connector, label, reason], 0);
    for (const reason of ['no_credit', 'paused', 'link_down'])
      set.add('tombolo_stream_blocked_seconds_total', [connector, label, sink, reason], 0);
  }

  #beginSink(connector: string, label: string, source: string): void {
    const set = this.#set;
    set.add('tombolo_messages_delivered_total', [connector, label, source], 0);
    set.add('tombolo_messages_reconciled_total', [connector, label, source], 0);
    set.add('tombolo_duplicates_suppressed_total', [connector, label], 0);
    set.add('tombolo_possible_duplicates_total', [connector, label, 'published_again'], 0);
  }
}

function sends({ from, duplex }: ConnectorView, own: string): boolean {
  return duplex || from === own;
}

function receives({ to, duplex }: ConnectorView, own: string): boolean {
  return duplex || to === own;
}

/** As the counters have it: reply queues are too many to be told apart. */
function shown(kind: StreamView['kind'], destination: string): string {
  return kind === 'reply' ? 'tombolo.reply' : destination;
}
