import type { Publication, Publisher, PublisherHandler, Sink } from '../port.ts';
import type { Surroundings } from './config.ts';
import type { Connection } from './connection.ts';
import { IsolatedLane, type OpenConnection } from './isolated-lane.ts';
import type { Counts, Prober } from './probe.ts';
import { readExpiration } from './property-list.ts';
import { PublishLane } from './publish-lane.ts';

const lanes = 8;
/** RabbitMQ's default max_message_size. */
const maxBodyBytes = 134_217_728;
/** What the broker offers unless told otherwise, and what amqplib asks for. */
const defaultFrameMax = 131_072;

/** The publishing half: destinations are spread over a few channels, so that a channel error halts few of them. */
export class RabbitSink implements Sink {
  readonly #lanes: readonly PublishLane[];
  readonly #isolated: IsolatedLane;
  readonly #prober: Prober;
  #frameMax = defaultFrameMax;

  constructor(surroundings: Surroundings, prober: Prober) {
    this.#lanes = Array.from({ length: lanes }, () => new PublishLane(surroundings));
    this.#isolated = new IsolatedLane(surroundings);
    this.#prober = prober;
  }

  /** @param another opens a connection like this one, for what is isolated */
  attach(connection: Connection, another: OpenConnection): void {
    this.#frameMax = connection.wire.frameMax;
    for (const lane of this.#lanes) lane.attach(connection);
    this.#isolated.attach(another);
  }

  /** Resolves when the isolated connection, if there was one, is closed. */
  detach(): Promise<void> {
    for (const lane of this.#lanes) lane.detach();
    return this.#isolated.detach();
  }

  publisher(destination: string, handler: PublisherHandler, { isolated = false } = {}): Publisher {
    const lane = isolated ? this.#isolated : (this.#lanes[hash(destination) % lanes] as PublishLane);
    return {
      publish: (publications: readonly Publication[]) => {
        if (publications.length > 0) lane.publish(publications.map((publication) => ({ publication, handler })));
      },
      close: () => {},
    };
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
