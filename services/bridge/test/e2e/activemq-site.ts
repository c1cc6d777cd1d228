import { awaitUntil } from '@tombolo/testing/await-until';
import { inject, onTestFinished } from 'vitest';
import { StompClient } from '../broker/stomp-client.ts';
import type { Json, Place } from './network.ts';
import type { ActiveMqAddress } from './nodes.ts';

/** True when the machine has no ActiveMQ: there is nothing to run against. */
export function noActiveMq(): boolean {
  return inject('activeMqNodes').length === 0;
}

/** What a consumer at an ActiveMQ got, in order. */
export interface StompConsumer {
  readonly bodies: () => string[];
  readonly redelivered: () => number;
  wait(count: number, withinMs?: number): Promise<void>;
  close(): void;
}

/** An ActiveMQ and what applications do there. It has no virtual hosts: a test's queues have names of their own. */
export class ActiveMqSite implements Place {
  readonly #node: ActiveMqAddress;
  readonly #clients = new Set<StompClient>();

  private constructor(node: ActiveMqAddress) {
    this.#node = node;
  }

  /** @param where which of the nodes that all files share, or one of the test's own */
  static open(where: number | ActiveMqAddress): ActiveMqSite {
    const site = new ActiveMqSite(typeof where === 'number' ? inject('activeMqNodes')[where]! : where);
    onTestFinished(() => {
      for (const client of site.#clients) client.close();
    });
    return site;
  }

  get brokerPort(): number {
    return this.#node.stompPort;
  }

  section(port: number): Json {
    return { type: 'activemq', uris: [`stomp://127.0.0.1:${port}`] };
  }

  /** Nobody asks who the bridge is. */
  async permit(): Promise<void> {}

  async connect(): Promise<StompClient> {
    const client = await StompClient.open(this.#node.stompPort);
    this.#clients.add(client);
    return client;
  }

  async declare(...queues: readonly string[]): Promise<void> {
    const client = await this.connect();
    for (const queue of queues) {
      const end = await client.subscribe(`/queue/${queue}`, () => {}, [['selector', 'FALSE']]);
      await end();
    }
    client.close();
  }

  /** Publishes texts, the numbers from `from` (0) on, persistent; resolves when all are stored. */
  async publish(queue: string, count: number, from = 0): Promise<void> {
    const client = await this.connect();
    for (let at = from; at < from + count; at += 500) {
      const length = Math.min(500, from + count - at);
      await client.sendAll(
        `/queue/${queue}`,
        Array.from({ length }, (_, index) => String(at + index)),
      );
    }
    client.close();
  }

  async consume(
    queue: string,
    { prefetch = 100, headers = [] as readonly (readonly [string, string])[] } = {},
  ): Promise<StompConsumer> {
    const client = await this.connect();
    const got: { body: string; redelivered: boolean }[] = [];
    await client.subscribe(
      `/queue/${queue}`,
      (frame) => {
        got.push({ body: frame.body.toString(), redelivered: frame.headers.get('redelivered') === 'true' });
        client.acknowledge(frame);
      },
      [['ack', 'client-individual'], ['activemq.prefetchSize', String(prefetch)], ...headers],
    );
    return {
      bodies: () => got.map(({ body }) => body),
      redelivered: () => got.filter(({ redelivered }) => redelivered).length,
      async wait(count, withinMs = 30_000) {
        await awaitUntil(`${count} messages of ${queue}`, () => got.length >= count, { withinMs }).catch((error) => {
          throw new Error(`${error.message}, but ${got.length}`, { cause: error });
        });
      },
      close: () => client.close(),
    };
  }

  /** How many messages are in the queue, those that consumers hold among them. */
  async holds(queue: string): Promise<number> {
    const client = await this.connect();
    let count = 0;
    let ended = false;
    await client.subscribe(
      `/queue/${queue}`,
      (frame) => {
        if (frame.headers.has('browser')) ended = true;
        else count++;
      },
      [['browser', 'true']],
    );
    await awaitUntil('the queue is browsed', () => ended);
    client.close();
    return count;
  }
}
