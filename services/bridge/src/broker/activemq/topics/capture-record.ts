/** What has to be known of captured topics from one connection to the next. */
export interface CaptureRecord {
  readonly buffers: readonly {
    readonly buffer: string;
    /** Of `amq.topic`. */
    readonly bindingKeys: Iterable<string>;
    readonly ttlMs: number;
    readonly maxLength: number;
  }[];
  /** Which durable subscriptions there may be, by topic. */
  readonly topics: readonly string[];
}

/** The same text for the same record. */
export function recordText({ buffers, topics }: CaptureRecord): string {
  const sorted = buffers
    .map(({ bindingKeys, buffer, maxLength, ttlMs }) => ({
      buffer,
      bindingKeys: [...bindingKeys].sort(),
      ttlMs,
      maxLength,
    }))
    .sort((a, b) => (a.buffer < b.buffer ? -1 : 1));
  return JSON.stringify({ version: 1, buffers: sorted, topics: [...topics].sort() });
}

/** Reads what `recordText` wrote. Of anything else, and of nothing, nothing is known. */
export function readRecord(text: string | undefined): CaptureRecord {
  const nothing: CaptureRecord = { buffers: [], topics: [] };
  try {
    const read = JSON.parse(text ?? 'null') as (CaptureRecord & { readonly version: number }) | null;
    return read?.version === 1 && Array.isArray(read.buffers) && Array.isArray(read.topics) ? read : nothing;
  } catch {
    return nothing;
  }
}
