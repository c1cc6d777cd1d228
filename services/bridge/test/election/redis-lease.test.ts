import { systemClock } from '@tombolo/kernel/clock';
import { awaitUntil } from '@tombolo/testing/await-until';
import { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import { type RedisNode, redisMissing, startRedis, startSentinel } from '@tombolo/testing/redis';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { LeaseElection } from '../../src/election/lease-election.ts';
import { leaseKey, RedisLease } from '../../src/election/redis-lease.ts';
import { RedisClient } from '../../src/redis/redis-client.ts';

const missing = redisMissing();
if (missing) process.stderr.write(`SKIPPED: the election on Redis, because ${missing}\n`);

const leaseMs = 900;
const key = leaseKey('tombolo:test', 'east');

let redis: RedisNode;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  if (!missing) redis = await startRedis();
});
afterAll(async () => redis?.stop());
beforeEach(async () => {
  if (!missing) await redis.command('FLUSHALL');
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A client whose log is kept. */
function openClient({ uri = redis.uri, password = undefined as string | undefined, timeoutMs = leaseMs / 4 } = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const client = new RedisClient({
    server: { uri, username: undefined, password, tls: undefined },
    commandTimeoutMs: timeoutMs,
    random: Math.random,
    log,
  });
  closing.push(() => client.close());
  return { client, lines };
}

async function openLease(uri?: string): Promise<RedisLease> {
  const { client } = openClient({ timeoutMs: 2000, ...(uri !== undefined && { uri }) });
  await awaitUntil('Redis is connected', () => client.connected);
  return new RedisLease(client, key);
}

interface Candidate {
  readonly election: LeaseElection;
  readonly name: string;
  readonly tokens: number[];
  readonly lost: { at: number; reason: string; mayWrite: boolean }[];
}

function openCandidate(name: string, uri = redis.uri): Candidate {
  const { client } = openClient({ uri });
  const election = new LeaseElection({
    store: new RedisLease(client, key),
    owner: `${name}#${Math.random()}`,
    leaseMs,
    clock: systemClock,
    random: Math.random,
    wallClock: () => Date.now(),
    log: pino({ level: 'silent' }),
  });
  const candidate: Candidate = { election, name, tokens: [], lost: [] };
  election.start({
    elected: (token) => candidate.tokens.push(token!),
    lost: (reason) => {
      const at = performance.now();
      candidate.lost.push({ at, reason, mayWrite: election.mayWrite(at) });
    },
  });
  election.eligible(true);
  closing.push(() => election.stop());
  return candidate;
}

const works = ({ election }: Candidate) => election.mayWrite(performance.now());

describe.skipIf(missing)('the lease in Redis', () => {
  test('a record is taken once, renewed and released by its owner under its token only', async () => {
    const lease = await openLease();
    const absent = await lease.look();
    expect(absent).toEqual({ run: absent.run, writtenIn: '', owner: '', token: 0, beat: 0 });
    expect(absent.run).toMatch(/^\w{40}$/);
    const token = await lease.take('a', absent, 1_700_000_000_000);
    expect(token).toBe(1_700_000_000_001);
    expect(await lease.take('b', absent, 0)).toBeUndefined();
    expect(await lease.renew('b', token!)).toBe(false);
    expect(await lease.renew('a', token! - 1)).toBe(false);
    expect(await lease.renew('a', token!)).toBe(true);
    const renewed = { run: absent.run, writtenIn: absent.run, owner: 'a', token, beat: 1 };
    expect(await lease.look()).toEqual(renewed);
    await lease.release('b', token!);
    await lease.release('a', token! - 1);
    expect(await lease.look()).toEqual(renewed);
    await lease.release('a', token!);
    expect(await lease.look()).toEqual({ ...renewed, owner: '' });
    expect(await lease.renew('a', token!)).toBe(false);
  });

  test('tokens rise whatever is asked for, and a stale look takes nothing', async () => {
    const lease = await openLease();
    const first = await lease.take('a', await lease.look(), 10);
    const seen = await lease.look();
    await lease.renew('a', first!);
    expect(await lease.take('b', seen, 0)).toBeUndefined();
    expect(await lease.take('b', await lease.look(), 3)).toBe(12);
    expect(await lease.take('c', await lease.look(), 50)).toBe(51);
    expect(await lease.take('d', { ...(await lease.look()), run: 'another' }, 0)).toBeUndefined();
  });

  test('a server that forgot its scripts is asked as before', async () => {
    const lease = await openLease();
    await lease.look();
    await redis.command('SCRIPT', 'FLUSH');
    expect(await lease.take('a', await lease.look(), 0)).toBe(1);
  });

  test('two clusters, two networks and two shards have leases of their own, in one slot each', () => {
    const keys = [
      key,
      leaseKey('tombolo:test', 'west'),
      leaseKey('tombolo:live', 'east'),
      leaseKey('tombolo:test', 'east', 1),
    ];
    expect(new Set(keys).size).toBe(4);
    expect(key).toBe('{tombolo:test:east:0}:lease');
  });
});

describe.skipIf(missing)('Redis in other shapes', () => {
  test('the group that Sentinels watch is found through them, and followed to its new master', async () => {
    const [first, second] = await Promise.all([startRedis(), startRedis()]);
    closing.push(first.stop, second.stop);
    await second.command('REPLICAOF', '127.0.0.1', String(first.port));
    await awaitUntil('it replicates', async () => (await second.command('ROLE')).includes('connected'));
    const sentinel = await startSentinel('east', first.port);
    closing.push(sentinel.stop);
    const lease = await openLease(`redis+sentinel://127.0.0.1:${sentinel.port}/east`);
    const before = await lease.look();
    const token = await lease.take('a', before, 0);
    await awaitUntil('the replica has it', async () => (await second.command('EXISTS', key)) === '1');
    await awaitUntil(
      'the Sentinel knows a replica that is fit for it',
      () => sentinel.command('SENTINEL', 'failover', 'east'),
      { withinMs: 30_000, everyMs: 100 },
    );
    const after = await awaitUntil(
      'the new master answers',
      async () => {
        const record = await lease.look();
        return record.run === before.run ? undefined : record;
      },
      { withinMs: 30_000, everyMs: 50 },
    );
    // Another run: whoever does not hold the lease waits, and its holder renews it where it is now.
    expect(after).toMatchObject({ owner: 'a', token, writtenIn: before.run });
    await awaitUntil('it is no replica any more', () => lease.renew('a', token!));
    expect((await lease.look()).writtenIn).toBe(after.run);
  });

  test('a Redis Cluster is asked at the node that has the slot', async () => {
    const node = await startRedis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']);
    closing.push(node.stop);
    await node.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await awaitUntil('the cluster is complete', async () =>
      (await node.command('CLUSTER', 'INFO')).includes('state:ok'),
    );
    const lease = await openLease(`redis+cluster://127.0.0.1:${node.port}`);
    const token = await lease.take('a', await lease.look(), 0);
    expect(await lease.renew('a', token!)).toBe(true);
    expect(await lease.look()).toMatchObject({ owner: 'a', token, beat: 1 });
  });
});

describe.skipIf(missing)('an outage of Redis', () => {
  test('is told once, with an address that has no password in it, and so is its end', async () => {
    const { client, lines } = openClient({ password: 'hunter2' });
    // This Redis has no password, and says so to whoever gives one; the client goes on all the same.
    await awaitUntil('Redis is connected', () => client.connected);
    await redis.kill();
    await awaitUntil('it is seen', () => !client.connected);
    await expect(client.run('return 1', [key], [])).rejects.toMatchObject({
      code: 'TOMBOLO_REDIS_FAILED',
      retryable: true,
      message: expect.stringContaining(`Redis at ${redis.uri}: `),
    });
    await awaitUntil('the reason is known', () =>
      client.run('return 1', [key], []).then(
        () => false,
        (error: Error) => error.message.includes('ECONNREFUSED'),
      ),
    );
    await redis.restart();
    await awaitUntil('Redis is connected', () => client.connected);
    await awaitUntil('it is told', () => lines.some(({ msg }) => msg === 'Redis is connected again'));
    expect(lines.map(({ msg }) => msg)).toEqual(['Redis is not connected', 'Redis is connected again']);
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });

  test('a frozen Redis is given up on in time, and its connection with it', async () => {
    const { client } = openClient();
    await awaitUntil('Redis is connected', () => client.connected);
    redis.freeze();
    try {
      const from = performance.now();
      await expect(client.run('return 1', [key], [])).rejects.toThrow('no answer in time');
      expect(performance.now() - from).toBeLessThan(leaseMs);
      await awaitUntil('the connection is given up', () => !client.connected);
    } finally {
      redis.thaw();
    }
    await awaitUntil('Redis answers again', () => client.run('return 7', [key], []).catch(() => undefined));
  });
});

describe.skipIf(missing)('bridges that elect a master on Redis', () => {
  /** Two candidates, the master first. */
  async function openPair(): Promise<[Candidate, Candidate]> {
    const pair = [openCandidate('east-0'), openCandidate('east-1')] as const;
    const master = await awaitUntil('one is elected', () => pair.find(works));
    const standby = pair.find((candidate) => candidate !== master)!;
    expect(works(standby)).toBe(false);
    await awaitUntil('the standby knows the master', () => standby.election.view.holder === master.name);
    return [master, standby];
  }

  test('a stopped master is followed at once, a standby that is left alone by nobody', async () => {
    const [master, standby] = await openPair();
    const from = performance.now();
    await master.election.stop();
    await awaitUntil('the other works', () => works(standby));
    // A standby looks after a quarter of the lease at the latest.
    expect(performance.now() - from).toBeLessThan(leaseMs);
    expect(standby.tokens[0]).toBeGreaterThan(master.tokens[0]!);
    expect(master.lost).toMatchObject([{ reason: 'stopped', mayWrite: false }]);
  });

  test('a mastership lasts as long as Redis hears of it', async () => {
    const [master, standby] = await openPair();
    const until = performance.now() + 3 * leaseMs;
    await awaitUntil('three leases have passed', () => {
      expect(works(standby)).toBe(false);
      return performance.now() > until;
    });
    expect(master.lost).toEqual([]);
    expect(master.election.remainingMs(performance.now())).toBeGreaterThan(0);
  });

  test('a master that cannot reach Redis has lost its lease before another one works', async () => {
    const proxy = await FlakyProxy.to(redis.port);
    closing.push(() => proxy.close());
    const master = openCandidate('east-0', `redis://127.0.0.1:${proxy.port}`);
    await awaitUntil('it is elected', () => works(master));
    const standby = openCandidate('east-1');
    await awaitUntil('the standby knows the master', () => standby.election.view.holder === 'east-0');
    proxy.freeze();
    await awaitUntil('the other works', () => {
      if (works(standby)) expect(works(master)).toBe(false);
      return works(standby);
    });
    expect(master.lost).toMatchObject([{ mayWrite: false }]);
    proxy.thaw();
    await awaitUntil('it knows who is master', () => master.election.view.holder === 'east-1');
    expect(works(standby)).toBe(true);
  });

  test('Redis killed: the master has lost within the lease; restarted empty: a lease passes before there is one', async () => {
    const [master, standby] = await openPair();
    const killed = performance.now();
    await redis.kill();
    const { at, mayWrite } = await awaitUntil('it has lost', () => master.lost[0]);
    expect(at - killed).toBeLessThan(leaseMs * 1.5);
    expect(mayWrite).toBe(false);
    const restarted = performance.now();
    await redis.restart();
    const next = await awaitUntil('one is elected', () => [master, standby].find(works));
    expect(performance.now() - restarted).toBeGreaterThan(leaseMs);
    expect(next.tokens.at(-1)).toBeGreaterThan(master.tokens[0]!);
    expect([master, standby].filter(works)).toHaveLength(1);
  });

  test('a Redis that restarts faster than the lease lasts does not make two masters', async () => {
    const [master, standby] = await openPair();
    const restarted = performance.now();
    await redis.restart();
    const first = await awaitUntil('the master was told', () => master.lost[0]);
    const next = await awaitUntil('one is elected', () => {
      const masters = [master, standby].filter(works);
      expect(masters.length).toBeLessThan(2);
      return masters[0];
    });
    expect(performance.now() - restarted).toBeGreaterThan(leaseMs);
    expect(first.mayWrite).toBe(false);
    expect(next.tokens.at(-1)).toBeGreaterThan(master.tokens[0]!);
  });

  test('a frozen Redis costs the mastership, and a thawed one makes one master again', async () => {
    const [master, standby] = await openPair();
    redis.freeze();
    try {
      await awaitUntil('it has lost', () => master.lost[0]);
      expect(works(standby)).toBe(false);
    } finally {
      redis.thaw();
    }
    await awaitUntil('one is elected', () => {
      const masters = [master, standby].filter(works);
      expect(masters.length).toBeLessThan(2);
      return masters[0];
    });
  });
});
