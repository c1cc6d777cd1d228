import { createHash } from 'node:crypto';
import type { Envelope, Identity } from './envelope.ts';
import { flags, scan } from './properties.ts';
import { rewrittenHeaders } from './rewritten-headers.ts';

/** What a quorum queue writes onto a message that it hands over again. */
const countHeaders = ['x-delivery-count', 'x-acquired-count'];

/**
 * The identity of a message as its source's broker delivered it: 16 bytes of SHA-256 over exchange, routing key, properties
 * and body, each led by its length so that no two messages write the same input. It stays the same when the message is delivered
 * again: a quorum queue counts that in a header, and sorts the table for it.
 * @throws Fault TOMBOLO_FRAME_INVALID when the properties are malformed
 */
export function identityOf(envelope: Envelope): Identity {
  const { exchange, routingKey, properties, body } = envelope;
  const at = scan(properties);
  const { fields, bytes, end } = rewrittenHeaders(properties, at, countHeaders);
  const exchangeLength = Buffer.byteLength(exchange);
  const keyLength = Buffer.byteLength(routingKey);
  const lead = Buffer.allocUnsafe(18 + exchangeLength + keyLength);
  lead.writeUInt32BE(exchangeLength, 0);
  lead.writeUInt32BE(keyLength, 4);
  lead.writeUInt32BE(properties.length - (end - at.headersAt) + bytes, 8);
  lead.writeUInt32BE(body.length, 12);
  lead.write(exchange, 16);
  lead.write(routingKey, 16 + exchangeLength);
  // Without a header but the count there was no table before.
  lead.writeUInt16BE(fields.length > 0 ? at.flags : at.flags & ~flags.headers, 16 + exchangeLength + keyLength);
  const hash = createHash('sha256').update(lead).update(properties.subarray(2, at.headersAt));
  for (const field of fields) hash.update(field);
  const digest = hash.update(properties.subarray(end)).update(body).digest();
  // A copy of its own size: digests are kept long, and a slice would keep the rest alive.
  return {
    digest: new Uint8Array(digest.subarray(0, 16)),
    hasId: at.messageId >= 0 && properties[at.messageId]! > 0,
  };
}
