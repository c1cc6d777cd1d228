import { messageOf } from '@tombolo/kernel/fault';
import type { Surroundings } from '../surroundings.ts';
import { type Advisory, advisoryTopics, consumersOf, isBeingMade, readAdvisory } from './advisory.ts';
import type { StompConnection } from './connection.ts';
import { ConsumerGlances } from './consumer-glances.ts';
import { ConsumerTable } from './consumer-table.ts';
import { Replies } from './replies.ts';
import { TopicTable } from './topics/topic-table.ts';

/** How long the broker may take to tell what there is (ms). */
const ANSWER_MS = 4_000;
/** How often everything is asked anew: events may have crossed what was told at the beginning (ms). */
const ANEW_MS = 60_000;
/** Of the time that it took to be told of everything, until that is asked for again for the sake of consumers whose prefetch is not known. */
const LOOK_REST = 10;
/** How often it is tried again when the broker did not answer (ms). */
const RETRY_MS = 15_000;

export interface AdvisoryListener {
  /** Everything is known, anew: compare. */
  known(): void;
  /** Something may have changed about these queues, or about connections. */
  changed(queues: Iterable<string>): void;
  /** Who consumes from topics may have changed. */
  topicsChanged(): void;
  queueGone(queue: string): void;
  /** The broker does not tell, and why. */
  blind(reason: string): void;
  /** The connection is lost, after the broker had told. */
  lost(): void;
}

/** Opens a connection; `closed` is called once when it has closed by itself. */
export type OpenLine = (closed: (connection: StompConnection) => void) => Promise<StompConnection>;

/** One look at everything, which goes on with what changes. */
interface Generation {
  readonly table: ConsumerTable;
  readonly topics: TopicTable;
  readonly subscriptions: string[];
  readonly askedAt: number;
  /** Not complete after a while; it may still become so. */
  late: boolean;
  /** It never will be: the broker does not let this user subscribe to all. */
  refused: boolean;
}

/**
 * What the broker's advisories tell, over a connection of their own, which a standby has too. A new subscriber is told of everything
 * that there is, its own connection among it; a message to itself comes after that, by which it knows that this was all. Without XStream
 * among its jars the broker cannot write advisories as JSON: it ends the connection, or is silent, and says why in its own log only.
 */
export class Advisories {
  readonly #surroundings: Surroundings;
  readonly #listener: AdvisoryListener;
  #open: OpenLine | undefined;
  #own = '';
  #line: { readonly connection: StompConnection; readonly replies: Replies } | undefined;
  #current: Generation | undefined;
  #coming: Generation | undefined;
  /** Durable subscriptions without a consumer are told of when that goes, and not again. */
  #lastTopics: TopicTable | undefined;
  #cancelWake: () => void = () => {};
  /** Consumers whose prefetch was not known when they were told of. */
  readonly #glances: ConsumerGlances;
  /** Undefined: everything is not asked for once more for their sake. */
  #cancelLook: (() => void) | undefined;
  #lookFrom = 0;
  #settled: () => void = () => {};

