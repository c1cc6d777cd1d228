import type { MessagesFrame, Frame as WireFrame } from '@tombolo/wire/frame';
import { describe, expect, it } from 'vitest';
import type { Broker } from '../../src/broker/port.ts';
import { calm, drawSchedule } from './generate.ts';
import type { Invariant } from './judge.ts';
import { Network, type NetworkOptions } from './network.ts';
import { Reach, topologyOf } from './reach.ts';
import type { ConnectorPlan, Schedule } from './schedule.ts';
import { shrink } from './shrink.ts';

const connector = (from: string, to: string, more: Partial<ConnectorPlan> = {}): ConnectorPlan => ({
  ...{ name: `${from}-${to}`, from, to, duplex: false, networkTTL: 1, includes: ['>'], excludes: [] },
  ...more,
});

/** West has messages, east has a consumer. */
const plain: Schedule = {
  ...{ seed: 1, shape: 'pair', sites: ['east', 'west'], replicas: 1, lease: false, record: false, queues: ['q'] },
  connectors: [connector('west', 'east')],
  ...{ prefetchSize: 1_000, inFlightBytes: 268_435_456, holdWhenLinkLostMs: 60_000 },
  weather: { latencyMs: 5, jitterMs: 0, windowBytes: 1_000_000, bytesPerMs: 10_000, brokerLatencyMs: 1, codec: true },
  producers: [
    { name: 'p', site: 'west', queue: 'q', fromMs: 100, everyMs: 2, count: 60, bodyBytes: 100, messageIds: false },
  ],
  consumers: [
    { name: 'c', site: 'east', queue: 'q', prefetch: 10, workMs: 5, fromMs: 0, untilMs: Number.POSITIVE_INFINITY },
  ],
  faults: [],
};

async function broken(schedule: Schedule, options: NetworkOptions): Promise<Invariant[]> {
  const { violations } = await new Network(schedule, options).run();
  return [...new Set(violations.map(({ invariant }) => invariant))];
}

/** The sink of a broker that treats some publications in its own way. */
function publishing(broker: Broker, treat: (count: number) => 'store' | 'pretend' | 'twice'): Broker {
  let count = 0;
  const publisher: Broker['sink']['publisher'] = (destination, handler) => {
    const real = broker.sink.publisher(destination, handler);
    return {
      close: () => real.close(),
      publish: (publications) => {
        for (const publication of publications) {
          const treatment = treat(++count);
          if (treatment === 'pretend') queueMicrotask(() => handler.outcome([publication.id], 'confirmed', undefined));
          else real.publish([publication]);
          if (treatment === 'twice') real.publish([{ ...publication, id: -publication.id }]);
        }
      },
    };
  };
  return over(broker, { sink: { ...broker.sink, publisher } });
}

function over(broker: Broker, parts: Partial<Pick<Broker, 'source' | 'sink' | 'demand'>>): Broker {
  const { source, sink, demand, bindings, buffers, browser, inventory } = broker;
  const roles = { source, sink, demand, bindings, buffers, browser, inventory, ...parts };
  return {
    ...roles,
    start: () => broker.start(),
    claim: (wanted) => broker.claim(wanted),
    runningFor: () => broker.runningFor(),
    stop: () => broker.stop(),
  };
}

const blind = (broker: Broker): Broker =>
  over(broker, { sink: { ...broker.sink, probe: async () => ({ ready: 0, consumers: 1 }) } });

