import { readFileSync } from 'node:fs';
import { Fault } from '@tombolo/kernel/fault';
import type { RedisClient } from '../redis/redis-client.ts';
import type { LeaseRecord, LeaseStore } from './lease-store.ts';

const script = (name: string): string => readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');

/**
 * The lease of a cluster in Redis: one hash that never expires, so that no clock of Redis decides anything, and an eviction
 * looks like a restart.
 *
 * What it cannot rule out: a master of Redis that is cut off from its replicas goes on to renew for those who still reach it, while
 * its successor elects another bridge. `min-replicas-to-write 1` in Redis closes that; the broker's own lock is the fence.
 */
export class RedisLease implements LeaseStore {
  readonly #client: RedisClient;
  readonly #key: string;
  readonly #scripts = {
    look: script('look'),
    take: script('take'),
    renew: script('renew'),
    release: script('release'),
  };

  constructor(client: RedisClient, key: string) {
    this.#client = client;
    this.#key = key;
  }

  async look(): Promise<LeaseRecord> {
    const answer = await this.#run(this.#scripts.look, []);
    if (!Array.isArray(answer) || answer.length !== 5) throw unexpected(answer);
    const [run, owner, token, beat, writtenIn] = answer.map(String) as [string, string, string, string, string];
    return { run, owner, token: Number(token), beat: Number(beat), writtenIn };
  }

  async take(owner: string, expected: LeaseRecord, atLeast: number): Promise<number | undefined> {
    const { run, writtenIn } = expected;
    const known = writtenIn !== '';
    const digits = (value: number) => (known ? String(value) : '');
    const answer = await this.#run(this.#scripts.take, [
      owner,
      run,
      expected.owner,
      digits(expected.token),
      digits(expected.beat),
      writtenIn,
      atLeast,
    ]);
    if (answer === null) return undefined;
    const token = Number(answer);
    if (!Number.isSafeInteger(token)) throw unexpected(answer);
    return token;
  }

  async renew(owner: string, token: number): Promise<boolean> {
    return (await this.#run(this.#scripts.renew, [owner, token])) === 1;
  }

  async release(owner: string, token: number): Promise<void> {
    await this.#run(this.#scripts.release, [owner, token]);
  }

  close(): void {
    this.#client.close();
  }

  #run(text: string, values: readonly (string | number)[]): Promise<unknown> {
    return this.#client.run(text, [this.#key], values);
  }
}

/**
 * The key of a cluster's lease. What is in braces alone decides the slot in a Redis Cluster: keys to come of the same
 * cluster and shard share it.
 * @param prefix with the network's name in it, unless the file says otherwise
 */
export function leaseKey(prefix: string, cluster: string, shard = 0): string {
  return `{${prefix}:${cluster}:${shard}}:lease`;
}

function unexpected(answer: unknown): Fault {
  return new Fault('TOMBOLO_REDIS_FAILED', `Redis gave an answer that makes no sense: ${JSON.stringify(answer)}`);
}
