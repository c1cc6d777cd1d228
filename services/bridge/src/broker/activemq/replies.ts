import type { StompConnection } from './connection.ts';
import type { StompFrame } from './stomp-codec.ts';

const replyQueue = '/temp-queue/tombolo-replies';

/** Questions that the broker answers with a message, to a temporary queue of this connection. */
export class Replies {
  readonly #connection: StompConnection;
  readonly #waiting = new Map<string, (reply: StompFrame) => void>();
  #count = 0;

  /** @param transformation how the broker is to write answers that are no text; it ends the connection when it cannot */
  constructor(connection: StompConnection, transformation?: 'jms-map-json') {
    this.#connection = connection;
    const id = connection.subscriber((frames) => {
      for (const frame of frames) this.#waiting.get(frame.headers.get('correlation-id') ?? '')?.(frame);
    });
    connection.send('SUBSCRIBE', [
      ['id', id],
      ['destination', replyQueue],
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
        ['reply-to', replyQueue],
        ['correlation-id', correlation],
      ]);
    });
  }

  /** What time it is at the broker (ms since 1970): it stamps what it is sent. */
  async brokersClock(withinMs: number): Promise<number | undefined> {
    const stamp = Number((await this.ask(replyQueue, withinMs))?.headers.get('timestamp'));
    return stamp > 0 ? stamp : undefined;
  }
}
