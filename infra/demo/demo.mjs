// make demo: two RabbitMQ clusters, and messages that cross from one to the other when, and only when, somebody there
// consumes. KEEP=1 leaves everything running until Ctrl-C. Runs within infra/tools/scratch.sh, which cleans up after it.
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { awaitUntil } from '@tombolo/testing/await-until';
import { client, metric, prepareFolder, startBridge, startBrokers, tombolo, writeTopology } from './network.mjs';

const backlog = 2_000;
const later = 500;
const watchSeconds = 4;
const keep = !['', '0', undefined].includes(process.env.KEEP);

const began = performance.now();
const say = (text = '') => console.log(text);
const step = (text) => console.log(`\n${process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text}`);
const count = (number) => number.toLocaleString('en');
const since = (start) => {
  const ms = performance.now() - start;
  return ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`;
};

/** What does not hold ends the demo: it shows the truth or nothing. */
function check(holds, message) {
  if (!holds) throw new Error(message);
}

let interrupt;
const interrupted = new Promise((resolve) => {
  interrupt = () => resolve('interrupted');
});
process.on('SIGINT', interrupt);
process.on('SIGTERM', interrupt);

const folder = await prepareFolder();
const running = { brokers: [], bridges: [] };

async function demo() {
  say('Tombolo: a consumer on one RabbitMQ cluster gets the messages that wait on another.');

  step('1  Two RabbitMQ clusters start, west and east, each a node of its own ...');
  let start0 = performance.now();
  const brokers = await startBrokers();
  running.brokers.push(brokers.west, brokers.east);
  say(`   west at 127.0.0.1:${brokers.west.amqpPort}, east at 127.0.0.1:${brokers.east.amqpPort} (${since(start0)})`);

  const west = await client(brokers.west);
  const east = await client(brokers.east);
  await west.declare('orders');
  await east.declare('orders');

  step('2  A bridge starts beside each cluster, and the two link up ...');
  start0 = performance.now();
  const topology = await writeTopology(folder, brokers);
  for (const name of ['west', 'east']) running.bridges.push(await startBridge(folder, topology, name));
  await Promise.all(running.bridges.map((bridge) => bridge.ready()));
  await awaitUntil('the bridges are linked', () => metric(topology.admin.west, 'tombolo_link_up', { peer: 'east' }), {
    withinMs: 20_000,
    everyMs: 20,
  });
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
  return { topology, brokers };
}

async function showOperator(topology, cluster) {
  const url = topology.admin[cluster];
  const status = await tombolo('status', '--table', '--url', url);
  say(`\n   $ node_modules/.bin/tombolo status --url ${url}`);
  say(status.text.trimEnd().replace(/^(?=.)/gm, '     '));
  check(status.code === 0, `tombolo status says that ${cluster} is not well (exit code ${status.code}).`);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  say(`\n   $ curl ${url}/metrics`);
  const shown = /^tombolo_(messages_(forwarded|delivered)_total|broker_up|link_up)\{/;
  for (const line of metrics.split('\n').filter((line) => shown.test(line))) say(`     ${line}`);
}

async function stop() {
  // Bridges first: they settle what is in flight while their brokers are still there.
  await Promise.all(running.bridges.map((bridge) => bridge.stop()));
  await Promise.all(running.brokers.map((broker) => broker.stop()));
}

async function run() {
  const how = await Promise.race([demo(), interrupted]);
  if (how === 'interrupted') return;
  const { topology, brokers } = how;
  say(`\nDone in ${since(began)}. The whole configuration was one file, ${topology.file}`);
  if (!keep) {
    say('To look around with everything running: make demo KEEP=1');
    return;
  }
  say('\nEverything keeps running until Ctrl-C.');
  say(`   topology     ${topology.file}`);
  for (const name of ['west', 'east']) {
    const { amqpPort, managementPort, username, password } = brokers[name];
    say(`   ${name} broker  amqp://${username}:${password}@127.0.0.1:${amqpPort}, http://127.0.0.1:${managementPort}`);
    say(`   ${name} bridge  ${topology.admin[name]}/metrics, log ${folder}/bridge-${name}.log`);
  }
  await interrupted;
}

try {
  await run();
  say('\nStopping ...');
  await stop();
} catch (failure) {
  const cause = failure.cause === undefined ? '' : ` (${failure.cause.message ?? failure.cause})`;
  console.error(`\nThe demo failed: ${failure.message}${cause}`);
  console.error(`The topology and the logs of the bridges are in ${folder},`);
  console.error(
    `those of the brokers in ${dirname(folder)}/tombolo-rabbit-*/log. Remove ${dirname(folder)} afterwards.`,
  );
  process.exit(1);
}
process.exit(0);
