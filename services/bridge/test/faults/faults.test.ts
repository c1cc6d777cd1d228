import { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import { rabbitMissing, startRabbit } from '@tombolo/testing/rabbitmq';
import { redisMissing, startRedis } from '@tombolo/testing/redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rows } from './rows.ts';
import { type Servers, Stage } from './stage.ts';
import { type Measured, publish, remember, tableOf } from './table.ts';

const missing = rabbitMissing() ?? redisMissing();
if (missing) process.stderr.write(`SKIPPED: the faults, because ${missing}\n`);
for (const { name, missing } of rows) if (missing) process.stderr.write(`SKIPPED: ${name}, because ${missing}\n`);

/** Parts of rows' names, with | between them: these are measured anew, the rest of the table stays as it is. */
const asked = (process.env['TOMBOLO_FAULTS'] ?? '').split('|');

describe.skipIf(missing)('lost is nothing, and doubled no more than is promised', () => {
  let servers: Servers;
  const measured: Measured[] = [];
  const chosen = rows.filter(({ name }) => asked.some((part) => name.includes(part)));

  beforeAll(async () => {
    // So that a silent connection is given up soon.
    const config = { config: ['heartbeat = 3'] };
    const [west, east, redis] = await Promise.all([startRabbit(config), startRabbit(config), startRedis()]);
    servers = { west, east, redis, redisProxy: await FlakyProxy.to(redis.port) };
  });
  afterAll(async () => {
    if (!servers) return;
    const { west, east, redis, redisProxy } = servers;
    await redisProxy.close();
    await Promise.all([west.stop(), east.stop(), redis.stop()]);
  });
  afterAll(async () => {
    process.stdout.write(`\n${tableOf(measured)}\n`);
    const all = await remember(
      measured,
      rows.map(({ name }) => name),
    );
    if (measured.length < chosen.length) {
      process.stderr.write('Not every row was measured: the table in the README stays as it is.\n');
      return;
    }
    await publish(all);
  });

  test.for(chosen)('$name', { timeout: 150_000 }, async (row, context) => {
    context.skip(row.missing !== undefined, row.missing);
    const { name, times, duplicates, takeOverWithinMs } = row;
    const stage = await Stage.open(servers, row.options ?? {});
    await row.prepare?.(stage);
    await stage.begin();
    for (let time = 1; time <= times; time++) {
      await stage.underWay();
      await row.fault(stage, time);
      await stage.flowing();
    }
    const { exits, ...outcome } = await stage.end();
    const { takeOvers, outages } = stage;
    const spans = { takeOversMs: takeOvers, outagesMs: outages };
    const line = { row: name, times, bound: duplicates, ...spans, date: new Date().toISOString() };
    process.stdout.write(`${JSON.stringify({ ...line, ...outcome })}\n`);
    expect(outcome.lost, 'lost').toBe(0);
    const doubled = row.sinkBrokerForgets ? outcome.doubledOnTheWay : outcome.duplicated;
    expect(doubled, `duplicated; at most ${duplicates.because}`).toBeLessThanOrEqual(duplicates.most);
    expect(exits, 'exit codes of the bridges').toEqual(exits.map(() => 0));
    if (takeOverWithinMs) for (const took of takeOvers) expect(took, 'take-over').toBeLessThanOrEqual(takeOverWithinMs);
    measured.push({ ...line, ...outcome });
  });
});