describe('the judge', () => {
  it('finds nothing where nothing is wrong', async () => {
    expect(await broken(plain, {})).toEqual([]);
  });

  it('sees a message that was acknowledged before it was stored', async () => {
    const sabotage = (broker: Broker) => publishing(broker, (count) => (count === 7 ? 'pretend' : 'store'));
    expect(await broken(plain, { sabotage })).toEqual(['nothing is lost']);
  });

  it('sees a message that was stored twice', async () => {
    const sabotage = (broker: Broker) => publishing(broker, (count) => (count === 7 ? 'twice' : 'store'));
    expect(await broken(plain, { sabotage })).toEqual(['no duplicates']);
  });

  it('sees messages that wait for a consumer that could take them', async () => {
    const tamper = (_from: string, _to: string, frame: WireFrame) => (frame.kind === 'credit' ? undefined : frame);
    expect(await broken(plain, { tamper })).toContain('nothing is stuck');
  });

  it('sees messages that are out of order', async () => {
    const tamper = (_from: string, _to: string, frame: WireFrame) =>
      frame.kind === 'messages' ? shuffled(frame) : frame;
    expect(await broken(plain, { tamper })).toEqual(['order']);
  });

  it('sees traffic without demand', async () => {
    // It never hears that the last consumer has gone, nor that messages wait.
    const sabotage = (broker: Broker): Broker =>
      over(blind(broker), {
        demand: {
          refresh: (queue) => broker.demand.refresh(queue),
          method: broker.demand.method,
          watch: (names, listener) =>
            broker.demand.watch(names, {
              created: (queue, properties) => listener.created(queue, properties),
              deleted: (queue) => listener.deleted(queue),
              visible: (visible) => listener.visible(visible),
              changed: (demand) => demand.consumers > 0 && listener.changed(demand),
            }),
        },
      });
    const consumers = plain.consumers.map((plan) => ({ ...plan, untilMs: 150 }));
    expect(await broken({ ...plain, consumers }, { sabotage })).toContain('no demand, no traffic');
  });

  it('sees a hoard', async () => {
    const consumers = plain.consumers.map((plan) => ({ ...plan, prefetch: 1, workMs: 300 }));
    expect(await broken({ ...plain, consumers }, { sabotage: blind })).toContain('no hoarding');
  });

  it('sees messages that go to and fro', async () => {
    const [consumer] = plain.consumers;
    const consumers = ['east', 'west'].map((site) => ({ ...consumer!, name: site, site, prefetch: 1, workMs: 100 }));
    const connectors = [connector('west', 'east', { duplex: true })];
    expect(await broken({ ...plain, connectors, consumers }, { sabotage: blind })).toContain('no ping-pong');
  });

  it('sees that memory is not bounded', async () => {
    const sabotage = (broker: Broker): Broker =>
      over(broker, {
        source: {
          ...broker.source,
          consume: (request, handler) => broker.source.consume({ ...request, prefetch: 1_000 }, handler),
        },
      });
    const producers = plain.producers.map((plan) => ({ ...plan, bodyBytes: 5_000, everyMs: 0 }));
    const weather = { ...plain.weather, bytesPerMs: 20 };
    const schedule = { ...plain, inFlightBytes: 20_000, producers, weather };
    expect(await broken(schedule, { sabotage })).toContain('bounded memory');
    expect(await broken(schedule, {})).toEqual([]);
  });

  it('sees by the counts of both ends that a sink acknowledged what it never published', async () => {
    // The seventh message never arrives; the sink does not ask for it, it says that it is stored.
    const tamper = (_from: string, _to: string, frame: WireFrame): WireFrame => {
      if (frame.kind === 'messages')
        return { ...frame, messages: frame.messages.filter(({ sequence }) => sequence !== 7) };
      if (frame.kind !== 'gap') return frame;
      const { missing, ...head } = frame;
      return { ...head, kind: 'settle', accepted: missing, released: [], rejected: [] };
    };
    expect(await broken(plain, { tamper })).toEqual(
      expect.arrayContaining(['nothing is lost', 'both ends count alike']),
    );
  });

  it('sees what a bridge keeps to itself', async () => {
    let count = 0;
    const sabotage = (broker: Broker): Broker =>
      over(broker, {
        source: {
          ...broker.source,
          acknowledge: (tokens) => broker.source.acknowledge(tokens.filter(() => ++count !== 9)),
        },
      });
    expect(await broken(plain, { sabotage })).toContain('the books agree');
  });

  it('sees an exception', async () => {
    const tamper = () => {
      throw new Error('thrown on purpose');
    };
    expect(await broken(plain, { tamper })).toContain('no exception');
  });

  it('knows from the file alone which consumers a message can reach', () => {
    const connectors = [
      connector('a', 'b', { networkTTL: 3 }),
      connector('b', 'c', { networkTTL: 2, duplex: true }),
      connector('c', 'd', { networkTTL: 3, excludes: ['local'] }),
    ];
    const reach = new Reach(topologyOf({ ...plain, sites: ['a', 'b', 'c', 'd'], connectors }));
    expect(reach.from('a', 'b', 'q')).toBe(true);
    expect(reach.from('a', 'c', 'q')).toBe(true);
    expect(reach.from('a', 'd', 'q')).toBe(false); // three connectors, and one of them allows two
    expect(reach.from('b', 'd', 'q')).toBe(true);
    expect(reach.from('b', 'd', 'local')).toBe(false);
    expect(reach.from('c', 'b', 'q')).toBe(true);
    expect(reach.from('b', 'a', 'q')).toBe(false);
  });
});

