import { systemClock } from '@tombolo/kernel/clock';
import type { ActiveMqNode } from '@tombolo/testing/activemq';
import { awaitUntil } from '@tombolo/testing/await-until';
import type { ContractWorld } from '@tombolo/testing/broker-contract';
import { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import { deleteQueue } from '@tombolo/testing/openwire';
import { ActiveMqBroker } from '../../src/broker/activemq/active-broker.ts';
import { readAdvisory } from '../../src/broker/activemq/advisory.ts';
import type { ActiveMqBrokerConfig } from '../../src/broker/activemq/config.ts';
import type { BrokerState } from '../../src/broker/port.ts';
import { memoryLog } from './rabbit-world.ts';
import { StompClient } from './stomp-client.ts';

export interface ActiveMqWorld extends ContractWorld {
  readonly config: ActiveMqBrokerConfig;
  readonly proxy: FlakyProxy;
  readonly log: ReturnType<typeof memoryLog>;
  /** An application's connection, past the proxy. */
  application(headers?: readonly (readonly [string, string])[]): Promise<StompClient>;
}

/** The contract's world on a real node, which has no virtual hosts: all queues are deleted after each test. */
export async function openActiveMqWorld(
  node: ActiveMqNode,
  overrides: Partial<ActiveMqBrokerConfig> = {},
): Promise<ActiveMqWorld> {
  const proxy = await FlakyProxy.to(node.stompPort);
  const log = memoryLog();
  const config: ActiveMqBrokerConfig = {
    cluster: 'here',
    uris: [{ host: '127.0.0.1', port: proxy.port, tls: false }],
    username: '',
    password: '',
    ...overrides,
  };
  const clients = new Set<StompClient>();
  const application = async (headers: readonly (readonly [string, string])[] = []) => {
    const client = await StompClient.open(node.stompPort, headers);
    clients.add(client);
    return client;
  };
  let control: StompClient | undefined;
  const its = async () => {
    control ??= await application();
    return control;
  };
  const noExchanges = async () => {
    throw new Error('ActiveMQ has no exchanges');
  };
  return {
    config,
    proxy,
    log,
    application,
    adapter() {
      const states: BrokerState[] = [];
      const listener = { stateChanged: (state: BrokerState) => void states.push(state), blocked: () => {} };
      return { broker: new ActiveMqBroker(config, listener, { clock: systemClock, random: Math.random, log }), states };
    },
    async declare(queue) {
      const end = await (await its()).subscribe(`/queue/${queue}`, () => {}, [['selector', 'FALSE']]);
      await end();
    },
    async publish(queue, body) {
      await (await its()).send(`/queue/${queue}`, body);
    },
    async deleteQueue(queue) {
      await deleteQueue(node.openwirePort, queue);
    },
    async addConsumer(queue, { prefetch, priority }) {
      const end = await (await its()).subscribe(`/queue/${queue}`, () => {}, [
        ['ack', 'client-individual'],
        // ActiveMQ knows no consumer that takes without bound.
        ['activemq.prefetchSize', String(prefetch === 0 ? 32_766 : prefetch)],
        ...(priority === undefined ? [] : ([['activemq.priority', String(priority)]] as const)),
      ]);
      return { remove: end };
    },
    declareExchange: noExchanges,
    deleteExchange: noExchanges,
    bind: noExchanges,
    unbind: noExchanges,
    publishTo: noExchanges,
    async drain(queue) {
      const client = await its();
      const bodies: string[] = [];
      let ended = false;
      // All there are, then what the broker says of the end.
      const end = await client.subscribe(
        `/queue/${queue}`,
        (frame) => {
          if (frame.headers.has('browser')) ended = true;
          else bodies.push(frame.body.toString());
        },
        [['browser', 'true']],
      );
      await awaitUntil('the queue is browsed', () => ended);
      await end();
      await deleteQueue(node.openwirePort, queue);
      return bodies;
    },
    async disconnect() {
      proxy.cut();
    },
    async crash() {
      await node.kill();
      await node.restart();
      control = undefined;
    },
    until: async (what, condition) => {
      await awaitUntil(what, condition, { withinMs: 60_000 });
    },
    async close() {
      await proxy.close();
      for (const queue of await queuesOf(await application())) await deleteQueue(node.openwirePort, queue);
      for (const client of clients) client.close();
    },
  };
}

/** All queues that there are: a new subscriber is told of each, and then of what it sends to itself. */
async function queuesOf(client: StompClient): Promise<Set<string>> {
  const queues = new Set<string>();
  let told = false;
  await client.subscribe('/temp-queue/end', () => {
    told = true;
  });
  await client.subscribe(
    '/topic/ActiveMQ.Advisory.Queue',
    (frame) => {
      const advisory = readAdvisory(frame);
      if (advisory?.is === 'queue') queues.add(advisory.queue);
      if (advisory?.is === 'queue-gone') queues.delete(advisory.queue);
    },
    [['transformation', 'jms-advisory-json']],
  );
  await client.send('/temp-queue/end', 'all were told');
  await awaitUntil('all queues are told', () => told);
  return queues;
}
