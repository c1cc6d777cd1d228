import { setTimeout as pause } from 'node:timers/promises';
import { frameType } from '@tombolo/bridge/broker/rabbitmq/data-path/frame-reader';
import { methodId, readLong } from '@tombolo/bridge/broker/rabbitmq/data-path/methods';
import type { RawFrame } from '@tombolo/bridge/broker/rabbitmq/data-path/raw-frame';
import { now, type Place, Session } from './session.ts';
import { Template } from './template.ts';

export interface PublishOrder extends Place {
  readonly exchange?: string;
  /** Message number n goes to the key n modulo their number. */
  readonly keys: readonly string[];
  readonly count: number;
  readonly bodyBytes: number;
  /** Unconfirmed messages at most; default 1,000. */
  readonly window?: number;
  /** Messages per second; default: as fast as the broker confirms. */
  readonly rate?: number;
  /** Give each message a message id of its own. */
  readonly ids?: boolean;
  /** The first message's number; default 0. */
  readonly from?: number;
}

export interface Published {
  readonly seconds: number;
}

/** Publishes persistent messages; resolves when the broker has confirmed all. */
export async function publish(order: PublishOrder): Promise<Published> {
  const { count, bodyBytes, window = 1_000, rate, ids = false, from = 0, exchange = '' } = order;
  const session = await Session.open(order);
  const channel = await session.model.createConfirmChannel();
  const confirms = new ConfirmCount(count);
  let sent = 0;
  let wake = () => {};
  const line = session.raw(channel, {
    frame: (frame) => confirms.take(frame),
    handOver: () => wake(),
  });
  const templates = order.keys.map((routingKey) => new Template(line.number, { exchange, routingKey }, bodyBytes, ids));
  const send = (until: number) => {
    const begin = now();
    // One write for all of a turn, a megabyte at most.
    const most = Math.max(1, Math.floor(1_000_000 / (bodyBytes + 100)));
    while (sent < until) {
      const end = Math.min(until, sent + most);
      let size = 0;
      for (let number = sent; number < end; number++) size += templateOf(templates, from + number).length;
      const bytes = Buffer.allocUnsafe(size);
      let at = 0;
      for (let number = sent; number < end; number++) {
        const template = templateOf(templates, from + number);
        template.stamp(bytes, at, from + number, begin);
        at += template.length;
      }
      sent = end;
      line.write(bytes);
    }
  };
  const began = now();
  if (rate === undefined) {
    await new Promise<void>((resolve) => {
      wake = () => {
        send(Math.min(count, confirms.count + window));
        if (confirms.count >= count) resolve();
      };
      wake();
    });
  } else {
    while (sent < count) {
      send(Math.min(count, Math.floor(((now() - began) * rate) / 1_000), confirms.count + 65_536));
      await pause(1);
    }
    while (confirms.count < count) await pause(5);
  }
  const seconds = (now() - began) / 1_000;
  await session.close();
  return { seconds };
}

function templateOf(templates: readonly Template[], number: number): Template {
  return templates[number % templates.length] as Template;
}

/** Counts the broker's confirms, single and multiple. */
class ConfirmCount {
  count = 0;
  readonly #confirmed: Uint8Array;
  /** Every tag below is confirmed. */
  #low = 1;

  constructor(count: number) {
    this.#confirmed = new Uint8Array(count + 2);
  }

  take(frame: RawFrame): boolean {
    if (frame.type !== frameType.method || frame.method !== methodId.basicAck) return false;
    const tag = readLong(frame.bytes, frame.start + 11);
    const multiple = (frame.at(19) & 1) === 1;
    for (let each = multiple ? this.#low : tag; each <= tag; each++) {
      if (this.#confirmed[each]) continue;
      this.#confirmed[each] = 1;
      this.count++;
    }
    while (this.#confirmed[this.#low]) this.#low++;
    return true;
  }
}
