import type { Channel } from 'amqplib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PublisherHandler, PublishOutcome } from '../../../src/broker/port.ts';
import type { ChannelClosed, Connection } from '../../../src/broker/rabbitmq/connection.ts';
import type { DataChannel } from '../../../src/broker/rabbitmq/data-path/data-path.ts';
import { FrameReader, frameType } from '../../../src/broker/rabbitmq/data-path/frame-reader.ts';
import { encodeAcks } from '../../../src/broker/rabbitmq/data-path/frame-writer.ts';
import { methodId } from '../../../src/broker/rabbitmq/data-path/methods.ts';
import { RawFrame } from '../../../src/broker/rabbitmq/data-path/raw-frame.ts';
import { PublishLane } from '../../../src/broker/rabbitmq/publish-lane.ts';
import type { Surroundings } from '../../../src/broker/surroundings.ts';

const closeFrame = Object.assign(new Error('PRECONDITION_FAILED'), { code: 406 });
const short = (text: string) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);

interface Opening {
  resolve(channel: Channel): void;
  reject(error: unknown): void;
}

/** The broker's end of one channel: what was written to it, and what it says of it. The routing key is the message's fate. */
class ModelChannel {
  readonly number: number;
  is: 'opening' | 'open' | 'closing' | 'closed' = 'opening';
  data: DataChannel | undefined;
  readonly closed: ChannelClosed;
  readonly #opening: Opening;
  readonly #reader = new FrameReader(1_000_000);
  #written: { key: string; content: Buffer[] }[] = [];
  #confirmed = 0;

  constructor(number: number, closed: ChannelClosed, opening: Opening) {
    this.number = number;
    this.closed = closed;
    this.#opening = opening;
  }

  get unanswered(): number {
    return this.#written.length;
  }

