import { ManualClock } from '@tombolo/kernel/clock';
import type { ContractWorld } from '@tombolo/testing/broker-contract';
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
