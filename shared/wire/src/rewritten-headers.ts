import { isNamed, valueEnd, walk } from './header-table.ts';
import { type PropertyOffsets, u32 } from './properties.ts';

/**
 * The fields of the header table as they are however often a broker has written it anew: without those `without` names, in the order
 * of their names (a broker that adds one sorts the table: rabbit_misc:set_table_value), with the types that it writes.
 * @returns `end`: where the table ends, or belongs when there is none
 * @throws Fault TOMBOLO_FRAME_INVALID when the table is malformed
 */
export function rewrittenHeaders(
  properties: Uint8Array,
  at: PropertyOffsets,
  without: readonly string[],
): { readonly fields: readonly Uint8Array[]; readonly bytes: number; readonly end: number } {
  if (at.headers < 0) return { fields: noFields, bytes: 0, end: at.headersAt };
  const fields: Uint8Array[] = [];
  let bytes = 0;
  const start = at.headers + 4;
  const tableEnd = start + u32(properties, at.headers);
  walk(properties, start, tableEnd, (name, type, end) => {
    if (without.some((its) => isNamed(properties, name, its))) return;
    const field = Uint8Array.prototype.slice.call(properties, name, end);
    asRabbitWrites(field, type - name, end - name, 0);
    fields.push(field);
    bytes += field.length;
  });
  return { fields: fields.sort(byName), bytes, end: tableEnd };
}

const deepest = 32;
const noFields: readonly Uint8Array[] = [];

/**
 * Two letters mean an int64: RabbitMQ reads both `l` and `L` and writes `l`, wherever it writes a table anew. What is nested too
 * deeply or malformed stays as it is.
 */
function asRabbitWrites(bytes: Uint8Array, type: number, end: number, depth: number): void {
  if (bytes[type] === 0x4c) bytes[type] = 0x6c;
  if ((bytes[type] !== 0x41 && bytes[type] !== 0x46) || depth === deepest) return;
  try {
    if (bytes[type] === 0x46) {
      walk(bytes, type + 5, end, (_name, its, itsEnd) => asRabbitWrites(bytes, its, itsEnd, depth + 1));
      return;
    }
    for (let at = type + 5; at < end; ) {
      const next = valueEnd(bytes, at, end);
      asRabbitWrites(bytes, at, next, depth + 1);
      at = next;
    }
  } catch {
    // The broker could not write it anew either.
  }
}

/** By the bytes of the name; fields of one name keep their order. */
function byName(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a.subarray(1, 1 + a[0]!), b.subarray(1, 1 + b[0]!));
}
