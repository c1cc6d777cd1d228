import { createRequire } from 'node:module';
import type { ConnectionOptions } from 'node:tls';
import { backoffDelay } from '@tombolo/kernel/backoff';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import { parseRedisUri } from '@tombolo/topology/redis-uri';
import type { RedisServer } from '@tombolo/topology/topology';
import type { Cluster, Redis } from 'ioredis';
import type { Log } from '../telemetry/log.ts';

export interface RedisClientOptions {
  readonly server: RedisServer;
  /** Options of `tls.connect`, asked for each connection by rediss; absent: the system's authorities. */
  readonly tls?: (() => ConnectionOptions) | undefined;
  /** After this long the outcome of a command is unknown, and the connection is given up for another one. */
  readonly commandTimeoutMs: number;
  readonly random: () => number;
  readonly log: Log;
}

/** A command's name, then its words. */
export type RedisCommand = readonly [name: string, ...words: (string | number | Buffer)[]];

/**
 * One Redis, as the topology names it: a server, what Sentinels say is the master, or a Redis Cluster. It connects by itself and
 * never gives up. A command is sent once or not at all: nothing waits for a connection, and nothing is sent again on the next one,
 * where it might be carried out twice, and late.
 */
export class RedisClient {
  readonly #client: Redis | Cluster;
  readonly #uri: string;
  readonly #log: Log;
  #reason = 'not connected yet';
  #toldDown = false;
  #connections = 0;
  #closed = false;

  constructor(options: RedisClientOptions) {
    this.#uri = options.server.uri;
    this.#log = options.log;
    this.#client = connect(options);
    // Without a listener ioredis would write to the console.
    this.#client.on('error', (error: unknown) => this.#failed(messageOf(error)));
    this.#client.on('close', () => this.#failed(undefined));
    this.#client.on('ready', () => {
      this.#connections++;
      if (this.#toldDown) this.#log.info({ uri: this.#uri }, 'Redis is connected again');
      this.#toldDown = false;
    });
  }

  /** True while commands can be sent. */
  get connected(): boolean {
    return this.#client.status === 'ready';
  }

  /** How often it has been connected, so far: after a change the server may have been restarted, or be another one. */
  get connections(): number {
    return this.#connections;
  }

  /**
   * Runs a script on keys that are all in one hash slot. The script's text is sent each time: it is shorter than what it takes
   * to find out that a server that was restarted does not know it any more.
   * @throws Fault TOMBOLO_REDIS_FAILED: what the script would have done may have been done, or be done later
   */
  async run(script: string, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    if (!this.connected) throw this.#fault(this.#reason);
    try {
      return await this.#client.eval(script, keys.length, ...keys, ...values);
    } catch (error) {
      this.#giveUp(error);
      throw this.#fault(messageOf(error), error);
    }
  }

  /**
   * Sends commands in one go and resolves with their answers, in order: strings as bytes. Their keys are all in one hash slot.
   * @throws Fault TOMBOLO_REDIS_FAILED when one of them failed: any may have been carried out, or be carried out later
   */
  async pipeline(commands: readonly RedisCommand[]): Promise<unknown[]> {
    if (commands.length === 0) return [];
    if (!this.connected) throw this.#fault(this.#reason);
    const pipeline = this.#client.pipeline();
    for (const [name, ...words] of commands) pipeline.callBuffer(name, ...words);
    let answers: [error: Error | null, answer: unknown][];
    try {
      answers = (await pipeline.exec()) ?? [];
    } catch (error) {
      throw this.#fault(messageOf(error), error);
    }
    const failed = answers.find(([error]) => error !== null)?.[0];
    if (failed) {
      this.#giveUp(failed);
      throw this.#fault(failed.message, failed);
    }
    return answers.map(([, answer]) => answer);
  }

  close(): void {
    this.#closed = true;
    this.#client.disconnect();
  }

  /** The connection may be half open, and TCP would find out in a quarter of an hour. */
  #giveUp(error: unknown): void {
    if (isTimeout(error) && this.connected && !this.#closed) this.#client.disconnect(true);
  }

  /** An outage is told once, however many attempts fail; status has the last reason that anybody gave. */
  #failed(reason: string | undefined): void {
    if (this.#closed) return;
    if (reason !== undefined || !this.#toldDown) this.#reason = sentence(reason ?? 'the connection was lost');
    if (this.#toldDown) return;
    this.#toldDown = true;
    this.#log.warn({ uri: this.#uri, reason: this.#reason }, 'Redis is not connected');
  }

  #fault(reason: string, cause?: unknown): Fault {
    return new Fault('TOMBOLO_REDIS_FAILED', `Redis at ${this.#uri}: ${sentence(reason)}`, { cause });
  }
}

