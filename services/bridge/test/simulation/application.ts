import type { MemoryQueue, StoredMessage } from '../../src/broker/memory/memory-queue.ts';
import type { TestConsumer } from '../../src/broker/memory/memory-server.ts';
import type { Judge } from './judge.ts';
import { bodyOf, keyOf, propertiesOf } from './message.ts';
import type { ConsumerPlan, ProducerPlan } from './schedule.ts';
import type { Site } from './site.ts';
import type { VirtualClock } from './virtual-clock.ts';

const retryMs = 50;

/** Publishes with confirms, in order; while its broker does not take anything it waits. */
export class ProducerApplication {
  readonly #plan: ProducerPlan;
  readonly #site: Site;
  readonly #clock: VirtualClock;
  readonly #judge: Judge;
  #published = 0;

  constructor(plan: ProducerPlan, site: Site, clock: VirtualClock, judge: Judge) {
    this.#plan = plan;
    this.#site = site;
    this.#clock = clock;
    this.#judge = judge;
  }

  get done(): boolean {
    return this.#published >= this.#plan.count;
  }

  start(): void {
    this.#clock.wake(this.#plan.fromMs, () => this.#publish());
  }

  #publish(): void {
    const { name, queue, count, everyMs, bodyBytes, messageIds } = this.#plan;
    if (this.#published >= count) return;
    const message = { producer: name, number: this.#published + 1 };
    const body = bodyOf(message, bodyBytes);
    const stored =
      this.#site.takes && this.#site.server.publish(queue, { body, properties: propertiesOf(message, messageIds) });
    if (stored) {
      this.#published++;
      this.#judge.published(this.#site.name, keyOf(body));
    }
    this.#clock.after(stored ? everyMs : retryMs, () => this.#publish());
  }
}

/** Takes messages and works on one after the other; comes back when its broker or its queue does. */
export class ConsumerApplication {
  readonly plan: ConsumerPlan;
  readonly #site: Site;
  readonly #clock: VirtualClock;
  readonly #judge: Judge;
  #connection:
    | { readonly consumer: TestConsumer; readonly queue: MemoryQueue; readonly waiting: StoredMessage[] }
    | undefined;
  #wanted = false;

  constructor(plan: ConsumerPlan, site: Site, clock: VirtualClock, judge: Judge) {
    this.plan = plan;
    this.#site = site;
    this.#clock = clock;
    this.#judge = judge;
  }

  start(): void {
    const { fromMs, untilMs } = this.plan;
    this.#site.watch(() => this.#look());
    this.#clock.wake(fromMs, () => {
      this.#wanted = true;
      this.#look();
    });
    if (Number.isFinite(untilMs)) this.#clock.wake(untilMs, () => this.#leave());
  }

  /** It is there. */
  get present(): boolean {
    return this.#connection !== undefined;
  }

  /** It is there and could take a message now. */
  get idle(): boolean {
    return this.#connection !== undefined && this.#connection.waiting.length < this.plan.prefetch;
  }

  /** Delivered to it and not acknowledged yet. */
  get held(): readonly StoredMessage[] {
    return this.#connection?.waiting ?? [];
  }

  /** Its broker or its queue has come or gone. */
  #look(): void {
    const { server } = this.#site;
    const queue = server.isUp ? server.queues.get(this.plan.queue) : undefined;
    if (this.#connection && this.#connection.queue !== queue) {
      this.#connection = undefined;
      this.#judge.consumerLeft(this.#site.name, this.plan.queue);
    }
    if (!this.#wanted || this.#connection || !queue) return;
    const waiting: StoredMessage[] = [];
    this.#judge.consumerCame(this.#site.name, this.plan.queue);
    const consumer = server.addConsumer(this.plan.queue, {
      prefetch: this.plan.prefetch,
      took: (message) => {
        waiting.push(message);
        if (message.redelivered) this.#judge.redelivered(this.#site.name, this.plan.queue, keyOf(message.body));
        if (waiting.length === 1) this.#work(waiting);
      },
    });
    this.#connection = { consumer, queue, waiting };
  }

  #leave(): void {
    this.#wanted = false;
    if (!this.#connection) return;
    const { consumer } = this.#connection;
    this.#connection = undefined;
    this.#judge.consumerLeft(this.#site.name, this.plan.queue);
    consumer.remove();
  }

  #work(waiting: StoredMessage[]): void {
    this.#clock.after(this.plan.workMs, () => {
      const connection = this.#connection;
      if (connection?.waiting !== waiting) return;
      const message = waiting.shift()!;
      this.#judge.consumed(this.#site.name, this.plan.queue, keyOf(message.body));
      if (waiting.length > 0) this.#work(waiting);
      connection.consumer.acknowledge(1);
    });
  }
}
