import { ManualClock } from '@tombolo/kernel/clock';
import { describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../../src/broker/memory/memory-broker.ts';
import { MemoryServer } from '../../../src/broker/memory/memory-server.ts';
import { Replies } from '../../../src/reply/replies.ts';
import { ReplyOrigin } from '../../../src/reply/reply-origin.ts';

const noon = Date.UTC(2030, 0, 1, 12);
const west = new ReplyOrigin({ network: 'acme', cluster: 'west', secrets: ['s3cret'] });
const address = (queue: string) => west.rewriter(noon)(queue)!;
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A request that is to be answered to `replyTo`. */
const request = (replyTo: string) => ({
  ...{ id: 1, exchange: '', routingKey: 'q', body: Buffer.from('?') },
  properties: Buffer.concat([Buffer.of(0x02, 0x00, Buffer.byteLength(replyTo)), Buffer.from(replyTo)]),
});

/** Lets promises settle. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function east(largest = 100) {
  const clock = new ManualClock();
  const server = new MemoryServer(clock);
  const broker = new MemoryBroker({ cluster: 'east' }, server, { stateChanged: () => {}, blocked: () => {} });
  broker.claim(true);
  broker.start();
  clock.advance(10);
  const served = new Set<string>();
  let shown = 0;
  const replies: Replies = new Replies({
    ...{ cluster: 'east', broker, clock, log, largest },
    knows: (cluster) => cluster === 'west',
    origin: new ReplyOrigin({ network: 'acme', cluster: 'east', secrets: [] }),
    wallClock: () => noon + clock.now(),
    metrics: {
      replyQueues: (n) => {
        shown = n;
      },
    },
    draw: (_origin, queue) => void served.add(queue),
    release: (_origin, queue) => {
      served.delete(queue);
      replies.ended(queue);
    },
  });
  const verdicts: string[] = [];
  const ask = (replyTo: string, stream: object = replies) =>
    replies.pass(stream, [request(replyTo)], (verdict) => void verdicts.push(verdict));
  return { broker, clock, server, replies, served, verdicts, ask, shown: () => shown };
}

describe('the replies of a bridge beside repliers', () => {
  it('hold a request back until the queue for its reply exists, and serve that queue', async () => {
    const { ask, server, served, verdicts, shown } = await east();
    expect(ask(address('amq.gen-1'))).toBe(false);
    expect(verdicts).toEqual([]);
    await turn();
    expect(verdicts).toEqual(['publish']);
    expect(server.queues.get(address('amq.gen-1'))?.properties.expires).toBe(true);
    expect([...served]).toEqual([address('amq.gen-1')]);
    expect(ask(address('amq.gen-1'))).toBe(true);
    expect(shown()).toBe(1);
  });

  it('let pass what asks for no reply elsewhere', async () => {
    const { ask, server } = await east();
    for (const replyTo of ['', 'amq.gen-1', 'tombolo.reply.nonsense']) expect(ask(replyTo)).toBe(true);
    expect(server.queues.size).toBe(0);
  });

  it('refuse a request when the broker goes before the queue is there, and take it when it comes again', async () => {
    const { ask, broker, clock, server, replies, verdicts } = await east();
    server.crash();
    expect(ask(address('amq.gen-1'))).toBe(false);
    replies.clear();
    expect(verdicts).toEqual(['refuse']);
    await turn();
    server.restart();
    clock.advance(1_000);
    expect(ask(address('amq.gen-1'))).toBe(false);
    await turn();
    expect(verdicts).toEqual(['refuse', 'publish']);
    await broker.stop();
  });

  it('delete the queue of an address that has expired, unless it holds a reply', async () => {
    const { ask, clock, server, served, shown } = await east();
    for (const queue of ['amq.gen-1', 'amq.gen-2']) ask(address(queue));
    await turn();
    server.publish(address('amq.gen-2'), { body: Buffer.from('answer') });
    clock.advance(2 * 3_600_000);
    await turn();
    expect([...served]).toEqual([]);
    expect([...server.queues.keys()]).toEqual([address('amq.gen-2')]);
    expect(shown()).toBe(0);
  });

  it('let the longest unused one go when there are too many', async () => {
    const { ask, server, served } = await east(2);
    for (const queue of ['amq.gen-1', 'amq.gen-2', 'amq.gen-3']) {
      ask(address(queue));
      await turn();
    }
    expect([...served]).toEqual([address('amq.gen-2'), address('amq.gen-3')]);
    expect(server.queues.has(address('amq.gen-1'))).toBe(false);
  });

  it('serve what a former master has left, and make anew what was deleted while it was in use', async () => {
    const { replies, server, served } = await east();
    replies.found(address('amq.gen-1'));
    expect([...served]).toEqual([address('amq.gen-1')]);
    served.clear();
    replies.gone(address('amq.gen-1'));
    await turn();
    expect(server.queues.has(address('amq.gen-1'))).toBe(true);
    expect([...served]).toEqual([address('amq.gen-1')]);
  });

  it('declare a queue that is asked for again only after its deletion', async () => {
    const { ask, broker, server, verdicts } = await east(1);
    const deletions = new Map<string, () => void>();
    broker.source.deleteIfIdle = (queue) =>
      new Promise((resolve) => {
        deletions.set(queue, () => {
          server.deleteQueue(queue);
          resolve(true);
        });
      });
    for (const queue of ['amq.gen-1', 'amq.gen-2', 'amq.gen-1']) {
      ask(address(queue));
      await turn();
    }
    expect(verdicts).toEqual(['publish', 'publish']);
    deletions.get(address('amq.gen-1'))!();
    await turn();
    expect(verdicts).toEqual(['publish', 'publish', 'publish']);
    expect(server.queues.has(address('amq.gen-1'))).toBe(true);
  });
});
