import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Refused } from '../../../../src/broker/activemq/brokers-words.ts';
import type { StompConnection } from '../../../../src/broker/activemq/connection.ts';
import type { StompFrame } from '../../../../src/broker/activemq/stomp-codec.ts';
import { TopicCapture } from '../../../../src/broker/activemq/topics/capture.ts';
import type { Surroundings } from '../../../../src/broker/surroundings.ts';

type Answer = Parameters<Parameters<StompConnection['receipt']>[0]>[0];

/** A connection that keeps what is written, and answers when the test says so. */
function stage() {
  const written: string[] = [];
  const receipts: ((answer: Answer) => void)[] = [];
  const failures: unknown[] = [];
  const refused = new Set<string>();
  const receivers: ((frames: readonly StompFrame[]) => void)[] = [];
  const connection = {
    address: 'stomp://broker',
    subscriber: (receiver: (typeof receivers)[number]) => String(receivers.push(receiver)),
    request: async (command: string) => {
      if (refused.has(command)) throw new Refused({ words: 'Durable consumer is in use', exception: '' });
    },
    send: () => {},
    unsubscribed: () => {},
    receipt: (answered: (answer: Answer) => void) => `r${receipts.push(answered)}`,
    write: (bytes: Buffer) => written.push(bytes.toString()),
  } as unknown as StompConnection;
  const bound = [{ buffer: 'tombolo.topic.east.amq%2Etopic', bindingKeys: new Set(['prices.#']) }];
  const capture = new TopicCapture(
    connection,
    {} as Surroundings,
    () => bound,
    (error) => {
      failures.push(error);
      capture.lost();
    },
  );
  const message = async (id: string, subscription = 1) => {
    const headers = new Map([
      ['destination', '/topic/prices.eu'],
      ['message-id', id],
      ['ack', id],
      ['content-length', '1'],
    ]);
    receivers[subscription - 1]?.([{ command: 'MESSAGE', headers, body: Buffer.from('x') }]);
    await Promise.resolve();
  };
  return { capture, written, receipts, failures, refused, message };
}

test('what the broker did not move is not acknowledged by the batch behind it', async () => {
  const { capture, written, receipts, failures, message } = stage();
  await capture.subscribe(['prices.>']);
  await message('m-1');
  await message('m-2');
  expect(written).toHaveLength(1);
  expect(written[0]).toContain('m-1');

  receipts[0]?.(new Refused({ words: 'the store is full', exception: '' }));
  await message('m-3');
  expect(failures).toHaveLength(1);
  expect(written).toHaveLength(1);
});

test('what came while a batch was being moved is the next batch', async () => {
  const { capture, written, receipts, message } = stage();
  await capture.subscribe(['prices.>']);
  for (const id of ['m-1', 'm-2', 'm-3']) await message(id);
  receipts[0]?.('received');
  expect(written).toHaveLength(2);
  expect(written[1]?.match(/SEND\n/g)).toHaveLength(2);
  expect(written[1]?.match(/ACK\nid:.*/g)).toEqual(['ACK\nid:m-3']);
});

test('a durable subscription that the broker does not end is not forgotten: all is begun anew', async () => {
  const { capture, failures, refused } = stage();
  await capture.subscribe(['prices.>']);
  refused.add('UNSUBSCRIBE');
  await expect(capture.end(['prices.>'])).rejects.toThrow('Durable consumer is in use');
  expect(failures).toHaveLength(1);
});

test('what comes to an ending subscription after the receipts, and to no other, is moved: it is not lost', async () => {
  const { capture, written, receipts, message } = stage();
  await capture.subscribe(['prices.>']);
  await capture.subscribe(['prices.*']);
  const ending = capture.end(['prices.>']);
  await pause(100);
  await message('m-1', 1);
  await message('m-2', 2);
  expect(written.join()).toContain('m-1');
  receipts[0]?.('received');
  receipts[1]?.('received');
  await ending;
  expect(written.join()).toContain('m-2');
});
