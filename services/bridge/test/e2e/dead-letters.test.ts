import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, onTestFinished, test } from 'vitest';
import { exactlyOnce, Network, noNodes, Site, tally, tombolo, westToEast, within } from './network.ts';

const parking = 'tombolo.dead-letters';

describe.skipIf(noNodes())('what could not be delivered', () => {
  test('is parked, listed without a change, replayed as it was once that helps, and delivered once; the rest is dropped', async () => {
    const { west, east, network } = await westToEast();
    for (const queue of ['orders', 'audit']) await Promise.all([west.declare(queue), east.declare(queue)]);
    const large = Buffer.alloc(33 * 1024 * 1024, 'x');
    const properties = () => ({
      ...{
        persistent: true,
        messageId: 'order-1',
        contentType: 'text/plain',
        replyTo: 'answers',
        timestamp: 1_700_000_000,
      },
      headers: { shop: 'north' },
    });
    await Promise.all([east.consume('orders'), east.consume('audit')]);
    await west.publish('orders', 1, { body: () => large, properties });
    await west.publish('audit', 1, { body: () => large });
    await awaitUntil('both are parked', async () => (await west.ready(parking)) === 2, within(60_000));
    const bridge = network.bridge('west');
    await awaitUntil(
      'the gauge knows',
      async () => (await bridge.metric('tombolo_dead_letters')) === 2,
      within(60_000),
    );

    const command = (...args: string[]) => tombolo(['dead-letters', ...args, '--url', bridge.admin], 60_000);
    for (let round = 0; round < 3; round++) {
      const { code, output } = await command('list', '--destination', 'orders');
      expect(code).toBe(0);
      expect(JSON.parse(output)).toMatchObject({ total: 1, complete: true });
      expect(JSON.parse(output).items).toEqual([
        expect.objectContaining({
          ...{ messageId: 'order-1', destination: 'orders', queue: 'orders', peer: 'east', connector: 'west-east' },
          ...{ attempts: 1, bytes: large.length, contentType: 'text/plain', timestampSeconds: 1_700_000_000 },
          reason: expect.stringMatching(/larger than/),
          time: expect.stringMatching(/^\d{4}-.*Z$/),
        }),
      ]);
      expect(await west.ready(parking)).toBe(2);
    }

    expect((await command('replay')).code).toBe(2);
    expect((await command('drop', '--all')).code).toBe(2); // asks, and this is no terminal
    const local = await west.consume('orders');
    expect((await command('replay', '--id', 'order-1', '--dry-run', '--table')).output).toBe(
      'would replay 1 of 1 message\n',
    );
    expect(JSON.parse((await command('replay', '--id', 'order-1')).output)).toEqual({
      ...{ selected: 1, replayed: 1, kept: [] },
    });
    await local.wait(1);
    const { message } = local.got[0]!;
    expect(message.content.equals(large)).toBe(true);
    expect(message.properties).toMatchObject({
      ...{ messageId: 'order-1', contentType: 'text/plain', replyTo: 'answers', timestamp: 1_700_000_000 },
      headers: { shop: 'north' },
    });
    expect(Object.keys(message.properties.headers ?? {})).toEqual(['shop']);
    expect(await west.ready(parking)).toBe(1);

    expect((await command('drop', '--peer', 'east', '--dry-run', '--table')).output).toBe('would drop 1 message\n');
    expect((await command('drop', '--peer', 'east', '--yes', '--json')).output).toBe('{"selected":1,"dropped":1}\n');
    expect([await west.ready(parking), await west.ready('orders'), local.got.length]).toEqual([0, 0, 1]);
    await awaitUntil(
      'the gauge knows',
      async () => (await bridge.metric('tombolo_dead_letters')) === 0,
      within(60_000),
    );
  });
});

