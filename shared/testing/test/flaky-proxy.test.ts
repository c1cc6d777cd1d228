import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { awaitUntil } from '@tombolo/testing/await-until';
import { FlakyProxy } from '@tombolo/testing/flaky-proxy';
import { afterEach, beforeEach, expect, test } from 'vitest';

let server: Server;
let proxy: FlakyProxy;
/** What arrived at the server, by connection. */
let arrived: string[];
let accepted: Socket[];
/** How many of its connections have closed. */
let closed: () => number;
const dialled: Socket[] = [];

beforeEach(async () => {
  arrived = [];
  accepted = [];
  // Those of the test before may be told of after its server has closed.
  let count = 0;
  closed = () => count;
  server = createServer((socket) => {
    const index = accepted.push(socket) - 1;
    arrived[index] = '';
    socket.on('data', (bytes) => {
      arrived[index] += String(bytes);
    });
    socket.on('error', () => {});
    socket.on('close', () => count++);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await FlakyProxy.to((server.address() as { port: number }).port);
});

afterEach(async () => {
  for (const socket of dialled.splice(0)) socket.destroy();
  await proxy.close();
  for (const socket of accepted) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

async function connected(): Promise<Socket> {
  const socket = dial(proxy.port, '127.0.0.1').on('error', () => {});
  dialled.push(socket);
  const before = accepted.length;
  await awaitUntil('the connection is through', () => accepted.length > before);
  return socket;
}

test('a delay that is lifted lets nothing overtake what is still under way', async () => {
  const socket = await connected();
  const sent = Array.from({ length: 40 }, (_, index) => `${index},`);
  for (const [index, part] of sent.entries()) {
    proxy.delay(index < 20 ? 60 : 0);
    socket.write(part);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  socket.end();
  await awaitUntil('all is there', () => arrived[0]?.length === sent.join('').length);
  expect(arrived[0]).toBe(sent.join(''));
});

test('a narrow line carries what it can in order, and holds the sender up', async () => {
  const socket = await connected();
  proxy.throttle(1_000_000);
  const started = performance.now();
  socket.write('a'.repeat(300_000));
  socket.end('end');
  await awaitUntil('all is there', () => arrived[0]?.endsWith('end'));
  expect(performance.now() - started).toBeGreaterThanOrEqual(290);
});

test('a connection that fell silent stays open at the other end whatever this end does, and new ones work', async () => {
  const old = await connected();
  old.write('before');
  await awaitUntil('the first is there', () => arrived[0] === 'before');
  proxy.silence();
  old.write('never');
  old.resetAndDestroy();
  const fresh = await connected();
  fresh.write('hello');
  await awaitUntil('the second is there', () => arrived[1] === 'hello');
  proxy.freeze();
  proxy.thaw();
  fresh.write(' again');
  await awaitUntil('the second goes on', () => arrived[1] === 'hello again');
  expect({ first: arrived[0], closed: closed() }).toEqual({ first: 'before', closed: 0 });
});

test('what a parted network held back arrives when it is whole again, in order', async () => {
  const socket = await connected();
  proxy.freeze();
  socket.write('one ');
  const late = dial(proxy.port, '127.0.0.1');
  dialled.push(late);
  late.write('new');
  await awaitUntil('both are at the proxy', () => proxy.connections === 2);
  expect(arrived.join('')).toBe('');
  proxy.thaw();
  socket.write('two');
  await awaitUntil('all is there', () => arrived[0] === 'one two' && arrived[1] === 'new');
});
