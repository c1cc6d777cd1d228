import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { allArrived, exactlyOnce, Network, noNodes, Site, tally, watchFor, westToEast, within } from './network.ts';

describe.skipIf(noNodes())('delivery', () => {
  test('without a consumer nothing leaves its cluster; with one, all that waits comes in order, once each', async () => {
    const { west, east } = await westToEast();
    await Promise.all([west.declare('orders'), east.declare('orders')]);
    await west.publish('orders', 2_000);
    const waiting = await watchFor(10_000, () => west.ready('orders'));
    expect(new Set(waiting)).toEqual(new Set([2_000]));
    const consumer = await east.consume('orders');
    await consumer.wait(2_000);
    expect(consumer.bodies()).toEqual(Array.from({ length: 2_000 }, (_, index) => String(index)));
    await awaitUntil('the source is empty', async () => (await west.ready('orders')) === 0);
  });

  test('a message that is produced while a consumer waits elsewhere is there in a blink', async () => {
    const { west, east } = await westToEast();
    await Promise.all([west.declare('orders'), east.declare('orders')]);
    const consumer = await east.consume('orders');
    await west.publish('orders', 1);
    await consumer.wait(1);
    const took: number[] = [];
    const model = await west.connect();
    const channel = await model.createConfirmChannel();
    for (let index = 1; index <= 50; index++) {
      const before = performance.now();
      channel.sendToQueue('orders', Buffer.from(String(index)), { persistent: true });
      await awaitUntil('it is there', () => consumer.got.length > index, { everyMs: 1 });
      took.push(performance.now() - before);
    }
    took.sort((a, b) => a - b);
    expect(took[25]).toBeLessThan(100);
  });

  test('a slow consumer with prefetch 1 is not buried: the rest stays for another cluster, which drains it', async (context) => {
    const [west, east, north] = await Promise.all([Site.open(0), Site.open(1), Site.open(0)]);
    const network = await Network.open({
      clusters: { west: { site: west }, east: { site: east }, north: { site: north } },
      connectors: [
        { name: 'west-east', from: 'west', to: 'east' },
        { name: 'west-north', from: 'west', to: 'north' },
      ],
    });
    await Promise.all([west, east, north].map((site) => site.declare('q')));
    const slow = await east.consume('q', { prefetch: 1, delayMs: 2_000 });
    await west.publish('q', 10_000);
    await slow.wait(2);
    const fast = await north.consume('q', { prefetch: 100 });
    let most = 0;
    await awaitUntil(
      'north has drained the rest',
      async () => {
        most = Math.max(most, await east.ready('q'));
        return (await west.ready('q')) === 0 && fast.got.length > 9_000;
      },
      within(60_000),
    );
    await context.annotate(`east never held more than ${most} ready messages; north took ${fast.got.length} of 10000`);
    expect(most).toBeLessThanOrEqual(24);
    const forwarded = () => network.bridge('west').metric('tombolo_messages_forwarded_total', { peer: 'north' });
    await awaitUntil('it is settled', async () => (await forwarded()) > 9_900, within(60_000));
  });

  test('with idle consumers of its own a cluster gives next to nothing away', async (context) => {
    const { west, east } = await westToEast();
    await Promise.all([west.declare('q'), east.declare('q')]);
    const away = await east.consume('q', { prefetch: 100 });
    const home = await west.consume('q', { prefetch: 100 });
    await awaitUntil(
      'the bridge consumes beside the local one',
      async () => (await west.counts('q')).consumers === 2,
      within(60_000),
    );
    for (let batch = 0; batch < 20; batch++) {
      await west.publish('q', 50, { from: batch * 50 });
      await awaitUntil('they are taken', () => home.got.length + away.got.length >= (batch + 1) * 50);
    }
    await context.annotate(`${away.got.length} of 1000 left the cluster although its own consumer was idle`);
    expect(away.got.length).toBeLessThanOrEqual(100);
  });

  test('the demand ends with the last consumer: what is produced later stays', async () => {
    const { west, east, network } = await westToEast();
    await Promise.all([west.declare('q'), east.declare('q')]);
    const [one, two] = await Promise.all([east.consume('q'), east.consume('q')]);
    await west.publish('q', 10);
    await allArrived([one, two], 10);
    await one.close();
    await west.publish('q', 10, { from: 10 });
    await allArrived([one, two], 20);
    await two.close();
    await awaitUntil(
      'the demand has gone',
      async () => (await network.bridge('west').metric('tombolo_demand_consumers', { peer: 'east' })) === 0,
      within(60_000),
    );
    await west.publish('q', 50, { from: 20 });
    const seen = await watchFor(3_000, () => west.ready('q'));
    expect(seen.slice(1).every((ready) => ready === 50)).toBe(true);
    expect(await east.ready('q')).toBe(0);
  });

  test('a message whose consumer left after it was moved goes to the next one that the connectors reach', async () => {
    const { west, east } = await westToEast({ duplex: true });
    await Promise.all([west.declare('q'), east.declare('q')]);
    const holding = await east.consume('q', { prefetch: 10, acknowledge: false });
    await west.publish('q', 10);
    await holding.wait(10);
    await holding.close();
    await awaitUntil('they wait on east', async () => (await east.ready('q')) > 0);
    const next = await west.consume('q');
    await next.wait(10, 20_000);
    expect(tally(next.bodies(), 10)).toEqual(exactlyOnce);
  });

  test('with consumers on both sides of a duplex connector messages do not play ping-pong', async (context) => {
    const { west, east, network } = await westToEast({ duplex: true });
    await Promise.all([west.declare('q'), east.declare('q')]);
    const [home, away] = [await west.consume('q', { prefetch: 50 }), await east.consume('q', { prefetch: 50 })];
    await west.publish('q', 5_000);
    await allArrived([home, away], 5_000);
    const forwarded = await network.bridge('east').metric('tombolo_messages_forwarded_total', { peer: 'west' });
    await context.annotate(`${forwarded} of 5000 came back, ${away.got.length} were taken on east`);
    expect(tally([...home.bodies(), ...away.bodies()], 5_000)).toEqual(exactlyOnce);
    expect(forwarded).toBeLessThanOrEqual(500);
  });
});
