import { awaitUntil } from '@tombolo/testing/await-until';
import { type RabbitNode, rabbitMissing, startRabbit, startRabbitCluster } from '@tombolo/testing/rabbitmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { declareQuorum, inSync, reaching } from '../e2e/cluster.ts';
import { Network, Site, within } from '../e2e/network.ts';
import { Consumer, Producer } from './applications.ts';
import { judge } from './outcome.ts';

/** Set, it names rows of the table, of which these are none. */
const asked = process.env['TOMBOLO_FAULTS'] ?? '';

describe.skipIf(rabbitMissing() ?? asked !== '')('a source of three nodes', () => {
  let nodes: RabbitNode[];
  let single: RabbitNode;
  beforeAll(async () => {
    [nodes, single] = await Promise.all([startRabbitCluster(3), startRabbit()]);
  });
  afterAll(async () => {
    const all = [...(nodes ?? []), ...(single ? [single] : [])];
    await Promise.all(all.map((node) => node.kill()));
    await Promise.all(all.map((node) => node.stop()));
  });

  /** Messages on their way from the cluster to the single node, and applications that go on. */
  async function flow() {
    const [, second] = nodes as [RabbitNode, RabbitNode, RabbitNode];
    const [home, east] = await Promise.all([Site.open(second), Site.open(single)]);
    await Promise.all([declareQuorum(home, 'q'), east.declare('q')]);
    await inSync(nodes, home, 'q');
    const network = await Network.open({
      clusters: { west: { site: home, broker: reaching(nodes, home) }, east: { site: east } },
      connectors: [{ name: 'west-east', from: 'west', to: 'east' }],
    });
    const producer = new Producer(home, 'q', { withIds: true, perSecond: 1_000 });
    const consumer = new Consumer(east, 'q', { prefetch: 100 });
    await consumer.start();
    await producer.start();
    /** Resolves when what is published from now on arrives; says after how long (ms). */
    const flowing = async (withinMs: number) => {
      const { next } = producer;
      const from = performance.now();
      await awaitUntil('what is published now arrives', () => consumer.highest >= next, { withinMs, everyMs: 10 });
      return Math.round(performance.now() - from);
    };
    const end = async () => {
      await producer.stop();
      const all = () => [...producer.confirmed].every((number) => number <= consumer.highest);
      await awaitUntil('the rest arrives', all, within(30_000));
      const unsettled = () => network.bridge('west').metric('tombolo_messages_unsettled');
      await awaitUntil('all is settled', async () => (await unsettled()) === 0, within(30_000));
      const left = await home.ready('q');
      const { confirmed, next: attempted } = producer;
      const { deliveries } = consumer;
      return judge({ confirmed, attempted, deliveries, destroyed: 0, left });
    };
    return { network, home, flowing, end };
  }

  test('all nodes are restarted, one after the other', { timeout: 180_000 }, async (context) => {
    const { home, flowing, end } = await flow();
    await flowing(20_000);
    for (const node of nodes) {
      await node.restart();
      await inSync(nodes, home, 'q');
      await flowing(30_000);
    }
    const outcome = await end();
    await context.annotate(`rolling restart: ${JSON.stringify(outcome)}`);
    expect({ lost: outcome.lost, duplicated: outcome.duplicated }).toEqual({ lost: 0, duplicated: 0 });
  });

  test("the bridge's node is frozen: connections stay, nothing answers", { timeout: 240_000 }, async (context) => {
    const { network, flowing, end } = await flow();
    await flowing(20_000);
    const { address } = (await network.bridge('west').status()).broker as { address?: string };
    const frozen = nodes.find(({ amqpPort }) => address?.includes(`:${amqpPort}/`)) as RabbitNode;
    const from = performance.now();
    await frozen.freeze();
    const state = async () => (await network.bridge('west').status()).broker as { state: string; address?: string };
    await awaitUntil('the silence is noticed', async () => (await state()).state !== 'master', within(60_000));
    const noticed = Math.round(performance.now() - from);
    await awaitUntil('at another node', async () => (await state()).state === 'master', within(120_000));
    const master = Math.round(performance.now() - from);
    await flowing(120_000);
    const flowed = Math.round(performance.now() - from);
    await frozen.thaw();
    const outcome = await end();
    await context.annotate(
      `frozen: noticed after ${noticed} ms, master again after ${master} ms, flowing after ${flowed} ms; ${JSON.stringify(outcome)}`,
    );
    expect(outcome.lost).toBe(0);
  });
});
