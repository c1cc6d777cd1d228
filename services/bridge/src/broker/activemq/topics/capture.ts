import { topicMatches } from '@tombolo/wire/binding-match';
import type { Surroundings } from '../../surroundings.ts';
import { Refused, topicFault } from '../brokers-words.ts';
import type { StompConnection } from '../connection.ts';
import { leaveHidden } from '../hidden-bodies.ts';
import { bindingKeyOf } from '../mapping/destinations.ts';
import { encodeFrame, type StompFrame } from '../stomp-codec.ts';
import { type CapturedMessage, captured } from './captured-message.ts';
import { advisoryPrefix, topicCover } from './topic-cover.ts';

/** Messages that the broker hands over ahead, of each subscription. */
const PREFETCH = 200;
/**
 * How long the broker may take to hand a message over that it has (ms). Receipts overtake messages: these wait in the connection's own
 * queue for a thread (TransportConnection.dispatchAsync), receipts are written at once. On a busy machine ten were lost that a
 * subscription had been given before the one that took its place began, and that came after the receipt that was to say that all had.
 */
const HANDOVER_MS = 2_000;
/**
 * Messages and bytes that are moved together. One such batch is under way: an acknowledgement stands for all messages before it, so that
 * of a batch behind one that is refused would take away what was not moved.
 */
const batchMessages = 256;
const batchBytes = 512 * 1024;
/** Message ids that are remembered while subscriptions have topics in common. */
const maxIds = 65_536;
/** Topics whose buffers are remembered. */
const maxTopics = 10_000;
/** Whoever takes all topics would be told of all that happens in the broker, too (AdvisorySupport.ADIVSORY_MESSAGE_TYPE). */
const noAdvisories = "JMSType IS NULL OR JMSType <> 'Advisory'";

/** A buffer, and what it takes. */
export interface Bound {
  readonly buffer: string;
  readonly bindingKeys: ReadonlySet<string>;
}

interface Durable {
  readonly topic: string;
  readonly id: string;
  /** Handed over, and not moved yet. */
  held: number;
  /** Another one has what still comes. */
  closed: boolean;
}

interface Move {
  readonly from: Durable;
  readonly ackId: string;
  readonly message: CapturedMessage;
  readonly buffers: readonly string[];
}

/**
 * Moves what topics are given into the buffers that want it, over a connection of its own, by durable subscriptions: they keep what is
 * published while no bridge is there. Copies to the buffers and the acknowledgement are one transaction. Each topic is subscribed to
 * once, for all buffers. A subscription is named by its topic, wildcards and all.
 */
export class TopicCapture {
  readonly #connection: StompConnection;
  readonly #surroundings: Surroundings;
  readonly #bound: () => Iterable<Bound>;
  readonly #failed: (error: unknown) => void;
  readonly #durables = new Map<string, Durable>();
  readonly #buffers = new Map<string, readonly string[]>();
  readonly #ids = new Set<string>();
  #overlaps = false;
  #isLost = false;
  #waiting: Move[] = [];
  #isMoving = false;
  #scheduled = false;
  #transactions = 0;
  #settled: () => void = () => {};

