// The network that a demo runs: a topology file, the bridges that it describes, and what one asks them.
import { spawn } from 'node:child_process';
import { mkdtemp, open, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { awaitUntil } from '@tombolo/testing/await-until';
import { freePorts } from '@tombolo/testing/free-port';
import amqp from 'amqplib';

const command = fileURLToPath(new URL('../../node_modules/.bin/tombolo', import.meta.url));

/** A folder for the topology, its secrets and the logs; brokers put theirs beside it. */
export async function prepareFolder() {
  return mkdtemp(join(tmpdir(), 'demo-'));
}

/** A RabbitMQ node as a topology describes it. */
export function rabbitSection(broker) {
  return `
      type: rabbitmq
      uris: [amqp://127.0.0.1:${broker.amqpPort}/%2F]
      management: {uris: [http://127.0.0.1:${broker.managementPort}]}   # how the bridge sees who consumes
      username: ${broker.username}
      password: {file: broker-password}`;
}

/** An ActiveMQ node as a topology describes it. */
export function activeMqSection(broker) {
  return `
      type: activemq
      uris: [stomp://127.0.0.1:${broker.stompPort}]             # consumers are seen by ActiveMQ's advisories`;
}

/**
 * Writes a topology, readable and with comments.
 * @param clusters by name: what it is (`note`) and its broker's `section`
 * @param connector the YAML of the one networkConnector, indented by four
 * @param destinations those that have metrics of their own
 */
export async function writeTopology(folder, { clusters, connector, destinations }) {
  const names = Object.keys(clusters);
  const ports = await freePorts(names.length * 2);
  await writeFile(join(folder, 'broker-password'), 'guest\n', { mode: 0o600 });
  await writeFile(join(folder, 'link-secret'), `${crypto.randomUUID()}\n`, { mode: 0o600 });
  const sections = names.map((name, index) => {
    const { note, section } = clusters[name];
    const [link, admin] = ports.slice(index * 2);
    return `
  ${`${name}:`.padEnd(42)} # ${note}
    broker:${section}
    bridge:
      listen: 127.0.0.1:${link}              # links from other bridges
      uris: [ws://127.0.0.1:${link}]         # where other bridges find this one
      admin: 127.0.0.1:${admin}               # status and metrics
      metrics: {destinations: [${destinations.join(', ')}]}      # counted under their own names
      secret: {file: link-secret}            # what two bridges prove to each other
`;
  });
  const file = join(folder, 'tombolo.yaml');
  await writeFile(
    file,
    `# The whole network. Every bridge reads this file and is told which cluster is its own:
#   tombolo run --config tombolo.yaml --cluster ${names[0]}
version: 1
network: demo

clusters:${sections.join('')}
networkConnectors:
${connector}`,
  );
  const admin = Object.fromEntries(names.map((name, index) => [name, `http://127.0.0.1:${ports[index * 2 + 1]}`]));
  return { file, admin };
}

/** Starts the bridge of a cluster. Its log is a file in the folder. */
export async function startBridge(folder, topology, cluster) {
  const log = join(folder, `bridge-${cluster}.log`);
  const output = await open(log, 'a');
  const args = ['run', '--config', topology.file, '--cluster', cluster];
  const child = spawn(command, args, { stdio: ['ignore', output.fd, output.fd] });
  await output.close();
  let ended;
  const exited = new Promise((resolve) => {
    const end = (how) => {
      ended = how;
      resolve();
    };
    child.once('exit', (code, signal) => end(code ?? signal));
    child.once('error', (error) => end(error.message));
  });
  return {
    log,
    /** Resolves when it serves, or rejects with the reason. */
    async ready() {
      await awaitUntil(
        `the bridge of ${cluster} is ready`,
        async () => ended !== undefined || (await fetch(`${topology.admin[cluster]}/readyz`)).ok,
        { withinMs: 60_000, everyMs: 20 },
      );
      if (ended === undefined) return;
      const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
      throw new Error(`The bridge of ${cluster} ended (${ended}): ${lines.at(-1)}`);
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** The sum of a metric over the series whose labels contain these. */
export async function metric(url, name, labels = {}) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

/** Runs `tombolo` to its end; returns what it wrote. */
export async function tombolo(...args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (text += part));
  const code = await new Promise((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', reject);
  });
  return { code, text };
}

/** An ordinary AMQP client of a broker: it knows nothing of Tombolo. */
export async function client(broker) {
  const { username, password, amqpPort } = broker;
  const connection = await amqp.connect(`amqp://${username}:${password}@127.0.0.1:${amqpPort}`);
  // A broker that goes away is noticed by the call that needs it.
  connection.on('error', () => {});
  const channel = await connection.createConfirmChannel();
  return {
    declare: (queue) => channel.assertQueue(queue, { durable: true }),
    waiting: async (queue) => (await channel.checkQueue(queue)).messageCount,
    async send(queue, from, to) {
      for (let number = from; number < to; number += 1) {
        channel.sendToQueue(queue, Buffer.from(String(number)), { persistent: true, messageId: `order-${number}` });
      }
      await channel.waitForConfirms();
    },
    async consume(queue, onNumber) {
      const consumer = await connection.createChannel();
      await consumer.prefetch(100);
      const { consumerTag } = await consumer.consume(queue, (message) => {
        if (!message) return;
        onNumber(Number(message.content), message);
        consumer.ack(message);
      });
      return {
        async leave() {
          await consumer.cancel(consumerTag);
          await consumer.close();
        },
      };
    },
    close: () => connection.close(),
  };
}
