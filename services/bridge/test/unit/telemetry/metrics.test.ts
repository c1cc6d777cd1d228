import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { metricTable } from '../../../src/telemetry/metric-table.ts';
import { Metrics, type MetricsOptions } from '../../../src/telemetry/metrics.ts';
import { demandOf, streamOf, viewOf } from '../admin/views.ts';

/** CONTRACT: the metrics by name, without those of topic buffers. */
const promised = `
  build_info config_hash config_reloads_total config_last_reload_success_timestamp_seconds master lease_remaining_seconds
  broker_up link_up link_round_trip_seconds link_reconnects_total link_refused_total link_bytes_total
  link_protocol_version link_blocked connector_up connector_paused draining demand_consumers demand_unserved
  messages_forwarded_total messages_delivered_total messages_transit_total messages_returned_total
  messages_not_captured_total messages_near_delivery_limit_total messages_dead_lettered_total dead_letters duplicates_suppressed_total messages_unsettled
  possible_duplicates_total deduplication_up
  topic_buffer_messages topic_buffer_bytes topic_buffer_limit_bytes messages_unroutable_total replies_dropped_total
  reply_queues stream_credit reconciliation_difference forward_duration_seconds certificate_expiry_timestamp_seconds`
  .trim()
  .split(/\s+/)
  .map((name) => `tombolo_${name}`);

const metricsOf = (changes: Partial<MetricsOptions> = {}) =>
  new Metrics({ network: 'acme', cluster: 'west', version: '0.1.0', peers: ['east'], process: false, ...changes });

async function read(metrics: Metrics) {
  return parse(await metrics.text());
}

function parse(text: string) {
  const rows = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', labelText = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      const pairs = [...labelText.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text]);
      const labels: Record<string, string> & { destination?: string } = Object.fromEntries(pairs);
      return { name, labels, value: Number(value) };
    });
  const matching = (name: string, labels: Record<string, string> = {}) =>
    rows.filter(
      (row) => row.name === name && Object.entries(labels).every(([key, value]) => row.labels[key] === value),
    );
  return {
    rows,
    get: (name: string, labels?: Record<string, string>) => matching(name, labels)[0]?.value,
    sum: (name: string, labels?: Record<string, string>) =>
      matching(name, labels).reduce((total, row) => total + row.value, 0),
  };
}

