import { malformed, type PropertyOffsets, scan, textAt, u32 } from './properties.ts';

/*
 * The table of headers, raw: u32 length of what follows, then per field
 *
 *   u8 length, name · u8 type · value
 *
 * Field types as RabbitMQ writes and reads them (rabbit_binary_parser); they differ from the specification's.
 */

/** A field as it stands in the table: the type's letter, and its value's bytes without the type. */
export interface HeaderField {
  readonly type: string;
  readonly value: Uint8Array;
}

/** Calls back for each field: where its name starts (the length byte), where its type is, and where it ends. */
export function walk(table: Uint8Array, start: number, end: number, visit: FieldVisitor): void {
  let at = start;
  while (at < end) {
    const type = at + 1 + table[at]!;
    if (type >= end) malformed('a header is cut off');
    const next = valueEnd(table, type, end);
    visit(at, type, next);
    at = next;
  }
}

export type FieldVisitor = (name: number, type: number, end: number) => void;

/** The offset behind the value whose type is at `at`. */
export function valueEnd(table: Uint8Array, at: number, end: number): number {
  const next = at + 1 + valueLength(table, at, end);
  return next <= end ? next : malformed('a header is cut off');
}

function valueLength(table: Uint8Array, at: number, end: number): number {
  switch (table[at]) {
    case 0x56: // V void
      return 0;
    case 0x74: // t boolean
    case 0x62: // b int8
    case 0x42: // B uint8
      return 1;
    case 0x73: // s int16
    case 0x75: // u uint16
      return 2;
    case 0x49: // I int32
    case 0x69: // i uint32
    case 0x66: // f float32
      return 4;
    case 0x44: // D decimal: scale, int32
      return 5;
    case 0x6c: // l int64
    case 0x4c: // L int64 (other clients')
    case 0x64: // d float64
    case 0x54: // T timestamp
      return 8;
    case 0x53: // S long string
    case 0x41: // A array
    case 0x46: // F table
    case 0x78: // x bytes
      return at + 5 <= end ? 4 + u32(table, at + 1) : malformed('a header is cut off');
    default:
      return malformed(`a header has the unknown type ${table[at]}`);
  }
}

/** True when the field whose name starts at `at` is called `name` (ASCII). */
export function isNamed(table: Uint8Array, at: number, name: string): boolean {
  if (table[at] !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (table[at + 1 + i] !== name.charCodeAt(i)) return false;
  return true;
}

/**
 * The first header of this name (ASCII), as it stands in the table.
 * @throws Fault TOMBOLO_FRAME_INVALID when properties or table are malformed
 */
export function header(
  properties: Uint8Array,
  name: string,
  offsets: PropertyOffsets = scan(properties),
): HeaderField | undefined {
  if (offsets.headers < 0) return undefined;
  let found: HeaderField | undefined;
  const start = offsets.headers + 4;
  walk(properties, start, start + u32(properties, offsets.headers), (at, type, end) => {
    if (found || !isNamed(properties, at, name)) return;
    found = { type: String.fromCharCode(properties[type]!), value: properties.subarray(type + 1, end) };
  });
  return found;
}

/** The first header of this name when it is a string (`S`). */
export function headerText(
  properties: Uint8Array,
  name: string,
  offsets: PropertyOffsets = scan(properties),
): string | undefined {
  const field = header(properties, name, offsets);
  return field?.type === 'S' ? textAt(field.value, 4, field.value.length) : undefined;
}

/** The strings of an array field; undefined when it is no array, holds anything but strings or more than `limit`. */
export function stringsOf(field: HeaderField | undefined, limit: number, longest: number): string[] | undefined {
  if (field?.type !== 'A') return undefined;
  const { value } = field;
  const strings: string[] = [];
  let at = 4;
  while (at < value.length) {
    if (value[at] !== 0x53 || at + 5 > value.length || strings.length === limit) return undefined;
    const end = at + 5 + u32(value, at + 1);
    if (end > value.length || end - at - 5 > longest) return undefined;
    strings.push(textAt(value, at + 5, end));
    at = end;
  }
  return strings;
}