describe('a simulated run', () => {
  it('is the same each time', async () => {
    const frame = {
      ...calm,
      moves: true,
      faults: ['bridge-crash', 'link-cut', 'broker-cut'] as const,
      faultCount: [2, 4] as const,
    };
    for (let seed = 1; seed <= 5; seed++) {
      const lines: string[][] = [[], []];
      const verdicts = [];
      for (const heard of lines) {
        const trace = (atMs: number, line: string) => heard.push(`${atMs} ${JSON.parse(line).msg}`);
        verdicts.push(await new Network(drawSchedule(seed, frame), { trace }).run());
      }
      expect(verdicts[0]).toEqual(verdicts[1]);
      expect(lines[0]).toEqual(lines[1]);
    }
  });

  it('that fails is cut down to what it takes to fail', async () => {
    // The planted bug: after its broker connection was lost once, a bridge takes a message for stored that is not.
    const sabotage = (broker: Broker, cluster: string): Broker => {
      if (cluster !== 'b') return broker;
      let visible = 0;
      const bad = publishing(broker, () => (visible > 1 ? 'pretend' : 'store'));
      return over(bad, {
        demand: {
          refresh: (queue) => broker.demand.refresh(queue),
          method: broker.demand.method,
          watch: (names, listener) =>
            broker.demand.watch(names, {
              created: (queue, properties) => listener.created(queue, properties),
              deleted: (queue) => listener.deleted(queue),
              changed: (demand) => listener.changed(demand),
              visible: (now) => {
                if (now) visible++;
                listener.visible(now);
              },
            }),
        },
      });
    };
    const faults = ['bridge-crash', 'link-cut', 'broker-cut', 'broker-slow', 'link-slow', 'partition'] as const;
    const frame = { ...calm, shapes: ['mesh'] as const, ways: 'both' as const, faults, faultCount: [6, 8] as const };
    const run = (schedule: Schedule) => new Network(schedule, { sabotage }).run();
    for (let seed = 1; ; seed++) {
      const schedule = drawSchedule(seed, frame);
      if ((await run(schedule)).violations[0]?.invariant !== 'nothing is lost') continue;
      const small = await shrink(schedule, run);
      expect(small.faults.map(({ is }) => is)).toEqual(['broker-cut']);
      expect(small.producers).toHaveLength(1);
      expect(small.consumers).toHaveLength(1);
      expect(small.connectors).toHaveLength(1);
      expect(small.sites).toHaveLength(2);
      break;
    }
  });
});

/** The same numbers with each other's contents. */
function shuffled(frame: MessagesFrame): MessagesFrame {
  const last = frame.messages.length - 1;
  const messages = frame.messages.map((message, i) => ({ ...frame.messages[last - i]!, sequence: message.sequence }));
  return { ...frame, messages };
}
