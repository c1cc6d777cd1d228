// make demo-activemq: an ActiveMQ and a RabbitMQ, and messages that cross from each to the other when, and only when, somebody there
// consumes. KEEP=1 leaves everything running until Ctrl-C. Runs within infra/tools/scratch.sh, which cleans up after it.
import { setTimeout as pause } from 'node:timers/promises';
import { ActiveMqNode } from '@tombolo/testing/activemq';
import { awaitUntil } from '@tombolo/testing/await-until';
import { startRabbit } from '@tombolo/testing/rabbitmq';
import { activeMqSection, client, metric, rabbitSection, writeTopology } from './network.mjs';
import { brokers, check, count, folder, perform, say, showOperator, since, startBridges, step } from './stage.mjs';
import { stompClient } from './stomp.mjs';

const messages = 1_000;
const watchSeconds = 2;

async function demo() {
  say('Tombolo: RabbitMQ and ActiveMQ in one network. AMQP clients on one, STOMP and JMS clients on the other.');

  step('1  A RabbitMQ and an ActiveMQ start ...');
  let start = performance.now();
  const [rabbit, active] = await Promise.all([startRabbit(), ActiveMqNode.start()]);
  brokers.push(rabbit, active);
  say(
    `   RabbitMQ at 127.0.0.1:${rabbit.amqpPort}, ActiveMQ (STOMP) at 127.0.0.1:${active.stompPort} (${since(start)})`,
  );
  const amqp = await client(rabbit);
  const stomp = await stompClient(active.stompPort);
  await amqp.declare('orders');
  await amqp.declare('invoices');

  step('2  A bridge starts beside each, and the two link up ...');
  start = performance.now();
  const topology = await writeTopology(folder, {
    clusters: {
      rabbit: { note: 'a RabbitMQ', section: rabbitSection(rabbit) },
      active: { note: 'an ActiveMQ', section: activeMqSection(active) },
    },
    connector: `  - name: both-ways
    from: rabbit
    to: active
    duplex: true                             # and back: each way only when somebody there consumes
    dynamicallyIncludedDestinations:
      - queue: orders
      - queue: invoices
`,
    destinations: ['orders', 'invoices'],
  });
  await startBridges(topology);
  say(`   linked (${since(start)})`);

  step(
    `3  An AMQP producer sends ${count(messages)} messages to "orders" on RabbitMQ. Nobody consumes them: they stay there.`,
  );
  await amqp.send('orders', 0, messages);
  for (let second = 1; second <= watchSeconds; second += 1) {
    await pause(1_000);
    const [waiting, crossed] = [await amqp.waiting('orders'), await forwarded(topology, 'rabbit')];
    say(`   after ${second} s: waiting on RabbitMQ ${count(waiting)}, crossed ${crossed}`);
    check(waiting === messages && crossed === 0, 'Nothing should move while nobody consumes.');
  }

  step('4  A STOMP consumer connects to ActiveMQ and asks for "orders".');
  await arrive(
    'orders',
    (onNumber) => stomp.consume('orders', onNumber),
    (headers) => ({
      kind: headers.has('content-length') ? 'BytesMessage' : 'TextMessage',
      persistent: headers.get('persistent'),
      'message id from AMQP': headers.get('tombolo_message_id'),
    }),
  );
  await awaitUntil('RabbitMQ’s bridge knows', async () => (await forwarded(topology, 'rabbit')) === messages);
  check((await amqp.waiting('orders')) === 0, 'Messages were left on RabbitMQ.');

  step(
    `5  The other way: a STOMP producer sends ${count(messages)} texts to "invoices" on ActiveMQ, an AMQP consumer is on RabbitMQ.`,
  );
  const arriving = arrive(
    'invoices',
    (onNumber) => amqp.consume('invoices', onNumber),
    ({ properties }) => ({
      'content type': properties.contentType,
      'delivery mode': properties.deliveryMode,
      'header "number"': properties.headers.number,
      'message id from ActiveMQ': properties.messageId,
    }),
  );
  await stomp.send('invoices', 0, messages);
  await arriving;
  await awaitUntil('ActiveMQ’s bridge knows', async () => (await forwarded(topology, 'active')) === messages);

  step('6  What an operator sees');
  for (const name of ['rabbit', 'active']) await showOperator(topology, name);
  await amqp.close();
  stomp.close();
  return {
    topology,
    addresses: [
      `rabbit broker  amqp://${rabbit.username}:${rabbit.password}@127.0.0.1:${rabbit.amqpPort}, http://127.0.0.1:${rabbit.managementPort}`,
      `active broker  stomp://127.0.0.1:${active.stompPort}, tcp://127.0.0.1:${active.openwirePort}`,
    ],
    again: 'make demo-activemq KEEP=1',
  };
}

const forwarded = (topology, cluster) =>
  metric(topology.admin[cluster], 'tombolo_messages_forwarded_total', { connector: 'both-ways' });

/** A consumer that gets all numbers, each once and in order, and shows what the first message looked like to it. */
async function arrive(queue, consume, looks) {
  const received = [];
  let first;
  const start = performance.now();
  const consumer = await consume((number, message) => {
    first ??= message;
    received.push(number);
  });
  await awaitUntil(`${messages} messages of ${queue}`, () => received.length >= messages, { withinMs: 60_000 });
  const all = since(start);
  const odd = received.findIndex((number, index) => number !== index);
  check(
    odd < 0,
    `Messages of ${queue} arrived out of order or twice: ${received.slice(Math.max(0, odd - 3), odd + 10)} ...`,
  );
  say(`   all ${count(received.length)}, in order, none twice, after ${all}. The first one, as its consumer sees it:`);
  for (const [name, value] of Object.entries(looks(first))) say(`     ${name}: ${value}`);
  await consumer.leave();
}

await perform(demo);
