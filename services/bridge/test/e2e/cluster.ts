import { awaitUntil } from '@tombolo/testing/await-until';
import type { RabbitNode } from '@tombolo/testing/rabbitmq';
import type { Site, TestConsumer } from './network.ts';

/** A broker section of the topology that knows all nodes of a cluster, in this order. */
export function reaching(nodes: readonly RabbitNode[], site: Site): Record<string, unknown> {
  return {
    uris: nodes.map(({ amqpPort }) => `amqp://127.0.0.1:${amqpPort}/${site.vhost}`),
    management: { uris: nodes.map(({ managementPort }) => `http://127.0.0.1:${managementPort}`) },
  };
}

/** Declares a quorum queue with a member on every node, led by the node of `site`. */
export async function declareQuorum(site: Site, queue: string, args: Record<string, unknown> = {}): Promise<void> {
  const placed = { 'x-queue-type': 'quorum', 'x-queue-leader-locator': 'client-local' };
  await site.declare(queue, { durable: true, arguments: { ...placed, ...args } });
}

/** The node that leads the queue now, as one that is up tells. */
export async function leaderOf(nodes: readonly RabbitNode[], site: Site, queue: string): Promise<RabbitNode> {
  return awaitUntil(
    `${queue} has a leader`,
    async () => {
      for (const node of nodes) {
        const path = `/queues/${site.vhost}/${queue}?columns=leader,online`;
        const found = (await node.api('GET', path).catch(() => undefined)) as { leader?: string } | undefined;
        const leader = nodes.find(({ name }) => name === found?.leader);
        if (leader) return leader;
      }
      return undefined;
    },
    { withinMs: 30_000, everyMs: 50 },
  );
}

/** Resolves when every node of these is a member of the queue that takes part: the next may go. */
export async function inSync(nodes: readonly RabbitNode[], site: Site, queue: string): Promise<void> {
  await awaitUntil(
    `${queue} is in sync`,
    async () => {
      const found = (await nodes[0]!.api('GET', `/queues/${site.vhost}/${queue}?columns=online`)) as {
        online?: string[];
      };
      return nodes.every(({ name }) => found.online?.includes(name));
    },
    { withinMs: 30_000, everyMs: 100 },
  );
}

/** The longest time without a delivery, from the first on (ms). */
export function longestGap({ got }: Pick<TestConsumer, 'got'>): number {
  let longest = 0;
  for (let index = 1; index < got.length; index++) longest = Math.max(longest, got[index]!.at - got[index - 1]!.at);
  return Math.round(longest);
}

/** Copies beyond the first that the sink's broker cannot have made: what it delivers a second time it flags. */
export function doubledOnTheWay({ got }: Pick<TestConsumer, 'got'>): number {
  const fresh = got.filter(({ redelivered }) => !redelivered).map(({ body }) => body);
  return fresh.length - new Set(fresh).size;
}
