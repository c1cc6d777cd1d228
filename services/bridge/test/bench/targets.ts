/** Something that Tombolo is measured by: a figure of a row, and a bound of it, alone or as a multiple of somebody else's. */
export interface Target {
  readonly row: string;
  /** As the table says it. */
  readonly measure: string;
  readonly figure: string;
  readonly unit: string;
  /** Whose figure; default Tombolo's. */
  readonly of?: string;
  /** The bound is this times the figure of `peer`; without a peer it is absolute. */
  readonly peer?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** In words, where no figure bounds it. */
  readonly words?: string;
}

const federation = 'queue federation';
const rate = { figure: 'rate', unit: 'msg/s' } as const;
const oneProcess = 'Tombolo, one process';

/** What Tombolo shall reach. */
export const targets: readonly Target[] = [
  { row: 'backlog-pinned', measure: 'backlog, 1 KiB, pinned', ...rate, peer: federation, atLeast: 1.5 },
  { row: 'backlog-pinned', measure: 'backlog, 1 KiB, pinned', ...rate, peer: 'shovel', atLeast: 1.4 },
  { row: 'backlog-pinned', measure: 'backlog, 1 KiB, pinned', ...rate, peer: 'publishing only', atLeast: 0.85 },
  { row: 'backlog-shared', measure: 'backlog, 1 KiB, shared', ...rate, peer: federation, atLeast: 1.15 },
  {
    row: 'backlog-shared',
    measure: 'backlog, 1 KiB, both clusters in one process, shared',
    ...rate,
    of: oneProcess,
    peer: federation,
    atLeast: 1.3,
  },
  { row: 'backlog-16k', measure: 'backlog, 16 KiB, pinned', ...rate, peer: federation, atLeast: 1.4 },
  { row: 'backlog-128', measure: 'backlog, 128 B, pinned', ...rate, peer: federation, atLeast: 1.5 },
  ...(['shared', 'pinned'] as const).flatMap((setup) =>
    [federation, 'shovel'].map((peer) => ({
      row: `live-${setup}`,
      measure: `live, 1 KiB, ${setup}`,
      ...rate,
      peer,
      atLeast: setup === 'shared' ? 1 : 1.2,
    })),
  ),
  ...(['pinned', 'shared'] as const).flatMap((setup) =>
    [federation, 'shovel'].map((peer) => ({
      row: `backlog-${setup}`,
      measure: `processor time of the sink's broker, ${setup}`,
      figure: 'cpuSink',
      unit: 's/M',
      peer,
      atMost: 0.7,
    })),
  ),
  {
    row: 'topics',
    measure: 'from exchange to exchange, live, shared',
    ...rate,
    peer: 'exchange federation',
    atLeast: 4,
  },
  {
    row: 'backlog-shared',
    measure: 'processor time of both bridges, 1 KiB backlog, shared',
    figure: 'cpuBridges',
    unit: 's/M',
    atMost: 30,
  },
  {
    row: 'backlog-shared',
    measure: 'processor time of brokers and bridges, shared',
    figure: 'cpuAll',
    unit: 's/M',
    peer: federation,
    atMost: 0.8,
  },
  { row: 'latency', measure: 'p50 at 1,000 msg/s, shared', figure: 'p50', unit: 'ms', peer: federation, atMost: 1 },
  { row: 'latency', measure: 'p99 at 1,000 msg/s, shared', figure: 'p99', unit: 'ms', peer: federation, atMost: 1 },
  { row: 'delay-100-shared', measure: 'backlog, round trip 100 ms, shared', ...rate, peer: federation, atLeast: 1.25 },
  { row: 'delay-200-shared', measure: 'backlog, round trip 200 ms, shared', ...rate, peer: federation, atLeast: 1.8 },
  { row: 'delay-100-pinned', measure: 'backlog, round trip 100 ms, pinned', ...rate, peer: federation, atLeast: 1.7 },
  { row: 'delay-200-pinned', measure: 'backlog, round trip 200 ms, pinned', ...rate, peer: federation, atLeast: 2 },
  { row: 'first-message', measure: 'first message, queue known', figure: 'known', unit: 'ms', atMost: 8 },
  { row: 'first-message', measure: 'first message, new queue', figure: 'fresh', unit: 'ms', atMost: 12 },
  { row: 'first-message', measure: 'first message, round trip 100 ms', figure: 'far', unit: 'ms', atMost: 120 },
  { row: 'destinations-1000', measure: '1,000 destinations: ready', figure: 'ready', unit: 's', atMost: 1 },
  {
    row: 'destinations-1000',
    measure: '1,000 destinations: broker connections of both bridges',
    figure: 'connections',
    unit: '',
    atMost: 8,
  },
  {
    row: 'destinations-1000',
    measure: '1,000 destinations, idle: both bridges',
    figure: 'idleBridges',
    unit: '% of a core',
    atMost: 1,
  },
  {
    row: 'destinations-1000',
    measure: '1,000 destinations: live over all of them',
    ...rate,
    peer: federation,
    atLeast: 1.3,
  },
  { row: 'destinations-10000', measure: '10,000 destinations: ready', figure: 'ready', unit: 's', words: 'it works' },
  {
    row: 'destinations-10000',
    measure: "10,000 idle: memory of the source's bridge",
    figure: 'bytesSource',
    unit: 'B each',
    words: 'stated',
  },
  {
    row: 'destinations-10000',
    measure: "10,000 idle: memory of the sink's bridge",
    figure: 'bytesSink',
    unit: 'B each',
    words: 'stated',
  },
  {
    row: 'destinations-10000',
    measure: "10,000 idle: the sink's bridge to its broker",
    figure: 'amqpRequests',
    unit: 'AMQP writes/min',
    words: 'stated',
  },
  {
    row: 'destinations-10000',
    measure: "10,000 idle: the sink's bridge to its broker",
    figure: 'managementRequests',
    unit: 'management requests/min',
    words: 'stated',
  },
  {
    row: 'transit',
    measure: 'transit through a third bridge, shared',
    ...rate,
    of: 'Tombolo, by transit',
    peer: 'Tombolo',
    atLeast: 0.85,
  },
  { row: 'link-killed', measure: 'link killed: longest pause', figure: 'pause', unit: 'ms', atMost: 500 },
  { row: 'link-killed', measure: 'link killed', figure: 'duplicates', unit: 'duplicates', atMost: 0 },
  {
    row: 'broker-killed',
    measure: 'source broker killed, message ids',
    figure: 'duplicates',
    unit: 'duplicates',
    of: 'Tombolo, message ids',
    atMost: 0,
  },
  {
    row: 'broker-killed',
    measure: 'source broker killed, no message ids',
    figure: 'duplicates',
    unit: 'duplicates',
    peer: federation,
    atMost: 1,
  },
  { row: 'activemq', measure: 'ActiveMQ to ActiveMQ, backlog, 1 KiB', ...rate, peer: 'networkConnector', atLeast: 1.2 },
];

/** The most that a bridge may ever have resident, in MiB, in any row but those with large bodies. */
export const memoryTarget = 150;
