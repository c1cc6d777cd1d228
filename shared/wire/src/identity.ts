import { createHash } from 'node:crypto';
import type { Envelope, Identity } from './envelope.ts';
import { scan } from './properties.ts';

/**
 * The identity of a message as its source's broker delivered it: 16 bytes of SHA-256 over exchange, routing key, properties
 * and body, each led by its length so that no two messages write the same input.
 * @throws Fault TOMBOLO_FRAME_INVALID when the properties are malformed
 */
export function identityOf(envelope: Envelope): Identity {
  const { exchange, routingKey, properties, body } = envelope;
  const exchangeLength = Buffer.byteLength(exchange);
  const keyLength = Buffer.byteLength(routingKey);
  const lead = Buffer.allocUnsafe(16 + exchangeLength + keyLength);
  lead.writeUInt32BE(exchangeLength, 0);
  lead.writeUInt32BE(keyLength, 4);
  lead.writeUInt32BE(properties.length, 8);
  lead.writeUInt32BE(body.length, 12);
  lead.write(exchange, 16);
  lead.write(routingKey, 16 + exchangeLength);
  const digest = createHash('sha256').update(lead).update(properties).update(body).digest();
  const { messageId } = scan(properties);
  // A copy of its own size: digests are kept long, and a slice would keep the rest alive.
  return { digest: new Uint8Array(digest.subarray(0, 16)), hasId: messageId >= 0 && properties[messageId]! > 0 };
}
