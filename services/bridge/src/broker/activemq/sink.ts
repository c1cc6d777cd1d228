import { replyPrefix } from '@tombolo/wire/reply-address';
import type { Publication, Publisher, PublisherHandler, PublishOutcome, Sink } from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import { publishFailure } from './brokers-words.ts';
import type { StompConnection } from './connection.ts';
import { isQueueName } from './mapping/destinations.ts';
import { maxPropertiesBytes } from './mapping/sidecar.ts';
import { toFrame } from './mapping/to-frame.ts';
import type { Counts, QueueLook } from './queue-look.ts';
import { encodeFrame } from './stomp-codec.ts';

/** StompWireFormat: MAX_DATA_LENGTH; above it the broker closes the connection. */
const maxBodyBytes = 100 * 1024 * 1024;
/** Messages and bytes that are stored together, and how many such batches are under way. */
const batchMessages = 256;
const batchBytes = 512 * 1024;
const batchesUnderWay = 4;
/** The broker blocks whoever publishes when a store or a memory limit is reached, and says nothing (ms). */
const SILENT_MS = 5_000;

interface Pending {
  readonly publication: Publication;
  readonly handler: PublisherHandler;
  /** It is for a requester, whom its verified address names. */
  readonly isReply: boolean;
}

type Batch = readonly Pending[];

/**
 * The publishing half, on a connection of its own. Messages are stored in batches, one transaction each: the broker writes its
 * journal once for all of them, and all are stored when the receipt of COMMIT comes. (A receipt for a persistent SEND is answered
 * after a write of its own: a tenth of the rate.) When one of them is refused, the broker rolls all back; then each is sent by
 * itself, so that one is told from its neighbours.
 */
export class ActiveMqSink implements Sink {
  readonly #surroundings: Surroundings;
  readonly #look: QueueLook;
  readonly #blocked: (reason: string | undefined) => void;
  #connection: StompConnection | undefined;
  #waiting: Pending[] = [];
  readonly #underWay = new Set<Batch>();
  #scheduled = false;
  /** It is being asked whether a queue is there that was not seen. */
  #asking = false;
  #transactions = 0;
  #cancelWake: () => void = () => {};

  /** @param blocked told when the broker takes nothing, and when it does again */
  constructor(surroundings: Surroundings, look: QueueLook, blocked: (reason: string | undefined) => void) {
    this.#surroundings = surroundings;
    this.#look = look;
    this.#blocked = blocked;
  }

  attach(connection: StompConnection): void {
    this.#connection = connection;
  }