  /**
   * @param connection with the client id that the subscriptions belong to
   * @param failed told when the broker did not take what was moved, or did not end a subscription; nothing is moved after that
   */
  constructor(
    connection: StompConnection,
    surroundings: Surroundings,
    bound: () => Iterable<Bound>,
    failed: (error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#surroundings = surroundings;
    this.#bound = bound;
    this.#failed = failed;
  }

  get topics(): string[] {
    return [...this.#durables.keys()];
  }

  /** Buffers want other topics than before. */
  rebound(): void {
    this.#buffers.clear();
  }

  /** From when this resolves on nothing that is published to these topics is missed. Rejects with a Fault when one is refused. */
  async subscribe(topics: readonly string[]): Promise<void> {
    const fresh = topics.filter((topic) => !this.#durables.has(topic));
    const answers = fresh.map((topic) => this.#subscribe(topic));
    this.#compare();
    const refused = (await Promise.allSettled(answers)).find((answer) => answer.status === 'rejected');
    if (refused) throw refused.reason;
  }

  /**
   * Ends these subscriptions, with what they keep that was not moved: those that stay have it. Rejects with a Fault, after `failed`.
   *
   * What both an ending subscription and one that stays are given is moved when it comes first and dropped when it comes again. So
   * one may end as soon as all that it had before has come: what comes to it later comes to the other as well.
   */
  async end(topics: readonly string[]): Promise<void> {
    if (this.#overlaps && topics.some((topic) => this.#durables.has(topic))) await handedOver();
    for (const topic of topics) {
      const durable = this.#durables.get(topic);
      if (!durable) continue;
      do await this.#roundTrip();
      while (durable.held >= PREFETCH);
      durable.closed = true;
      while (durable.held > 0 && !this.#isLost) {
        await new Promise<void>((resolve) => {
          this.#settled = resolve;
        });
      }
      this.#durables.delete(topic);
      this.#connection.unsubscribed(durable.id);
      try {
        await this.#connection.request('UNSUBSCRIBE', [['id', durable.id]]);
        await this.#connection.request('UNSUBSCRIBE', [
          ['id', durable.id],
          ['activemq.subscriptionName', topic],
        ]);
      } catch (error) {
        const fault = topicFault(error, 'Ending the subscription to', topic, this.#connection.address);
        // It may still be there, and gather messages for nobody: whoever begins anew finds it in the record, and ends it.
        this.#failed(fault);
        throw fault;
      }
    }
    this.#compare();
  }

  /** The connection is gone. */
  lost(): void {
    this.#isLost = true;
    this.#waiting = [];
    this.#settled();
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #compare(): void {
    this.#overlaps = topicCover(this.topics.map(bindingKeyOf)).join() !== this.topics.sort().join();
  }

  async #subscribe(topic: string): Promise<void> {
    const id = this.#connection.subscriber((frames) => this.#arrived(durable, frames));
    const durable: Durable = { topic, id, held: 0, closed: false };
    this.#durables.set(topic, durable);
    const headers: [string, string][] = [
      ['id', id],
      ['destination', `/topic/${topic}`],
      ['activemq.subscriptionName', topic],
      ['ack', 'client'],
      ['activemq.prefetchSize', String(PREFETCH)],
    ];
    if (/^[*>]/.test(topic)) headers.push(['selector', noAdvisories]);
    try {
      await this.#connection.request('SUBSCRIBE', headers);
    } catch (error) {
      this.#durables.delete(topic);
      this.#connection.unsubscribed(id);
      throw topicFault(error, 'Subscribing to', topic, this.#connection.address);
    }
  }

  #arrived(from: Durable, frames: readonly StompFrame[]): void {
    if (from.closed || this.#isLost) return;
    const { log } = this.#surroundings;
    for (const frame of leaveHidden(frames, this.#connection, log, { topic: from.topic })) {
      from.held++;
      const message = captured(frame, Date.now());
      const buffers = this.#isTwin(frame) ? [] : this.#buffersOf(message.topic);
      this.#waiting.push({ from, ackId: frame.headers.get('ack') ?? '', message, buffers });
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Another subscription has given it already. */
  #isTwin({ headers }: StompFrame): boolean {
    if (!this.#overlaps && this.#ids.size === 0) return false;
    const id = headers.get('message-id') ?? '';
    if (this.#ids.has(id)) return true;
    if (!this.#overlaps) return false;
    this.#ids.add(id);
    if (this.#ids.size > maxIds) {
      const [oldest] = this.#ids;
      this.#ids.delete(oldest as string);
    }
    return false;
  }

  #buffersOf(topic: string): readonly string[] {
    const known = this.#buffers.get(topic);
    if (known) return known;
    const found = topic.startsWith(advisoryPrefix)
      ? []
      : [...this.#bound()]
          .filter(({ bindingKeys }) => [...bindingKeys].some((key) => topicMatches(key, topic)))
          .map(({ buffer }) => buffer);
    if (this.#buffers.size >= maxTopics) this.#buffers.clear();
    this.#buffers.set(topic, found);
    return found;
  }

  #flush(): void {
    if (this.#waiting.length === 0 || this.#isMoving || this.#isLost) return;
    let count = 0;
    for (let bytes = 0; count < Math.min(this.#waiting.length, batchMessages) && bytes < batchBytes; count++) {
      const { message, buffers } = this.#waiting[count] as Move;
      bytes += message.body.length * buffers.length;
    }
    this.#move(this.#waiting.splice(0, count));
  }

  #move(moves: readonly Move[]): void {
    this.#isMoving = true;
    const transaction: [string, string] = ['transaction', `m${++this.#transactions}`];
    const receipt = this.#connection.receipt((answer) => {
      if (answer === 'lost') return;
      if (answer instanceof Refused) return this.#failed(answer);
      this.#isMoving = false;
      for (const { from } of moves) from.held--;
      this.#settled();
      this.#flush();
    });
    const sends = moves.flatMap(({ message, buffers }) =>
      buffers.map((buffer) =>
        encodeFrame('SEND', [['destination', `/queue/${buffer}`], ...message.headers, transaction], message.body),
      ),
    );
    // Of each subscription the last one, which stands for those before. Of messages that are acknowledged one by one in transactions
    // ActiveMQ keeps each for as long as the subscription lives, and looks through all at each COMMIT (StompSubscription.onStompCommit).
    const last = new Map(moves.map(({ from, ackId }) => [from, ackId]));
    const acks = [...last.values()].map((id) => encodeFrame('ACK', [['id', id], transaction]));
    const commit = encodeFrame('COMMIT', [transaction, ['receipt', receipt]]);
    this.#connection.write(Buffer.concat([encodeFrame('BEGIN', [transaction]), ...sends, ...acks, commit]));
  }

  /** The broker has processed what was sent before. */
  #roundTrip(): Promise<void> {
    const transaction: [string, string] = ['transaction', `b${++this.#transactions}`];
    this.#connection.send('BEGIN', [transaction]);
    return this.#connection.request('ABORT', [transaction]);
  }
}

function handedOver(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, HANDOVER_MS);
  });
}
