/** What the statistics plugin tells of a destination (StatisticsBroker: keys of the MapMessage). */
export interface QueueStatistics {
  /** `queue://name`. */
  readonly destination: string;
  /** All messages in it. */
  readonly size: number;
  /** Handed to consumers and not acknowledged. */
  readonly inflight: number;
  readonly consumers: number;
}

/**
 * Reads a MapMessage as STOMP shows it with `transformation:jms-map-json`: `{"map":{"entry":[{"string":"size","long":5},
 * {"string":["destinationName","queue://q"]}, …]}}`. Undefined: it is none of a destination.
 */
export function readStatistics(body: Uint8Array): QueueStatistics | undefined {
  let entries: unknown;
  try {
    entries = (JSON.parse(Buffer.from(body).toString('utf8')) as { map?: { entry?: unknown } }).map?.entry;
  } catch {
    return undefined;
  }
  if (!Array.isArray(entries)) return undefined;
  const values = new Map<string, unknown>();
  for (const entry of entries as { string?: unknown; long?: unknown; int?: unknown }[]) {
    if (Array.isArray(entry.string)) values.set(String(entry.string[0]), entry.string[1]);
    else values.set(String(entry.string), entry.long ?? entry.int);
  }
  const destination = values.get('destinationName');
  const [size, inflight, consumers] = ['size', 'inflightCount', 'consumerCount'].map((key) => Number(values.get(key)));
  if (typeof destination !== 'string' || size === undefined || !Number.isFinite(size)) return undefined;
  return { destination, size, inflight: inflight || 0, consumers: consumers || 0 };
}
