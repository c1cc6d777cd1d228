import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { Binding } from '@tombolo/wire/binding';
import type { BufferBinding, BufferProperties, ExchangeProperties, TopicBuffers } from '../../port.ts';
import type { Surroundings } from '../../surroundings.ts';
import { lostFault, notConnected } from '../brokers-words.ts';
import type { StompConnection } from '../connection.ts';
import { topicExchange } from '../mapping/destinations.ts';
import type { QueueLook } from '../queue-look.ts';
import { topicExchangeProperties } from './binding-watch.ts';
import { BrokerNote } from './broker-note.ts';
import { type Bound, TopicCapture } from './capture.ts';
import { type CaptureRecord, readRecord, recordText } from './capture-record.ts';
import { isBuffer } from './captured-message.ts';
import { topicCover } from './topic-cover.ts';

/** The client id that durable subscriptions belong to, and the queue that says which there are. */
export const capturingId = 'tombolo.topics';
/** How long after a failure the connection is opened again (ms). */
const RETRY_MS = 2_000;
/** How often it is looked whether buffers are used, and how long they are (ms): a quarter of the time to live, within these. */
const LOOK_MS = { least: 500, most: 10_000 };

/** Opens a connection with a client id; `closed` is called once when it has closed by itself. */
export type OpenCapturing = (clientId: string, closed: (error: unknown) => void) => Promise<StompConnection>;

interface TopicBuffer extends Bound {
  readonly bindingKeys: Set<string>;
  ttlMs: number;
  maxLength: number;
  /** When it was last known to be used (monotonic ms). */
  usedAt: number;
}

/**
 * The queues that topics are captured in. Nothing at the broker feeds a queue from any topic that one may name at run time, so the
 * bridge does it (`TopicCapture`). Which buffers there are, what they take, and which durable subscriptions may exist, the broker does
 * not tell over STOMP: it is written into a queue before anything is subscribed to, so that no subscription is ever forgotten, and
 * gathers messages for nobody.
 *
 * Only while this bridge is the master, and only when topics were ever asked for, is there a connection for it.
 */
export class ActiveMqTopicBuffers implements TopicBuffers {
  readonly #surroundings: Surroundings;
  readonly #look: QueueLook;
  readonly #isConsumed: (queue: string) => boolean;
  #open: OpenCapturing | undefined;
  #opening: Promise<Capturing> | undefined;
  #capturing: Capturing | undefined;
  /** As far as it is known; undefined: it has to be read. */
  #buffers: Map<string, TopicBuffer> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #cancelRetry: () => void = () => {};
  #cancelLook: () => void = () => {};
  #closing: Promise<unknown> = Promise.resolve();
  /** Buffers that are being shortened. */
  readonly #shortening = new Set<string>();
  #complaint = '';

  /** @param isConsumed whether somebody draws on the queue */
  constructor(surroundings: Surroundings, look: QueueLook, isConsumed: (queue: string) => boolean) {
    this.#surroundings = surroundings;
    this.#look = look;
    this.#isConsumed = isConsumed;
    look.buffersToldBy((buffer) => this.#buffers?.has(buffer));
  }

  /** This bridge is the master: what was captured goes on to be. */
  attach(open: OpenCapturing): void {
    this.#open = open;
    // Unknown where no advisories come: then it is looked.
    if (this.#look.exists(capturingId) === false) return;
    this.#resume();
  }

  /** Resolves when nothing is captured any more. */
  detach(): Promise<unknown> {
    this.#open = undefined;
    this.#buffers = undefined;
    this.#cancelRetry();
    this.#cancelLook();
    this.#drop();
    return this.#closing;
  }

  // ---- the port ----------------------------------------------------------------------------------------------------------

  declare(buffer: string, { maxLength, ttlMs }: BufferProperties): Promise<void> {
    return this.#inOrder(async () => {
      const { buffers, capturing } = await this.#ready(`Declaring buffer "${buffer}"`);
      await this.#look.declare(buffer);
      const known = buffers.get(buffer);
      const usedAt = this.#surroundings.clock.now();
      if (known) Object.assign(known, { maxLength, ttlMs, usedAt });
      else buffers.set(buffer, { buffer, bindingKeys: new Set(), maxLength, ttlMs, usedAt });
      this.#watchUse();
      await this.#carryOut(capturing, buffers);
    });
  }

