import type { Envelope } from '@tombolo/wire/envelope';
import type { StompHeaders } from '../stomp-codec.ts';
import { carried } from './to-frame.ts';

/** A message as ActiveMQ hands it over, in AMQP's terms. */
export function toEnvelope(headers: StompHeaders, body: Buffer): Envelope {
  const destination = headers.get('destination') ?? '';
  const topic = destination.startsWith('/topic/');
  const name = destination.replace(/^\/(queue|topic)\//, '');
  const properties = headers.get(carried);
  return {
    exchange: topic ? 'amq.topic' : '',
    routingKey: name,
    properties: properties === undefined ? plain(headers) : Buffer.from(properties, 'base64'),
    body,
  };
}

/** Delivery mode, and the message id, by which it is recognised when it comes again. */
function plain(headers: StompHeaders): Buffer {
  const id = Buffer.from(headers.get('message-id') ?? '', 'utf8').subarray(0, 255);
  const mode = headers.get('persistent') === 'true' ? 2 : 1;
  return Buffer.concat([Buffer.of(0x10, 0x80, mode, id.length), id]);
}
