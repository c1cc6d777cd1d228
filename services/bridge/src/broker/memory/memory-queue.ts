import type { QueueProperties } from '@tombolo/wire/frame';

/** A message as the memory broker keeps it. `position` is where it stood first: requeueing brings it back there. */
export interface StoredMessage {
  readonly position: number;
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
  redelivered: boolean;
}

/** Whoever takes messages from a queue; `held` is what it has not acknowledged. */
export interface QueueConsumer {
  prefetch: number;
  readonly priority: number;
  /** A bridge's own: no demand. */
  readonly isBridge: boolean;
  readonly held: Set<StoredMessage>;
  /** Receives a message that the queue has added to `held`. Called while the queue works: must not call back into it. */
  take(message: StoredMessage): void;
}

/** How many acknowledged messages a queue remembers, for crashes that lose acknowledgements. */
const rememberedAcks = 1_000;

/** One queue: ready messages in order, and consumers by priority, then round robin. */
export class MemoryQueue {
  readonly name: string;
  readonly properties: QueueProperties;
  ready: StoredMessage[] = [];
  /** In round-robin order: the next one first. */
  consumers: QueueConsumer[] = [];
  #positions = 0;
  #acked: StoredMessage[] = [];
  /** Held by consumers that were cancelled; still unacknowledged. */
  readonly #adrift = new Set<StoredMessage>();

  constructor(name: string, properties: QueueProperties) {
    this.name = name;
    this.properties = properties;
  }

  /** Everything that was handed over and is not acknowledged, whether or not its consumer is still there. */
  get unacknowledged(): readonly StoredMessage[] {
    return [...this.consumers.flatMap((consumer) => [...consumer.held]), ...this.#adrift];
  }

  /** False: refused, since it is full and rejects. */
  offer(message: Omit<StoredMessage, 'position' | 'redelivered'>): boolean {
    const { overflow } = this.properties;
    const drops = overflow === undefined || overflow === 'drop-head';
    if (!drops && this.#isOver(1, message.body.length)) return false;
    this.ready.push({ ...message, position: this.#positions++, redelivered: false });
    this.dispatch();
    while (this.ready.length > 0 && this.#isOver(0, 0)) this.ready.shift();
    return true;
  }

  addConsumer(consumer: QueueConsumer): void {
    this.consumers.push(consumer);
    this.dispatch();
  }

  /** Takes no more. What it holds stays unacknowledged, or goes back at once (its channel is gone). */
  removeConsumer(consumer: QueueConsumer, back: boolean): void {
    this.consumers = this.consumers.filter((other) => other !== consumer);
    if (back) {
      for (const message of consumer.held) this.#adrift.delete(message);
      this.#putBack([...consumer.held]);
      consumer.held.clear();
    } else {
      for (const message of consumer.held) this.#adrift.add(message);
    }
    this.dispatch();
  }

  acknowledge(consumer: QueueConsumer, message: StoredMessage): void {
    if (!consumer.held.delete(message)) return;
    this.#adrift.delete(message);
    this.#acked.push(message);
    if (this.#acked.length > rememberedAcks) this.#acked.shift();
  }

  requeue(consumer: QueueConsumer, messages: readonly StoredMessage[]): void {
    const back = messages.filter((message) => consumer.held.delete(message));
    for (const message of back) this.#adrift.delete(message);
    this.#putBack(back);
  }

  /** Hands the first ready message to somebody who consumes nothing: basic.get. */
  takeOne(reader: QueueConsumer): StoredMessage | undefined {
    const message = this.ready.shift();
    if (!message) return undefined;
    reader.held.add(message);
    this.#adrift.add(message);
    return message;
  }

  /** Everything that a crash brings back: unacknowledged messages, and the last acknowledgements if they are forgotten. */
  crash(forgottenAcks: number): void {
    const held = this.consumers.flatMap((consumer) => [...consumer.held]);
    for (const consumer of this.consumers) consumer.held.clear();
    this.consumers = [];
    const forgotten = forgottenAcks > 0 ? this.#acked.splice(-forgottenAcks) : [];
    this.#putBack([...held, ...this.#adrift, ...forgotten]);
    this.#adrift.clear();
    // After a restart a classic queue flags whatever it has (RabbitMQ).
    for (const message of this.ready) message.redelivered = true;
  }

  /** Hands out what consumers can take. */
  dispatch(): void {
    while (this.ready.length > 0) {
      const consumer = this.#next();
      if (!consumer) return;
      const message = this.ready.shift() as StoredMessage;
      consumer.held.add(message);
      if (!this.properties.singleActiveConsumer) {
        this.consumers = [...this.consumers.filter((other) => other !== consumer), consumer];
      }
      consumer.take(message);
    }
  }

  /** Whether what is ready, and so much more, is beyond a bound. */
  #isOver(messages: number, bytes: number): boolean {
    const { maxLength, maxLengthBytes } = this.properties;
    if (maxLength !== undefined && this.ready.length + messages > maxLength) return true;
    if (maxLengthBytes === undefined) return false;
    return this.ready.reduce((sum, message) => sum + message.body.length, bytes) > maxLengthBytes;
  }

  #next(): QueueConsumer | undefined {
    if (this.properties.singleActiveConsumer) {
      const active = this.consumers[0];
      return active && active.held.size < active.prefetch ? active : undefined;
    }
    let best: QueueConsumer | undefined;
    for (const consumer of this.consumers) {
      if (consumer.held.size >= consumer.prefetch) continue;
      if (!best || consumer.priority > best.priority) best = consumer;
    }
    return best;
  }

  #putBack(messages: readonly StoredMessage[]): void {
    if (messages.length === 0) return;
    for (const message of messages) message.redelivered = true;
    this.ready = [...this.ready, ...messages].sort((a, b) => a.position - b.position);
  }
}
