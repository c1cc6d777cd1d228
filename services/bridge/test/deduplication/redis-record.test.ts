import { systemClock } from '@tombolo/kernel/clock';
import { awaitUntil } from '@tombolo/testing/await-until';
import { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import { type RedisNode, redisMissing, startRedis } from '@tombolo/testing/redis';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { RedisRecordStore } from '../../src/deduplication/redis-record.ts';
import { RedisClient } from '../../src/redis/redis-client.ts';
import { IdentityRing } from '../../src/stream/identity-ring.ts';
import { IdentityLog } from '../../src/stream/in-doubt.ts';
import type { ReadRecord } from '../../src/stream/record-fields.ts';
import { Recorder } from '../../src/stream/recorder.ts';
import { RangeSet } from '../../src/stream/settlement.ts';

const missing = redisMissing();
if (missing) process.stderr.write(`SKIPPED: the record in Redis, because ${missing}\n`);

const key = { source: 'west', destination: { kind: 'queue', name: 'orders}{.eu' } } as const;
const epoch = { incarnation: 1_700_000_000_000, epoch: 3 };

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

const silent = pino({ level: 'silent' });

function storeAt(uri: string, timeoutMs = 300): RedisRecordStore {
  const server = { uri, username: undefined, password: undefined, tls: undefined };
  const client = new RedisClient({ server, commandTimeoutMs: timeoutMs, random: Math.random, log: silent });
  const store = new RedisRecordStore({ client, network: 'test', cluster: 'east', wallClock: () => Date.now() });
  closing.push(() => store.close());
  return store;
}

async function connected(uri = redis.uri): Promise<RedisRecordStore> {
  const store = storeAt(uri);
  await awaitUntil('Redis is connected', () => store.connection !== undefined);
  return store;
}

/** A recorder with one stream; messages are confirmed by number. */
function stream(uri = redis.uri) {
  const lines: { msg: string; reason?: string }[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const changes: boolean[] = [];
  let unrecorded = 0;
  const recorder = new Recorder({
    ...{ store: storeAt(uri), clock: systemClock, wallClock: () => Date.now(), log },
    changed: (up) => changes.push(up),
    unrecorded: (_key, _connector, messages) => {
      unrecorded += messages;
    },
  });
  closing.push(() => recorder.close());
  const accepted = new RangeSet();
  const identities = new IdentityLog();
  const record = recorder.record(key, new IdentityRing(), () => 'c');
  record.begin(epoch, accepted, identities);
  const confirm = (from: number, to = from) => {
    for (let n = from; n <= to; n++) {
      identities.set(n, new Uint8Array(16).fill(n), n % 2 === 0);
      record.publishing(epoch, n);
      accepted.add(n);
      record.answered(epoch, n, true);
    }
  };
  const said = (text: string) => lines.filter(({ msg }) => msg.includes(text)).length;
  return { recorder, record, accepted, identities, confirm, changes, said, unrecorded: () => unrecorded };
}

/** What another process would read; its numbers, in order. */
async function numbers(): Promise<number[]> {
  const reader = new Recorder({
    ...{ store: await connected(), clock: systemClock, wallClock: () => Date.now(), log: silent },
    changed: () => {},
    unrecorded: () => {},
  });
  const [read] = ((await reader.read([key])) ?? []) as ReadRecord[];
  reader.close();
  const set = new RangeSet();
  for (const { id, pages } of read?.epochs ?? []) {
    expect(id).toEqual(epoch);
    for (const { ranges } of pages.values())
      for (let i = 0; i + 1 < ranges.length; i += 2) set.add(ranges[i]!, ranges[i + 1]!);
  }
  return set.toRanges();
}

const within = { withinMs: 10_000, everyMs: 20 };

describe.skipIf(missing)('the record in Redis', () => {
  test('is read by another process as it was written, bytes and all, and expires', async () => {
    const store = await connected();
    const value = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(await store.write([{ key, set: [['e:1.1', value]], remove: [] }])).toEqual([1]);
    expect(
      await store.write([
        {
          key,
          set: [
            ['e:1.1', value],
            ['x', value],
          ],
          remove: ['gone'],
        },
      ]),
    ).toEqual([1]);
    const other = await connected();
    const unknown = { source: 'west', destination: { kind: 'queue', name: 'unknown' } } as const;
    const [found, nothing] = await other.read([key, unknown]);
    expect([...found!.keys()].sort()).toEqual(['e:1.1', 'x']);
    expect(Uint8Array.from(found!.get('x')!)).toEqual(value);
    expect(nothing!.size).toBe(0);
    expect(await other.destinations('west')).toEqual([key.destination]);
    expect(await other.destinations('south')).toEqual([]);
    const keys = (await redis.command('KEYS', '*')).split('\r\n').filter((line) => line.startsWith('{'));
    expect(keys.sort()).toEqual([
      '{tombolo:test:east:0}:doubt:west',
      '{tombolo:test:east:0}:doubt:west:queue:orders}{.eu',
    ]);
    for (const each of keys) expect(Number(await redis.command('PTTL', each))).toBeGreaterThan(590_000);
    await store.write([{ key, set: [], remove: ['e:1.1', 'x'] }]);
    expect((await other.read([key]))[0]!.size).toBe(0);
  });

  test('is written in far fewer commands than there are messages', async () => {
    const t = stream();
    await awaitUntil('it is written', () => t.recorder.up, within);
    await redis.command('CONFIG', 'RESETSTAT');
    for (let n = 1; n <= 2_000; n += 10) {
      t.confirm(n, n + 9);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await t.recorder.settled();
    const processed = /total_commands_processed:(\d+)/.exec(await redis.command('INFO', 'stats'))!;
    expect(Number(processed[1])).toBeLessThan(500);
    expect(await numbers()).toEqual([1, 2_000]);
  });

  test('a Redis that restarts empty gets everything again', async () => {
    const t = stream();
    await awaitUntil('it is written', () => t.recorder.up, within);
    t.confirm(1, 50);
    await t.recorder.settled();
    await redis.restart();
    await awaitUntil('the loss is noticed', () => t.changes.includes(false) && t.said('not recorded') === 1, within);
    t.confirm(51, 60);
    await awaitUntil('it is written again', () => t.recorder.up, within);
    await t.recorder.settled();
    expect(await numbers()).toEqual([1, 60]);
    expect(t.changes.slice(-2)).toEqual([false, true]);
    expect(t.said('recorded again')).toBe(1);
  });

  test('a Redis that is flushed under a live connection gets everything again with the next message', async () => {
    const t = stream();
    await awaitUntil('it is written', () => t.recorder.up, within);
    t.confirm(1, 50);
    await t.recorder.settled();
    await redis.command('FLUSHALL');
    t.confirm(51);
    await awaitUntil('all is there', async () => String(await numbers()) === '1,51', within);
    expect(t.changes).toEqual([false, true]);
  });

  test('a frozen Redis is given up in time, costs no memory, and is caught up with when it thaws', async () => {
    const t = stream();
    await awaitUntil('it is written', () => t.recorder.up, within);
    t.confirm(1, 10);
    await t.recorder.settled();
    redis.freeze();
    try {
      const began = performance.now();
      t.confirm(11, 20);
      await awaitUntil('it is given up', () => !t.recorder.up, within);
      expect(performance.now() - began).toBeLessThan(2_000);
      expect(t.unrecorded()).toBe(10);
      for (let n = 21; n <= 5_000; n++) t.confirm(n);
      expect(t.said('not recorded')).toBe(1);
      // Reads do not hang either.
      expect(await t.recorder.read([key])).toBeUndefined();
    } finally {
      redis.thaw();
    }
    await awaitUntil('it is written again', () => t.recorder.up, within);
    await t.recorder.settled();
    expect(await numbers()).toEqual([1, 5_000]);
  });

  test('a Redis that is cut off, and one whose connection breaks again and again, heals by itself', async () => {
    const proxy = await FlakyProxy.to(redis.port);
    closing.push(() => proxy.close());
    const t = stream(`redis://127.0.0.1:${proxy.port}`);
    await awaitUntil('it is written', () => t.recorder.up, within);
    t.confirm(1, 5);
    await t.recorder.settled();
    proxy.down();
    await awaitUntil('it is noticed without any message', () => !t.recorder.up, within);
    expect(t.recorder.trouble).toContain('not written');
    t.confirm(6, 10);
    proxy.up();
    await awaitUntil('it is written again', () => t.recorder.up, within);
    for (let n = 11; n <= 40; n++) {
      t.confirm(n);
      if (n % 10 === 0) proxy.cut();
      await awaitUntil('it is written again', () => t.recorder.up, within);
    }
    await awaitUntil('all is there', async () => String(await numbers()) === '1,40', within);
  });

  test('a Redis that refuses to write is told once, and counts as away until it takes a write', async () => {
    const t = stream();
    await awaitUntil('it is written', () => t.recorder.up, within);
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    try {
      t.confirm(1);
      await awaitUntil('it is noticed', () => !t.recorder.up, within);
      expect(t.recorder.trouble).toContain('OOM');
      await new Promise((resolve) => systemClock.wake(systemClock.now() + 1_000, () => resolve(undefined)));
      expect(t.said('not recorded')).toBe(1);
    } finally {
      await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    }
    await awaitUntil('it is written again', () => t.recorder.up, within);
    expect(t.said('recorded again')).toBe(1);
    expect(await numbers()).toEqual([1, 1]);
  });

  test('works in a Redis Cluster: all keys of a cluster are in one slot', async () => {
    const node = await startRedis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']);
    closing.push(() => node.stop());
    await node.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await awaitUntil('the cluster is up', async () => (await node.command('CLUSTER', 'INFO')).includes('state:ok'));
    const store = await connected(`redis+cluster://127.0.0.1:${node.port}`);
    const writes = Array.from({ length: 5 }, (_, n) => ({
      key: { source: `s${n}`, destination: { kind: 'queue', name: `q${n}` } as const },
      set: [['e:1.1', Uint8Array.of(n)]] as const,
      remove: ['x'],
    }));
    expect(await store.write(writes)).toEqual([1, 1, 1, 1, 1]);
    const found = await store.read(writes.map((write) => write.key));
    expect(found.map((fields) => fields.get('e:1.1')![0])).toEqual([0, 1, 2, 3, 4]);
  });
});