  opens(): void {
    this.is = 'open';
    this.#opening.resolve({
      ch: this.number,
      close: async () => {
        this.is = 'closing';
      },
    } as unknown as Channel);
  }

  refuses(error: unknown): void {
    this.is = 'closed';
    this.#opening.reject(error);
  }

  write(bytes: Buffer): void {
    expect(this.is).toBe('open');
    this.#reader.push(Buffer.from(bytes));
    for (let frame = this.#reader.next(); frame; frame = this.#reader.next()) {
      const copy = frame.copy();
      if (copy[0] === frameType.method) {
        const at = 13 + 1 + (copy[13] as number);
        this.#written.push({ key: copy.toString('utf8', at + 1, at + 1 + (copy[at] as number)), content: [] });
      } else this.#written.at(-1)?.content.push(copy);
    }
  }

  /** The broker comes to the next message; true: it closes the channel for it. `half`: its return comes, its ack does not. */
  answer(half: boolean): boolean {
    const next = this.#written[0];
    if (!next) return false;
    if (next.key === 'poison') return true;
    if (next.key === 'nowhere') {
      const payload = Buffer.concat([Buffer.alloc(6), short('NO_ROUTE'), short(''), short(next.key)]);
      payload.writeUInt32BE(methodId.basicReturn);
      const head = Buffer.alloc(7);
      head[0] = frameType.method;
      head.writeUInt16BE(this.number, 1);
      head.writeUInt32BE(payload.length, 3);
      for (const frame of [Buffer.concat([head, payload, Buffer.of(0xce)]), ...next.content])
        this.data?.frame(new RawFrame(frame));
      if (half) {
        next.key = 'returned';
        return false;
      }
    }
    this.#written.shift();
    const kind = next.key === 'full' ? 'nack' : 'ack';
    this.data?.frame(new RawFrame(encodeAcks(this.number, [{ kind, tag: ++this.#confirmed, multiple: false }])));
    return false;
  }
}

class ModelConnection {
  isOpen = true;
  readonly wire = { frameMax: 4_096, sentSinceLastCheck: false, channels: [] as (object | null)[] };
  readonly channels: ModelChannel[] = [];
  readonly data = {
    register: (number: number, data: DataChannel) => {
      const channel = this.channels.find((each) => each.number === number);
      if (channel) channel.data = data;
    },
    release: (number: number) => {
      const channel = this.channels.find((each) => each.number === number);
      if (channel) channel.data = undefined;
    },
  };

  confirmChannel(closed: ChannelClosed): Promise<Channel> {
    if (!this.isOpen) return Promise.reject(new Error('Connection closed'));
    return new Promise((resolve, reject) => {
      const channel = new ModelChannel(this.channels.length + 1, closed, { resolve, reject });
      this.channels.push(channel);
      this.wire.channels[channel.number] = { buffer: { write: (bytes: Buffer) => channel.write(bytes) } };
    });
  }

  live(): ModelChannel[] {
    return this.channels.filter((channel) => channel.is !== 'closed');
  }

  end(channel: ModelChannel, error: unknown): void {
    const { is } = channel;
    this.wire.channels[channel.number] = null;
    if (is === 'opening') {
      channel.refuses(error ?? new Error('Channel ended, no reply will be forthcoming'));
      return;
    }
    channel.is = 'closed';
    channel.closed(error);
  }

  /** All of its channels end, in amqplib's order and before it says so itself. */
  die(): void {
    for (const channel of this.live()) this.end(channel, undefined);
    this.isOpen = false;
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

class World {
  readonly problems: unknown[] = [];
  readonly outcomes = new Map<number, PublishOutcome[]>();
  readonly confirmed: number[] = [];
  readonly keys: string[] = [];
  readonly lane: PublishLane;
  connection = new ModelConnection();
  /** Dead to the lane, while their channels still live: a connection that is being closed. */
  readonly leaving: ModelConnection[] = [];
  /** How many more publications handlers make from within an outcome. */
  echoes = 0;
  ids = 0;
  readonly #handlers: PublisherHandler[] = [0, 1].map(() => ({
    outcome: (ids, outcome) => {
      for (const id of ids) {
        this.outcomes.get(id)?.push(outcome);
        if (outcome === 'confirmed') this.confirmed.push(id);
      }
      if (this.echoes > 0) {
        this.echoes--;
        this.publish(['ok']);
      }
    },
  }));

  constructor() {
    const log = {
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (fields: object) => this.problems.push(fields),
    };
    this.lane = new PublishLane({ log } as unknown as Surroundings);
    this.attach();
  }

  attach(): void {
    this.connection = new ModelConnection();
    this.lane.attach(this.connection as unknown as Connection);
  }

  publish(keys: readonly string[]): void {
    const first = this.ids;
    this.ids += keys.length;
    this.keys.push(...keys);
    for (let id = first; id < this.ids; id++) this.outcomes.set(id, []);
    this.lane.publish(
      keys.map((routingKey, index) => ({
        publication: {
          id: first + index,
          exchange: '',
          routingKey,
          properties: Buffer.of(0, 0),
          body: Buffer.from(String(first + index)),
        },
        handler: this.#handlers[(first + index) % 2] as PublisherHandler,
      })),
    );
  }

  /** One step of the broker on one of its channels. */
  step(pick: number, half: boolean, late: boolean, of = this.connection): void {
    const live = of.live();
    const channel = live[pick % Math.max(1, live.length)];
    if (!channel) return;
    if (channel.is === 'opening') channel.opens();
    else if (channel.is === 'closing') of.end(channel, undefined);
    else if (channel.answer(half)) {
      channel.data?.handOver();
      of.end(channel, closeFrame);
    } else if (!late) channel.data?.handOver();
  }

  /** The broker answers all that it is asked. */
  async settle(): Promise<void> {
    for (let idle = 0, steps = 0; idle < 3; steps++) {
      expect(steps).toBeLessThan(10_000);
      await turn();
      const busy = this.connection.live().filter((channel) => channel.is !== 'open' || channel.unanswered > 0);
      for (const channel of this.connection.live()) channel.data?.handOver();
      if (busy.length === 0) {
        idle++;
        continue;
      }
      idle = 0;
      for (const channel of busy) this.step(this.connection.live().indexOf(channel), false, false);
    }
  }

  async end(): Promise<void> {
    this.connection.die();
    this.lane.detach();
    for (const each of this.leaving) each.die();
    await turn();
  }

  verdicts(): string[] {
    return [...this.outcomes.values()].map((each) => each.join('+'));
  }
}

const key = fc.constantFrom('ok', 'ok', 'nowhere', 'nowhere', 'full', 'poison', 'poison', 'x'.repeat(300));
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('publish' as const), keys: fc.array(key, { maxLength: 5 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('step' as const),
      pick: fc.nat(3),
      half: fc.boolean(),
      late: fc.boolean(),
      wait: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('echo' as const), count: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('end channel' as const), pick: fc.nat(3), byBroker: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('die' as const), wait: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), wait: fc.boolean() }) },
);

