/*
 * One run of the simulated network as plain data: everything that chance decides beforehand. A schedule is made from a seed and
 * can be cut down: any of its parts may be left out.
 */

/** A networkConnector of the run; queues are patterns as in the file. */
export interface ConnectorPlan {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly duplex: boolean;
  readonly networkTTL: number;
  readonly includes: readonly string[];
  readonly excludes: readonly string[];
}

/** Publishes `count` messages, one each `everyMs`, from `fromMs` on. */
export interface ProducerPlan {
  readonly name: string;
  readonly site: string;
  readonly queue: string;
  readonly fromMs: number;
  readonly everyMs: number;
  readonly count: number;
  readonly bodyBytes: number;
  readonly messageIds: boolean;
}

/** Takes messages and acknowledges one each `workMs`; stays from `fromMs` until `untilMs` (Infinity: to the end). */
export interface ConsumerPlan {
  readonly name: string;
  readonly site: string;
  readonly queue: string;
  readonly prefetch: number;
  readonly workMs: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What goes wrong, when, and for how long. */
export type Fault = { readonly atMs: number; readonly forMs: number } & (
  | { readonly is: 'bridge-crash'; readonly site: string; readonly replica: number }
  | { readonly is: 'bridge-pause'; readonly site: string; readonly replica: number }
  | { readonly is: 'bridge-restart'; readonly site: string; readonly replica: number }
  /** One bridge of the cluster after the other is stopped, once another one is there to take over, and started again. */
  | { readonly is: 'rolling-restart'; readonly site: string }
  /** An operator drains the cluster, and undoes it. */
  | { readonly is: 'cluster-drain'; readonly site: string }
  | { readonly is: 'broker-crash'; readonly site: string; readonly forgets: number }
  | { readonly is: 'broker-cut'; readonly site: string }
  | { readonly is: 'broker-slow'; readonly site: string; readonly latencyMs: number }
  | { readonly is: 'alarm'; readonly site: string }
  | { readonly is: 'link-cut'; readonly between: readonly [string, string] }
  | { readonly is: 'link-freeze'; readonly between: readonly [from: string, to: string] }
  | { readonly is: 'link-slow'; readonly between: readonly [string, string]; readonly latencyMs: number }
  | { readonly is: 'partition'; readonly sites: readonly string[] }
  | { readonly is: 'pause'; readonly site: string; readonly connector: string }
  /** Of the store of leases and records: it does not answer; it was restarted and is empty; its answers do not get to one of the bridges. */
  | { readonly is: 'store-away' | 'store-forgets'; readonly site: string }
  | { readonly is: 'store-unheard'; readonly site: string; readonly replica: number }
  | { readonly is: 'queue-away'; readonly site: string; readonly queue: string }
);

export type FaultKind = Fault['is'];

/** How links and brokers are while nothing is wrong with them. */
export interface Weather {
  /** One way, of every link. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** Bytes of data that may be under way on a link, and how many it carries in a millisecond. */
  readonly windowBytes: number;
  readonly bytesPerMs: number;
  readonly brokerLatencyMs: number;
  /** Frames are encoded and decoded on their way. */
  readonly codec: boolean;
}

export interface Schedule {
  readonly seed: number;
  readonly shape: string;
  readonly sites: readonly string[];
  /** How many bridges stand beside each cluster. */
  readonly replicas: number;
  /** Masters are elected by a lease, besides the broker's lock. */
  readonly lease: boolean;
  /** What is in doubt is recorded in a store that outlives the bridges. */
  readonly record: boolean;
  readonly queues: readonly string[];
  readonly connectors: readonly ConnectorPlan[];
  readonly prefetchSize: number;
  readonly inFlightBytes: number;
  readonly holdWhenLinkLostMs: number;
  readonly weather: Weather;
  readonly producers: readonly ProducerPlan[];
  readonly consumers: readonly ConsumerPlan[];
  readonly faults: readonly Fault[];
}

/** When everything that was planned has happened: nobody comes or goes after it, and nothing is wrong any more. */
export function quietFrom({ producers, consumers, faults }: Schedule): number {
  return Math.max(
    0,
    ...producers.map(({ fromMs, everyMs, count }) => fromMs + everyMs * count),
    ...consumers.flatMap(({ fromMs, untilMs }) => [fromMs, Number.isFinite(untilMs) ? untilMs : 0]),
    ...faults.map(({ atMs, forMs }) => atMs + forMs),
  );
}

/** The schedule for people: what there is, and what happens in which order. */
export function describeSchedule(schedule: Schedule): string {
  const { seed, shape, sites, replicas, connectors, weather, producers, consumers, faults } = schedule;
  const happenings: { at: number; text: string }[] = [];
  for (const { name, site, queue, fromMs, everyMs, count, bodyBytes } of producers) {
    const text = `${name} publishes ${count} × ${bodyBytes} B to ${queue} on ${site}, one each ${round(everyMs)} ms`;
    happenings.push({ at: fromMs, text });
  }
  for (const { name, site, queue, prefetch, workMs, fromMs, untilMs } of consumers) {
    const until = Number.isFinite(untilMs) ? `until ${round(untilMs)}` : 'to the end';
    const text = `${name} consumes ${queue} on ${site}, prefetch ${prefetch}, ${round(workMs)} ms each, ${until}`;
    happenings.push({ at: fromMs, text });
  }
  for (const { is, atMs, forMs, ...what } of faults) {
    happenings.push({ at: atMs, text: `${is} ${JSON.stringify(what)} for ${round(forMs)} ms` });
  }
  happenings.sort((a, b) => a.at - b.at);
  return [
    `seed ${seed}, ${shape} of ${sites.join(', ')}${replicas > 1 ? `, ${replicas} bridges each` : ''}${schedule.lease ? ', leases' : ''}${schedule.record ? ', record' : ''}`,
    `prefetchSize ${schedule.prefetchSize}, inFlightBytes ${schedule.inFlightBytes}, hold ${schedule.holdWhenLinkLostMs} ms`,
    `links ${round(weather.latencyMs)}+${round(weather.jitterMs)} ms, window ${weather.windowBytes} B, ${round(weather.bytesPerMs)} B/ms; brokers ${round(weather.brokerLatencyMs)} ms${weather.codec ? '; codec' : ''}`,
    ...connectors.map(({ name, from, to, duplex, networkTTL, includes, excludes }) => {
      const without = excludes.length > 0 ? ` without ${excludes.join(', ')}` : '';
      return `connector ${name}: ${from} ${duplex ? '<' : ''}-> ${to}, ttl ${networkTTL}, ${includes.join(', ')}${without}`;
    }),
    ...happenings.map(({ at, text }) => `${round(at).toString().padStart(8)}  ${text}`),
  ].join('\n');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
