import { invalid } from './fields.ts';
import type { StreamMessage } from './frame.ts';
import { limits } from './limits.ts';

/*
 * A message as a record, all numbers big-endian:
 *
 *   u48 sequence · u8 flags (1 redelivered, 2 resent, 4 has an id) · 16 bytes digest
 *   u16 length, exchange · u16 length, routing key · u32 length, properties · u32 length, body
 */
const redelivered = 1;
const resent = 2;
const hasId = 4;
const fixedBytes = 6 + 1 + 16 + 2 + 2 + 4 + 4;

/** How many bytes the records of these messages take. */
export function recordsLength(messages: readonly StreamMessage[]): number {
  let total = 0;
  for (const message of messages) {
    total +=
      fixedBytes +
      Buffer.byteLength(message.exchange) +
      Buffer.byteLength(message.routingKey) +
      message.properties.length +
      message.body.length;
  }
  return total;
}

/** Writes the records into `target` from `start`; returns the offset behind them. */
export function writeRecords(target: Buffer, start: number, messages: readonly StreamMessage[]): number {
  let at = start;
  for (const message of messages) {
    at = target.writeUIntBE(message.sequence, at, 6);
    target[at++] =
      (message.redelivered ? redelivered : 0) | (message.resent ? resent : 0) | (message.hasId ? hasId : 0);
    if (message.digest.length !== 16) invalid('a digest is not 16 bytes long');
    target.set(message.digest, at);
    at = writeKey(target, at + 16, message.exchange);
    at = writeKey(target, at, message.routingKey);
    at = target.writeUInt32BE(message.properties.length, at);
    target.set(message.properties, at);
    at = target.writeUInt32BE(message.body.length, at + message.properties.length);
    target.set(message.body, at);
    at += message.body.length;
  }
  return at;
}

function writeKey(target: Buffer, at: number, key: string): number {
  const length = target.write(key, at + 2);
  if (length > limits.keyBytes) invalid('an exchange or routing key is too long');
  target.writeUInt16BE(length, at);
  return at + 2 + length;
}

/** Reads `count` records that fill `source` exactly. Digests, properties and bodies are slices of it, not copies. */
export function readRecords(source: Buffer, count: number): StreamMessage[] {
  // Checked first, so that a lying count allocates nothing.
  if (count > limits.messages || count * fixedBytes > source.length) invalid('fewer messages than announced');
  const messages: StreamMessage[] = [];
  let at = 0;
  // Nearly all of a frame have the exchange and key of the one before: they are decoded once.
  let keys = { at: 0, length: 0, exchange: '', routingKey: '' };
  for (let i = 0; i < count; i++) {
    if (source.length - at < fixedBytes) invalid('a message is cut off');
    const sequence = source.readUIntBE(at, 6);
    const flags = source[at + 6]!;
    if (sequence === 0 || flags > 7) invalid('a message has no sequence number or unknown flags');
    const digest = source.subarray(at + 7, at + 23);
    at += 23;
    const exchangeEnd = at + 2 + keyLength(source, at);
    const keyEnd = exchangeEnd + 2 + keyLength(source, exchangeEnd);
    if (keyEnd - at !== keys.length || !areSame(source, at, keys.at, keys.length)) {
      const exchange = source.toString('utf8', at + 2, exchangeEnd);
      const routingKey = source.toString('utf8', exchangeEnd + 2, keyEnd);
      keys = { at, length: keyEnd - at, exchange, routingKey };
    }
    const propertiesEnd = keyEnd + 4 + longLength(source, keyEnd);
    const bodyEnd = propertiesEnd + 4 + longLength(source, propertiesEnd);
    messages.push({
      sequence,
      redelivered: (flags & redelivered) !== 0,
      resent: (flags & resent) !== 0,
      hasId: (flags & hasId) !== 0,
      digest,
      exchange: keys.exchange,
      routingKey: keys.routingKey,
      properties: source.subarray(keyEnd + 4, propertiesEnd),
      body: source.subarray(propertiesEnd + 4, bodyEnd),
    });
    at = bodyEnd;
  }
  if (at !== source.length) invalid('bytes follow the last message');
  return messages;
}

function areSame(source: Buffer, one: number, other: number, length: number): boolean {
  for (let index = 0; index < length; index++) if (source[one + index] !== source[other + index]) return false;
  return true;
}

function keyLength(source: Buffer, at: number): number {
  if (source.length - at < 2) invalid('a message is cut off');
  const length = source.readUInt16BE(at);
  if (length > limits.keyBytes || length > source.length - at - 2) invalid('an exchange or routing key is too long');
  return length;
}

function longLength(source: Buffer, at: number): number {
  if (source.length - at < 4) invalid('a message is cut off');
  const length = source.readUInt32BE(at);
  if (length > source.length - at - 4) invalid('a message is longer than its frame');
  return length;
}
