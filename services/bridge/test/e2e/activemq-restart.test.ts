import { ActiveMqNode } from '@tombolo/testing/activemq';
import { awaitUntil } from '@tombolo/testing/await-until';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ActiveMqSite, noActiveMq } from './activemq-site.ts';
import { Network, tally, within } from './network.ts';

/** Messages of a test; a fault comes when a fifth of them has arrived. */
const COUNT = 3_000;

describe.skipIf(noActiveMq())('an ActiveMQ that is killed (-9) and started again while messages flow', () => {
  /** The one that is killed: its own, so that no other test suffers. */
  let node: ActiveMqNode;
  beforeAll(async () => {
    node = await ActiveMqNode.start({ elements: { plugins: '<statisticsBrokerPlugin/>' } });
  });
  afterAll(() => node?.stop());

  const connectors = [{ name: 'west-east', from: 'west', to: 'east' }];

  test('as the source: none lost, none doubled, and what is sent after it flows too', async (context) => {
    const [west, east, queue] = [ActiveMqSite.open(node), ActiveMqSite.open(1), `restart.${process.pid}.source`];
    const network = await Network.open({ clusters: { west: { site: west }, east: { site: east } }, connectors });
    await west.publish(queue, COUNT);
    const consumer = await east.consume(queue, { prefetch: 50 });
    await consumer.wait(COUNT / 5, 60_000);
    await node.kill();
    const killed = performance.now();
    const before = consumer.bodies().length;
    await node.restart();
    const up = performance.now();
    await awaitUntil('messages flow again', () => consumer.bodies().length > before + 100, within(60_000));
    await context.annotate(
      `${before} of ${COUNT} had come; the broker was up after ${Math.round(up - killed)} ms, and messages flowed ${Math.round(performance.now() - up)} ms later`,
    );
    await west.publish(queue, 100, COUNT);
    await awaitUntil('all have come', () => new Set(consumer.bodies()).size === COUNT + 100, within(60_000));
    await awaitUntil('the source is empty', async () => (await west.holds(queue)) === 0, within(60_000));
    expect(tally(consumer.bodies(), COUNT + 100)).toEqual({ lost: 0, strange: 0, doubled: 0 });
    const suppressed = await network.bridge('east').metric('tombolo_duplicates_suppressed_total');
    await context.annotate(`${suppressed} came again from the source's store, and were suppressed`);
  });

  test('as the sink: none lost, and messages flow again', async (context) => {
    const [west, east, queue] = [ActiveMqSite.open(0), ActiveMqSite.open(node), `restart.${process.pid}.sink`];
    await Network.open({ clusters: { west: { site: west }, east: { site: east } }, connectors });
    await west.publish(queue, COUNT);
    const first = await east.consume(queue, { prefetch: 50 });
    await first.wait(COUNT / 5, 60_000);
    await node.kill();
    await node.restart();
    const second = await east.consume(queue, { prefetch: 50 });
    const all = () => [...first.bodies(), ...second.bodies()];
    await awaitUntil('all have come', () => new Set(all()).size === COUNT, within(90_000));
    await awaitUntil('the source is empty', async () => (await west.holds(queue)) === 0, within(60_000));
    const { lost, strange, doubled } = tally(all(), COUNT);
    expect({ lost, strange }).toEqual({ lost: 0, strange: 0 });
    // What the broker had stored and not said so, and what its own consumer had acknowledged just before: at most a window of each.
    expect(doubled).toBeLessThanOrEqual(2_000);
    await context.annotate(`${first.bodies().length} of ${COUNT} had come before, ${doubled} came twice`);
  });
});
