import type {
  Consumer,
  ConsumerEnd,
  ConsumerHandler,
  DeliveryToken,
  QueueDeclaration,
  QueueInspection,
  Source,
} from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import { absent } from './brokers-words.ts';
import type { StompConnection } from './connection.ts';
import { type ConsumeRequest, ConsumingLine } from './consuming-line.ts';
import type { QueueLook } from './queue-look.ts';

/** The consuming half, on the connection that holds the first part of the lock. */
export class ActiveMqSource implements Source {
  readonly #surroundings: Surroundings;
  readonly #look: QueueLook;
  #line: ConsumingLine | undefined;
  #channelLost: (channel: object) => void = () => {};

  constructor(surroundings: Surroundings, look: QueueLook) {
    this.#surroundings = surroundings;
    this.#look = look;
  }

  attach(connection: StompConnection): void {
    this.#line = new ConsumingLine(connection, this.#surroundings, this.#look.servingSince);
  }

  /** The connection is gone: who consumes is told. */
  detach(): void {
    const line = this.#line;
    this.#line = undefined;
    if (!line) return;
    try {
      this.#channelLost(line);
    } catch (error) {
      this.#surroundings.log.error({ err: error }, 'a lost-channel listener threw');
    }
    line.lost();
  }

  consume(request: ConsumeRequest, handler: ConsumerHandler): Consumer {
    const line = this.#line;
    const ended = (end: ConsumerEnd): Consumer => {
      queueMicrotask(() => handler.ended(end));
      return { extend: () => {}, cancel: () => {} };
    };
    if (!line) return ended({ why: 'lost' });
    return this.#look.exists(request.queue) === false
      ? this.#consumeIfThere(line, request, handler)
      : line.consume(request, handler);
  }

  /** Nothing is known of such a queue, which may have been made just now. */
  #consumeIfThere(line: ConsumingLine, request: ConsumeRequest, handler: ConsumerHandler): Consumer {
    let consumer: Consumer | undefined;
    let extension = 0;
    let cancelled = false;
    void this.#look.isAbsent(request.queue).then((isAbsent) => {
      if (this.#line !== line) return handler.ended({ why: 'lost' });
      if (cancelled) return handler.ended({ why: 'cancelled' });
      if (isAbsent) {
        return handler.ended({ why: 'refused', fault: absent('Consuming', request.queue, line.address) });
      }
      consumer = line.consume({ ...request, prefetch: request.prefetch + extension }, handler);
    });
    return {
      extend: (more) => {
        if (consumer) consumer.extend(more);
        else extension += more;
      },
      cancel: () => {
        if (consumer) consumer.cancel();
        else cancelled = true;
      },
    };
  }

  acknowledge(tokens: readonly DeliveryToken[]): void {
    for (const [line, tags] of byLine(tokens)) line.decide(tags, 'acknowledge');
  }

  requeue(tokens: readonly DeliveryToken[]): void {
    for (const [line, tags] of byLine(tokens)) line.decide(tags, 'giveBack');
  }

  flushed(token: DeliveryToken, done: (processed: boolean) => void): void {
    (token.channel as ConsumingLine).barrier(done);
  }

  onChannelLost(listener: (channel: object) => void): void {
    this.#channelLost = listener;
  }

  inspect(queue: string): Promise<QueueInspection | undefined> {
    return this.#look.inspect(queue);
  }

  declare(queue: string, _properties: QueueDeclaration): Promise<void> {
    return this.#look.declare(queue);
  }

  deleteIfIdle(queue: string): Promise<boolean> {
    return this.#look.deleteIfIdle(queue);
  }

  /** Somebody draws on the queue. */
  isConsumed(queue: string): boolean {
    return this.#line?.isConsumed(queue) ?? false;
  }

  /** The queue is gone: its consumers end. */
  queueGone(queue: string): void {
    this.#line?.queueGone(queue);
  }

  /** Everything acknowledged so far is written and processed. */
  drained(): Promise<void> {
    const line = this.#line;
    if (!line) return Promise.resolve();
    return new Promise((resolve) => line.barrier(() => resolve()));
  }
}

function byLine(tokens: readonly DeliveryToken[]): Map<ConsumingLine, number[]> {
  const lines = new Map<ConsumingLine, number[]>();
  for (const { channel, tag } of tokens) {
    const line = channel as ConsumingLine;
    const tags = lines.get(line);
    if (tags) tags.push(tag);
    else lines.set(line, [tag]);
  }
  return lines;
}
