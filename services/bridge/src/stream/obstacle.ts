/** Why nothing moves on a stream, as a label of metrics: a closed set. */
export const obstacleReasons = [
  /** The sink has not answered yet. */
  'not_open',
  /** The sink has refused the stream. */
  'refused',
  'link_down',
  'ending',
  /** The own broker is not reachable. */
  'broker_down',
  /** The own broker refuses the bridge's consumer. */
  'queue_refused',
  /** A single-active-consumer queue is left to its local consumer. */
  'local_consumers',
  /** What a predecessor of this bridge left in doubt is being collected. */
  'collecting',
  'paused',
  'no_route',
  /** One message has had no verdict for too long. */
  'no_verdict',
  /** The bound on bytes in flight is reached. */
  'in_flight_bytes',
  'rate_limit',
  /** The sink's broker takes nothing for now. */
  'sink_refuses',
  /** The sink's consumers can take no more. */
  'no_credit',
] as const;

export type ObstacleReason = (typeof obstacleReasons)[number];

/** Why nothing moves on a stream: a word for metrics, a sentence for people. */
export interface Obstacle {
  readonly reason: ObstacleReason;
  readonly detail: string;
}
