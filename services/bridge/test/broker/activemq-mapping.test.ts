import { connect, type Socket } from 'node:net';
import { ActiveMqNode, activemqMissing } from '@tombolo/testing/activemq';
import { awaitUntil } from '@tombolo/testing/await-until';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toEnvelope } from '../../src/broker/activemq/mapping/to-envelope.ts';
import { toFrame } from '../../src/broker/activemq/mapping/to-frame.ts';
import { encodeFrame, type StompFrame, type StompHeaders, StompReader } from '../../src/broker/activemq/stomp-codec.ts';
import { body, properties } from '../unit/broker/activemq/arbitrary-message.ts';
import { shownByBroker } from '../unit/broker/activemq/shown-by-broker.ts';

/** A STOMP client that has no opinion of headers. */
class Client {
  readonly #socket: Socket;
  readonly frames: StompFrame[] = [];
  closed = false;
  #error: string | undefined;

  constructor(port: number) {
    const reader = new StompReader();
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.on('data', (chunk) => void this.frames.push(...reader.read(chunk)));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.closed = true;
    });
    this.write('CONNECT', [
      ['accept-version', '1.2'],
      ['host', 'localhost'],
    ]);
  }

  write(command: string, headers: StompHeaders | [string, string][], content?: Buffer): void {
    this.#socket.write(encodeFrame(command, headers, content));
  }

  /** Resolves with the frames of this command once there are so many. */
  async got(command: string, count: number): Promise<StompFrame[]> {
    const found = () => this.frames.filter((frame) => frame.command === command);
    const isThere = () => {
      this.#error ??= this.frames.find((frame) => frame.command === 'ERROR')?.headers.get('message');
      return found().length >= count || this.closed || this.#error !== undefined;
    };
    await awaitUntil(`${count} × ${command}`, isThere, { withinMs: 40_000 });
    const last = found().at(-1)?.headers.get('receipt-id');
    expect(
      found().length,
      `${command}, the last one ${last}; ${this.#error ?? 'no error'}, closed: ${this.closed}`,
    ).toBe(count);
    return found();
  }

  close(): void {
    this.#socket.destroy();
  }
}

describe.skipIf(activemqMissing())('messages of AMQP in a real ActiveMQ', () => {
  let node: ActiveMqNode;
  beforeAll(async () => {
    node = await ActiveMqNode.start();
  });
  afterAll(() => node.stop());

  /** Sends frames to a queue of its own and resolves with what a consumer gets, in the broker's order. */
  async function through(
    frames: readonly { headers: StompHeaders; body: Buffer }[],
    queue: string,
  ): Promise<StompFrame[]> {
    const client = new Client(node.stompPort);
    try {
      await client.got('CONNECTED', 1);
      for (const [index, frame] of frames.entries()) {
        const headers = new Map([...frame.headers, ['destination', `/queue/${queue}`], ['receipt', String(index)]]);
        client.write('SEND', headers, frame.body);
      }
      await client.got('RECEIPT', frames.length);
      client.write('SUBSCRIBE', [
        ['id', '1'],
        ['destination', `/queue/${queue}`],
        ['ack', 'client-individual'],
        ['activemq.prefetchSize', '10000'],
      ]);
      return (await client.got('MESSAGE', frames.length)).slice();
    } finally {
      client.close();
    }
  }

  test('come back byte for byte, and are shown as the table says, whatever their properties, headers and bodies', async () => {
    const messages = fc.sample(fc.tuple(properties, body), { numRuns: 200, seed: 20_261_127 });
    const now = Date.now();
    const sent = messages.map(([its, content], index) => ({
      index,
      properties: its,
      content,
      ...toFrame({ exchange: '', routingKey: 'q', properties: its, body: content }, now),
    }));
    // What may have expired by now comes from nowhere.
    const living = sent.filter(({ headers }) => Number(headers.get('expires') ?? now + 1) > now);
    const tagged = living.map(({ headers, ...rest }) => ({
      ...rest,
      headers: new Map([...headers, ['test-index', String(rest.index)]]) as StompHeaders,
    }));
    const got = await through(tagged, 'mapping');
    expect(got).toHaveLength(living.length);
    const byIndex = new Map(got.map((frame) => [frame.headers.get('test-index'), frame]));
    for (const { index, headers, properties: its, content, body: sentBody } of living) {
      const frame = byIndex.get(String(index));
      const came = new Map(frame?.headers);
      came.delete('test-index');
      const isVolatile = (name: string) => ['message-id', 'ack', 'timestamp', 'destination'].includes(name);
      const stable = (all: StompHeaders) => Object.fromEntries([...all].filter(([name]) => !isVolatile(name)).sort());
      expect(stable(came), `headers of message ${index}`).toEqual(stable(shownByBroker(headers)));
      expect(frame?.body.equals(sentBody)).toBe(true);
      const envelope = toEnvelope(came, frame?.body as Buffer);
      expect(Buffer.from(envelope.properties).toString('latin1'), `message ${index}`).toBe(its.toString('latin1'));
      expect(content.equals(envelope.body), `body of message ${index}`).toBe(true);
    }
  });

  test('properties as large as a frame of AMQP can have are taken', async () => {
    const value = Buffer.alloc(130_000, 'x');
    const table = Buffer.concat([Buffer.from([5]), Buffer.from('largeS'), uint32(value.length), value]);
    const its = Buffer.concat([Buffer.from([0x20, 0]), uint32(table.length), table]);
    const frame = toFrame({ exchange: '', routingKey: 'q', properties: its, body: Buffer.from('b') }, Date.now());
    const [got] = await through([frame], 'large');
    expect(Buffer.from(toEnvelope(got?.headers as StompHeaders, got?.body as Buffer).properties).equals(its)).toBe(
      true,
    );
  });
});

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