function connect({ server, tls, commandTimeoutMs, random }: RedisClientOptions): Redis | Cluster {
  const uri = parseRedisUri(server.uri);
  if (!uri) throw new Fault('TOMBOLO_TOPOLOGY_INVALID', `${server.uri} is no URI of a Redis.`);
  const asked = live(tls ?? (() => ({})));
  const delay = (attempt: number) => backoffDelay({ baseMs: 100, capMs: 1000 }, attempt, random());
  const common = {
    ...(server.username !== undefined && { username: server.username }),
    ...(server.password !== undefined && { password: server.password }),
    ...(uri.tls && { tls: asked }),
    protocol: 2 as const,
    connectionName: 'tombolo',
    commandTimeout: commandTimeoutMs,
    connectTimeout: Math.max(1000, commandTimeoutMs),
    disconnectTimeout: 50,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // A server that was made a replica answers on the old connection: ask anew where the master is.
    reconnectOnError: (error: Error) => error.message.includes('READONLY'),
  };
  const direct = { ...common, enableOfflineQueue: false, retryStrategy: delay };
  // Loaded only where a topology names a Redis: it takes some 15 MiB, a tenth of a bridge's memory.
  const client = createRequire(import.meta.url)('ioredis') as typeof import('ioredis');
  switch (uri.kind) {
    case 'server':
      return new client.Redis({ ...direct, ...uri.hosts[0]!, db: uri.database });
    case 'sentinel':
      return new client.Redis({
        ...direct,
        sentinels: [...uri.hosts],
        name: uri.group,
        db: uri.database,
        enableTLSForSentinelMode: uri.tls,
        ...(uri.tls && { sentinelTLS: asked }),
        sentinelCommandTimeout: Math.max(1000, commandTimeoutMs),
        sentinelRetryStrategy: delay,
        failoverDetector: true,
      });
    case 'cluster':
      return new client.Cluster([...uri.hosts], {
        enableOfflineQueue: false,
        clusterRetryStrategy: delay,
        // Not sent again after a connection was lost: it may have been carried out.
        retryDelayOnFailover: 0,
        slotsRefreshTimeout: Math.max(1000, commandTimeoutMs),
        slotsRefreshInterval: 5000,
        redisOptions: common,
      });
    default:
      throw new Error(`unexpected ${uri satisfies never}`);
  }
}

/** ioredis copies its TLS options, key by key, for each connection: what is read then is of then. */
function live(tls: () => ConnectionOptions): ConnectionOptions {
  const options = {};
  for (const key of ['ca', 'cert', 'key', 'servername'] as const) {
    Object.defineProperty(options, key, { enumerable: true, get: () => tls()[key] });
  }
  return options;
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Command timed out';
}

/** What ioredis and Redis say, and what to do about it where they do not. */
function sentence(reason: string): string {
  if (/^(?:NOAUTH|WRONGPASS)\b/.test(reason)) return `${reason} Check user name and password in its URI.`;
  if (/^NOPERM\b/.test(reason))
    return `${reason}. Its user needs info, eval, hmget, hset and hincrby for the election, and hset, hdel, hgetall, pexpire, zadd, zrangebyscore and zremrangebyscore for the record of what is in doubt.`;
  if (/certificate|altnames|self.signed|wrong version number|SSL alert/i.test(reason))
    return `TLS failed: ${reason}. Check tls ca, cert, key and serverName beside its uri, and that its port speaks TLS.`;
  if (reason === 'Command timed out') return 'no answer in time';
  if (/^Reached the max retries per request limit/.test(reason)) return 'the connection was lost before an answer came';
  return reason;
}
