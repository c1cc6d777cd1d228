import { connect, type Socket } from 'node:net';
import { encodeFrame, type StompFrame, StompReader } from '../../src/broker/activemq/stomp-codec.ts';

/** An application that speaks STOMP 1.2 to ActiveMQ. */
export class StompClient {
  readonly #socket: Socket;
  readonly #receivers = new Map<string, (frame: StompFrame) => void>();
  readonly #receipts = new Map<string, (error?: Error) => void>();
  #count = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(port: number, headers: readonly (readonly [string, string])[] = []): Promise<StompClient> {
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    const client = new StompClient(socket);
    const reader = new StompReader();
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', () => {
        reject(new Error('closed'));
        for (const answered of client.#receipts.values()) answered(new Error('closed'));
      });
      socket.on('data', (chunk) => {
        for (const frame of reader.read(chunk)) {
          if (frame.command === 'CONNECTED') resolve();
          else if (frame.command === 'MESSAGE') client.#receivers.get(frame.headers.get('subscription') ?? '')?.(frame);
          else client.#answered(frame);
        }
      });
      socket.write(encodeFrame('CONNECT', [['accept-version', '1.2'], ['host', 'localhost'], ...headers]));
    });
    return client;
  }

  async send(
    destination: string,
    body: Uint8Array | string,
    headers: readonly (readonly [string, string])[] = [],
  ): Promise<void> {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const length: [string, string][] = typeof body === 'string' ? [] : [['content-length', String(bytes.length)]];
    const given = new Map([['destination', destination], ['persistent', 'true'], ...length, ...headers]);
    await this.#request('SEND', [...given], bytes);
  }

  /** Many texts, stored together. */
  async sendAll(destination: string, bodies: readonly string[]): Promise<void> {
    const transaction = `t${++this.#count}`;
    const parts = [encodeFrame('BEGIN', [['transaction', transaction]])];
    for (const body of bodies) {
      parts.push(
        encodeFrame(
          'SEND',
          [
            ['destination', destination],
            ['persistent', 'true'],
            ['transaction', transaction],
          ],
          Buffer.from(body),
        ),
      );
    }
    this.#socket.write(Buffer.concat(parts));
    await this.#request('COMMIT', [['transaction', transaction]]);
  }

  /** Consumes; with `ack: auto` the broker takes a message for acknowledged when it is sent. Resolves with what ends it. */
  async subscribe(
    destination: string,
    receive: (frame: StompFrame) => void,
    headers: readonly (readonly [string, string])[] = [],
  ): Promise<() => Promise<void>> {
    const id = String(++this.#count);
    this.#receivers.set(id, receive);
    await this.#request('SUBSCRIBE', [['id', id], ['destination', destination], ...headers]);
    return () => this.#request('UNSUBSCRIBE', [['id', id]]);
  }

  acknowledge(frame: StompFrame): void {
    this.#socket.write(encodeFrame('ACK', [['id', frame.headers.get('ack') ?? '']]));
  }

  /** Removes a durable subscription of this connection's client id; its consumer has to be gone. */
  async remove(subscription: string): Promise<void> {
    await this.#request('UNSUBSCRIBE', [
      ['id', subscription],
      ['activemq.subscriptionName', subscription],
    ]);
  }

  close(): void {
    this.#socket.destroy();
  }

  #answered(frame: StompFrame): void {
    const answered = this.#receipts.get(frame.headers.get('receipt-id') ?? '');
    this.#receipts.delete(frame.headers.get('receipt-id') ?? '');
    if (frame.command === 'ERROR') answered?.(new Error(frame.headers.get('message')));
    else answered?.();
  }

  #request(command: string, headers: readonly (readonly [string, string])[], body?: Uint8Array): Promise<void> {
    const receipt = `r${++this.#count}`;
    return new Promise((resolve, reject) => {
      this.#receipts.set(receipt, (error) => (error ? reject(error) : resolve()));
      this.#socket.write(encodeFrame(command, [...headers, ['receipt', receipt]], body));
    });
  }
}
