import { Fault } from '@tombolo/kernel/fault';

/**
 * Readers for the fields of a decoded head. A peer may lie, so every field is checked for type and range; what a reader
 * lets through is what its type says. All throw Fault TOMBOLO_FRAME_INVALID.
 */
export type Fields = { readonly [name: string]: unknown };

/** Throws the one fault of this package. */
export function invalid(what: string): never {
  throw new Fault('TOMBOLO_FRAME_INVALID', `A frame from the peer is malformed: ${what}.`);
}

/** A map. */
export function fields(from: Fields, name: string): Fields {
  const value = from[name];
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    return invalid(`${name} is not a map`);
  }
  return value as Fields;
}

/** A string of at most `limit` bytes in UTF-8. */
export function text(from: Fields, name: string, limit: number): string {
  const value = from[name];
  if (typeof value !== 'string') return invalid(`${name} is not a string`);
  // A UTF-16 unit takes at most three bytes: most names need no counting.
  if (value.length > limit || (value.length * 3 > limit && Buffer.byteLength(value) > limit)) {
    return invalid(`${name} is longer than ${limit} bytes`);
  }
  return value;
}

/** The name of a cluster: 1 to 255 bytes. */
export function clusterName(from: Fields, name: string): string {
  return text(from, name, 255) || invalid(`${name} is empty`);
}

/** An integer from 0 to 2^53 − 1. */
export function whole(from: Fields, name: string): number {
  const value = from[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    return invalid(`${name} is not a whole number`);
  }
  return value;
}

/** Milliseconds, fractions allowed, at most a year. */
export function milliseconds(from: Fields, name: string): number {
  const value = from[name];
  if (typeof value !== 'number' || !(value >= 0 && value <= 31_622_400_000))
    return invalid(`${name} is not a duration`);
  return value;
}

/** A boolean. */
export function flag(from: Fields, name: string): boolean {
  const value = from[name];
  return typeof value === 'boolean' ? value : invalid(`${name} is not a boolean`);
}

/** Raw bytes of at most `limit`. */
export function octets(from: Fields, name: string, limit: number): Uint8Array {
  const value = from[name];
  if (!(value instanceof Uint8Array) || value.length > limit) return invalid(`${name} is not a short string of bytes`);
  return value;
}

/** A list of at most `limit` items; `item` reads one as if it were the field of that number. */
export function list<T>(
  from: Fields,
  name: string,
  limit: number,
  item: (from: Fields, name: string) => T,
): readonly T[] {
  const value = from[name];
  if (!Array.isArray(value)) return invalid(`${name} is not a list`);
  if (value.length > limit) return invalid(`${name} has more than ${limit} items`);
  const items: T[] = [];
  for (let i = 0; i < value.length; i++) items.push(item(value as unknown as Fields, String(i)));
  return items;
}

/** Flattened inclusive ranges, ascending and disjoint, from 1 up. */
export function ranges(from: Fields, name: string): readonly number[] {
  const value = from[name];
  if (!Array.isArray(value) || value.length % 2 !== 0) return invalid(`${name} is not a list of ranges`);
  let above = 0;
  for (let i = 0; i < value.length; i += 2) {
    const from: unknown = value[i];
    const to: unknown = value[i + 1];
    const sound = Number.isSafeInteger(from) && Number.isSafeInteger(to);
    if (!sound || (from as number) <= above || (to as number) < (from as number)) {
      return invalid(`${name} is not ascending`);
    }
    above = to as number;
  }
  return value as number[];
}

/** `read` applied, or undefined when the field is absent (or nil). */
export function optional<T>(from: Fields, name: string, read: (from: Fields, name: string) => T): T | undefined {
  return from[name] === undefined || from[name] === null ? undefined : read(from, name);
}
