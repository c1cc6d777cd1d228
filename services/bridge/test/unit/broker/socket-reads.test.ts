import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { DataPath } from '../../../src/broker/rabbitmq/data-path/data-path.ts';
import { SocketReads } from '../../../src/broker/rabbitmq/data-path/socket-reads.ts';
import type { Wire } from '../../../src/broker/rabbitmq/seam.ts';

test('a socket that rests after much was read loses nothing, keeps the order, and still sees its end', async () => {
  const server = createServer((socket) => {
    for (let number = 0; number < 2_000; number++) socket.write(`${number};`);
    socket.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const reads = new SocketReads();
  const heard: string[] = [];
  reads.receiver = (bytes) => {
    heard.push(bytes.toString());
    return true;
  };
  const { port } = server.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port, onread: reads.onread });
  socket.on('readable', () => socket.read());
  await once(socket, 'end');
  expect(heard.join('')).toBe(Array.from({ length: 2_000 }, (_, number) => `${number};`).join(''));
  socket.destroy();
  server.close();
});

test('a socket rests after much, and not when its buffer was full: more waits behind that', () => {
  const reads = new SocketReads();
  reads.receiver = () => true;
  const socket = new Duplex({ read: () => {} });
  const { buffer, callback } = reads.onread;
  expect(callback.call(socket, buffer.length, buffer)).toBe(true);
  expect(callback.call(socket, buffer.length - 1, buffer)).toBe(false);
  reads.receiver = () => false;
  expect(callback.call(socket, 1, buffer)).toBe(true);
});

/** An empty method frame of channel 1. */
const frame = Buffer.from([1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 60, 0xce]);

test('messages that come together are much, one that travels alone is not', () => {
  const stream = Object.assign(new EventEmitter(), { read: () => null, readableLength: 0 });
  const wire = { stream, rest: Buffer.alloc(0), frameMax: 131_072, recvFrame: () => false, recvSinceLastCheck: false };
  const reads = new SocketReads();
  const data = new DataPath(wire as unknown as Wire, reads);
  stream.on('readable', () => {
    while (wire.recvFrame());
  });
  let seen = 0;
  data.register(1, { frame: () => ++seen > 0, handOver: () => {} });
  const much = (frames: number) => reads.receiver?.(Buffer.concat(Array.from({ length: frames }, () => frame)));
  expect([much(3), much(31), much(32), much(3)]).toEqual([false, false, true, false]);
  expect(seen).toBe(69);
});