  bind(buffer: string, exchange: string, bindings: readonly Binding[]): Promise<void> {
    return this.#rebind(`Binding buffer "${buffer}"`, buffer, exchange, (keys) => {
      for (const { routingKey } of bindings) keys.add(routingKey);
    });
  }

  unbind(buffer: string, exchange: string, bindings: readonly Binding[]): Promise<void> {
    return this.#rebind(`Unbinding buffer "${buffer}"`, buffer, exchange, (keys) => {
      for (const { routingKey } of bindings) keys.delete(routingKey);
    });
  }

  async bindings(buffer: string): Promise<readonly BufferBinding[]> {
    const { buffers } = await this.#ready(`Looking at buffer "${buffer}"`);
    return [...(buffers.get(buffer)?.bindingKeys ?? [])].map((routingKey) => ({
      exchange: topicExchange,
      binding: { routingKey, arguments: {} },
    }));
  }

  async list(): Promise<readonly string[]> {
    if (!this.#capturing && this.#look.exists(capturingId) === false) return [];
    const { buffers } = await this.#ready('Looking for buffers');
    return [...buffers.keys()];
  }

  /** Nothing is left in it; the queue itself stays, but counts as gone. */
  delete(buffer: string, options: { readonly ifEmpty?: boolean } = {}): Promise<'deleted' | 'not-empty' | 'absent'> {
    if (!isBuffer(buffer)) return this.#look.clear(buffer);
    return this.#inOrder(async () => {
      const { buffers, capturing } = await this.#ready(`Deleting buffer "${buffer}"`);
      const known = buffers.get(buffer);
      if (!known) return 'absent';
      if (options.ifEmpty && ((await this.#look.probe(buffer))?.ready ?? 0) > 0) return 'not-empty';
      known.bindingKeys.clear();
      await this.#carryOut(capturing, buffers);
      const fate = await this.#look.clear(buffer);
      buffers.delete(buffer);
      await this.#carryOut(capturing, buffers);
      return fate;
    });
  }

  async exchange(exchange: string): Promise<ExchangeProperties | undefined> {
    return exchange === topicExchange ? topicExchangeProperties : undefined;
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #rebind(doing: string, buffer: string, exchange: string, change: (keys: Set<string>) => void): Promise<void> {
    return this.#inOrder(async () => {
      if (exchange !== topicExchange) {
        throw new Fault(
          'TOMBOLO_EXCHANGE_ABSENT',
          `${doing} failed: ActiveMQ has no exchange "${exchange}". Name topics (\`- topic: …\`) where one end is ActiveMQ.`,
        );
      }
      const { buffers, capturing } = await this.#ready(doing);
      const known = buffers.get(buffer);
      if (!known) throw new Fault('TOMBOLO_QUEUE_ABSENT', `${doing} failed: there is no such buffer.`);
      change(known.bindingKeys);
      await this.#carryOut(capturing, buffers);
    });
  }

  /** Makes subscriptions what the buffers want them to be. What may exist is written before it does, and until it does not. */
  async #carryOut({ capture, note }: Capturing, buffers: ReadonlyMap<string, TopicBuffer>): Promise<void> {
    const wanted = topicCover([...buffers.values()].flatMap(({ bindingKeys }) => [...bindingKeys]));
    const surplus = capture.topics.filter((topic) => !wanted.includes(topic));
    await note.write(recordText({ buffers: [...buffers.values()], topics: [...wanted, ...surplus] }));
    await capture.subscribe(wanted);
    capture.rebound();
    if (surplus.length === 0) return;
    await capture.end(surplus);
    this.#surroundings.log.debug({ topics: wanted.length, ended: surplus }, 'topics are captured');
    await note.write(recordText({ buffers: [...buffers.values()], topics: wanted }));
  }

  #inOrder<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#last.then(act, act);
    this.#last = done.catch(() => {});
    return done;
  }

  async #ready(doing: string): Promise<{ capturing: Capturing; buffers: Map<string, TopicBuffer> }> {
    const open = this.#open;
    if (!open) throw notConnected(doing);
    const capturing = this.#capturing ?? (await this.#connect(open));
    if (!this.#buffers || this.#capturing !== capturing) throw notConnected(doing);
    return { capturing, buffers: this.#buffers };
  }

  #connect(open: OpenCapturing): Promise<Capturing> {
    this.#opening ??= this.#begin(open).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #begin(open: OpenCapturing): Promise<Capturing> {
    const { log } = this.#surroundings;
    this.#cancelRetry();
    let capturing: Capturing | undefined;
    const failed = (error: unknown) => {
      if (!capturing || capturing !== this.#capturing) return;
      this.#drop();
      log.warn({ reason: messageOf(error) }, 'topics are not captured for now: they are kept by durable subscriptions');
      this.#retry();
    };
    const connection = await open(capturingId, failed);
    try {
      if (this.#open !== open) throw lostFault(undefined, connection.address);
      connection.onStrayError((words) => log.warn({ words }, 'the broker refused something'));
      const note = new BrokerNote(capturingId, connection);
      const record = readRecord(await note.read());
      const buffers = this.#buffers ?? this.#remembered(record);
      const capture = new TopicCapture(connection, this.#surroundings, () => buffers.values(), failed);
      capturing = { connection, capture, note };
      // What can be resumed is; what one may not subscribe to any more is told when it is bound.
      await capture.subscribe(record.topics).catch((error: unknown) => {
        log.warn({ reason: messageOf(error) }, 'a durable subscription could not be resumed');
      });
      if (this.#open !== open || !connection.isOpen) throw lostFault(undefined, connection.address);
      this.#buffers = buffers;
      this.#capturing = capturing;
      this.#watchUse();
      return capturing;
    } catch (error) {
      this.#closing = Promise.all([this.#closing, connection.close()]);
      throw error;
    }
  }

  #remembered({ buffers }: CaptureRecord): Map<string, TopicBuffer> {
    const usedAt = this.#surroundings.clock.now();
    return new Map(buffers.map((each) => [each.buffer, { ...each, bindingKeys: new Set(each.bindingKeys), usedAt }]));
  }

  /** What was captured before goes on, and what nobody wants any more ends. */
  #resume(): void {
    this.#inOrder(async () => {
      const { capturing, buffers } = await this.#ready('Capturing topics');
      await this.#carryOut(capturing, buffers);
      this.#complaint = '';
    }).catch((error: unknown) => {
      if (!this.#open) return;
      const reason = messageOf(error);
      if (reason !== this.#complaint) this.#surroundings.log.warn({ reason }, 'topics are not captured yet');
      this.#complaint = reason;
      this.#retry();
    });
  }

  #retry(): void {
    const { clock } = this.#surroundings;
    this.#cancelRetry();
    if (this.#open) this.#cancelRetry = clock.wake(clock.now() + RETRY_MS, () => this.#resume());
  }

  /** Deletes a buffer that nobody has drawn on for its time to live, and shortens one that is too long: RabbitMQ does that by itself. */
  #watchUse(): void {
    const { clock, log } = this.#surroundings;
    const all = [...(this.#buffers?.values() ?? [])];
    const least = Math.min(...all.map(({ ttlMs }) => ttlMs / 4), LOOK_MS.most);
    this.#cancelLook();
    this.#cancelLook = clock.wake(clock.now() + Math.max(LOOK_MS.least, least), () => {
      this.#watchUse();
      const now = clock.now();
      for (const each of this.#buffers?.values() ?? []) {
        if (this.#isConsumed(each.buffer)) each.usedAt = now;
        const isExpired = now >= each.usedAt + each.ttlMs;
        const tidied = isExpired ? this.#expire(each) : this.#shorten(each);
        tidied.catch((error: unknown) => {
          log.debug({ queue: each.buffer, reason: messageOf(error) }, 'a topic buffer could not be looked at');
        });
      }
    });
  }

  async #expire(expired: TopicBuffer): Promise<void> {
    expired.usedAt = this.#surroundings.clock.now();
    await this.delete(expired.buffer);
    const fields = { queue: expired.buffer, ttlMs: expired.ttlMs };
    this.#surroundings.log.warn(fields, 'topic buffer removed: nobody has drawn on it for its time to live');
  }

  async #shorten({ buffer, maxLength }: TopicBuffer): Promise<void> {
    if (this.#shortening.has(buffer)) return;
    this.#shortening.add(buffer);
    try {
      const excess = ((await this.#look.probe(buffer))?.ready ?? 0) - maxLength;
      if (excess <= 0) return;
      const dropped = await this.#look.removeOldest(buffer, excess);
      this.#surroundings.log.warn(
        { queue: buffer, dropped, maxLength },
        'a topic buffer was full: its oldest messages are dropped',
      );
    } finally {
      this.#shortening.delete(buffer);
    }
  }

  #drop(): void {
    const capturing = this.#capturing;
    this.#capturing = undefined;
    if (!capturing) return;
    this.#closing = Promise.all([this.#closing, capturing.connection.close()]);
    capturing.capture.lost();
  }
}

/** While topics are captured. */
interface Capturing {
  readonly connection: StompConnection;
  readonly capture: TopicCapture;
  readonly note: BrokerNote;
}
