/** Bounds of what a frame may be. They are checked before anything is allocated for it. */
export const limits = {
  /** A whole frame. RabbitMQ takes messages of at most 128 MiB (16 MiB by default since 4.0). */
  frameBytes: 160 * 1024 * 1024,
  /** The MessagePack head of a frame. */
  headBytes: 4 * 1024 * 1024,
  /** Messages in one frame. */
  messages: 65_536,
  /** A hello, a proof or a refusal. */
  greetingBytes: 16 * 1024,
  /** A reason in words; longer ones are cut off by the sender. */
  reasonBytes: 1_024,
  /** What one frame of an answer tells. */
  findings: 64,
  /** What a bridge tells of its own cluster. */
  siteBytes: 1024 * 1024,
  /** Clusters in a path. */
  pathClusters: 64,
  /** Exchange and routing key: 255 bytes in AMQP, more once they are UTF-8 of another encoding. */
  keyBytes: 1_020,
} as const;
