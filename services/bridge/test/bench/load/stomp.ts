import { connect, type Socket } from 'node:net';
import { type ArrivalReport, Arrivals } from './arrivals.ts';
import type { Published } from './producer.ts';
import { now } from './session.ts';
import { stampBytes } from './template.ts';

const end = 0;
const newline = 10;

/** Cuts a STOMP stream into frames: a head of lines, an empty line, a body of `content-length` bytes, a null byte. */
class StompReader {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer, take: (head: string, body: Buffer) => void): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    for (;;) {
      while (bytes[at] === newline) at++;
      const headEnd = bytes.indexOf('\n\n', at);
      if (headEnd < 0) break;
      const head = bytes.toString('latin1', at, headEnd);
      const length = /^content-length:(\d+)$/m.exec(head)?.[1];
      const bodyEnd = length === undefined ? bytes.indexOf(end, headEnd + 2) : headEnd + 2 + Number(length);
      if (bodyEnd < 0 || bodyEnd >= bytes.length) break;
      take(head, bytes.subarray(headEnd + 2, bodyEnd));
      at = bodyEnd + 1;
    }
    this.#rest = bytes.subarray(at);
  }
}

async function open(port: number, take: (head: string, body: Buffer) => void, read = () => {}): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  const reader = new StompReader();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.on('data', (chunk) => {
      reader.push(chunk, (head, body) => {
        if (head.startsWith('CONNECTED')) resolve();
        else if (head.startsWith('ERROR')) reject(new Error(head));
        else take(head, body);
      });
      read();
    });
    socket.write('CONNECT\naccept-version:1.1\nhost:localhost\nheart-beat:0,0\n\n\0');
  });
  return socket;
}

export interface StompPublishOrder {
  readonly port: number;
  readonly queue: string;
  readonly count: number;
  readonly bodyBytes: number;
  readonly window?: number;
}

/** Sends persistent messages; resolves when the broker has given the receipts of all. */
export async function stompPublish(order: StompPublishOrder): Promise<Published> {
  const { port, queue, count, bodyBytes, window = 1_000 } = order;
  let sent = 0;
  let receipts = 0;
  let wake = () => {};
  const socket = await open(
    port,
    (head) => {
      if (head.startsWith('RECEIPT')) receipts++;
    },
    () => wake(),
  );
  const body = Buffer.alloc(bodyBytes, 'tombolo ');
  const began = now();
  await new Promise<void>((resolve) => {
    wake = () => {
      const parts: Buffer[] = [];
      for (const until = Math.min(count, receipts + window); sent < until; sent++) {
        const stamped = Buffer.from(body);
        stamped.writeUInt32BE(sent, 0);
        stamped.writeDoubleBE(now(), 8);
        const head = `SEND\ndestination:/queue/${queue}\npersistent:true\ncontent-length:${bodyBytes}\nreceipt:${sent}\n\n`;
        parts.push(Buffer.from(head, 'latin1'), stamped, nullByte);
      }
      if (parts.length > 0) socket.write(Buffer.concat(parts));
      if (receipts >= count) resolve();
    };
    wake();
  });
  socket.destroy();
  return { seconds: (now() - began) / 1_000 };
}

const nullByte = Buffer.from([0]);

/** A client that acknowledges cumulatively, once per chunk read. */
export class StompConsumer {
  readonly #arrivals: Arrivals;
  #socket: Socket | undefined;
  #last = '';

  private constructor(numbers: number) {
    this.#arrivals = new Arrivals(numbers, undefined);
  }

  static async start(order: {
    readonly port: number;
    readonly queue: string;
    readonly numbers: number;
  }): Promise<StompConsumer> {
    const consumer = new StompConsumer(order.numbers);
    consumer.#socket = await open(
      order.port,
      (head, body) => consumer.#message(head, body),
      () => consumer.#acknowledge(),
    );
    consumer.#socket.write(
      `SUBSCRIBE\nid:1\ndestination:/queue/${order.queue}\nack:client\nactivemq.prefetchSize:1000\n\n\0`,
    );
    return consumer;
  }

  report(): ArrivalReport {
    return this.#arrivals.report();
  }

  wait(distinct: number, withinMs: number): Promise<ArrivalReport> {
    return this.#arrivals.wait(distinct, withinMs);
  }

  async stop(): Promise<ArrivalReport> {
    this.#socket?.destroy();
    return this.report();
  }

  #message(head: string, body: Buffer): void {
    if (!head.startsWith('MESSAGE') || body.length < stampBytes) return;
    this.#last = /^message-id:(.*)$/m.exec(head)?.[1] ?? '';
    this.#arrivals.arrived(body, 0, now);
  }

  #acknowledge(): void {
    if (this.#last === '') return;
    this.#socket?.write(`ACK\nsubscription:1\nmessage-id:${this.#last}\n\n\0`);
    this.#last = '';
    this.#arrivals.noted(now());
  }
}
