import { flags, scan, u32 } from './properties.ts';

/**
 * The properties with long-string headers added at the end of the header table (made when there is none). Names that are
 * there already are not looked for: brokers and clients take the last.
 */
export function headersAppended(properties: Uint8Array, headers: Readonly<Record<string, string>>): Uint8Array {
  const offsets = scan(properties);
  const entries = Buffer.concat(
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
  const at = offsets.headersAt;
  const before = offsets.headers >= 0 ? u32(properties, at) : 0;
  const tableStart = offsets.headers >= 0 ? at + 4 : at;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(before + entries.length);
  const result = Buffer.concat([
    properties.subarray(0, at),
    length,
    properties.subarray(tableStart, tableStart + before),
    entries,
    properties.subarray(tableStart + before),
  ]);
  result.writeUInt16BE(offsets.flags | flags.headers, 0);
  return result;
}
