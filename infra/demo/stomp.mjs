// An ordinary STOMP client of an ActiveMQ: it knows nothing of Tombolo.
import { connect } from 'node:net';
import { encodeFrame, StompReader } from '@tombolo/bridge/broker/activemq/stomp-codec';
import { awaitUntil } from '@tombolo/testing/await-until';

/** Resolves once the broker has accepted it. */
export async function stompClient(port) {
  const socket = connect(port, '127.0.0.1');
  const reader = new StompReader();
  const receipts = new Set();
  const subscriptions = new Map();
  let problem;
  let connected = false;
  let last = 0;
  // A broker that goes away is noticed by the call that needs it.
  socket.on('error', (error) => {
    problem ??= error.message;
  });
  const take = ({ command, headers, body }) => {
    if (command === 'CONNECTED') connected = true;
    else if (command === 'RECEIPT') receipts.add(headers.get('receipt-id'));
    else if (command === 'MESSAGE') subscriptions.get(headers.get('subscription'))?.(headers, body);
    else problem ??= headers.get('message');
  };
  socket.on('data', (chunk) => {
    for (const frame of reader.read(chunk)) take(frame);
  });
  const write = (command, headers, body) => socket.write(encodeFrame(command, Object.entries(headers), body));
  const until = (what, condition) =>
    awaitUntil(what, () => {
      if (problem) throw new Error(problem);
      return condition();
    });
  /** Resolves once the broker has done it. */
  const done = async (command, headers, body) => {
    const receipt = String(++last);
    write(command, { ...headers, receipt }, body);
    await until(`ActiveMQ has done ${command}`, () => receipts.has(receipt));
  };
  write('CONNECT', { 'accept-version': '1.2', host: 'localhost' });
  await until('ActiveMQ accepts the connection', () => connected);

  return {
    /** Sends texts with the numbers `from` to `to`; resolves when the last one is stored. */
    async send(queue, from, to) {
      const message = (number) => ({ destination: `/queue/${queue}`, persistent: 'true', number: String(number) });
      for (let number = from; number < to - 1; number += 1) write('SEND', message(number), Buffer.from(String(number)));
      await done('SEND', message(to - 1), Buffer.from(String(to - 1)));
    },
    /** Calls back with the number of every message, and its headers. */
    async consume(queue, onNumber) {
      const id = String(++last);
      subscriptions.set(id, (headers, body) => {
        onNumber(Number(body), headers);
        write('ACK', { id: headers.get('ack') });
      });
      await done('SUBSCRIBE', { id, destination: `/queue/${queue}`, ack: 'client-individual' });
      return { leave: () => done('UNSUBSCRIBE', { id }) };
    },
    close: () => socket.destroy(),
  };
}