  constructor(surroundings: Surroundings, listener: AdvisoryListener) {
    this.#surroundings = surroundings;
    this.#listener = listener;
    this.#glances = new ConsumerGlances(surroundings.clock, {
      ask: (queues) => this.#askAbout(queues),
      beingMade: () => new Set(this.table?.beingMade()),
      inVain: () => this.#lookAgain(),
    });
  }

  /** What is known; undefined: nothing, or nothing yet. */
  get table(): ConsumerTable | undefined {
    return this.#current?.table;
  }

  /** Who consumes from topics; undefined: that is not known, or not yet. */
  get topics(): TopicTable | undefined {
    return this.#current?.topics;
  }

  /** The connection that advisories come by; undefined: there is none at present. */
  get connection(): StompConnection | undefined {
    return this.#line?.connection;
  }

  /**
   * Resolves when all that the broker has told of before this call is known: somebody may just have made a queue. At once, when the
   * broker does not tell.
   */
  async caughtUp(): Promise<void> {
    if (this.#current) await this.#line?.replies.echo(ANSWER_MS);
  }

  /**
   * Resolves when everything is known, or the broker does not tell, or `detach` was called.
   * @param open opens a connection for advisories alone
   * @param own the bridge's other connection that looks: what it has is no demand
   */
  attach(open: OpenLine, own: string): Promise<void> {
    this.#open = open;
    this.#own = own;
    const settled = new Promise<void>((resolve) => {
      this.#settled = resolve;
    });
    this.anew();
    return settled;
  }

  detach(): void {
    this.#open = undefined;
    void this.#line?.connection.close();
    this.#letGo();
    this.#current = undefined;
    this.#coming = undefined;
    this.#cancelWake();
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    this.#settled();
  }

  /** Asks for everything again, unless that is under way. */
  anew(): void {
    const open = this.#open;
    if (!open || (this.#coming && !this.#coming.late)) return;
    if (this.#line) return this.#ask();
    this.#later(RETRY_MS, () => this.anew());
    open((connection) => this.#closed(connection)).then(
      (connection) => {
        if (this.#open !== open || this.#line) return void connection.close();
        this.#line = { connection, replies: new Replies(connection, 'tombolo-echo') };
        this.#ask();
      },
      (error: unknown) => {
        if (this.#open === open) this.#silent(`no connection for them could be opened: ${messageOf(error)}`);
      },
    );
  }

  /** Before anything was told it means that the broker cannot tell; later, whoever opened it knows what that means. */
  #closed(connection: StompConnection): void {
    if (this.connection !== connection) return;
    const wasComplete = this.#current !== undefined;
    this.#letGo();
    this.#current = undefined;
    this.#coming = undefined;
    if (wasComplete) return this.#listener.lost();
    this.#later(RETRY_MS, () => this.anew());
    this.#silent('it ended the connection when it was to send one as JSON');
  }

  #letGo(): void {
    this.#line?.replies.end();
    this.#line = undefined;
    this.#glances.clear();
  }

  #silent(reason: string): void {
    if (!this.#current) this.#listener.blind(reason);
    this.#settled();
  }

  #ask(): void {
    const line = this.#line;
    if (!line) return;
    const { connection, replies } = line;
    this.#end(this.#coming);
    const table = new ConsumerTable([connection.session, this.#own]);
    const generation: Generation = {
      table,
      topics: new TopicTable(this.#lastTopics),
      subscriptions: [],
      askedAt: this.#surroundings.clock.now(),
      late: false,
      refused: false,
    };
    this.#coming = generation;
    for (const destination of advisoryTopics) {
      const [id, headers] = subscription(connection, destination, (advisory) => this.#take(generation, advisory));
      generation.subscriptions.push(id);
      connection.request('SUBSCRIBE', headers).catch((error: unknown) => {
        generation.refused = true;
        if (this.connection === connection) this.#fail(generation, `it refuses ${destination}: ${messageOf(error)}`);
      });
    }
    void replies.echo(ANEW_MS).then((came) => {
      if (!came || generation.refused || generation !== this.#coming) return;
      if (table.knows(connection.session)) this.#complete(generation);
      else this.#fail(generation, 'it sent none');
    });
    this.#later(ANSWER_MS, () => this.#fail(generation, 'it sent none within a few seconds'));
  }

  #take(generation: Generation, advisory: Advisory | undefined): void {
    if (!advisory || (generation !== this.#current && generation !== this.#coming)) return;
    const queues = generation.table.take(advisory);
    const ofTopics = generation.topics.take(advisory);
    if (generation !== this.#current) return;
    if (ofTopics) this.#listener.topicsChanged();
    if (advisory.is === 'queue-gone') this.#listener.queueGone(advisory.queue);
    if (advisory.is === 'consumer' && isBeingMade(advisory.consumer)) {
      for (const queue of advisory.consumer.queues) this.#glances.wanted(queue);
    }
    this.#listener.changed(queues);
  }

  /** What a consumer can take is known when the broker has made it: whoever asks once more is told what holds by then. */
  async #askAbout(queues: readonly string[]): Promise<void> {
    const line = this.#line;
    const generation = this.#current;
    if (!line || !generation) return;
    const { connection, replies } = line;
    const ids = queues.map((queue) => {
      const [id, headers] = subscription(connection, consumersOf(queue), (advisory) => {
        if (advisory && generation === this.#current) this.#listener.changed(generation.table.take(advisory));
      });
      // One that is refused tells nothing, and the look is in vain.
      connection.request('SUBSCRIBE', headers).catch(() => {});
      return id;
    });
    await replies.echo(ANSWER_MS);
    end(connection, ids);
  }

  /** Everything: a look at its queue did not show what a consumer can take (one of several queues at a time is told of nowhere else). */
  #lookAgain(): void {
    const { clock } = this.#surroundings;
    this.#cancelLook ??= clock.wake(Math.max(clock.now(), this.#lookFrom), () => {
      this.#cancelLook = undefined;
      if (this.#coming && !this.#coming.late) this.#lookAgain();
      else this.anew();
    });
  }

  #complete(generation: Generation): void {
    const now = this.#surroundings.clock.now();
    this.#lookFrom = now + (now - generation.askedAt) * LOOK_REST;
    // Those who came while they were asked for are told of in no other way.
    const unknown = this.#current ? [] : generation.table.beingMade();
    this.#end(this.#current);
    this.#current = generation;
    for (const queue of unknown) this.#glances.wanted(queue);
    this.#lastTopics = generation.topics;
    this.#coming = undefined;
    this.#listener.known();
    this.#settled();
    this.#later(ANEW_MS, () => this.anew());
  }

  #fail(generation: Generation, reason: string): void {
    if (generation !== this.#coming) return;
    generation.late = true;
    this.#later(RETRY_MS, () => this.anew());
    // What is known already goes on to be told.
    this.#silent(reason);
  }

  #end(generation: Generation | undefined): void {
    if (this.connection) end(this.connection, generation?.subscriptions ?? []);
  }

  #later(ms: number, then: () => void): void {
    const { clock } = this.#surroundings;
    this.#cancelWake();
    this.#cancelWake = clock.wake(clock.now() + ms, then);
  }
}

/** A subscription's number and what it is made with. */
function subscription(
  connection: StompConnection,
  destination: string,
  take: (advisory: Advisory | undefined) => void,
): [string, [string, string][]] {
  const id = connection.subscriber((frames) => {
    for (const frame of frames) take(readAdvisory(frame));
  });
  return [
    id,
    [
      ['id', id],
      ['destination', destination],
      ['transformation', 'jms-advisory-json'],
    ],
  ];
}

function end(connection: StompConnection, subscriptions: readonly string[]): void {
  for (const id of subscriptions) {
    connection.unsubscribed(id);
    connection.send('UNSUBSCRIBE', [['id', id]]);
  }
}
