import { expiration, flags, scan, u32 } from './properties.ts';

/** The header in which a dead letter carries the `expiration` it had. */
export const expirationHeader = 'x-tombolo-expiration';

/**
 * The properties with which a message is parked: the given long-string headers are added at the end of its header table (made
 * when there is none), and its `expiration` becomes a header, or the dead letter would vanish with it. Names that are there
 * already are not looked for: brokers and clients take the last.
 */
export function deadLetterProperties(properties: Uint8Array, headers: Readonly<Record<string, string>>): Uint8Array {
  const offsets = scan(properties);
  const expires = expiration(properties, offsets);
  const entries = tableEntries(expires === undefined ? headers : { ...headers, [expirationHeader]: expires });
  const at = offsets.headersAt;
  const had = offsets.headers >= 0;
  const before = had ? u32(properties, at) : 0;
  const tableStart = had ? at + 4 : at;
  const tableEnd = tableStart + before;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(before + entries.length);
  const tail =
    expires === undefined
      ? [properties.subarray(tableEnd)]
      : [
          properties.subarray(tableEnd, offsets.expiration),
          properties.subarray(offsets.expiration + 1 + properties[offsets.expiration]!),
        ];
  const result = Buffer.concat([
    properties.subarray(0, at),
    length,
    properties.subarray(tableStart, tableEnd),
    entries,
    ...tail,
  ]);
  result.writeUInt16BE((offsets.flags | flags.headers) & ~flags.expiration, 0);
  return result;
}

function tableEntries(headers: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const key = Buffer.from(name);
      const text = Buffer.from(value);
      const head = Buffer.alloc(1 + key.length + 5);
      head[0] = key.length;
      head.set(key, 1);
      head[1 + key.length] = 0x53; // S: long string
      head.writeUInt32BE(text.length, 2 + key.length);
      return Buffer.concat([head, text]);
    }),
  );
}
