import { ManualClock } from '@tombolo/kernel/clock';
import type { BindingEnd, ContractWorld } from '@tombolo/testing/broker-contract';
import { MemoryBroker } from '../../src/broker/memory/memory-broker.ts';
import { MemoryServer } from '../../src/broker/memory/memory-server.ts';
import type { BrokerState } from '../../src/broker/port.ts';

/** The contract's world in memory, under a clock that only `until` moves. */
export async function openMemoryWorld(): Promise<ContractWorld> {
  const clock = new ManualClock();
  const server = new MemoryServer(clock);
  server.poison = (body) => (Buffer.from(body).toString() === 'poison' ? 'PRECONDITION_FAILED' : undefined);
  return {
    adapter() {
      const states: BrokerState[] = [];
      const listener = { stateChanged: (state: BrokerState) => void states.push(state), blocked: () => {} };
      return { broker: new MemoryBroker({ cluster: 'memory' }, server, listener), states };
    },
    async declare(queue, properties) {
      server.declare(queue, properties);
    },
    async publish(queue, body) {
      server.publish(queue, { body });
    },
    async deleteQueue(queue) {
      server.deleteQueue(queue);
    },
    async addConsumer(queue, options) {
      const consumer = server.addConsumer(queue, options);
      return { remove: async () => consumer.remove() };
    },
    async declareExchange(exchange, type, properties) {
      server.exchanges.declare(exchange, { type, ...properties });
    },
    async deleteExchange(exchange) {
      server.exchanges.delete(exchange);
    },
    async bind(from, to, routingKey, headers = {}) {
      server.exchanges.bind(from, endOf(to), { routingKey, arguments: headers });
    },
    async unbind(from, to, routingKey, headers = {}) {
      server.exchanges.unbind(from, endOf(to), { routingKey, arguments: headers });
    },
    async publishTo(exchange, routingKey, body, headers = {}) {
      const properties = persistentWith(headers);
      server.publish('', { exchange, routingKey, properties, body: Buffer.from(body) });
    },
    async drain(queue) {
      return (server.queues.get(queue)?.ready.splice(0) ?? []).map((message) => Buffer.from(message.body).toString());
    },
    async disconnect() {
      server.disconnect();
    },
    async crash() {
      server.crash();
      clock.advance(100);
      server.restart();
    },
    async until(what, condition) {
      for (let ms = 0; ms < 60_000; ms++) {
        if (await condition()) return;
        clock.advance(1);
      }
      throw new Error(`not within a minute: ${what}`);
    },
    async close() {},
  };
}

function endOf(to: BindingEnd) {
  return 'queue' in to
    ? ({ kind: 'queue', name: to.queue } as const)
    : ({ kind: 'exchange', name: to.exchange } as const);
}

/** Delivery mode 2 and headers, raw. */
function persistentWith(headers: Record<string, string | number>): Buffer {
  const fields = Object.entries(headers).map(([name, value]) => {
    const head = Buffer.from([name.length, ...Buffer.from(name), typeof value === 'string' ? 0x53 : 0x6c]);
    const number = Buffer.alloc(8);
    if (typeof value === 'number') number.writeBigInt64BE(BigInt(value));
    return Buffer.concat([head, typeof value === 'string' ? sized(Buffer.from(value)) : number]);
  });
  return Buffer.concat([Buffer.of(0x30, 0x00), sized(Buffer.concat(fields)), Buffer.of(2)]);
}

function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
