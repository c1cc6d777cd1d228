import { systemClock } from '@tombolo/kernel/clock';
import { awaitUntil } from '@tombolo/testing/await-until';
import type { ContractWorld } from '@tombolo/testing/broker-contract';
import { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import type { RabbitNode } from '@tombolo/testing/rabbitmq';
import { type Channel, type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import type { BrokerState } from '../../src/broker/port.ts';
import type { RabbitBrokerConfig } from '../../src/broker/rabbitmq/config.ts';
import { declareArguments } from '../../src/broker/rabbitmq/queue-properties.ts';
import { RabbitBroker } from '../../src/broker/rabbitmq/rabbit-broker.ts';
import type { Log } from '../../src/broker/surroundings.ts';

/** A log that keeps what it was told. */
export function memoryLog(): Log & { readonly lines: { level: string; fields: object; message: string }[] } {
  const lines: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export interface RabbitWorld extends ContractWorld {
  readonly vhost: string;
  readonly proxy: FlakyProxy;
  readonly config: RabbitBrokerConfig;
  readonly log: ReturnType<typeof memoryLog>;
  /** An application's connection, past the proxy. */
  application(): Promise<ChannelModel>;
}

/** The contract's world on a virtual host of its own of a real node; adapters reach it through a proxy. */
export async function openRabbitWorld(
  node: RabbitNode,
  overrides: Partial<RabbitBrokerConfig> = {},
): Promise<RabbitWorld> {
  const vhost = await node.freshVhost();
  const proxy = await FlakyProxy.to(node.amqpPort);
  const log = memoryLog();
  const { username, password } = node;
  let instances = 0;
  let model: ChannelModel | undefined;
  let control: ConfirmChannel | undefined;
  const config: RabbitBrokerConfig = {
    cluster: 'here',
    instance: vhost,
    uris: [{ host: '127.0.0.1', port: proxy.port, vhost, tls: false }],
    username,
    password,
    management: { uris: [`http://127.0.0.1:${node.managementPort}`], username, password },
    events: { vhost: '/' },
    ...overrides,
  };
  const application = async () => {
    const fresh = await connect({ hostname: '127.0.0.1', port: node.amqpPort, username, password, vhost });
    fresh.on('error', () => {});
    return fresh;
  };
  const channel = async () => {
    if (control) return control;
    model = await application();
    model.on('close', () => {
      control = undefined;
    });
    control = await model.createConfirmChannel();
    control.on('error', () => {});
    control.on('close', () => {
      control = undefined;
    });
    return control;
  };
  return {
    vhost,
    proxy,
    config,
    log,
    application,
    adapter() {
      const states: BrokerState[] = [];
      const listener = { stateChanged: (state: BrokerState) => void states.push(state), blocked: () => {} };
      const its = { ...config, instance: `${vhost}-${++instances}` };
      return { broker: new RabbitBroker(its, listener, { clock: systemClock, random: Math.random, log }), states };
    },
    async declare(queue, properties = {}) {
      await (await channel()).assertQueue(queue, { durable: true, arguments: declareArguments(properties) });
    },
    async publish(queue, body) {
      const its = await channel();
      its.sendToQueue(queue, Buffer.from(body), { persistent: true });
      await its.waitForConfirms();
    },
    async deleteQueue(queue) {
      await (await channel()).deleteQueue(queue);
    },
    async addConsumer(queue, { prefetch, priority }) {
      await channel();
      const its: Channel = await (model as ChannelModel).createChannel();
      its.on('error', () => {});
      await its.prefetch(prefetch);
      await its.consume(queue, () => {}, priority === undefined ? {} : { priority });
      return { remove: () => its.close().catch(() => {}) };
    },
    async declareExchange(exchange, type, { durable = true, autoDelete = false, internal = false } = {}) {
      await (await channel()).assertExchange(exchange, type, { durable, autoDelete, internal });
    },
    async deleteExchange(exchange) {
      await (await channel()).deleteExchange(exchange);
    },
    async bind(from, to, routingKey, headers) {
      const its = await channel();
      if ('queue' in to) await its.bindQueue(to.queue, from, routingKey, headers);
      else await its.bindExchange(to.exchange, from, routingKey, headers);
    },
    async unbind(from, to, routingKey, headers) {
      const its = await channel();
      if ('queue' in to) await its.unbindQueue(to.queue, from, routingKey, headers);
      else await its.unbindExchange(to.exchange, from, routingKey, headers);
    },
    async publishTo(exchange, routingKey, body, headers) {
      const its = await channel();
      its.publish(exchange, routingKey, Buffer.from(body), { persistent: true, ...(headers && { headers }) });
      await its.waitForConfirms();
    },
    async drain(queue) {
      const its = await channel();
      const bodies: string[] = [];
      for (;;) {
        const message = await its.get(queue, { noAck: true });
        if (!message) return bodies;
        bodies.push(message.content.toString());
      }
    },
    async disconnect() {
      proxy.cut();
    },
    async crash() {
      // What it has confirmed (queues it declared, too) may wait for its log a moment longer, and SIGKILL would lose it: RabbitMQ
      // 3.10.8 on a busy machine, one time in five.
      await node.control('eval', 'ok = mnesia:sync_log().');
      await node.kill();
      await node.restart();
    },
    until: async (what, condition) => {
      await awaitUntil(what, condition, { withinMs: 25_000 });
    },
    async close() {
      await model?.close().catch(() => {});
      await proxy.close();
      await node.api('DELETE', `/vhosts/${vhost}`);
    },
  };
}
