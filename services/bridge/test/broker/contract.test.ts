import { brokerContract } from '@tombolo/testing/broker-contract';
import { type RabbitNode, rabbitMissing, startRabbit } from '@tombolo/testing/rabbitmq';
import { topicContract } from '@tombolo/testing/topic-contract';
import { afterAll, beforeAll, describe } from 'vitest';
import { openMemoryWorld } from './memory-world.ts';
import { openRabbitWorld } from './rabbit-world.ts';

brokerContract({
  name: 'memory',
  open: openMemoryWorld,
  poison: { properties: Buffer.of(0, 0), body: Buffer.from('poison') },
});

topicContract({ name: 'memory', open: openMemoryWorld });

describe.skipIf(rabbitMissing())('RabbitMQ', () => {
  let node: RabbitNode;
  beforeAll(async () => {
    node = await startRabbit();
  });
  afterAll(() => node?.stop());

  brokerContract({
    name: 'a real RabbitMQ',
    open: () => openRabbitWorld(node),
    // The property user-id, which is not the connection's: 406.
    poison: {
      properties: Buffer.concat([Buffer.of(0x10, 0x10, 2, 7), Buffer.from('someone')]),
      body: Buffer.from('poison'),
    },
  });

  topicContract({ name: 'a real RabbitMQ', open: () => openRabbitWorld(node) });
});