  /** What was written is unknown; what was not is refused. */
  detach(): void {
    this.#connection = undefined;
    this.#cancelWake();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const batch of this.#underWay) tell(this.#surroundings, batch, 'unknown', undefined);
    this.#underWay.clear();
    tell(this.#surroundings, waiting, 'refused', 'the broker is not connected');
    this.#blocked(undefined);
  }

  publisher(destination: string, handler: PublisherHandler): Publisher {
    const isReply = destination.startsWith(replyPrefix);
    return {
      publish: (publications) => {
        for (const publication of publications) this.#waiting.push({ publication, handler, isReply });
        if (this.#scheduled) return;
        this.#scheduled = true;
        queueMicrotask(() => {
          this.#scheduled = false;
          this.#flush();
        });
      },
      close: () => {},
    };
  }

  unpublishable({
    properties,
    body,
  }: {
    readonly properties: Uint8Array;
    readonly body: Uint8Array;
  }): string | undefined {
    if (body.length > maxBodyBytes)
      return `the body of ${body.length} bytes is larger than ActiveMQ takes over STOMP (${maxBodyBytes})`;
    if (properties.length > maxPropertiesBytes)
      return `its properties of ${properties.length} bytes are more than ActiveMQ takes over STOMP (${maxPropertiesBytes})`;
    return undefined;
  }

  probe(queue: string): Promise<Counts | undefined> {
    return this.#look.probe(queue);
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------

  #flush(): void {
    const connection = this.#connection;
    if (!connection) {
      const waiting = this.#waiting;
      this.#waiting = [];
      return tell(this.#surroundings, waiting, 'refused', 'the broker is not connected');
    }
    if (this.#asking) return;
    let at = 0;
    while (at < this.#waiting.length && this.#underWay.size < batchesUnderWay) {
      const from = at;
      let bytes = 0;
      while (at < this.#waiting.length && at - from < batchMessages && bytes < batchBytes) {
        bytes += (this.#waiting[at++] as Pending).publication.body.length;
      }
      const batch = this.#waiting.slice(from, at);
      const unseen = batch.find((each) => this.#isUnseen(each));
      if (unseen) {
        this.#waiting = this.#waiting.slice(from);
        return this.#ask(connection, unseen, batch.length);
      }
      this.#store(connection, batch);
    }
    if (at > 0) this.#waiting = this.#waiting.slice(at);
  }

  #isUnseen({ publication: { exchange, routingKey } }: Pending): boolean {
    return exchange === '' && this.#look.exists(routingKey) === false;
  }

  /** The first `length` that wait are stored once it is known which of their queues are there. What follows waits, for its order's sake. */
  #ask(connection: StompConnection, { publication }: Pending, length: number): void {
    this.#asking = true;
    void this.#look.isAbsent(publication.routingKey).then(() => {
      this.#asking = false;
      // What waited before a connection was lost has been refused.
      if (this.#connection !== connection) return this.#flush();
      const batch = this.#waiting.slice(0, length);
      this.#waiting = this.#waiting.slice(length);
      this.#store(connection, batch);
      this.#flush();
    });
  }

  #store(connection: StompConnection, given: readonly Pending[]): void {
    // ActiveMQ would make a queue that is not there; nobody would take what is in it.
    const isAbsent = (each: Pending) => isNoQueue(each) || this.#isUnseen(each);
    const returned = given.filter(isAbsent);
    if (returned.length > 0) tell(this.#surroundings, returned, 'returned', undefined);
    const all = returned.length > 0 ? given.filter((each) => !isAbsent(each)) : given;
    if (all.length === 0) return;
    this.#underWay.add(all);
    const transaction = `p${++this.#transactions}`;
    const committed = connection.receipt((answer) => {
      // Whose connection is lost, `detach` tells.
      if (!this.#underWay.has(all) || answer === 'lost') return;
      if (answer === 'received') this.#decided(all, 'confirmed', undefined);
      else this.#storeEach(connection, all);
    });
    const sends = all.map((each) => this.#send(each, ['transaction', transaction]));
    const end: [string, string][] = [
      ['transaction', transaction],
      ['receipt', committed],
    ];
    const begin = encodeFrame('BEGIN', [['transaction', transaction]]);
    connection.write(Buffer.concat([begin, ...sends, encodeFrame('COMMIT', end)]));
    if (this.#underWay.size === 1) this.#watchSilence();
  }

  /** None of them was stored, because of one or more. */
  #storeEach(connection: StompConnection, all: Batch): void {
    this.#underWay.delete(all);
    for (const each of all) {
      const alone: Batch = [each];
      this.#underWay.add(alone);
      const receipt = connection.receipt((answer) => {
        if (!this.#underWay.has(alone) || answer === 'lost') return;
        if (answer === 'received') return this.#decided(alone, 'confirmed', undefined);
        const { outcome, detail } = publishFailure(answer.refusal);
        this.#decided(alone, outcome, detail);
      });
      connection.write(this.#send(each, ['receipt', receipt]));
    }
    this.#watchSilence();
  }

  #send({ publication }: Pending, header: readonly [string, string]): Buffer {
    const { headers, body } = toFrame(publication, Date.now());
    return encodeFrame('SEND', [...headers, header], body);
  }

  #decided(batch: Batch, outcome: PublishOutcome, detail: string | undefined): void {
    this.#underWay.delete(batch);
    this.#watchSilence();
    tell(this.#surroundings, batch, outcome, detail);
    this.#flush();
  }

  #watchSilence(): void {
    const { clock } = this.#surroundings;
    this.#cancelWake();
    this.#blocked(undefined);
    if (this.#underWay.size === 0) return;
    this.#cancelWake = clock.wake(clock.now() + SILENT_MS, () =>
      this.#blocked('it has not answered for seconds: producer flow control, when a memory or store limit is reached'),
    );
  }
}

/**
 * A connector that permits queues leads to no topic, nor to anybody's temporary queue: a queue that is called like one of them (of
 * RabbitMQ, or a peer's invention) does not exist here.
 */
function isNoQueue({ publication: { exchange, routingKey }, isReply }: Pending): boolean {
  return exchange === '' && !isReply && !isQueueName(routingKey);
}

/** In order, one call for each run of the same handler. */
function tell(
  { log }: Surroundings,
  pending: readonly Pending[],
  outcome: PublishOutcome,
  detail: string | undefined,
): void {
  let from = 0;
  for (let at = 1; at <= pending.length; at++) {
    const { handler } = pending[from] as Pending;
    if (at < pending.length && pending[at]?.handler === handler) continue;
    const ids = pending.slice(from, at).map(({ publication }) => publication.id);
    try {
      handler.outcome(ids, outcome, detail);
    } catch (error) {
      log.error({ err: error }, 'a publisher threw');
    }
    from = at;
  }
}
