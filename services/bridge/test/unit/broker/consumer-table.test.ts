import { beforeEach, expect, test } from 'vitest';
import { ConsumerTable, type DemandChange } from '../../../src/broker/rabbitmq/consumer-table.ts';
import { parseErlangArguments } from '../../../src/broker/rabbitmq/erlang-args.ts';
import type { ConsumerFact } from '../../../src/broker/rabbitmq/listed-consumers.ts';

const classic = { type: 'classic', durable: true };
const queue = { name: 'q', properties: classic, ready: 3 };
const consumer = (tag: string, more: Partial<ConsumerFact> = {}): ConsumerFact => ({
  queue: 'q',
  tag,
  prefetch: 5,
  ackRequired: true,
  arguments: {},
  ...more,
});
const demands = (changes: readonly DemandChange[]) =>
  changes.flatMap((change) => (change.is === 'changed' ? [[change.demand.consumers, change.demand.capacity]] : []));

let table: ConsumerTable;
beforeEach(() => {
  table = new ConsumerTable();
  table.watch(() => true);
  table.snapshot([queue], [], 0);
});

test('a snapshot that lags behind takes back nothing that an event told', () => {
  expect(demands(table.consumerCreated(consumer('a', { channelPid: 'p1' }), 1_000))).toEqual([[1, 5]]);
  expect(table.snapshot([queue], [], 2_000)).toEqual([]);
  expect(demands(table.consumerDeleted('q', 'a', 'p1', 3_000))).toEqual([[0, 0]]);
  expect(table.snapshot([queue], [consumer('a', { channelName: 'c1' })], 4_000)).toEqual([]);
  expect(table.snapshot([queue], [], 30_000)).toEqual([]);
});

test('an event that was missed is made up for by a later snapshot', () => {
  table.consumerCreated(consumer('a', { channelPid: 'p1' }), 1_000);
  expect(table.snapshot([queue], [consumer('a', { channelName: 'c1' })], 5_000)).toEqual([]);
  expect(demands(table.snapshot([queue], [], 6_000))).toEqual([[0, 0]]);
});

test('an event about a consumer that a snapshot has shown already counts it once', () => {
  expect(demands(table.snapshot([queue], [consumer('a', { channelName: 'c1' })], 1_000))).toEqual([[1, 5]]);
  expect(table.consumerCreated(consumer('a', { channelPid: 'p1' }), 1_001)).toEqual([]);
  expect(demands(table.channelClosed('p1', 2_000))).toEqual([[0, 0]]);
});

test('two consumers of one tag on two channels are two', () => {
  table.consumerCreated(consumer('same', { channelPid: 'p1' }), 1_000);
  expect(demands(table.consumerCreated(consumer('same', { channelPid: 'p2' }), 1_001))).toEqual([[2, 10]]);
  const both = [consumer('same', { channelName: 'c1' }), consumer('same', { channelName: 'c2' })];
  expect(table.snapshot([queue], both, 6_000)).toEqual([]);
  expect(demands(table.snapshot([queue], both.slice(1), 20_000))).toEqual([[1, 5]]);
});

test('bridges, federation links and negative priorities are no demand; no limit is infinite', () => {
  const none = [
    consumer('tombolo.x.1'),
    consumer('mine', { arguments: { 'x-tombolo-bridge': 'x' } }),
    consumer('federation-link-up'),
    consumer('low', { arguments: { 'x-priority': -1 } }),
  ];
  expect(table.snapshot([queue], none, 1_000)).toEqual([]);
  expect(demands(table.consumerCreated(consumer('auto', { ackRequired: false, channelPid: 'p' }), 1_000))).toEqual([
    [1, Number.POSITIVE_INFINITY],
  ]);
});

test('a bridge that is the active consumer of a single-active-consumer queue hides no local consumer', () => {
  const single = { name: 's', properties: { ...classic, singleActiveConsumer: true }, ready: 0 };
  const on = (tag: string, prefetch: number, more: Partial<ConsumerFact> = {}) =>
    consumer(tag, { queue: 's', prefetch, ...more });
  table.snapshot([single], [on('tombolo.x.1', 100, { channelPid: 'own' })], 0);
  // By events, which do not say who is active: the bridge's own came first.
  expect(demands(table.consumerCreated(on('a', 5, { channelPid: 'p1' }), 1))).toEqual([[1, 5]]);
  expect(table.consumerCreated(on('b', 7, { channelPid: 'p2' }), 2)).toEqual([]);
  // By a snapshot, which does.
  const shown = (active: string) =>
    ['tombolo.x.1', 'a', 'b'].map((tag, index) =>
      on(tag, [100, 5, 7][index] as number, { active: tag === active, channelName: tag }),
    );
  expect(table.snapshot([single], shown('tombolo.x.1'), 20_000)).toEqual([]);
  expect(demands(table.snapshot([single], shown('b'), 21_000))).toEqual([[1, 7]]);
  expect(demands(table.snapshot([single], shown('tombolo.x.1').slice(0, 1), 60_000))).toEqual([[0, 0]]);
});

test('a consumer of negative priority that is the active one hides none that waits', () => {
  const single = { name: 's', properties: { ...classic, singleActiveConsumer: true }, ready: 0 };
  const low = consumer('low', { queue: 's', arguments: { 'x-priority': -1 }, active: true });
  expect(table.snapshot([single], [low], 0).filter((change) => change.is === 'changed')).toEqual([]);
  const waiting = consumer('a', { queue: 's', prefetch: 3, active: false });
  expect(demands(table.snapshot([single], [low, waiting], 1))).toEqual([[1, 3]]);
});

