import { walk } from '@tombolo/wire/header-table';
import { scan, u32 } from '@tombolo/wire/properties';

/** Properties of class basic in the order of their flags, highest first (AMQP 0-9-1, 4.2.6.1), and how each is written. */
const layout = [
  ['contentType', 'short string'],
  ['contentEncoding', 'short string'],
  ['headers', 'table'],
  ['deliveryMode', 1],
  ['priority', 1],
  ['correlationId', 'short string'],
  ['replyTo', 'short string'],
  ['expiration', 'short string'],
  ['messageId', 'short string'],
  ['timestamp', 8],
  ['type', 'short string'],
  ['userId', 'short string'],
  ['appId', 'short string'],
  ['clusterId', 'short string'],
] as const;

export type PropertyName = (typeof layout)[number][0];

/** The present properties: a string's or a table's bytes without their length, or those of a number. */
export type ContentHeader = ReadonlyMap<PropertyName, Buffer>;

/** A field of a table: its type's letter, and its value's bytes as they stand there. */
export interface Field {
  readonly name: Buffer;
  readonly type: string;
  readonly value: Buffer;
}

/**
 * Takes raw properties (flags and list, as in an Envelope) apart.
 * @throws Fault TOMBOLO_FRAME_INVALID when they are malformed
 */
export function readContentHeader(properties: Uint8Array): ContentHeader {
  const { flags } = scan(properties);
  const bytes = Buffer.from(properties.buffer, properties.byteOffset, properties.byteLength);
  const found = new Map<PropertyName, Buffer>();
  let at = 2;
  for (const [index, [name, form]] of layout.entries()) {
    if ((flags & (0x8000 >> index)) === 0) continue;
    const lead = form === 'short string' ? 1 : form === 'table' ? 4 : 0;
    const length = lead === 1 ? (bytes[at] as number) : lead === 4 ? bytes.readUInt32BE(at) : (form as number);
    found.set(name, bytes.subarray(at + lead, at + lead + length));
    at += lead + length;
  }
  return found;
}

/** The opposite of `readContentHeader`. Strings must not be longer than 255 bytes. */
export function writeContentHeader(header: ContentHeader): Buffer {
  const parts: Buffer[] = [Buffer.alloc(2)];
  let flags = 0;
  for (const [index, [name, form]] of layout.entries()) {
    const value = header.get(name);
    if (!value) continue;
    flags |= 0x8000 >> index;
    if (form === 'short string') parts.push(Buffer.from([value.length]));
    if (form === 'table') parts.push(uint32(value.length));
    parts.push(value);
  }
  parts[0]?.writeUInt16BE(flags);
  return Buffer.concat(parts);
}

/** The fields of a table, in their order. @throws Fault TOMBOLO_FRAME_INVALID when it is malformed */
export function readTable(table: Buffer): Field[] {
  const fields: Field[] = [];
  walk(table, 0, table.length, (name, type, end) => {
    fields.push({
      name: table.subarray(name + 1, type),
      type: String.fromCharCode(table[type] as number),
      value: table.subarray(type + 1, end),
    });
  });
  return fields;
}

/** The bytes of a table without its length. Names must not be longer than 255 bytes. */
export function writeTable(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(({ name, type, value }) => [Buffer.from([name.length]), name, Buffer.from(type, 'latin1'), value]),
  );
}

export function stringField(name: string, text: string): Field {
  const bytes = Buffer.from(text);
  return { name: Buffer.from(name), type: 'S', value: Buffer.concat([uint32(bytes.length), bytes]) };
}

export function tableField(name: string, fields: readonly Field[]): Field {
  const bytes = writeTable(fields);
  return { name: Buffer.from(name), type: 'F', value: Buffer.concat([uint32(bytes.length), bytes]) };
}

/** A 64-bit number, as RabbitMQ writes one. */
export function longField(name: string, value: bigint): Field {
  return { name: Buffer.from(name), type: 'l', value: uint64(value) };
}

export function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The bytes of a string, table, array or byte field without their length. */
export function sizedValue({ value }: Field): Buffer {
  return value.subarray(4, 4 + u32(value, 0));
}
