import type { Clock } from '@tombolo/kernel/clock';
import { messageOf } from '@tombolo/kernel/fault';
import type { Destination } from '@tombolo/wire/frame';
import type { IdentityRing } from './identity-ring.ts';
import { type ReadRecord, readRecord } from './record-fields.ts';
import type { RecordKey, RecordStore, RecordWrite } from './record-store.ts';
import type { ShellLog } from './shell.ts';
import { StreamRecord } from './stream-record.ts';

export interface RecorderOptions {
  readonly store: RecordStore;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly log: ShellLog;
  /** Whether what happens is written; told when it changes. */
  readonly changed: (up: boolean) => void;
  /** So many messages of this source and destination were forwarded and are not written: a crash now would double them. */
  readonly unrecorded: (key: RecordKey, connector: string, messages: number) => void;
}

/** Writes begin no sooner after each other (ms), so that each carries what has come meanwhile. */
const PACE_MS = 2;
const RETRY_MS = 250;
const WATCH_MS = 1_000;
/** How long a store may take to connect before that is told, and before a read goes without it (ms). */
const PATIENCE_MS = 1_000;
/** Streams in one write. */
const PER_WRITE = 200;

/**
 * Writes the records of all streams to their store: one write at a time, which takes along whatever has changed since the last one began.
 * Nobody waits for it. While the store cannot be reached nothing queues up; what is known is written when it is back.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #dirty = new Set<StreamRecord>();
  readonly #keys = new Map<StreamRecord, { readonly key: RecordKey; readonly connector: () => string }>();
  /** Streams that are forgotten once they are written. */
  readonly #released = new Set<StreamRecord>();
  readonly #began: number;
  /** `starting`: it has never been reached, and that is not told yet. */
  #state: 'starting' | 'up' | 'down' = 'starting';
  #reason = '';
  /** The store's connection by which everything was written. */
  #connection: number | undefined;
  #writing: Promise<void> | undefined;
  #lastAt = Number.NEGATIVE_INFINITY;
  #cancelWake: (() => void) | undefined;
  #cancelWatch: () => void = () => {};
  #waiting: (() => void)[] = [];
  #closed = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#began = options.clock.now();
    options.changed(false);
    this.#look();
    this.#watch();
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** Why the record is not written, for operators; undefined: it is. */
  get trouble(): string | undefined {
    if (this.#state !== 'down') return undefined;
    return `the record of what is in doubt is not written: ${this.#reason}; messages are forwarded all the same, and should this bridge die now, more of them are doubled`;
  }

  /**
   * A record for a stream, which is written until it is released.
   * @param connector of the stream, at the time of the call
   */
  record(key: RecordKey, ring: IdentityRing, connector: () => string): StreamRecord {
    const record: StreamRecord = new StreamRecord(ring, () => this.#changed(record));
    this.#keys.set(record, { key, connector });
    return record;
  }

  /** The stream is forgotten, once its last changes are written; at once when nothing can be written. */
  release(record: StreamRecord): void {
    if (this.#state === 'up' && this.#dirty.has(record)) this.#released.add(record);
    else this.#forget(record);
  }

  /** What a predecessor wrote of these streams; undefined when that cannot be known now. */
  async read(keys: readonly RecordKey[]): Promise<readonly ReadRecord[] | undefined> {
    await this.#reached();
    if (this.#state !== 'up') return undefined;
    try {
      return (await this.#options.store.read(keys)).map(readRecord);
    } catch (thrown) {
      this.#failed(thrown);
      return undefined;
    }
  }

  /** Destinations that a predecessor wrote of for this source; none when that cannot be known now. */
  async destinations(source: string): Promise<readonly Destination[]> {
    await this.#reached();
    if (this.#state !== 'up') return [];
    try {
      return await this.#options.store.destinations(source);
    } catch (thrown) {
      this.#failed(thrown);
      return [];
    }
  }

  /** Resolves when everything is written, or cannot be. */
  async settled(): Promise<void> {
    while (!this.#closed && this.#state === 'up' && (this.#writing || this.#dirty.size > 0)) {
      this.#write();
      await this.#writing;
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancelWake?.();
    this.#cancelWatch();
    for (const reached of this.#waiting.splice(0)) reached();
    this.#options.store.close();
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #changed(record: StreamRecord): void {
    if (!this.#keys.has(record)) return;
    this.#dirty.add(record);
    this.#writeSoon();
  }

  #forget(record: StreamRecord): void {
    this.#released.delete(record);
    this.#keys.delete(record);
    this.#dirty.delete(record);
  }

  #writeSoon(): void {
    if (this.#state !== 'up' || this.#writing || this.#cancelWake || this.#dirty.size === 0) return;
    this.#wake(this.#lastAt + PACE_MS, () => this.#write());
  }

  #write(): void {
    if (this.#writing || this.#closed) return;
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    if (!this.#judge()) return;
    if (this.#state !== 'up') this.#connection = this.#options.store.connection;
    const { store, clock, wallClock } = this.#options;
    const taken: StreamRecord[] = [];
    const writes: RecordWrite[] = [];
    for (const record of this.#dirty) {
      if (writes.length === PER_WRITE) break;
      this.#dirty.delete(record);
      const write = record.take(wallClock());
      if (!write) {
        if (this.#released.has(record)) this.#forget(record);
        continue;
      }
      taken.push(record);
      writes.push({ key: this.#keys.get(record)!.key, ...write });
    }
    if (writes.length === 0) {
      if (this.#state !== 'up') this.#turn('up');
      return;
    }
    this.#lastAt = clock.now();
    this.#writing = store.write(writes).then(
      (created) => {
        this.#writing = undefined;
        if (this.#closed) return;
        taken.forEach((record, i) => {
          record.written(writes[i]!.set.length, created[i]!);
          if (this.#released.has(record)) this.#forget(record);
        });
        if (this.#state !== 'up') this.#turn('up');
        this.#writeSoon();
      },
      (thrown: unknown) => {
        this.#writing = undefined;
        if (this.#closed) return;
        this.#failed(thrown, taken);
      },
    );
  }

  /** @param taken what was being written */
  #failed(thrown: unknown, taken: readonly StreamRecord[] = []): void {
    if (this.#closed) return;
    this.#reason = messageOf(thrown);
    if (this.#state === 'up') {
      for (const record of new Set([...taken, ...this.#dirty])) {
        const known = this.#keys.get(record);
        if (known && record.unwritten > 0) this.#options.unrecorded(known.key, known.connector(), record.unwritten);
      }
      // Whatever was written before may be gone with the server.
      for (const record of this.#keys.keys()) record.failed();
    } else for (const record of taken) record.failed();
    for (const record of this.#released) this.#forget(record);
    if (this.#state !== 'down') this.#turn('down');
    this.#wake(this.#options.clock.now() + RETRY_MS, () => this.#look());
  }

  /** Is it there by now? */
  #look(): void {
    const { clock, store } = this.#options;
    if (this.#closed) return;
    // A write that was under way has succeeded meanwhile.
    if (this.#state === 'up') return this.#writeSoon();
    if (store.connection !== undefined) {
      this.#connection = store.connection;
      // After a failure a write must succeed first: it may be connected and refuse everything.
      if (this.#state === 'starting') this.#turn('up');
      this.#write();
      return;
    }
    if (this.#state === 'starting' && clock.now() - this.#began >= PATIENCE_MS) {
      this.#reason = 'its store is not connected';
      this.#turn('down');
    }
    this.#wake(clock.now() + (this.#state === 'starting' ? 20 : RETRY_MS), () => this.#look());
  }

  /** That it has gone is noticed without anything to write, too. */
  #watch(): void {
    const { clock } = this.#options;
    this.#cancelWatch = clock.wake(clock.now() + WATCH_MS, () => {
      if (!this.#writing) this.#judge();
      this.#watch();
    });
  }

  /** False: its store has gone, or was away meanwhile and may have forgotten everything. */
  #judge(): boolean {
    const { connection } = this.#options.store;
    if (this.#state !== 'up' || connection === this.#connection) return true;
    this.#failed(new Error(connection === undefined ? 'its store is not connected' : 'its store was not connected'));
    return false;
  }

  #turn(state: 'up' | 'down'): void {
    const { changed, log } = this.#options;
    const was = this.#state;
    this.#state = state;
    if (state === 'down') log.warn({ reason: this.#reason }, 'what is in doubt is not recorded: forwarding goes on');
    else if (was === 'down') log.info({}, 'what is in doubt is recorded again');
    changed(state === 'up');
    for (const reached of this.#waiting.splice(0)) reached();
  }

  /** At the beginning it is waited for, since a predecessor may have left something there. */
  #reached(): Promise<void> {
    if (this.#state !== 'starting' || this.#closed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(at: number, then: () => void): void {
    this.#cancelWake?.();
    this.#cancelWake = this.#options.clock.wake(at, () => {
      this.#cancelWake = undefined;
      then();
    });
  }
}
