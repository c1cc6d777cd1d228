import { createHash, hash } from 'node:crypto';
import { copyBytes } from './copy-bytes.ts';
import type { Envelope, Identity } from './envelope.ts';
import { flags, type PropertyOffsets, scan } from './properties.ts';
import { rewrittenHeaders } from './rewritten-headers.ts';

/** What a quorum queue writes onto a message that it hands over again. */
const countHeaders = ['x-delivery-count', 'x-acquired-count'];

const digestBytes = 16;

/** What is hashed of a message is gathered here when it fits: one call for all of it costs half of what a hash object with five updates does. */
const gathered = Buffer.allocUnsafeSlow(64 * 1024);
/** The start of `gathered` that was hashed last: many messages are as long as the one before. */
let gatheredView = gathered.subarray(0, 0);

/**
 * The identity of a message as its source's broker delivered it: 16 bytes of SHA-256 over exchange, routing key, properties
 * and body, each led by its length so that no two messages write the same input. It stays the same when the message is delivered
 * again: a quorum queue counts that in a header, and sorts the table for it.
 * @param at where its properties are, if that is known
 * @throws Fault TOMBOLO_FRAME_INVALID when the properties are malformed
 */
export function identityOf(envelope: Envelope, at: PropertyOffsets = scan(envelope.properties)): Identity {
  const { exchange, routingKey, properties, body } = envelope;
  const { fields, bytes, end } = rewrittenHeaders(properties, at, countHeaders);
  const exchangeLength = byteLength(exchange);
  const keyLength = byteLength(routingKey);
  const leadLength = 18 + exchangeLength + keyLength;
  const propertiesLength = properties.length - (end - at.headersAt) + bytes;
  // Of the properties the flags are in the lead.
  const length = leadLength + propertiesLength - 2;
  const whole = length + body.length <= gathered.length;
  const target = whole ? gathered : Buffer.allocUnsafe(length);
  writeU32(target, exchangeLength, 0);
  writeU32(target, keyLength, 4);
  writeU32(target, propertiesLength, 8);
  writeU32(target, body.length, 12);
  writeText(target, 16, exchange, exchangeLength);
  writeText(target, 16 + exchangeLength, routingKey, keyLength);
  // Without a header but the count there was no table before.
  const set = fields.length > 0 ? at.flags : at.flags & ~flags.headers;
  target[leadLength - 2] = set >> 8;
  target[leadLength - 1] = set;
  let to = copyBytes(target, leadLength, properties, 2, at.headersAt);
  for (const field of fields) to = copyBytes(target, to, field, 0, field.length);
  copyBytes(target, to, properties, end, properties.length);
  return {
    digest: whole ? digestGathered(length, body) : digestOf(target, body),
    hasId: at.messageId >= 0 && properties[at.messageId]! > 0,
  };
}

/** @param from where the body goes in `gathered` */
function digestGathered(from: number, body: Uint8Array): Uint8Array {
  gathered.set(body, from);
  const length = from + body.length;
  if (gatheredView.length !== length) gatheredView = gathered.subarray(0, length);
  const text = hash('sha256', gatheredView, 'binary');
  const digest = new Uint8Array(digestBytes);
  for (let index = 0; index < digestBytes; index++) digest[index] = text.charCodeAt(index);
  return digest;
}

function digestOf(start: Uint8Array, body: Uint8Array): Uint8Array {
  const hashing = createHash('sha256').update(start).update(body);
  // A copy of its own size: digests are kept long, and a slice would keep the rest alive.
  return new Uint8Array(hashing.digest().subarray(0, digestBytes));
}

/** How many bytes a text takes; of the empty one, a default exchange's name, without asking. */
function byteLength(text: string): number {
  return text === '' ? 0 : Buffer.byteLength(text);
}

function writeText(target: Buffer, at: number, text: string, length: number): void {
  if (length > 0) target.write(text, at);
}

function writeU32(target: Uint8Array, value: number, at: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}
