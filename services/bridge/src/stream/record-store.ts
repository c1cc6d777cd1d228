import type { Destination } from '@tombolo/wire/frame';

/** Whose record it is: that of a stream of this cluster's sinks, by its source's cluster and its destination. */
export interface RecordKey {
  readonly source: string;
  readonly destination: Destination;
}

/** What is to become of the fields of one stream's record. */
export interface RecordWrite {
  readonly key: RecordKey;
  readonly set: readonly (readonly [field: string, value: Uint8Array])[];
  readonly remove: readonly string[];
}

/**
 * Where the record of what is in doubt lives outside of the process: a map of fields for each stream, which goes when nobody has
 * written to it for ten minutes. Every call rejects with a Fault when its outcome is not known in time, and may then have been
 * carried out, or be carried out later. Nothing is kept for later by the store: what fails is the caller's to write again.
 */
export interface RecordStore {
  /** Which connection calls would take; undefined: it is not connected. With another connection, what was written may be gone. */
  readonly connection: number | undefined;
  /** All fields, one map for each key, empty when there are none. */
  read(keys: readonly RecordKey[]): Promise<readonly ReadonlyMap<string, Uint8Array>[]>;
  /** Destinations of which something was written for this source in the last ten minutes. */
  destinations(source: string): Promise<readonly Destination[]>;
  /** Writes in one go. Resolves with how many fields of each write were not there before. */
  write(writes: readonly RecordWrite[]): Promise<readonly number[]>;
  close(): void;
}

/** How long a record is kept after the last write (ms). */
export const RECORD_MS = 600_000;
