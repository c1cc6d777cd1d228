import { rabbitMissing, startRabbit } from '@tombolo/testing/rabbitmq';
import type { TestProject } from 'vitest/node';

/** Where a node listens; its credentials are guest's. */
export interface NodeAddress {
  readonly amqpPort: number;
  readonly managementPort: number;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** The RabbitMQ nodes of this run; empty when this machine has no RabbitMQ. */
    nodes: NodeAddress[];
  }
}

/** Starts the nodes that all files of one run share, and stops them after the last. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (rabbitMissing()) {
    project.provide('nodes', []);
    return async () => {};
  }
  // The second takes no message above 32 MiB: there is something that only a sink refuses.
  const started = await Promise.all([startRabbit(), startRabbit({ config: ['max_message_size = 33554432'] })]);
  project.provide(
    'nodes',
    started.map(({ amqpPort, managementPort }) => ({ amqpPort, managementPort })),
  );
  return async () => {
    await Promise.all(started.map((node) => node.stop()));
  };
}
