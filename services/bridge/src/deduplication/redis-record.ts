import { Fault } from '@tombolo/kernel/fault';
import type { Destination } from '@tombolo/wire/frame';
import type { RedisClient, RedisCommand } from '../redis/redis-client.ts';
import { RECORD_MS, type RecordKey, type RecordStore, type RecordWrite } from '../stream/record-store.ts';

/** How many records are asked for in one go: a large one is 1.2 MB. */
const PER_READ = 8;
/** How often the time of a record's last write is noted, at most (ms); it lives so much longer for that. */
const TOUCH_MS = 60_000;

export interface RedisRecordOptions {
  readonly client: RedisClient;
  readonly network: string;
  readonly cluster: string;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/**
 * The record in Redis: a hash for each stream, and for each source a sorted set of the destinations that have one, by the time of
 * their last write. All keys of a cluster have one hash tag, so that one pipeline writes them in a Redis Cluster too. They are written
 * by the master only; should another write for a moment, it writes what is true.
 */
export class RedisRecordStore implements RecordStore {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #wallClock: () => number;
  readonly #touched = new Map<string, number>();

  constructor({ client, network, cluster, wallClock }: RedisRecordOptions) {
    this.#client = client;
    this.#prefix = `{tombolo:${network}:${cluster}:0}:doubt`;
    this.#wallClock = wallClock;
  }

  get connection(): number | undefined {
    return this.#client.connected ? this.#client.connections : undefined;
  }

  async read(keys: readonly RecordKey[]): Promise<readonly ReadonlyMap<string, Uint8Array>[]> {
    const found: ReadonlyMap<string, Uint8Array>[] = [];
    for (let i = 0; i < keys.length; i += PER_READ) {
      const commands = keys.slice(i, i + PER_READ).map((key): RedisCommand => ['hgetall', this.#key(key)]);
      for (const answer of await this.#client.pipeline(commands)) found.push(fieldsOf(answer));
    }
    return found;
  }

  async destinations(source: string): Promise<readonly Destination[]> {
    const key = this.#index(source);
    const tooOld = `(${this.#wallClock() - RECORD_MS - TOUCH_MS}`;
    const [, members] = await this.#client.pipeline([
      ['zremrangebyscore', key, '-inf', tooOld],
      ['zrangebyscore', key, '-inf', '+inf'],
    ]);
    if (!Array.isArray(members)) throw unexpected('zrangebyscore');
    return members.flatMap((member) => destinationOf(String(member)));
  }

  async write(writes: readonly RecordWrite[]): Promise<readonly number[]> {
    const commands: RedisCommand[] = [];
    const counts: number[] = [];
    const now = this.#wallClock();
    const touching: string[] = [];
    for (const { key, set, remove } of writes) {
      const name = this.#key(key);
      counts.push(set.length > 0 ? commands.length : -1);
      if (set.length > 0) commands.push(['hset', name, ...set.flatMap(([field, value]) => [field, bufferOf(value)])]);
      if (remove.length > 0) commands.push(['hdel', name, ...remove]);
      if (set.length === 0) continue;
      commands.push(['pexpire', name, RECORD_MS + TOUCH_MS]);
      if (now - (this.#touched.get(name) ?? 0) < TOUCH_MS) continue;
      const index = this.#index(key.source);
      commands.push(['zadd', index, now, memberOf(key.destination)], ['pexpire', index, RECORD_MS + TOUCH_MS]);
      touching.push(name);
    }
    const answers = await this.#client.pipeline(commands);
    for (const name of touching) this.#touched.set(name, now);
    const created = counts.map((at) => (at < 0 ? 0 : Number(answers[at])));
    // The hash was not there, and so its entry in the index may be gone too.
    writes.forEach(({ key, set }, i) => {
      const name = this.#key(key);
      if (created[i] === set.length && set.length > 0 && !touching.includes(name)) this.#touched.delete(name);
    });
    this.#forgetTouched(now);
    return created;
  }

  close(): void {
    this.#client.close();
  }

  #forgetTouched(now: number): void {
    if (this.#touched.size < 20_000) return;
    for (const [name, at] of this.#touched) if (now - at >= TOUCH_MS) this.#touched.delete(name);
  }

  #key({ source, destination }: RecordKey): string {
    return `${this.#prefix}:${source}:${memberOf(destination)}`;
  }

  #index(source: string): string {
    return `${this.#prefix}:${source}`;
  }
}

function memberOf({ kind, name }: Destination): string {
  return `${kind}:${name}`;
}

const kinds: ReadonlySet<string> = new Set<Destination['kind']>(['queue', 'topic', 'reply', 'cluster']);

function destinationOf(member: string): Destination[] {
  const colon = member.indexOf(':');
  const kind = member.slice(0, colon);
  return kinds.has(kind) ? [{ kind: kind as Destination['kind'], name: member.slice(colon + 1) }] : [];
}

/** HGETALL's answer in version 2 of the protocol: field, value, field, value … */
function fieldsOf(answer: unknown): ReadonlyMap<string, Uint8Array> {
  const fields = new Map<string, Uint8Array>();
  if (answer !== null && typeof answer === 'object' && !Array.isArray(answer)) {
    for (const [field, value] of Object.entries(answer)) if (value instanceof Uint8Array) fields.set(field, value);
    return fields;
  }
  if (!Array.isArray(answer)) throw unexpected('hgetall');
  for (let i = 0; i + 1 < answer.length; i += 2) {
    const value: unknown = answer[i + 1];
    if (value instanceof Uint8Array) fields.set(String(answer[i]), value);
  }
  return fields;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function unexpected(command: string): Fault {
  return new Fault('TOMBOLO_REDIS_FAILED', `Redis gave an answer to ${command} that makes no sense.`);
}
