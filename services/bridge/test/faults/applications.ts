import { awaitUntil } from '@tombolo/testing/await-until';
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import type { Site } from '../e2e/network.ts';
import type { Delivery } from './outcome.ts';

/** How soon an application is back after its connection broke (ms). */
const AGAIN_MS = 100;
/** A producer waits with so many of its messages unconfirmed. */
const UNCONFIRMED = 4_000;
const PACE_MS = 20;
const padding = ' '.repeat(200);

/**
 * An application's connection: it is opened again when it broke, until the application leaves. What `use` does with the new
 * connection decides when it is in use; a failure there is a broken connection.
 */
abstract class Application {
  protected readonly queue: string;
  readonly #site: Site;
  #model: ChannelModel | undefined;
  #left = false;
  #running: Promise<void> | undefined;

  constructor(site: Site, queue: string) {
    this.#site = site;
    this.queue = queue;
  }

  protected abstract use(model: ChannelModel, broken: () => void): Promise<void>;

  protected async start(): Promise<void> {
    let first: () => void = () => {};
    const used = new Promise<void>((resolve) => {
      first = resolve;
    });
    this.#running = this.#run(first);
    await used;
  }

  protected async leave(): Promise<void> {
    this.#left = true;
    await this.#model?.close().catch(() => {});
    await this.#running;
  }

  async #run(used: () => void): Promise<void> {
    while (!this.#left) {
      try {
        const model = await this.#site.connect();
        this.#model = model;
        const gone = new Promise<void>((resolve) => model.once('close', () => resolve()));
        await this.use(model, () => void model.close().catch(() => {}));
        used();
        await gone;
      } catch {
        await this.#model?.close().catch(() => {});
      }
      if (!this.#left) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/**
 * Publishes numbered messages, so many a second and bursts in between, for as long as the broker takes them. A number is sent once
 * only: what was not confirmed when the connection broke may be in the queue or not, and is not sent again.
 */
export class Producer extends Application {
  /** What the broker has taken over. */
  readonly confirmed = new Set<number>();
  /** How many came back, because no queue took them. */
  returned = 0;
  readonly #withIds: boolean;
  readonly #perSecond: number;
  #next = 0;
  #channel: ConfirmChannel | undefined;
  #unconfirmed = 0;
  #owed = 0;
  #paceTimer: NodeJS.Timeout | undefined;
  #held = false;

  /** @param withIds whether messages have a message id */
  constructor(site: Site, queue: string, options: { withIds: boolean; perSecond: number }) {
    super(site, queue);
    this.#withIds = options.withIds;
    this.#perSecond = options.perSecond;
  }

  /** The number that the next message gets. */
  get next(): number {
    return this.#next;
  }

  override async start(): Promise<void> {
    await super.start();
    this.#paceTimer = setInterval(() => {
      this.#owed += (this.#perSecond * PACE_MS) / 1000;
      this.#send();
    }, PACE_MS);
  }

  /** So many at once, on top of the pace. */
  burst(count: number): void {
    this.#owed += count;
    this.#send();
  }

  /** Sends nothing until `release`, and resolves when it is known of every message what became of it. */
  async hold(): Promise<void> {
    this.#held = true;
    await this.#answered();
  }

  release(): void {
    this.#held = false;
  }

  /** Sends no more, and resolves when the broker has said of every message what became of it. */
  async stop(): Promise<void> {
    clearInterval(this.#paceTimer);
    await this.hold();
    await this.leave();
  }

  async #answered(): Promise<void> {
    await awaitUntil('the source confirms what was published', () => this.#unconfirmed === 0, { withinMs: 20_000 });
  }

  protected async use(model: ChannelModel, broken: () => void): Promise<void> {
    const channel = await model.createConfirmChannel();
    const returned = new Set<number>();
    channel.on('return', ({ content }) => {
      this.returned++;
      returned.add(numberIn(content));
    });
    channel.on('error', () => {});
    channel.on('close', () => {
      if (this.#channel === channel) this.#channel = undefined;
      this.#unconfirmed = 0;
      broken();
    });
    this.#unconfirmed = 0;
    this.#returned = returned;
    this.#channel = channel;
    this.#send();
  }

  #returned = new Set<number>();

  #send(): void {
    const channel = this.#channel;
    // Without a connection nothing is produced: an application cannot either.
    if (!channel) this.#owed = 0;
    if (!channel || this.#held) return;
    const returned = this.#returned;
    for (; this.#owed >= 1 && this.#unconfirmed < UNCONFIRMED; this.#owed--) {
      const number = this.#next++;
      this.#unconfirmed++;
      const options = { mandatory: true, persistent: true, ...(this.#withIds && { messageId: String(number) }) };
      channel.sendToQueue(this.queue, Buffer.from(`${number}${padding}`), options, (error) => {
        if (this.#channel !== channel) return;
        this.#unconfirmed--;
        // A message that no queue took is confirmed too, after it was returned.
        if (!error && !returned.delete(number)) this.confirmed.add(number);
      });
    }
  }
}

/** Takes what comes, acknowledges it, and notes it. It declares the queue if it has gone. */
export class Consumer extends Application {
  readonly deliveries: Delivery[] = [];
  readonly #prefetch: number;
  #highest = -1;

  constructor(site: Site, queue: string, options: { prefetch: number }) {
    super(site, queue);
    this.#prefetch = options.prefetch;
  }

  /** The highest number so far; -1: none. */
  get highest(): number {
    return this.#highest;
  }

  override start(): Promise<void> {
    return super.start();
  }

  stop(): Promise<void> {
    return this.leave();
  }

  /** Resolves with the first delivery after this time. */
  after(at: number, withinMs: number): Promise<Delivery> {
    let from = this.deliveries.length;
    while (from > 0 && this.deliveries[from - 1]!.at > at) from--;
    return awaitUntil('a delivery', () => this.deliveries[from], { withinMs });
  }

  protected async use(model: ChannelModel, broken: () => void): Promise<void> {
    const channel = await model.createChannel();
    channel.on('error', () => {});
    let open = true;
    channel.on('close', () => {
      open = false;
      broken();
    });
    await channel.prefetch(this.#prefetch);
    await channel.assertQueue(this.queue, { durable: true });
    await channel.consume(this.queue, (message) => {
      // The queue has been deleted.
      if (!message) return broken();
      const number = numberIn(message.content);
      this.deliveries.push({ number, redelivered: message.fields.redelivered, at: performance.now() });
      this.#highest = Math.max(this.#highest, number);
      if (open) channel.ack(message);
    });
  }
}

function numberIn(content: Buffer): number {
  return Number(content.toString().trim());
}
