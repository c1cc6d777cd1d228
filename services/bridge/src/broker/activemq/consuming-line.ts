import type { Consumer, ConsumerHandler, Delivery } from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import { queueFault } from './brokers-words.ts';
import type { Receiver, StompConnection } from './connection.ts';
import { leaveHidden } from './hidden-bodies.ts';
import { toEnvelope } from './mapping/to-envelope.ts';
import { QueueTap } from './queue-tap.ts';
import { encodeFrame, type StompFrame } from './stomp-codec.ts';
import { released } from './topics/captured-message.ts';

/** How long acknowledgements of a cancelled consumer may be held back (ms). */
const DEFER_MS = 1_000;
/**
 * How long what is decided stays for a consumer that follows (ms). To end a subscription while its queue holds messages is not free: the
 * broker has some under way to it, which come back flagged as redelivered.
 */
const LINGER_MS = 1_000;
/** How long messages may be kept for a consumer that takes far fewer at a time (ms). */
const OVERSIZED_MS = 1_000;
/** How long a consumer waits for its predecessor's messages to be decided (ms). */
const WAIT_MS = 5_000;

/** How often the broker is asked whether it has sent all that it may. */
const FILL_ROUNDS = 3;

export interface ConsumeRequest {
  readonly queue: string;
  readonly prefetch: number;
  readonly priority: number | undefined;
}

/** A consumer, as the port knows it. */
interface Drawing {
  readonly request: ConsumeRequest;
  /** May have grown since. */
  prefetch: number;
  readonly handler: ConsumerHandler;
  cancelling: boolean;
  /** Ends the wait for its predecessor. */
  cancelWait: () => void;
}

/** Subscriptions to one queue, and who draws on them. */
interface Tapping {
  readonly tap: QueueTap;
  readonly key: string;
  readonly priority: number | undefined;
  readonly receive: Receiver;
  consumer: Drawing | undefined;
  isEnding: boolean;
  /** Since when it is far larger than who draws on it (monotonic ms); Infinity: it is not. */
  oversizedSince: number;
  cancelWake: () => void;
}

/** Everything that is consumed over one connection: `channel` of its deliveries' tokens. */
export class ConsumingLine {
  readonly #connection: StompConnection;
  readonly #surroundings: Surroundings;
  /** What the broker stamped before may have been handed out by a process that has died (ms since 1970, its clock). */
  readonly #servingSince: number;
  readonly #tappings = new Set<Tapping>();
  readonly #waiting = new Set<Drawing>();
  /** Of deliveries that are not decided: where they came from. */
  readonly #origins = new Map<number, Tapping>();
  #tag = 0;
  #transactions = 0;

  constructor(connection: StompConnection, surroundings: Surroundings, servingSince: number) {
    this.#connection = connection;
    this.#surroundings = surroundings;
    this.#servingSince = servingSince;
  }

  get address(): string {
    return this.#connection.address;
  }

