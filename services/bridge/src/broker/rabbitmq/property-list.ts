/** Property flags of class basic, highest bit first (specification 4.2.6.1). */
const flag = {
  contentType: 1 << 15,
  contentEncoding: 1 << 14,
  headers: 1 << 13,
  deliveryMode: 1 << 12,
  priority: 1 << 11,
  correlationId: 1 << 10,
  replyTo: 1 << 9,
  expiration: 1 << 8,
} as const;

/** The expiration within raw properties, without decoding what comes before it; undefined when there is none. */
export function readExpiration(properties: Uint8Array): string | undefined {
  // Every publication is asked: nothing is made for one without.
  const flags = ((properties[0] ?? 0) << 8) | (properties[1] ?? 0);
  if ((flags & flag.expiration) === 0) return undefined;
  return expirationAt(Buffer.from(properties.buffer, properties.byteOffset, properties.byteLength), flags);
}

function expirationAt(bytes: Buffer, flags: number): string {
  let at = 2;
  const skipShort = () => {
    at += 1 + (bytes[at] ?? 0);
  };
  if (flags & flag.contentType) skipShort();
  if (flags & flag.contentEncoding) skipShort();
  if (flags & flag.headers) at += 4 + (at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0);
  if (flags & flag.deliveryMode) at += 1;
  if (flags & flag.priority) at += 1;
  if (flags & flag.correlationId) skipShort();
  if (flags & flag.replyTo) skipShort();
  if (at >= bytes.length) return '';
  return bytes.toString('latin1', at + 1, at + 1 + (bytes[at] as number));
}
