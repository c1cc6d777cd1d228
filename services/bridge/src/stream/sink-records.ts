import type { Clock } from '@tombolo/kernel/clock';
import type { Destination } from '@tombolo/wire/frame';
import { destinationKey } from '../routing/destination-key.ts';
import type { ReadRecord } from './record-fields.ts';
import type { RecordKey } from './record-store.ts';
import type { Recorder } from './recorder.ts';
import type { SinkStream } from './sink-machine.ts';
import type { StreamRecord } from './stream-record.ts';

interface Read {
  readonly record: ReadRecord | undefined;
  readonly at: number;
}

/** What was read and is not used for so long is read again (ms). */
const STALE_MS = 5_000;

/**
 * The records of a sink's streams. What a predecessor of this bridge has written of a stream is read before the stream is used for the
 * first time; nobody else waits for that, and when it cannot be read the stream goes on without.
 */
export class SinkRecords {
  readonly #recorder: Recorder;
  readonly #clock: Clock;
  readonly #wallClock: () => number;
  readonly #reads = new Map<string, Read>();
  /** What is to be done once a stream's record is read; the newest request only. */
  readonly #pending = new Map<string, { readonly source: string; act: () => void }>();
  readonly #records = new Map<SinkStream, StreamRecord>();
  readonly #collections = new Map<string, object>();

  constructor(recorder: Recorder, clock: Clock, wallClock: () => number) {
    this.#recorder = recorder;
    this.#clock = clock;
    this.#wallClock = wallClock;
  }

  /** Whether what is forwarded now is written. */
  get up(): boolean {
    return this.#recorder.up;
  }

  /** Calls `then` once it is known what was written of this stream; at once when it is known already. A later call replaces it. */
  before(key: RecordKey, then: () => void): void {
    const name = nameOf(key);
    const earlier = this.#reads.get(name);
    if (earlier && this.#clock.now() - earlier.at < STALE_MS) return then();
    const pending = this.#pending.get(name);
    if (pending) {
      pending.act = then;
      return;
    }
    const waiting = { source: key.source, act: then };
    this.#pending.set(name, waiting);
    const known = (record: ReadRecord | undefined): void => {
      if (this.#pending.get(name) !== waiting) return;
      this.#pending.delete(name);
      this.#reads.set(name, { record, at: this.#clock.now() });
      waiting.act();
    };
    this.#recorder.read([key]).then(
      (read) => known(read?.[0]),
      () => known(undefined),
    );
  }

  /** What waits for this stream's record is not to be done any more. */
  forsake(key: RecordKey): void {
    this.#pending.delete(nameOf(key));
  }

  /** There is no way to this source any more: it will ask again. */
  cancel(source: string): void {
    for (const [name, pending] of this.#pending) if (pending.source === source) this.#pending.delete(name);
    this.#collections.delete(source);
  }

  /**
   * Calls `then` once it is known what was written of all streams of this source.
   * @param isOpen streams that are in use need not be read
   * @param found told of every stream of which something is in doubt
   */
  collect(
    source: string,
    isOpen: (destination: Destination) => boolean,
    found: (destination: Destination) => void,
    then: () => void,
  ): void {
    const collection = {};
    this.#collections.set(source, collection);
    const read = (destinations: readonly Destination[]): void => {
      if (this.#collections.get(source) !== collection) return;
      this.#collections.delete(source);
      for (const destination of destinations) if (!isOpen(destination)) found(destination);
      then();
    };
    this.#readAll(source, isOpen).then(read, () => read([]));
  }

  async #readAll(source: string, isOpen: (destination: Destination) => boolean): Promise<readonly Destination[]> {
    const destinations = (await this.#recorder.destinations(source)).filter((each) => !isOpen(each));
    const read = await this.#recorder.read(destinations.map((destination) => ({ source, destination })));
    return destinations.filter((destination, i) => {
      const record = read?.[i];
      if (!record || record.epochs.length === 0) return false;
      this.#reads.set(nameOf({ source, destination }), { record, at: this.#clock.now() });
      return true;
    });
  }

  /** A stream is about to be used for the first time. */
  attach(stream: SinkStream): void {
    const name = nameOf(stream.address);
    const record = this.#recorder.record(stream.address, stream.ring, () => stream.connector);
    stream.recordWith(record, this.#reads.get(name)?.record, this.#clock.now(), this.#wallClock());
    this.#reads.delete(name);
    this.#records.set(stream, record);
  }

  /** A stream is forgotten. */
  release(stream: SinkStream): void {
    const record = this.#records.get(stream);
    if (record) this.#recorder.release(record);
    this.#records.delete(stream);
  }

  /** To be called from time to time. */
  tick(): void {
    for (const [name, { at }] of this.#reads) if (this.#clock.now() - at >= STALE_MS) this.#reads.delete(name);
  }

  /** Resolves when everything that can be written is. */
  settled(): Promise<void> {
    return this.#recorder.settled();
  }

  close(): void {
    this.#pending.clear();
    this.#collections.clear();
    this.#recorder.close();
  }
}

function nameOf({ source, destination }: RecordKey): string {
  return `${source}\u0000${destinationKey(destination)}`;
}
