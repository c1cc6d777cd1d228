import type { StompConnection } from './connection.ts';
import type { StompFrame } from './stomp-codec.ts';

/** Questions that the broker answers with a message, to a temporary queue of this connection. */
export class Replies {
  readonly #connection: StompConnection;
  readonly #queue: string;
  readonly #waiting = new Map<string, (reply: StompFrame | undefined) => void>();
  #count = 0;

  /**
   * @param name of the temporary queue, one that nobody else on this connection has
   * @param transformation how the broker is to write answers that are no text; it ends the connection when it cannot
   */
  constructor(connection: StompConnection, name: string, transformation?: 'jms-map-json') {
    this.#connection = connection;
    this.#queue = `/temp-queue/${name}`;
    const id = connection.subscriber((frames) => {
      for (const frame of frames) this.#waiting.get(frame.headers.get('correlation-id') ?? '')?.(frame);
    });
    connection.send('SUBSCRIBE', [
      ['id', id],
      ['destination', this.#queue],
      ...(transformation ? [['transformation', transformation] as const] : []),
    ]);
  }

  /** The first answer; undefined when none has come within this time. */
  ask(destination: string, withinMs: number): Promise<StompFrame | undefined> {
    const correlation = String(++this.#count);
    return new Promise((resolve) => {
      const done = (reply: StompFrame | undefined) => {
        clearTimeout(timer);
        this.#waiting.delete(correlation);
        resolve(reply);
      };
      const timer = setTimeout(() => done(undefined), withinMs);
      this.#waiting.set(correlation, done);
      this.#connection.send('SEND', [
        ['destination', destination],
        ['reply-to', this.#queue],
        ['correlation-id', correlation],
      ]);
    });
  }

  /**
   * A message to this connection itself: what the broker had to send on it before has come when it does, for a connection is sent
   * its messages in one order (TransportConnection.dispatchAsync). Undefined when it has not come within this time.
   */
  echo(withinMs: number): Promise<StompFrame | undefined> {
    return this.ask(this.#queue, withinMs);
  }

  /** What time it is at the broker (ms since 1970): it stamps what it is sent. */
  async brokersClock(withinMs: number): Promise<number | undefined> {
    const stamp = Number((await this.echo(withinMs))?.headers.get('timestamp'));
    return stamp > 0 ? stamp : undefined;
  }

  /** The connection is gone: whoever waits has no answer. */
  end(): void {
    for (const answered of [...this.#waiting.values()]) answered(undefined);
  }
}