test('every publication gets exactly one outcome, whatever closes when', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 60, size: 'max' }), async (commands) => {
      const world = new World();
      for (const each of commands) {
        if (each.do === 'publish') world.publish(each.keys);
        else if (each.do === 'echo') world.echoes += each.count;
        else if (each.do === 'step') {
          world.step(each.pick, each.half, each.late);
          for (const old of world.leaving) world.step(each.pick, each.half, each.late, old);
          if (each.wait) await turn();
        } else if (each.do === 'end channel') {
          const live = world.connection.live();
          const channel = live[each.pick % Math.max(1, live.length)];
          if (channel) world.connection.end(channel, each.byBroker ? closeFrame : undefined);
        } else {
          if (each.do === 'die') world.connection.die();
          else world.leaving.push(world.connection);
          // A connection that its owner closes is not open any more, but its channels are.
          world.connection.isOpen = false;
          world.lane.detach();
          if (each.wait) await turn();
          world.attach();
        }
      }
      await world.settle();
      // While the connection lives nothing waits for ever, and one channel is enough.
      const { connection } = world;
      expect(connection.live().length).toBeLessThanOrEqual(1);
      const open = [...world.outcomes].filter(([, outcomes]) => outcomes.length === 0).map(([id]) => id);
      if (world.leaving.length === 0) expect(open).toEqual([]);
      await world.end();
      expect(world.problems).toEqual([]);
      // Nobody is blamed but who is to blame, unless the model closes a channel for no reason.
      if (!commands.some((each) => each.do === 'end channel' && each.byBroker)) {
        const blamed = [...world.outcomes].filter(([, outcomes]) => outcomes[0] === 'poison').map(([id]) => id);
        expect(blamed.filter((id) => !/^(poison|x+)$/.test(world.keys[id] as string))).toEqual([]);
      }
      if (!commands.some((each) => each.do === 'die' || each.do === 'leave')) {
        expect(world.confirmed).toEqual([...world.confirmed].sort((a, b) => a - b));
      }
      for (const outcome of world.verdicts()) expect(outcome).toMatch(/^(confirmed|returned|refused|unknown|poison)$/);
    }),
    { numRuns: 1_000 },
  );
});

/** A lane whose second publication was returned alone in quarantine, and not acknowledged yet; three more wait. */
async function returnedInQuarantine(): Promise<{ world: World; alone: ModelChannel }> {
  const world = new World();
  world.publish(['ok', 'nowhere', 'poison', 'ok']);
  await turn();
  world.step(0, false, false); // opens
  await turn();
  world.step(0, false, false); // the first is confirmed
  world.connection.end(world.connection.channels[0] as ModelChannel, closeFrame);
  await turn();
  world.publish(['ok']);
  const alone = world.connection.channels[1] as ModelChannel;
  alone.opens();
  await turn();
  expect(alone.unanswered).toBe(1);
  alone.answer(true);
  return { world, alone };
}

test.each([
  ['the broker closes it', closeFrame, ['confirmed', 'returned', 'poison', 'confirmed', 'confirmed']],
  ['nobody says why', undefined, ['confirmed', 'returned', 'unknown', 'unknown', 'confirmed']],
])(
  'a suspect that was returned when the quarantine channel closed (%s): the others go on',
  async (_, error, expected) => {
    const { world, alone } = await returnedInQuarantine();
    world.connection.end(alone, error);
    await world.settle();
    expect(world.verdicts()).toEqual(expected);
    await world.end();
  },
);

test('a verdict that is handed over when the quarantine channel has closed leaves the lane at work', async () => {
  const { world, alone } = await returnedInQuarantine();
  // Its ack is read, and the channel goes before the chunk's end.
  alone.answer(false);
  world.connection.end(alone, closeFrame);
  await world.settle();
  expect(world.verdicts()).toEqual(['confirmed', 'returned', 'poison', 'confirmed', 'confirmed']);
  await world.end();
});

test('a message that no frame can be made of is poison, and takes no other along', async () => {
  const world = new World();
  world.publish(['ok', 'x'.repeat(300), 'ok']);
  await world.settle();
  expect(world.verdicts()).toEqual(['confirmed', 'poison', 'confirmed']);
  await world.end();
});

test('a connection that went while the channel opened is heard of, not thrown', async () => {
  const world = new World();
  world.publish(['ok']);
  const channel = world.connection.channels[0] as ModelChannel;
  channel.opens();
  // amqplib has nobody to tell yet: the channel's listeners come with its promise.
  channel.is = 'closed';
  world.connection.wire.channels[channel.number] = null;
  await turn();
  await world.end();
  expect(world.verdicts()).toEqual(['refused']);
});
