import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { noNodes, tombolo, westToEast, within } from './network.ts';

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
    await awaitUntil('both are parked', async () => (await west.ready(parking)) === 2, within(30_000));
    const bridge = network.bridge('west');
    await awaitUntil(
      'the gauge knows',
      async () => (await bridge.metric('tombolo_dead_letters')) === 2,
      within(15_000),
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
    expect((await command('replay', '--id', 'order-1', '--dry-run')).output).toBe('would replay 1 of 1 message\n');
    expect(await command('replay', '--id', 'order-1')).toMatchObject({ code: 0, output: 'replayed 1 of 1 message\n' });
    await local.wait(1);
    const { message } = local.got[0]!;
    expect(message.content.equals(large)).toBe(true);
    expect(message.properties).toMatchObject({
      ...{ messageId: 'order-1', contentType: 'text/plain', replyTo: 'answers', timestamp: 1_700_000_000 },
      headers: { shop: 'north' },
    });
    expect(Object.keys(message.properties.headers ?? {})).toEqual(['shop']);
    expect(await west.ready(parking)).toBe(1);

    expect((await command('drop', '--peer', 'east', '--dry-run')).output).toBe('would drop 1 message\n');
    expect((await command('drop', '--peer', 'east', '--yes', '--json')).output).toBe('{"selected":1,"dropped":1}\n');
    expect([await west.ready(parking), await west.ready('orders'), local.got.length]).toEqual([0, 0, 1]);
    await awaitUntil(
      'the gauge knows',
      async () => (await bridge.metric('tombolo_dead_letters')) === 0,
      within(15_000),
    );
  });
});
