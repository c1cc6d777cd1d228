/** What one metric is: its name is fixed once released. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** `master`: about links and streams, shown while this bridge is master; `always`: about the process and its broker. */
  readonly shown: 'always' | 'master';
  /** What a series stands for that several destinations without a label of their own share: their sum, or the largest of them. */
  readonly combine: 'sum' | 'max';
  /** Upper bounds of the buckets of a histogram, in seconds. */
  readonly bounds?: readonly number[];
}

type Type = MetricDefinition['type'];

const always = (type: Type, help: string, ...labels: string[]): MetricDefinition => ({
  ...{ type, help, labels },
  shown: 'always',
  combine: 'sum',
});

const master = (type: Type, help: string, ...labels: string[]): MetricDefinition => ({
  ...always(type, help, ...labels),
  shown: 'master',
});

/** From a message between two racks to one that waited for a slow consumer across an ocean. */
const forwardBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Timestamps are in seconds: from one of those to a day. */
const delayBounds = [0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400];

/** Every metric of Tombolo, declared once. Each series carries `network` and `broker_cluster` besides these labels. */
export const metricTable = {
  tombolo_build_info: always('gauge', 'Always 1; the label says which version runs.', 'version'),
  tombolo_config_hash: always('gauge', 'A number made from the topology in force; differs when topologies differ.'),
  tombolo_config_reloads_total: always('counter', 'Changes of the topology file, applied or refused.', 'result'),
  tombolo_config_last_reload_success_timestamp_seconds: always('gauge', 'When the topology in force was applied.'),
  tombolo_config_last_reload_successful: always(
    'gauge',
    '1 when the topology in force is the file as it was last read, 0 when that was refused.',
  ),
  tombolo_master: always('gauge', '1 when this bridge is the master of its cluster, 0 when it is a standby.'),
  tombolo_lease_remaining_seconds: always(
    'gauge',
    'How long the lease of this bridge lasts unless it is renewed, 0 on a standby; absent where no lease elects.',
  ),
  tombolo_lease_duration_seconds: always(
    'gauge',
    'How long a lease lasts when it is renewed; absent where no lease elects.',
  ),
  tombolo_broker_up: always('gauge', '1 when this bridge is connected to its broker.'),
  tombolo_draining: always(
    'gauge',
    '1 while this bridge finishes what is in flight and takes no more, or it or its cluster is drained.',
  ),
  tombolo_certificate_expiry_timestamp_seconds: always(
    'gauge',
    'When a certificate in use runs out (use ending in _ca: the first of the authorities that are still valid).',
    'use',
  ),

  tombolo_link_up: master('gauge', '1 when the link to the peer is up.', 'peer'),
  tombolo_link_round_trip_seconds: master('gauge', 'The latest round trip on the link.', 'peer'),
  tombolo_link_reconnects_total: master(
    'counter',
    'Links to the peer that came up after an earlier one ended.',
    'peer',
  ),
  tombolo_link_refused_total: master('counter', 'Link attempts that one of the two ends refused.', 'peer', 'reason'),
  tombolo_link_frames_refused_total: master(
    'counter',
    'Frames of the peer that were dropped: no connector lets it speak for that cluster, or so far, or of so much.',
    'peer',
    'kind',
  ),
  tombolo_link_bytes_total: master('counter', 'Bytes on the link; direction is in or out.', 'peer', 'direction'),
  tombolo_link_protocol_version: master('gauge', 'The version of the link protocol agreed on.', 'peer'),
  tombolo_link_blocked: master('gauge', '1 while the link cannot send, with the reason.', 'peer', 'reason'),

  tombolo_connector_up: master('gauge', '1 when both ends agree and their link is up.', 'connector', 'peer'),
  tombolo_connector_paused: master('gauge', '1 when the connector is paused.', 'connector'),

  tombolo_demand_consumers: master(
    'gauge',
    'Consumers that no bridge owns, at the cluster peer.',
    'destination',
    'peer',
  ),
  tombolo_demand_unserved: master(
    'gauge',
    'Consumers of other clusters that this cluster, and of this cluster that the network, does not serve.',
    'destination',
    'reason',
  ),
  tombolo_demand_without_source: master(
    'gauge',
    'Consumers of this cluster whose demand a connector permits and no cluster serves: no stream is open to them.',
    'destination',
  ),

  tombolo_messages_forwarded_total: master(
    'counter',
    'Messages settled as accepted, counted at the source; peer is the sink.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_messages_delivered_total: master(
    'counter',
    'Messages confirmed by the broker of the sink, counted there; peer is the source.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_messages_transit_total: master('counter', 'Messages relayed to the peer without touching a broker.', 'peer'),
  tombolo_messages_returned_total: master(
    'counter',
    'Messages given back to the queue they came from: link_lost, withdrawn, refused, released, draining or no_longer_master.',
    'connector',
    'destination',
    'reason',
  ),
  tombolo_messages_unroutable_total: master(
    'counter',
    'Topic messages that came for subscribers who were gone by then.',
    'destination',
  ),
  tombolo_topic_buffer_messages: master(
    'gauge',
    'Messages that wait in a topic buffer for the subscribers of the peer.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_topic_buffer_bytes: master(
    'gauge',
    'Bytes of the messages that wait in a topic buffer, where the broker tells.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_topic_buffer_limit_bytes: master(
    'gauge',
    'Bytes beyond which a topic buffer drops its oldest messages.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_messages_not_captured_total: master(
    'counter',
    'Topic messages that were deliberately not taken.',
    'connector',
    'destination',
    'reason',
  ),
  tombolo_messages_dead_lettered_total: master(
    'counter',
    'Messages parked because the sink can never take them.',
    'connector',
    'destination',
    'reason',
  ),
  tombolo_dead_letters: master('gauge', 'Messages that are parked in the dead-letter queue.'),
  tombolo_duplicates_suppressed_total: master(
    'counter',
    'Copies that were recognised and not published again.',
    'connector',
    'destination',
  ),
  tombolo_possible_duplicates_total: master(
    'counter',
    'Messages that may come twice: published again (published_again) or given back to their queue (given_back) although they may have been stored, or forwarded without a record in Redis, so that the death of this bridge would double them (unrecorded).',
    'connector',
    'destination',
    'reason',
  ),
  tombolo_deduplication_up: master(
    'gauge',
    '1 while the record of what is in doubt is written to Redis, 0 while it cannot be; absent when it is kept in memory.',
  ),
  tombolo_replies_dropped_total: master(
    'counter',
    'Replies that came home and could not be given to their requester: it had gone (late), or its address was not valid.',
    'reason',
  ),
  tombolo_reply_queues: master('gauge', 'Queues that this bridge keeps for replies to requesters at other clusters.'),
  tombolo_messages_near_delivery_limit_total: master(
    'counter',
    'Deliveries at the source of messages that their quorum queue gives out at most once more (a limit that is not known counts as 20).',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_oldest_unforwarded_message_age_seconds: {
    ...master(
      'gauge',
      'For how long, at least, the oldest message has waited here that peer wants: since it was taken, or since it was first seen to wait with none forwarded since. Reason says what it waits for: none, or one of those of tombolo_stream_blocked_seconds_total or tombolo_demand_unserved.',
      'connector',
      'destination',
      'peer',
      'reason',
    ),
    combine: 'max',
  },
  tombolo_stream_blocked_seconds_total: master(
    'counter',
    'Time during which a message at the source could not have moved to peer, by reason; looked at every half second, with thousands of streams every ten seconds.',
    'connector',
    'destination',
    'peer',
    'reason',
  ),
  tombolo_messages_in_doubt: master(
    'gauge',
    'Messages stored at this sink of which the source has not said yet that they are removed there; peer is the source.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_messages_unsettled: master(
    'gauge',
    'Messages taken at the source and not settled yet; peer is the sink.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_stream_credit: master(
    'gauge',
    'Messages that the sink still allows, as the source sees it; peer is the sink.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_reconciliation_difference: master(
    'gauge',
    'Messages that the two ends of a stream count differently; anything but 0 is an alarm.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_messages_reconciled_total: master(
    'counter',
    'Messages whose fate both ends of a stream have counted and this sink has compared; peer is the source.',
    'connector',
    'destination',
    'peer',
  ),
  tombolo_in_flight_bytes: master(
    'gauge',
    'Bytes of messages that this bridge holds in memory; direction is out (to a sink) or in (from a source).',
    'direction',
  ),
  tombolo_in_flight_limit_bytes: master('gauge', 'The bound of tombolo_in_flight_bytes, for each direction.'),
  tombolo_forward_duration_seconds: {
    ...master('histogram', 'From the delivery by the broker of the source to settlement.', 'connector'),
    bounds: forwardBounds,
  },
  tombolo_end_to_end_delay_seconds: {
    ...master(
      'histogram',
      'From the timestamp that the producer gave a message (whole seconds, its clock) to its publication at this sink; one message of each batch stands for all of it.',
      'connector',
    ),
    bounds: delayBounds,
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof metricTable;
