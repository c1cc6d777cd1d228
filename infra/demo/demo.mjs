// make demo: two RabbitMQ clusters, and messages that cross from one to the other when, and only when, somebody there
// consumes. KEEP=1 leaves everything running until Ctrl-C. Runs within infra/tools/scratch.sh, which cleans up after it.
import { setTimeout as pause } from 'node:timers/promises';
import { awaitUntil } from '@tombolo/testing/await-until';
import { startRabbit } from '@tombolo/testing/rabbitmq';
import { client, metric, rabbitSection, writeTopology } from './network.mjs';
import {
  check,
  count,
  folder,
  perform,
  brokers as running,
  say,
  showOperator,
  since,
  startBridges,
  step,
} from './stage.mjs';

const backlog = 2_000;
const later = 500;
const watchSeconds = 4;

async function demo() {
  say('Tombolo: a consumer on one RabbitMQ cluster gets the messages that wait on another.');

  step('1  Two RabbitMQ clusters start, west and east, each a node of its own ...');
  let start0 = performance.now();
  const [westNode, eastNode] = await Promise.all([startRabbit(), startRabbit()]);
  running.push(westNode, eastNode);
  const brokers = { west: westNode, east: eastNode };
  say(`   west at 127.0.0.1:${brokers.west.amqpPort}, east at 127.0.0.1:${brokers.east.amqpPort} (${since(start0)})`);

  const west = await client(brokers.west);
  const east = await client(brokers.east);
  await west.declare('orders');
  await east.declare('orders');

  step('2  A bridge starts beside each cluster, and the two link up ...');
  start0 = performance.now();
  const topology = await writeTopology(folder, {
    clusters: {
      west: { note: 'where the messages are produced', section: rabbitSection(brokers.west) },
      east: { note: 'where the consumer is', section: rabbitSection(brokers.east) },
    },
    connector: `  - name: west-to-east
    from: west                               # messages may flow from here ...
    to: east                                 # ... to here, but only when somebody there consumes
    dynamicallyIncludedDestinations:
      - queue: orders
`,
    destinations: ['orders'],
  });
  await startBridges(topology);
  say(`   linked (${since(start0)})`);

  const crossed = () => metric(topology.admin.west, 'tombolo_messages_forwarded_total', { connector: 'west-to-east' });
  const figures = async () => ({
    west: await west.waiting('orders'),
    east: await east.waiting('orders'),
    crossed: await crossed(),
  });
  /** Shows for some seconds that the figures stay as they are. */
  const watchStandStill = async (expected) => {
    say('                        waiting on west   waiting on east   crossed so far');
    for (let second = 1; second <= watchSeconds; second += 1) {
      await pause(1_000);
      const now = await figures();
      const cells = [now.west, now.east, now.crossed].map((number) => count(number).padStart(15)).join('   ');
      say(`   after ${second} s           ${cells}`);
      for (const [what, number] of Object.entries(expected)) {
        check(now[what] === number, `Nothing should move now, but ${what} is ${now[what]} instead of ${number}.`);
      }
    }
  };

  step(`3  ${count(backlog)} messages are sent to the queue "orders" on west. Nobody consumes them: they stay there.`);
  await west.send('orders', 0, backlog);
  await watchStandStill({ west: backlog, east: 0, crossed: 0 });

  step('4  A consumer connects to east, its own cluster, and asks for "orders".');
  const received = [];
  let firstAfter;
  start0 = performance.now();
  const consumer = await east.consume('orders', (number) => {
    firstAfter ??= since(start0);
    received.push(number);
  });
  await awaitUntil(`${backlog} messages arrive (${received.length} did)`, () => received.length >= backlog, {
    withinMs: 20_000,
  });
  const allAfter = since(start0);
  check(
    received.every((number, index) => number === index),
    `The messages arrived out of order or twice: ${received.slice(0, 20)} ...`,
  );
  await awaitUntil('west knows that all have arrived', async () => (await crossed()) === backlog);
  say(`   first message after ${firstAfter}; all ${count(received.length)}, in order, none twice, after ${allAfter}`);
  const now = await figures();
  say(`   waiting on west: ${now.west}, on east: ${now.east}, crossed: ${count(now.crossed)}`);

  step(`5  The consumer leaves. ${count(later)} more messages are sent on west: the flow has stopped.`);
  await consumer.leave();
  await awaitUntil(
    'the bridges notice that the consumer has left',
    async () => (await metric(topology.admin.east, 'tombolo_demand_consumers', { peer: 'east' })) === 0,
  );
  await west.send('orders', backlog, backlog + later);
  await watchStandStill({ west: later, east: 0, crossed: backlog });
  check(received.length === backlog, `${received.length - backlog} messages reached a consumer that had left.`);

  step('6  What an operator sees');
  for (const name of ['west', 'east']) await showOperator(topology, name);
  await Promise.all([west.close(), east.close()]);
  const address = (name) => {
    const { amqpPort, managementPort, username, password } = brokers[name];
    return `${name} broker  amqp://${username}:${password}@127.0.0.1:${amqpPort}, http://127.0.0.1:${managementPort}`;
  };
  return { topology, addresses: [address('west'), address('east')], again: 'make demo KEEP=1' };
}

await perform(demo);