describe('metrics', () => {
  it('are those that the contract names', () => {
    expect(Object.keys(metricTable).sort()).toEqual([...promised].sort());
  });

  it('carry network and broker_cluster on every series, those of the process included', async () => {
    const metrics = metricsOf({ process: true });
    metrics.forwarded('c', 'q', 'east', 1);
    metrics.forwardDuration('c', 0.02, 1);
    metrics.collect(viewOf({ demand: [demandOf('q')], streams: [streamOf('q')] }));
    const { rows } = await read(metrics);
    expect(rows.some((row) => row.name.startsWith('process_cpu'))).toBe(true);
    expect(rows.some((row) => row.name.startsWith('nodejs_eventloop'))).toBe(true);
    for (const row of rows) expect(row.labels).toMatchObject({ network: 'acme', broker_cluster: 'west' });
  });

  it('show every configured peer as down before anything is known of it', async () => {
    const metrics = metricsOf({ peers: ['east', 'north'] });
    expect((await read(metrics)).get('tombolo_link_up', { peer: 'north' })).toBe(0);
    const { broker } = viewOf();
    metrics.collect(viewOf({ role: 'standby', broker: { ...broker, up: false, state: 'down' }, links: [] }));
    expect((await read(metrics)).get('tombolo_link_up', { peer: 'east' })).toBe(0);
  });

  it('keep series of links and streams to the master', async () => {
    const metrics = metricsOf();
    metrics.forwarded('c', 'q', 'east', 7);
    metrics.collect(viewOf());
    expect((await read(metrics)).get('tombolo_link_up', { peer: 'east' })).toBe(1);
    const { broker } = viewOf();
    metrics.collect(viewOf({ role: 'standby', broker: { ...broker, state: 'standby' }, links: [] }));
    const standby = await read(metrics);
    expect(standby.get('tombolo_master')).toBe(0);
    expect(standby.rows.filter((row) => /link|messages|demand/.test(row.name))).toEqual([]);
    metrics.collect(viewOf());
    expect((await read(metrics)).sum('tombolo_messages_forwarded_total')).toBe(7);
  });

  it('give destinations a label when they are chosen and there is room, and the sums add up', async () => {
    const metrics = metricsOf({ destinations: (name) => name.startsWith('orders.'), maxDestinations: 2 });
    for (const queue of ['orders.a', 'orders.b', 'orders.c', 'audit']) metrics.forwarded('c', queue, 'east', 10);
    const seen = await read(metrics);
    const name = 'tombolo_messages_forwarded_total';
    expect(seen.rows.filter((row) => row.name === name).map((row) => [row.labels.destination, row.value])).toEqual([
      ['orders.a', 10],
      ['orders.b', 10],
      ['other', 20],
    ]);
    expect(seen.sum(name)).toBe(40);
    const detailed = parse(await metrics.detailed((queue) => queue === 'orders.c'));
    expect(detailed.sum(name)).toBe(10);
    expect(detailed.get(name, { destination: 'orders.c', network: 'acme' })).toBe(10);
  });

  it('answer 0 for demand that has gone', async () => {
    const metrics = metricsOf({ destinations: () => true });
    metrics.collect(viewOf({ demand: [demandOf('q'), demandOf('r', { unserved: 'queue_absent' })] }));
    const before = await read(metrics);
    expect(before.get('tombolo_demand_consumers', { peer: 'east', destination: 'q' })).toBe(2);
    expect(before.get('tombolo_demand_unserved', { destination: 'r', reason: 'queue_absent' })).toBe(2);
    metrics.collect(viewOf());
    const after = await read(metrics);
    expect(after.sum('tombolo_demand_consumers', { peer: 'east' })).toBe(0);
    expect(after.get('tombolo_demand_unserved')).toBeUndefined();
  });

  it('sum what streams of destinations without a label have outstanding, at the source only', async () => {
    const metrics = metricsOf();
    const streams = [streamOf('a'), streamOf('b'), streamOf('c', { role: 'sink' })];
    metrics.collect(viewOf({ streams }));
    const seen = await read(metrics);
    expect(seen.get('tombolo_messages_unsettled', { destination: 'other' })).toBe(10);
    expect(seen.get('tombolo_stream_credit')).toBe(20);
    expect(seen.get('tombolo_reconciliation_difference')).toBe(0);
  });

  it('show what the two ends count differently even when the stream has ended', async () => {
    const metrics = metricsOf({ destinations: () => true });
    const end = { connector: 'west-to-east', kind: 'queue' as const, peer: 'east', lost: 0, doubled: 0 };
    metrics.collect(
      viewOf({
        streams: [streamOf('a'), streamOf('b')],
        differences: [
          { ...end, role: 'source', destination: 'a', lost: 2 },
          { ...end, role: 'sink', destination: 'a', doubled: 1 },
          { ...end, role: 'source', destination: 'gone', lost: 1, doubled: 4 },
        ],
      }),
    );
    const seen = await read(metrics);
    const of = (destination: string) => seen.get('tombolo_reconciliation_difference', { destination, peer: 'east' });
    expect([of('a'), of('b'), of('gone')]).toEqual([3, 0, 5]);
  });

  it('count on when a link is made anew and its own numbers begin at 0', async () => {
    const metrics = metricsOf();
    const [link] = viewOf().links;
    metrics.collect(viewOf({ links: [{ ...link!, bytesIn: 100 }] }));
    metrics.collect(viewOf({ links: [{ ...link!, bytesIn: 150 }] }));
    metrics.collect(viewOf({ links: [{ ...link!, bytesIn: 20 }] }));
    expect((await read(metrics)).get('tombolo_link_bytes_total', { direction: 'in' })).toBe(170);
    metrics.linkRefused('east', 'wrong_secret');
    expect((await read(metrics)).get('tombolo_link_refused_total', { reason: 'wrong_secret' })).toBe(1);
  });

  it('count dropped replies from 0 on, by reason', async () => {
    const metrics = metricsOf();
    metrics.repliesDropped('late', 2);
    metrics.replyQueues(3);
    const seen = await read(metrics);
    const reasons = seen.rows.filter((row) => row.name === 'tombolo_replies_dropped_total');
    expect(reasons.map((row) => [row.labels['reason'], row.value])).toEqual([
      ['late', 2],
      ['expired', 0],
      ['forged', 0],
      ['unroutable', 0],
    ]);
    expect(seen.get('tombolo_reply_queues')).toBe(3);
  });

  it('observe a batch of durations in cumulative buckets', async () => {
    const metrics = metricsOf();
    metrics.forwardDuration('c', 0.02, 10);
    metrics.forwardDuration('c', 400, 1);
    const seen = await read(metrics);
    const bucket = (le: string) => seen.get('tombolo_forward_duration_seconds_bucket', { le });
    expect([bucket('0.01'), bucket('0.025'), bucket('60'), bucket('+Inf')]).toEqual([0, 10, 10, 11]);
    expect(seen.get('tombolo_forward_duration_seconds_count')).toBe(11);
    expect(seen.get('tombolo_forward_duration_seconds_sum')).toBeCloseTo(400.2);
  });

  it.skipIf(spawnSync('promtool', ['--version']).error)('pass promtool', async () => {
    const metrics = metricsOf();
    metrics.forwardDuration('c', 0.02, 10);
    metrics.collect(viewOf({ demand: [demandOf('q')], streams: [streamOf('q')] }));
    execFileSync('promtool', ['check', 'metrics'], { input: await metrics.text() });
  });
});