test('a queue that is deleted and made again is told as both', () => {
  table.consumerCreated(consumer('a', { channelPid: 'p1' }), 1_000);
  expect(table.queueDeleted('q', 2_000)).toEqual([{ is: 'deleted', queue: 'q' }]);
  expect(table.snapshot([queue], [], 2_500)).toEqual([]);
  expect(table.queueCreated('q', classic, 3_000)).toEqual([{ is: 'created', queue: 'q', properties: classic }]);
  expect(table.snapshot([], [], 3_500)).toEqual([]);
  expect(table.snapshot([], [], 60_000)).toEqual([{ is: 'deleted', queue: 'q' }]);
});

test('other names are told as a difference', () => {
  table.snapshot([queue, { ...queue, name: 'r' }], [consumer('a'), consumer('b', { queue: 'r' })], 1_000);
  table.watch((name) => name === 'q');
  expect(table.watch(() => true).map((change) => change.is)).toEqual(['created', 'changed']);
});

test('the arguments of events are read from printed Erlang', () => {
  expect(
    parseErlangArguments([
      '{<<"x-priority">>,signedint,-10}',
      '{<<"x-single-active-consumer">>,bool,true}',
      '{<<"x-foo">>,longstr,<<"b,a\\"r">>}',
      '{<<"bin">>,longstr,<<104,105>>}',
      '{<<"t">>,table,[{<<"a">>,long,1}]}',
      'nonsense',
    ]),
  ).toEqual({
    'x-priority': -10,
    'x-single-active-consumer': true,
    'x-foo': 'b,a"r',
    bin: 'hi',
    t: '[{<<"a">>,long,1}]',
  });
  expect(parseErlangArguments(undefined)).toEqual({});
});

test('a durable queue whose node went keeps its demand, without room for any message, until its node is back', () => {
  table.snapshot([queue], [consumer('a', { channelName: 'c1' })], 1_000);
  expect(table.queueEnded('q', 30_000)).toMatchObject([
    { is: 'changed', demand: { consumers: 1, capacity: 0, unavailable: /looked at/ } },
  ]);
  // The broker cancels the consumers of such a queue.
  expect(table.consumerDeleted('q', 'a', 'p1', 30_001)).toEqual([]);
  const down = { ...queue, unavailable: 'its node is down' };
  expect(table.snapshot([down], [], 30_100)).toMatchObject([
    { is: 'changed', demand: { consumers: 1, capacity: 0, unavailable: 'its node is down' } },
  ]);
  expect(table.isUnsettled).toBe(true);
  expect(table.snapshot([down], [], 90_000)).toEqual([]);
  const back = table.snapshot([queue], [consumer('b', { channelName: 'c2' })], 95_000);
  expect(back).toMatchObject([{ is: 'changed', demand: { consumers: 1, capacity: 5 } }]);
  expect(back[0]).not.toHaveProperty('demand.unavailable');
  expect(table.isUnsettled).toBe(false);
});

test('a queue that the broker itself ended is deleted once a list does not show it; a list from before the event decides nothing', () => {
  table.snapshot([queue], [consumer('a', { channelName: 'c1' })], 1_000);
  table.queueEnded('q', 30_000);
  expect(table.snapshot([queue], [consumer('a', { channelName: 'c1' })], 30_010)).toEqual([]);
  expect(table.snapshot([], [], 30_500)).toEqual([{ is: 'deleted', queue: 'q' }]);
});

test('consumers that a list does not show any more are believed in while a look at their queue counts them', () => {
  table.snapshot([queue], [consumer('a', { channelName: 'c1' })], 1_000);
  const shown = [consumer('tombolo.x.1'), consumer('federation-link-up')];
  expect(table.vanishing([queue], shown, 20_000)).toEqual([{ queue: 'q', others: 1 }]);
  expect(table.doubted('q', 1, false, 20_000)).toBe(true);
  expect(table.snapshot([queue], shown, 20_000, new Set(['q']))).toEqual([]);
  expect(table.isUnsettled).toBe(true);
  // Seen again under another tag, at another node: nothing has changed for anybody.
  expect(table.snapshot([queue], [...shown, consumer('b', { channelName: 'c2' })], 24_000)).toEqual([]);
  expect(table.isUnsettled).toBe(false);
});

test('consumers that no list shows for longer than lists lag behind are gone, whatever is counted', () => {
  table.snapshot([queue], [consumer('a', { channelName: 'c1' })], 1_000);
  expect(table.doubted('q', 1, false, 20_000)).toBe(true);
  expect(table.doubted('q', 1, false, 30_000)).toBe(true);
  expect(table.doubted('q', 1, false, 31_000)).toBe(false);
  expect(demands(table.snapshot([queue], [], 31_000))).toEqual([[0, 0]]);
});

test('a quorum queue that shows nothing at all may have no leader: that is believed the second time, of others the first', () => {
  expect(table.doubted('q', 0, true, 1_000)).toBe(false);
  const quorum = { ...queue, properties: { type: 'quorum', durable: true } };
  table.snapshot([quorum], [consumer('a', { channelName: 'c1' })], 1_000);
  expect(table.doubted('q', 0, true, 20_000)).toBe(true);
  expect(table.doubted('q', 0, true, 21_000)).toBe(false);
});
