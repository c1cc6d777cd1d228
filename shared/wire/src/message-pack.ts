import { Fault } from '@tombolo/kernel/fault';
import { Packr } from 'msgpackr';

/** Plain MessagePack: maps with string keys, no records, no extension types, so that any language can read it. */
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  encodeUndefinedAsNil: true,
  int64AsType: 'number',
});

/** Frames are flat: no head nests deeper than a list of objects. */
const deepest = 8;

/** Encodes plain data; `undefined` becomes nil. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/**
 * Decodes plain data. The bytes are walked first: extension types, announced lengths that the bytes cannot hold, keys that
 * are not strings and deep nesting are refused before anything is allocated for them (the library itself would allocate an
 * array of whatever length is announced, and would run extensions).
 */
export function unpack(bytes: Uint8Array): unknown {
  const end = bytes.length === 0 ? fail('it is empty') : skip(bytes, 0, 0);
  if (end !== bytes.length) fail(`${bytes.length - end} bytes follow its end`);
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new Fault('TOMBOLO_FRAME_INVALID', 'The head of a frame is not MessagePack.', { cause });
  }
}

function fail(why: string): never {
  throw new Fault('TOMBOLO_FRAME_INVALID', `The head of a frame is not plain MessagePack: ${why}.`);
}

/** The offset behind the value at `at`. */
function skip(bytes: Uint8Array, at: number, depth: number): number {
  if (depth > deepest) fail('it is nested too deeply');
  const type = byte(bytes, at);
  if (type < 0x80 || type >= 0xe0) return at + 1;
  if (type < 0x90) return skipMap(bytes, at + 1, type & 0x0f, depth);
  if (type < 0xa0) return skipList(bytes, at + 1, type & 0x0f, depth);
  if (type < 0xc0) return within(bytes, at + 1 + (type & 0x1f));
  switch (type) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return at + 1;
    case 0xc4:
    case 0xd9:
      return within(bytes, at + 2 + length(bytes, at + 1, 1));
    case 0xc5:
    case 0xda:
      return within(bytes, at + 3 + length(bytes, at + 1, 2));
    case 0xc6:
    case 0xdb:
      return within(bytes, at + 5 + length(bytes, at + 1, 4));
    case 0xcc:
    case 0xd0:
      return within(bytes, at + 2);
    case 0xcd:
    case 0xd1:
      return within(bytes, at + 3);
    case 0xca:
    case 0xce:
    case 0xd2:
      return within(bytes, at + 5);
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return within(bytes, at + 9);
    case 0xdc:
      return skipList(bytes, at + 3, length(bytes, at + 1, 2), depth);
    case 0xdd:
      return skipList(bytes, at + 5, length(bytes, at + 1, 4), depth);
    case 0xde:
      return skipMap(bytes, at + 3, length(bytes, at + 1, 2), depth);
    case 0xdf:
      return skipMap(bytes, at + 5, length(bytes, at + 1, 4), depth);
    default:
      return fail(`type 0x${type.toString(16)} is not allowed`);
  }
}

function skipList(bytes: Uint8Array, start: number, count: number, depth: number): number {
  if (count > bytes.length - start) fail('a list is longer than the frame');
  let at = start;
  for (let i = 0; i < count; i++) at = skip(bytes, at, depth + 1);
  return at;
}

function skipMap(bytes: Uint8Array, start: number, count: number, depth: number): number {
  if (count * 2 > bytes.length - start) fail('a map is longer than the frame');
  let at = start;
  for (let i = 0; i < count; i++) {
    const key = byte(bytes, at);
    if (!((key >= 0xa0 && key < 0xc0) || key === 0xd9)) fail('a key is not a short string');
    at = skip(bytes, skip(bytes, at, depth + 1), depth + 1);
  }
  return at;
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? fail('it is cut off');
}

function length(bytes: Uint8Array, at: number, size: 1 | 2 | 4): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + byte(bytes, at + i);
  return value;
}

function within(bytes: Uint8Array, end: number): number {
  return end <= bytes.length ? end : fail('it is cut off');
}
