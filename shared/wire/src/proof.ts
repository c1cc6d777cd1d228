import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { Envelope } from './envelope.ts';
import { pathOf } from './forwarded-properties.ts';
import { header, isNamed, walk } from './header-table.ts';
import { flags, type PropertyOffsets, scan, u32 } from './properties.ts';
import { rewrittenHeaders } from './rewritten-headers.ts';

/**
 * The header by which a bridge knows a topic message that a bridge published. Whoever publishes to an exchange at the sink
 * writes it, and whoever captures from that same broker's exchanges checks it: both are bridges of one cluster, so the
 * key never leaves it.
 */
export const proofHeader = 'x-tombolo-proof';

const proofBytes = 16;
const fieldBytes = 1 + proofHeader.length + 1 + 4 + proofBytes;

/**
 * The keys of a cluster's proofs: the first one writes, all are accepted. They are made of the cluster's own secrets
 * (`bridge.secrets`), so that they last over restarts and changes of master. Without a secret they are made of the
 * network's name: then a proof tells a copied header from a bridge's, which is what it is for, but not from a forger's.
 */
export function proofKeys(network: string, cluster: string, secrets: readonly string[]): readonly Uint8Array[] {
  const materials = secrets.length > 0 ? secrets : [`network ${network}`];
  return materials.map(
    (secret) => new Uint8Array(hkdfSync('sha256', secret, network, `tombolo proof of ${cluster}`, 32)),
  );
}

/**
 * The properties with which the message is published: those that it has, and the proof as the last header; a proof that it
 * brought along is dropped.
 * @throws Fault TOMBOLO_FRAME_INVALID when properties or header table are malformed
 */
export function withProof(message: Envelope, keys: readonly Uint8Array[]): Uint8Array {
  const offsets = scan(message.properties);
  const digest = digestOf(message, offsets, keys[0]!);
  const { properties } = message;
  const at = offsets.headersAt;
  const hasTable = offsets.headers >= 0;
  const start = hasTable ? at + 4 : at;
  const end = hasTable ? start + u32(properties, at) : at;
  const kept: Uint8Array[] = [];
  let keptBytes = 0;
  walk(properties, start, end, (name, _type, next) => {
    if (isNamed(properties, name, proofHeader)) return;
    kept.push(properties.subarray(name, next));
    keptBytes += next - name;
  });
  const target = Buffer.allocUnsafe(at + 4 + keptBytes + fieldBytes + properties.length - end);
  target.set(properties.subarray(0, at), 0);
  target.writeUInt16BE(offsets.flags | flags.headers, 0);
  let to = target.writeUInt32BE(keptBytes + fieldBytes, at);
  for (const field of kept) {
    target.set(field, to);
    to += field.length;
  }
  target[to++] = proofHeader.length;
  to += target.write(proofHeader, to, 'latin1');
  target[to++] = 0x78; // x, bytes
  to = target.writeUInt32BE(proofBytes, to);
  target.set(digest, to);
  target.set(properties.subarray(end), to + proofBytes);
  return target;
}

/**
 * The path of a message that came through a bridge of this cluster; undefined for every other message, also for one with
 * headers that an application has copied from such a message.
 */
export function provenPath(message: Envelope, keys: readonly Uint8Array[]): readonly string[] | undefined {
  const offsets = scan(message.properties);
  if (offsets.headers < 0) return undefined;
  const field = header(message.properties, proofHeader, offsets);
  if (field?.type !== 'x' || field.value.length !== 4 + proofBytes) return undefined;
  const path = pathOf(message.properties, offsets);
  if (!path) return undefined;
  const given = field.value.subarray(4);
  return keys.some((key) => timingSafeEqual(digestOf(message, offsets, key), given)) ? path : undefined;
}

/**
 * What brokers write onto a message between publish and delivery is not covered: quorum queues count deliveries, message
 * interceptors stamp the time and the node. A proof that these broke would let the message run in circles.
 */
const brokersHeaders = ['x-delivery-count', 'x-acquired-count', 'timestamp_in_ms', 'x-routed-by', proofHeader];

/** The digest over exchange, routing key, properties and body. */
function digestOf(
  { exchange, routingKey, properties, body }: Envelope,
  at: PropertyOffsets,
  key: Uint8Array,
): Uint8Array {
  const { fields, bytes: headerBytes, end: listEnd } = rewrittenHeaders(properties, at, brokersHeaders);
  // The time is a broker's to write, too.
  const timeAt = at.timestamp < 0 ? properties.length : at.timestamp;
  const lead = Buffer.allocUnsafe(18 + Buffer.byteLength(exchange) + Buffer.byteLength(routingKey));
  let to = lead.writeUInt32BE(Buffer.byteLength(exchange), 0);
  to = lead.writeUInt32BE(Buffer.byteLength(routingKey), to);
  to = lead.writeUInt32BE(headerBytes, to);
  to = lead.writeUInt32BE(body.length, to);
  to = lead.writeUInt16BE(at.flags & ~(flags.headers | flags.timestamp) & 0xfffc, to);
  to += lead.write(exchange, to);
  lead.write(routingKey, to);
  const hmac = createHmac('sha256', key).update(lead);
  hmac.update(properties.subarray(2, at.headersAt));
  for (const field of fields) hmac.update(field);
  hmac.update(properties.subarray(listEnd, timeAt));
  if (at.timestamp >= 0) hmac.update(properties.subarray(at.timestamp + 8));
  return hmac.update(body).digest().subarray(0, proofBytes);
}
