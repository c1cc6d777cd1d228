import type { StompHeaders } from '../stomp-codec.ts';
import { type ContentHeader, readContentHeader } from './content-header.ts';
import { destinationOf } from './destinations.ts';
import type { JmsTable } from './jms-table.ts';
import { project } from './projection.ts';
import { writeSidecar } from './sidecar.ts';

/**
 * A message of AMQP as a SEND frame: its headers, without transaction and receipt, and its body. A body with `content-length` becomes a
 * BytesMessage, one without a TextMessage. infra/docs/activemq.md has the table.
 * @param nowMs the wall clock (ms since 1970): AMQP has a time to live where JMS has a deadline
 * @throws Fault TOMBOLO_FRAME_INVALID when properties or header table are malformed
 */
export function toFrame(
  message: {
    readonly exchange: string;
    readonly routingKey: string;
    readonly properties: Uint8Array;
    readonly body: Uint8Array;
  },
  nowMs: number,
): { readonly headers: StompHeaders; readonly body: Buffer } {
  const header = readContentHeader(message.properties);
  const { buffer, byteOffset, byteLength } = message.body;
  const projection = project(header, Buffer.from(buffer, byteOffset, byteLength));
  const { body, isText, jms } = projection;
  const headers = new Map([['destination', destinationOf(message)], ...projection.headers]);
  const timestamp = timestampOf(header, jms);
  if (timestamp !== undefined) headers.set('timestamp', String(timestamp));
  const expires = expiresOf(header, jms, nowMs);
  if (expires !== undefined) headers.set('expires', String(expires));
  if (!isText) headers.set('content-length', String(body.length));
  for (const [name, value] of writeSidecar(message.properties)) headers.set(name, value);
  return { headers, body };
}

const maxSeconds = BigInt(Number.MAX_SAFE_INTEGER) / 1000n;

function timestampOf(header: ContentHeader, jms: JmsTable): bigint | undefined {
  const seconds = header.get('timestamp')?.readBigUInt64BE();
  if (seconds === undefined || seconds > maxSeconds) return undefined;
  return jms.timestampMs / 1000n === seconds && jms.timestampMs > 0n ? jms.timestampMs : seconds * 1000n;
}

/**
 * The deadline that a message of ActiveMQ had, unless an application has given it another time to live since; else the time to live
 * begins anew, as it does from one queue of RabbitMQ to another.
 */
function expiresOf(header: ContentHeader, jms: JmsTable, nowMs: number): bigint | undefined {
  const expiration = header.get('expiration')?.toString('latin1');
  const isAsItWas = expiration === undefined || expiration === String(jms.expiresMs - jms.timestampMs);
  if (jms.expiresMs > 0n && isAsItWas) return jms.expiresMs;
  return expiration && /^\d{1,15}$/.test(expiration) ? BigInt(nowMs) + BigInt(expiration) : undefined;
}
