import type { Publication, Publisher, PublisherHandler, Sink } from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Connection } from './connection.ts';
import { IsolatedLane, type OpenConnection } from './isolated-lane.ts';
import type { Counts, Prober } from './probe.ts';
import { readExpiration } from './property-list.ts';
import { PublishLane } from './publish-lane.ts';

const lanes = 8;
/** Exchanges that have a channel to themselves; channels are numbered up to 2,047. */
const exchangeLanes = 256;
/** RabbitMQ's default max_message_size. */
const maxBodyBytes = 134_217_728;
/** What the broker offers unless told otherwise, and what amqplib asks for. */
const defaultFrameMax = 131_072;

/**
 * The publishing half: destinations are spread over a few channels, so that a channel error halts few of them. Each exchange but the
 * default one has a channel to itself: permission to publish goes by exchange, and where it lacks, every attempt ends the channel.
 */
export class RabbitSink implements Sink {
  readonly #lanes: readonly PublishLane[];
  readonly #byExchange = new Map<string, PublishLane>();
  readonly #isolated: IsolatedLane;
  readonly #surroundings: Surroundings;
  readonly #prober: Prober;
  #connection: Connection | undefined;
  #frameMax = defaultFrameMax;

  constructor(surroundings: Surroundings, prober: Prober) {
    this.#surroundings = surroundings;
    this.#lanes = Array.from({ length: lanes }, () => new PublishLane(surroundings));
    this.#isolated = new IsolatedLane(surroundings);
    this.#prober = prober;
  }

  /** @param another opens a connection like this one, for what is isolated */
  attach(connection: Connection, another: OpenConnection): void {
    this.#frameMax = connection.wire.frameMax;
    this.#connection = connection;
    for (const lane of this.#all()) lane.attach(connection);
    this.#isolated.attach(another);
  }

  /** Resolves when the isolated connection, if there was one, is closed. */
  detach(): Promise<void> {
    this.#connection = undefined;
    for (const lane of this.#all()) lane.detach();
    return this.#isolated.detach();
  }

  publisher(destination: string, handler: PublisherHandler, { isolated = false } = {}): Publisher {
    const pooled = this.#lanes[hash(destination) % lanes] as PublishLane;
    return {
      publish: (publications: readonly Publication[]) => {
        const first = publications[0];
        if (!first) return;
        const lane = isolated ? this.#isolated : first.exchange === '' ? pooled : this.#laneOf(first.exchange);
        lane.publish(publications.map((publication) => ({ publication, handler })));
      },
      close: () => {},
    };
  }

  #all(): PublishLane[] {
    return [...this.#lanes, ...this.#byExchange.values()];
  }

  #laneOf(exchange: string): PublishLane {
    let lane = this.#byExchange.get(exchange);
    if (!lane) {
      if (this.#byExchange.size >= exchangeLanes) return this.#lanes[hash(exchange) % lanes] as PublishLane;
      lane = new PublishLane(this.#surroundings);
      if (this.#connection) lane.attach(this.#connection);
      this.#byExchange.set(exchange, lane);
    }
    return lane;
  }

  unpublishable(message: { readonly properties: Uint8Array; readonly body: Uint8Array }): string | undefined {
    if (message.body.length > maxBodyBytes) {
      return `the body of ${message.body.length} bytes is larger than the broker takes (${maxBodyBytes})`;
    }
    const headerFrame = message.properties.length + 12 + 8;
    if (headerFrame > this.#frameMax) {
      return `its properties and headers of ${message.properties.length} bytes do not fit into one frame of ${this.#frameMax}`;
    }
    const expiration = readExpiration(message.properties);
    if (expiration !== undefined && !/^\d{1,15}$/.test(expiration)) {
      return `its expiration ${JSON.stringify(expiration)} is not a number of milliseconds`;
    }
    return undefined;
  }

  probe(queue: string): Promise<Counts | undefined> {
    return this.#prober.probe(queue);
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value ^= text.charCodeAt(index);
    value = Math.imul(value, 0x01000193);
  }
  return value >>> 0;
}