describe.skipIf(noNodes())('what is refused for now', () => {
  test('a full queue and a missing permission hold up no healthy queue, and go on by themselves once mended: nothing lost or doubled', async () => {
    const [west, east] = await Promise.all([Site.open(0), Site.open(1)]);
    const user = `bridge-${process.pid}`;
    const permit = (write: string) =>
      east.api('PUT', `/permissions/${east.vhost}/${user}`, { configure: '^tombolo\\.', write, read: '.*' });
    await east.api('PUT', `/users/${user}`, { password: 'of-the-bridge', tags: 'monitoring' });
    onTestFinished(async () => {
      await east.api('DELETE', `/users/${user}`);
    });
    await permit('^(tombolo\\..*|amq\\.default)$');
    for (const queue of ['healthy', 'full']) await Promise.all([west.declare(queue), east.declare(queue)]);
    for (const site of [west, east]) {
      const model = await site.connect();
      const channel = await model.createChannel();
      await channel.assertExchange('events', 'topic', { durable: true });
      if (site === east) {
        await channel.assertQueue('subscriber', { durable: true });
        await channel.bindQueue('subscriber', 'events', '#');
      }
      await model.close();
    }
    const network = await Network.open({
      clusters: {
        west: { site: west },
        east: { site: east, broker: { username: user, password: 'of-the-bridge' } },
      },
      connectors: [
        {
          ...{ name: 'west-east', from: 'west', to: 'east' },
          dynamicallyIncludedDestinations: [{ queue: '>' }, { exchange: 'events' }],
          staticallyIncludedDestinations: [{ queue: 'full' }],
          // A quorum queue puts what is given back at its end.
          topicBuffer: { queueType: 'classic' },
        },
      ],
    });
    const [source, sink] = [network.bridge('west'), network.bridge('east')];
    await west.publish('full', 5);
    await awaitUntil('it flows', async () => (await east.ready('full')) === 5, within(60_000));
    // A bound that the bridge did not see when it began: it learns of it by being refused.
    const definition = { 'max-length': 10, overflow: 'reject-publish' };
    await east.api('PUT', `/policies/${east.vhost}/bounded`, { pattern: '^full$', 'apply-to': 'queues', definition });
    await awaitUntil(
      'it is bounded',
      async () => ((await east.api('GET', `/queues/${east.vhost}/full`)) as { policy?: string }).policy === 'bounded',
      within(60_000),
    );
    await west.publish('full', 195, { from: 5 });
    await awaitUntil(
      'the buffer captures',
      async () => JSON.stringify(await west.api('GET', `/queues/${west.vhost}`)).includes('tombolo.topic.east.events'),
      within(60_000),
    );
    const publishEvents = async () => {
      const model = await west.connect();
      const channel = await model.createConfirmChannel();
      for (let index = 0; index < 300; index++)
        channel.publish('events', `n.${index}`, Buffer.from(String(index)), { persistent: true });
      await channel.waitForConfirms();
      await model.close();
    };
    await publishEvents();
    const blockedBy = async (bridge: typeof source, destination: string) =>
      String((await bridge.rows('streams', destination))[0]?.['blockedBy']);
    for (const bridge of [source, sink]) {
      await awaitUntil(
        `${bridge.name} says what is not permitted`,
        async () => /exchange events on east is not permitted.*set_permissions/.test(await blockedBy(bridge, 'events')),
        within(60_000),
      );
    }
    await awaitUntil(
      'the metric has the reason',
      async () => (await source.metric('tombolo_demand_unserved', { reason: 'no_permission' })) > 0,
      within(60_000),
    );
    for (const bridge of [source, sink]) {
      await awaitUntil(
        `${bridge.name} says what is full`,
        async () => /queue full on east takes no more for now/.test(await blockedBy(bridge, 'full')),
        within(60_000),
      );
    }

    const consumer = await east.consume('healthy', { prefetch: 500 });
    const begin = performance.now();
    await west.publish('healthy', 20_000);
    await consumer.wait(20_000);
    const seconds = (performance.now() - begin) / 1000;
    expect(tally(consumer.bodies(), 20_000)).toEqual(exactlyOnce);
    expect(20_000 / seconds).toBeGreaterThan(1_500);
    expect(await east.ready('subscriber')).toBe(0);

    await permit('^(tombolo\\..*|amq\\.default|events)$');
    const reader = await east.consume('full', { prefetch: 5, delayMs: 5 });
    const subscriber = await east.consume('subscriber');
    await Promise.all([reader.wait(200, 60_000), subscriber.wait(300, 60_000)]);
    expect(tally(reader.bodies(), 200)).toEqual(exactlyOnce);
    expect(tally(subscriber.bodies(), 300)).toEqual(exactlyOnce);
    expect(subscriber.bodies()).toEqual(Array.from({ length: 300 }, (_, index) => String(index)));
    await awaitUntil('all is well', async () => (await blockedBy(sink, 'events')) === 'undefined', within(60_000));
    expect(await source.metric('tombolo_messages_dead_lettered_total')).toBe(0);
  });
});