  consume(request: ConsumeRequest, handler: ConsumerHandler): Consumer {
    const consumer: Drawing = {
      ...{ request, handler, prefetch: request.prefetch },
      ...{ cancelling: false, cancelWait: () => {} },
    };
    const dormant = this.#dormant(request);
    const suiting = dormant.find((each) => this.#suits(each, request.prefetch));
    if (suiting) this.#begin(suiting, consumer);
    else if (dormant.length === 0) this.#begin(this.#tap(request), consumer);
    else {
      this.#wait(consumer);
      for (const each of dormant) this.#settle(each, false);
    }
    return { extend: (more) => this.#extend(consumer, more), cancel: () => this.#cancel(consumer) };
  }

  decide(tags: readonly number[], verdict: 'acknowledge' | 'giveBack'): void {
    const touched = new Map<Tapping, number[]>();
    for (const tag of tags) {
      const tapping = this.#origins.get(tag);
      if (!tapping) continue;
      this.#origins.delete(tag);
      const its = touched.get(tapping);
      if (its) its.push(tag);
      else touched.set(tapping, [tag]);
    }
    for (const [tapping, its] of touched) {
      if (verdict === 'giveBack') tapping.tap.giveBack(its);
      else tapping.tap.acknowledge(its, tapping.consumer?.cancelling ?? true);
      this.#perform(tapping);
      this.#settle(tapping, false);
    }
  }

  /** Calls back when the broker has processed all that was acknowledged before. */
  barrier(done: (processed: boolean) => void): void {
    for (const tapping of this.#tappings) {
      tapping.tap.flush();
      this.#perform(tapping);
    }
    this.#roundTrip(done);
  }

  /** Somebody draws on the queue, or is about to. */
  isConsumed(queue: string): boolean {
    const tapped = [...this.#tappings].some(({ tap, consumer }) => consumer && tap.queue === queue);
    return tapped || [...this.#waiting].some(({ request }) => request.queue === queue);
  }

  queueGone(queue: string): void {
    for (const tapping of [...this.#tappings]) {
      if (tapping.tap.queue !== queue) continue;
      const { consumer } = tapping;
      tapping.consumer = undefined;
      for (const [tag, origin] of this.#origins) if (origin === tapping) this.#origins.delete(tag);
      this.#end(tapping);
      if (consumer) this.#guard(() => consumer.handler.ended({ why: 'queue-gone' }));
    }
  }

  lost(): void {
    this.#origins.clear();
    const tappings = [...this.#tappings];
    this.#tappings.clear();
    for (const consumer of [...this.#waiting]) {
      consumer.cancelWait();
      this.#guard(() => consumer.handler.ended({ why: 'lost' }));
    }
    for (const tapping of tappings) {
      tapping.cancelWake();
      const { consumer } = tapping;
      tapping.consumer = undefined;
      if (consumer) this.#guard(() => consumer.handler.ended({ why: 'lost' }));
    }
  }

  // ---- consumers and their subscriptions ---------------------------------------------------------------------------------

  #dormant(request: ConsumeRequest): Tapping[] {
    const key = keyOf(request);
    return [...this.#tappings].filter((each) => each.key === key && !each.consumer);
  }

  /** A consumer with less credit for a moment takes over what a larger one left; one that stays small does not keep the rest for long. */
  #suits({ tap, isEnding, oversizedSince }: Tapping, prefetch: number): boolean {
    if (isEnding || !tap.isFree) return false;
    return !tap.isOversized(prefetch) || this.#surroundings.clock.now() < oversizedSince + OVERSIZED_MS;
  }

  #tap(request: ConsumeRequest): Tapping {
    const { queue, priority } = request;
    const tap = new QueueTap(queue);
    const tapping: Tapping = {
      ...{ tap, key: keyOf(request), priority },
      // One receiver for all of its subscriptions: together they are in the queue's order.
      receive: (messages) => {
        const { log } = this.#surroundings;
        tap.arrived(leaveHidden(released(queue, messages), this.#connection, log, { queue }));
        this.#perform(tapping);
      },
      ...{ consumer: undefined, isEnding: false, oversizedSince: Number.POSITIVE_INFINITY, cancelWake: () => {} },
    };
    this.#tappings.add(tapping);
    return tapping;
  }

  #begin(tapping: Tapping, consumer: Drawing): void {
    tapping.consumer = consumer;
    tapping.cancelWake();
    const { prefetch } = consumer;
    if (!tapping.tap.isOversized(prefetch)) tapping.oversizedSince = Number.POSITIVE_INFINITY;
    else tapping.oversizedSince = Math.min(tapping.oversizedSince, this.#surroundings.clock.now());
    tapping.tap.wake(prefetch);
    // Not within the caller's call: he does not know his consumer yet.
    queueMicrotask(() => this.#perform(tapping));
  }

  /** What its predecessor gives back is older: it is the queue's again before anything is taken from behind it. Not for ever. */
  #wait(consumer: Drawing): void {
    const { clock } = this.#surroundings;
    const cancelWake = clock.wake(clock.now() + WAIT_MS, () => {
      this.#waiting.delete(consumer);
      this.#begin(this.#tap(consumer.request), consumer);
    });
    consumer.cancelWait = () => {
      cancelWake();
      this.#waiting.delete(consumer);
    };
    this.#waiting.add(consumer);
  }

  #extend(consumer: Drawing, more: number): void {
    if (consumer.cancelling) return;
    consumer.prefetch += more;
    const tapping = [...this.#tappings].find((each) => each.consumer === consumer);
    if (!tapping) return;
    tapping.tap.extend(more);
    this.#perform(tapping);
  }

  #cancel(consumer: Drawing): void {
    if (consumer.cancelling) return;
    consumer.cancelling = true;
    if (this.#waiting.has(consumer)) {
      consumer.cancelWait();
      queueMicrotask(() => this.#guard(() => consumer.handler.ended({ why: 'cancelled' })));
      return;
    }
    const tapping = [...this.#tappings].find((each) => each.consumer === consumer);
    if (!tapping) return;
    // What the broker has sent before comes before its answer.
    this.#roundTrip((answered) => {
      if (!answered || tapping.consumer !== consumer) return;
      tapping.consumer = undefined;
      tapping.tap.sleep();
      this.#settle(tapping, false);
      this.#guard(() => consumer.handler.ended({ why: 'cancelled' }));
    });
  }

  /** What nobody draws on ends when it is decided: now, when somebody waits for it, or after a while. */
  #settle(tapping: Tapping, now: boolean): void {
    const { tap } = tapping;
    const { clock } = this.#surroundings;
    if (tapping.isEnding || (tapping.consumer && !tapping.consumer.cancelling)) return;
    tapping.cancelWake();
    const isAwaited = [...this.#waiting].some(({ request }) => keyOf(request) === tapping.key);
    if (tap.isDecided && isAwaited) this.#endFull(tapping, FILL_ROUNDS);
    else if (tap.isDecided && (now || tap.isReturning)) this.#end(tapping);
    else if (tap.isDecided) {
      tapping.cancelWake = clock.wake(clock.now() + LINGER_MS, () => this.#settle(tapping, true));
    } else if (tap.isDeferring) {
      tapping.cancelWake = clock.wake(clock.now() + DEFER_MS, () => {
        tap.flush();
        this.#perform(tapping);
      });
    }
  }

  /**
   * Ends it for one that waits, so that the queue's order is kept: while messages are under way to it, one of them may come back behind
   * others (seen: once in some thousands). So it is acknowledged first, which fills it; then nothing is under way.
   */
  #endFull(tapping: Tapping, rounds: number): void {
    if (tapping.isEnding && rounds === FILL_ROUNDS) return;
    tapping.isEnding = true;
    tapping.tap.flush();
    this.#perform(tapping);
    this.#roundTrip((answered) => {
      if (!answered || !this.#tappings.has(tapping)) return;
      if (tapping.tap.isFull || rounds === 0) this.#end(tapping);
      else this.#endFull(tapping, rounds - 1);
    });
  }

  #end(tapping: Tapping): void {
    tapping.cancelWake();
    tapping.tap.end();
    this.#perform(tapping);
    this.#tappings.delete(tapping);
    for (const consumer of [...this.#waiting]) {
      if (keyOf(consumer.request) !== tapping.key || this.#dormant(consumer.request).length > 0) continue;
      consumer.cancelWait();
      this.#begin(this.#tap(consumer.request), consumer);
    }
  }

  // ---- frames ------------------------------------------------------------------------------------------------------------

  #perform(tapping: Tapping): void {
    for (const effect of tapping.tap.take()) {
      switch (effect.do) {
        case 'subscribe':
          this.#subscribe(tapping, effect.size);
          break;
        case 'hand':
          this.#hand(tapping, effect.messages);
          break;
        case 'acknowledge':
          this.#connection.write(acks(effect.ids));
          break;
        case 'unsubscribe': {
          // In one piece: the less time there is between the acknowledgements and the end, the fewer others come.
          const ends = effect.ids.map((id) => encodeFrame('UNSUBSCRIBE', [['id', id]]));
          this.#connection.write(Buffer.concat([acks(effect.acknowledge), ...ends]));
          for (const id of effect.ids) this.#connection.unsubscribed(id);
          break;
        }
      }
    }
  }

  #subscribe(tapping: Tapping, size: number): void {
    const { tap, priority } = tapping;
    const id = this.#connection.subscriber(tapping.receive);
    tap.subscribed(id, size);
    const headers: [string, string][] = [
      ['id', id],
      ['destination', `/queue/${tap.queue}`],
      ['ack', 'client-individual'],
      ['activemq.prefetchSize', String(size)],
    ];
    if (priority !== undefined) headers.push(['activemq.priority', String(priority)]);
    this.#connection.request('SUBSCRIBE', headers).catch((error: unknown) => {
      if (!this.#connection.isOpen || !this.#tappings.has(tapping)) return;
      this.#connection.unsubscribed(id);
      const isLast = tap.refused(id);
      const { consumer } = tapping;
      tapping.consumer = undefined;
      tap.sleep();
      if (isLast) this.#end(tapping);
      else this.#settle(tapping, true);
      const fault = queueFault(error, 'Consuming', tap.queue, this.address);
      if (consumer) this.#guard(() => consumer.handler.ended({ why: 'refused', fault }));
    });
  }

  #hand(tapping: Tapping, messages: readonly StompFrame[]): void {
    const { tap, consumer } = tapping;
    if (!consumer) return;
    const deliveries = messages.map(({ headers, body }): Delivery => {
      const tag = ++this.#tag;
      tap.handed(tag, headers.get('ack') ?? '');
      this.#origins.set(tag, tapping);
      const stamp = Number(headers.get('timestamp') ?? 0);
      const redelivered = headers.get('redelivered') === 'true' || stamp < this.#servingSince;
      return { ...toEnvelope(headers, body), redelivered, token: { channel: this, tag } };
    });
    this.#guard(() => consumer.handler.delivered(deliveries));
  }

  /** A transaction of nothing: the broker answers once it has processed everything before. */
  #roundTrip(done: (answered: boolean) => void): void {
    const connection = this.#connection;
    const transaction = `b${++this.#transactions}`;
    connection.send('BEGIN', [['transaction', transaction]]);
    const receipt = connection.receipt((answer) => done(answer !== 'lost'));
    connection.send('ABORT', [
      ['transaction', transaction],
      ['receipt', receipt],
    ]);
  }

  /** A handler that throws must not end the connection it is called from. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#surroundings.log.error({ err: error }, 'a consumer threw');
    }
  }
}

/** Consumers of one queue that follow each other. */
function keyOf({ queue, priority }: ConsumeRequest): string {
  return `${priority ?? ''}\u0000${queue}`;
}

function acks(ids: readonly string[]): Buffer {
  return Buffer.concat(ids.map((id) => encodeFrame('ACK', [['id', id]])));
}
