import type { Clock } from '@tombolo/kernel/clock';
import { Fault } from '@tombolo/kernel/fault';
import type { Destination } from '@tombolo/wire/frame';
import type { RecordKey, RecordStore, RecordWrite } from '../../src/stream/record-store.ts';

/** A store of records that outlives the processes which use it: what Redis is to a cluster, in memory. */
export class RecordServer {
  /** One way (ms). */
  latencyMs = 0.5;
  readonly records = new Map<string, Map<string, Uint8Array>>();
  /** It refuses every write: its memory is full, say. */
  refusesWrites = false;
  refusesReads = false;
  /** How many it refused, and how many fields the largest of them named. */
  readonly refused = { writes: 0, most: 0 };
  #away = 0;
  #connection = 1;

  /** Which connection leads to it; undefined: it is away. */
  get connection(): number | undefined {
    return this.#away > 0 ? undefined : this.#connection;
  }

  /** Nobody gets there. Returns how to end that. */
  away(): () => void {
    this.#away++;
    return () => {
      if (--this.#away === 0) this.#connection++;
    };
  }

  /** Everything that it knows is gone. @param noticed its connections are, too: it was restarted */
  forget(noticed = false): void {
    this.records.clear();
    if (noticed) this.#connection++;
  }
}

/** One process's connection to the store. What the process has sent when it dies arrives; answers do not. */
export class MemoryRecordStore implements RecordStore {
  readonly #server: RecordServer;
  /** The network's, and the process's own: one goes on when the other is dead. */
  readonly #time: Clock;
  readonly #process: Clock;

  constructor(server: RecordServer, time: Clock, process: Clock) {
    this.#server = server;
    this.#time = time;
    this.#process = process;
  }

  get connection(): number | undefined {
    return this.#server.connection;
  }

  read(keys: readonly RecordKey[]): Promise<readonly ReadonlyMap<string, Uint8Array>[]> {
    return this.#call(() => {
      if (this.#server.refusesReads) throw refusal();
      return keys.map((key) => new Map(this.#server.records.get(nameOf(key))));
    });
  }

  destinations(source: string): Promise<readonly Destination[]> {
    return this.#call(() =>
      [...this.#server.records.keys()].flatMap((name) => {
        const key = JSON.parse(name) as RecordKey;
        return key.source === source ? [key.destination] : [];
      }),
    );
  }

  write(writes: readonly RecordWrite[]): Promise<readonly number[]> {
    return this.#call(() => {
      if (this.#server.refusesWrites) this.#refuse(writes);
      return writes.map((write) => this.#write(write));
    });
  }

  close(): void {}

  #write({ key, set, remove }: RecordWrite): number {
    const name = nameOf(key);
    const fields = this.#server.records.get(name) ?? new Map<string, Uint8Array>();
    const created = set.filter(([field]) => !fields.has(field)).length;
    for (const [field, value] of set) fields.set(field, value);
    for (const field of remove) fields.delete(field);
    if (fields.size > 0) this.#server.records.set(name, fields);
    else this.#server.records.delete(name);
    return created;
  }

  #refuse(writes: readonly RecordWrite[]): never {
    const { refused } = this.#server;
    refused.writes++;
    refused.most = Math.max(refused.most, ...writes.map(({ set, remove }) => set.length + remove.length));
    throw refusal();
  }

  #call<Answer>(carryOut: () => Answer): Promise<Answer> {
    const server = this.#server;
    const lost = () => new Fault('TOMBOLO_REDIS_FAILED', 'The store of the record does not answer.');
    const { connection } = server;
    if (connection === undefined) return Promise.reject(lost());
    return new Promise((resolve, reject) => {
      this.#time.wake(this.#time.now() + server.latencyMs, () => {
        let told = (): void => reject(lost());
        try {
          if (server.connection === connection) {
            const answer = carryOut();
            told = () => resolve(answer);
          }
        } catch (thrown) {
          told = () => reject(thrown);
        }
        this.#process.wake(this.#process.now() + server.latencyMs, () => {
          if (server.connection === connection) told();
          else reject(lost());
        });
      });
    });
  }
}

function refusal(): Fault {
  return new Fault('TOMBOLO_REDIS_FAILED', "OOM command not allowed when used memory > 'maxmemory'.");
}

function nameOf({ source, destination: { kind, name } }: RecordKey): string {
  return JSON.stringify({ source, destination: { kind, name } });
}
