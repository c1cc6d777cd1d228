import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { MetricSet } from '../../../src/telemetry/metric-set.ts';
import { type MetricDefinition, type MetricName, metricTable } from '../../../src/telemetry/metric-table.ts';
import { Metrics, type MetricsOptions } from '../../../src/telemetry/metrics.ts';
import { demandOf, streamOf, viewOf } from '../admin/views.ts';

/** CONTRACT's metrics, and those that were added to it, by name. */
const promised = `
  config_last_reload_successful lease_duration_seconds demand_without_source oldest_unforwarded_message_age_seconds
  stream_blocked_seconds_total messages_in_doubt messages_reconciled_total in_flight_bytes in_flight_limit_bytes
  end_to_end_delay_seconds
  build_info config_hash config_reloads_total config_last_reload_success_timestamp_seconds master lease_remaining_seconds
  broker_up link_up link_round_trip_seconds link_reconnects_total link_refused_total link_frames_refused_total link_bytes_total
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
    expect(after.sum('tombolo_demand_unserved')).toBe(0);
    expect(after.get('tombolo_demand_unserved', { destination: 'r' })).toBeUndefined();
  });

  it('count a reason that a peer invented as other', async () => {
    const metrics = metricsOf();
    metrics.collect(viewOf({ demand: [demandOf('q', { unserved: 'because-of-4711' })] }));
    expect((await read(metrics)).get('tombolo_demand_unserved', { reason: 'other' })).toBe(2);
  });

  it('tell of consumers whose demand is permitted and that no cluster serves', async () => {
    const metrics = metricsOf({ destinations: () => true });
    const own = { cluster: 'west', connectors: ['east-to-west'] };
    const demand = [demandOf('fed', own), demandOf('starving', own), demandOf('local', { ...own, connectors: [] })];
    const lost = streamOf('starving', { role: 'sink', state: 'suspended' });
    metrics.collect(viewOf({ demand, streams: [streamOf('fed', { role: 'sink' }), lost] }));
    const seen = await read(metrics);
    expect(seen.get('tombolo_demand_without_source', { destination: 'starving' })).toBe(2);
    expect(seen.sum('tombolo_demand_without_source')).toBe(2);
  });

  it('begin to count at 0 for every connector and every destination with a label, so that the first of it is an increase', async () => {
    const metrics = metricsOf({ destinations: (name) => name === 'orders' });
    metrics.collect(viewOf({ streams: [streamOf('orders'), streamOf('audit')] }));
    const seen = await read(metrics);
    for (const name of ['forwarded', 'dead_lettered', 'returned', 'near_delivery_limit']) {
      const rows = seen.rows.filter((row) => row.name === `tombolo_messages_${name}_total`);
      expect(new Set(rows.map(({ labels: { destination } }) => destination)), name).toEqual(
        new Set(['other', 'orders']),
      );
      expect(rows.every(({ value }) => value === 0)).toBe(true);
    }
    expect(seen.get('tombolo_forward_duration_seconds_count', { connector: 'west-to-east' })).toBe(0);
    expect(seen.get('tombolo_link_refused_total', { peer: 'east', reason: 'secret' })).toBe(0);
    // West only sends: what a sink counts would stay 0 for ever.
    expect(seen.get('tombolo_messages_delivered_total')).toBeUndefined();
  });

  it('show the age of what has waited longest among destinations without a label, not the sum of ages', async () => {
    const metrics = metricsOf();
    const waits = { kind: 'queue' as const, sink: 'east', connector: 'west-to-east', reason: 'no_credit' };
    const waiting = [
      { ...waits, destination: 'a', ageMs: 30_000 },
      { ...waits, destination: 'b', ageMs: 90_000 },
    ];
    const name = 'tombolo_oldest_unforwarded_message_age_seconds';
    metrics.collect(viewOf({ waiting }));
    expect((await read(metrics)).get(name, { reason: 'no_credit', destination: 'other' })).toBe(90);
    metrics.collect(viewOf());
    const after = await read(metrics);
    expect([after.get(name, { reason: 'none' }), after.get(name, { reason: 'no_credit' })]).toEqual([0, undefined]);
  });

  it('count the time for which a stream is blocked under its reason, and no time in which nobody looked', async () => {
    const metrics = metricsOf();
    const flowing = viewOf({ streams: [streamOf('q')] });
    const paused = viewOf({ streams: [streamOf('q', { blockedReason: 'paused' })] });
    for (const [at, view] of [
      [0, paused],
      [500, flowing],
      [1_000, paused],
      [1_500, paused],
      [901_500, paused],
    ] as const)
      metrics.look(view, at);
    const seen = await read(metrics);
    expect(seen.get('tombolo_stream_blocked_seconds_total', { reason: 'paused', peer: 'east' })).toBe(16);
  });

  it('tell at the sink what is in doubt, and bytes in flight by direction', async () => {
    const metrics = metricsOf({ inFlightBytes: 1_000_000 });
    const sink = streamOf('q', { role: 'sink', inDoubt: 7, unsettledBytes: 30 });
    metrics.collect(viewOf({ streams: [streamOf('q'), sink] }));
    const seen = await read(metrics);
    expect(seen.sum('tombolo_messages_in_doubt')).toBe(7);
    expect(seen.get('tombolo_in_flight_bytes', { direction: 'out' })).toBe(500);
    expect(seen.get('tombolo_in_flight_bytes', { direction: 'in' })).toBe(30);
    expect(seen.get('tombolo_in_flight_limit_bytes')).toBe(1_000_000);
  });

  it('say whether the file as it was last read is in force', async () => {
    const metrics = metricsOf();
    const latest = async () => (await read(metrics)).get('tombolo_config_last_reload_successful');
    metrics.configApplied(1, 1_700_000_000, false);
    expect(await latest()).toBe(1);
    metrics.configRefused();
    expect(await latest()).toBe(0);
    metrics.configApplied(2, 1_700_000_100, true);
    expect(await latest()).toBe(1);
  });

  it('show a lease only where leases elect', async () => {
    expect((await read(metricsOf())).get('tombolo_lease_duration_seconds')).toBeUndefined();
    expect((await read(metricsOf({ leaseMs: 3_000 }))).get('tombolo_lease_duration_seconds')).toBe(3);
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

  it('pass promtool, every one of them', async () => {
    // Without prom-client's own, which fail it (gauges that end in _total) and are not ours to name.
    const set = new MetricSet({ network: 'acme', cluster: 'west', process: false });
    for (const [name, { type, labels }] of Object.entries(metricTable) as [MetricName, MetricDefinition][]) {
      if (type === 'histogram') set.observe(name, 'west-to-east', 0.2, 3);
      else set.add(name, labels, 1);
    }
    const text = await set.text(true);
    const shown = new Set(text.match(/^tombolo_\w+/gm)?.map((name) => name.replace(/_(bucket|sum|count)$/, '')));
    expect([...shown].sort()).toEqual(Object.keys(metricTable).sort());
    execFileSync('promtool', ['check', 'metrics'], { input: text });
  });
});
