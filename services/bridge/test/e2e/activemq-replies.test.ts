import { awaitUntil } from '@tombolo/testing/await-until';
import { replyAddressOf } from '@tombolo/wire/reply-address';
import { describe, expect, test } from 'vitest';
import { ActiveMqSite, noActiveMq } from './activemq-site.ts';
import { Network, noNodes, Site, within } from './network.ts';

let count = 0;
/** ActiveMQ has no virtual hosts: a test's queues have names of their own. */
const queueName = () => `requests.${process.pid}.${++count}`;

async function requestsGo(west: Site | ActiveMqSite, east: Site | ActiveMqSite): Promise<Network> {
  const connectors = [{ name: 'requests', from: 'west', to: 'east' }];
  return Network.open({ clusters: { west: { site: west }, east: { site: east } }, connectors });
}

/** Answers each request with `answer to <body>`, where its `reply-to` says. */
async function replier(site: ActiveMqSite, queue: string): Promise<{ readonly addresses: string[] }> {
  const client = await site.connect();
  const addresses: string[] = [];
  await client.subscribe(`/queue/${queue}`, (frame) => {
    const to = frame.headers.get('reply-to') ?? '';
    addresses.push(to);
    void client.send(to, `answer to ${frame.body}`, [['correlation-id', frame.headers.get('correlation-id') ?? '']]);
  });
  return { addresses };
}

/** Asks over a temporary queue of its own connection. */
async function requester(site: ActiveMqSite, queue: string) {
  const client = await site.connect();
  const answers: (readonly [correlation: string | undefined, body: string])[] = [];
  const address = '/temp-queue/answers';
  await client.subscribe(address, ({ headers, body }) => {
    answers.push([headers.get('correlation-id'), body.toString()]);
  });
  const ask = (correlation: string) =>
    client.send(`/queue/${queue}`, correlation, [
      ['reply-to', address],
      ['correlation-id', correlation],
    ]);
  return { ask, answers, close: () => client.close() };
}

describe.skipIf(noActiveMq())('request and reply with ActiveMQ', () => {
  test('a requester with a temporary queue is answered from the other ActiveMQ, by a connector that permits no way back', async () => {
    const [west, east, queue] = [ActiveMqSite.open(0), ActiveMqSite.open(1), queueName()];
    const network = await requestsGo(west, east);
    const { addresses } = await replier(east, queue);
    const { ask, answers } = await requester(west, queue);
    for (const each of ['1', '2', '3']) await ask(each);
    await awaitUntil('three answers', () => answers.length === 3, within(60_000));
    expect(answers).toEqual(['1', '2', '3'].map((each) => [each, `answer to ${each}`]));
    expect(replyAddressOf(addresses[0]!.replace('/queue/', ''))?.origin).toBe('west');
    expect(await network.bridge('east').metric('tombolo_reply_queues')).toBe(1);
    expect(await network.bridge('west').metric('tombolo_replies_dropped_total')).toBe(0);
  });

  test('an answer to a requester that has gone is counted as late, and harms nobody', async () => {
    const [west, east, queue] = [ActiveMqSite.open(0), ActiveMqSite.open(1), queueName()];
    const network = await requestsGo(west, east);
    const gone = await requester(west, queue);
    await gone.ask('too early');
    gone.close();
    await replier(east, queue);
    await awaitUntil(
      'it is counted',
      async () => (await network.bridge('west').metric('tombolo_replies_dropped_total', { reason: 'late' })) === 1,
      within(60_000),
    );
    const { ask, answers } = await requester(west, queue);
    await ask('in time');
    await awaitUntil('the next one is answered', () => answers.length === 1, within(60_000));
    expect(answers).toEqual([['in time', 'answer to in time']]);
  });

  test.skipIf(noNodes())('a requester at ActiveMQ is answered from RabbitMQ, and the reverse', async () => {
    const [active, rabbit, there, back] = [ActiveMqSite.open(0), await Site.open(1), queueName(), queueName()];
    await Network.open({
      clusters: { west: { site: active }, east: { site: rabbit } },
      connectors: [{ name: 'requests', from: 'west', to: 'east', duplex: true }],
    });
    await Promise.all([rabbit.declare(there), rabbit.declare(back), active.declare(there, back)]);
    const channel = await (await rabbit.connect()).createChannel();
    await channel.consume(there, (message) => {
      if (!message) return;
      channel.ack(message);
      const { replyTo, correlationId } = message.properties;
      channel.sendToQueue(String(replyTo), Buffer.from(`answer to ${message.content}`), { correlationId });
    });
    const { ask, answers } = await requester(active, there);
    await ask('from ActiveMQ');
    await awaitUntil('it is answered', () => answers.length === 1, within(60_000));
    expect(answers).toEqual([['from ActiveMQ', 'answer to from ActiveMQ']]);

    await replier(active, back);
    const { queue: replyTo } = await channel.assertQueue('', { exclusive: true });
    const got: string[] = [];
    await channel.consume(replyTo, (message) => void got.push(String(message?.content)), { noAck: true });
    channel.sendToQueue(back, Buffer.from('from RabbitMQ'), {
      ...{ replyTo, correlationId: 'c', contentType: 'text/plain' },
    });
    await awaitUntil('it is answered', () => got.length === 1, within(60_000));
    expect(got).toEqual(['answer to from RabbitMQ']);
  });
});
