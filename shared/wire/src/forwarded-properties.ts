import { copyBytes } from './copy-bytes.ts';
import { type HeaderField, header, isNamed, stringsOf, walk } from './header-table.ts';
import { limits } from './limits.ts';
import { flags, type PropertyOffsets, scan, u32 } from './properties.ts';
import { type ReplyToRewrite, rewrittenReplyTo } from './reply-properties.ts';

/** How a message is forwarded: see `forwardedProperties`. */
export interface ForwardedOptions {
  readonly path: readonly string[];
  readonly onward?: boolean;
  readonly replyTo?: ReplyToRewrite;
}

/** Headers that bridges write. */
export const pathHeader = 'x-tombolo-path';
export const userIdHeader = 'x-tombolo-user-id';
export const ccHeader = 'x-tombolo-cc';

const droppedHeaders = [userIdHeader, ccHeader, 'x-delivery-count', 'x-acquired-count'];

/**
 * The clusters that a message came through, source first. A header that is not an array of at most 64 cluster names counts as
 * absent, so that what a client wrote there stops nothing.
 */
export function pathOf(
  properties: Uint8Array,
  offsets: PropertyOffsets = scan(properties),
): readonly string[] | undefined {
  return pathIn(header(properties, pathHeader, offsets));
}

function pathIn(field: HeaderField | undefined): string[] | undefined {
  const path = stringsOf(field, limits.pathClusters, 255);
  return path && path.length > 0 && !path.includes('') ? path : undefined;
}

/**
 * The properties with which a message is published at the sink, made at the source:
 *
 * - `path` is appended to the path that the message has already come (`x-tombolo-path`, always the last header), or, when it is not
 *   `onward`, takes the place of what an application copied;
 * - `user-id` becomes the header `x-tombolo-user-id`: the sink's broker would refuse a message of another user than the bridge's;
 * - the header `CC` becomes `x-tombolo-cc`: the sink's broker would route by it once more;
 * - what a client wrote under these two names is dropped, and how often the source's queue has handed it over, which is not the sink's;
 * - `reply-to` becomes what `replyTo`, if given, makes of it.
 *
 * Everything else stays as it is, byte for byte and in its order.
 * @param offsets where its properties are, if that is known
 * @throws Fault TOMBOLO_FRAME_INVALID when properties or header table are malformed
 */
export function forwardedProperties(
  properties: Uint8Array,
  { path, onward = true, replyTo }: ForwardedOptions,
  offsets: PropertyOffsets = scan(properties),
): Uint8Array {
  const at = offsets.headersAt;
  const hadTable = offsets.headers >= 0;
  const tableStart = hadTable ? at + 4 : at;
  const tableEnd = hadTable ? tableStart + u32(properties, at) : at;

  const { cuts, first } = hadTable ? cutsOf(properties, tableStart, tableEnd) : noCuts;
  const travelled = onward && first ? pathIn(first) : undefined;
  const entry = pathEntry(travelled ? [...travelled, ...path] : path);
  const user = offsets.userId;
  const userLength = user < 0 ? 0 : properties[user]!;
  let tableLength = tableEnd - tableStart + entry.length;
  for (const cut of cuts) tableLength += from(cut) - (cut.to - cut.from);
  if (user >= 0) tableLength += 1 + userIdHeader.length + 1 + 4 + userLength;

  // Behind the table two values may change: a reply-to is replaced, a user-id, which always comes later, is left out.
  const reply = replyTo && rewrittenReplyTo(properties, offsets, replyTo);
  const replyEnd = reply ? offsets.replyTo + 1 + properties[offsets.replyTo]! : tableEnd;
  const grown = reply ? reply.length - (replyEnd - offsets.replyTo) : 0;
  const tail = properties.length - tableEnd - (user < 0 ? 0 : 1 + userLength) + grown;
  const target = Buffer.allocUnsafe(at + 4 + tableLength + tail);
  copyBytes(target, 0, properties, 0, at);
  const set = (offsets.flags | flags.headers) & ~(user < 0 ? 0 : flags.userId);
  target[0] = set >> 8;
  target[1] = set;
  let to = target.writeUInt32BE(tableLength, at);
  let copied = tableStart;
  for (const cut of cuts) {
    to = copyBytes(target, to, properties, copied, cut.from);
    if (cut.instead !== '') to = writeName(target, to, cut.instead);
    copied = cut.to;
  }
  to = copyBytes(target, to, properties, copied, tableEnd);
  if (user >= 0) {
    to = writeName(target, to, userIdHeader);
    target[to++] = 0x53;
    to = target.writeUInt32BE(userLength, to);
    to = copyBytes(target, to, properties, user + 1, user + 1 + userLength);
  }
  to = copyBytes(target, to, entry, 0, entry.length);
  if (reply) {
    to = copyBytes(target, to, properties, tableEnd, offsets.replyTo);
    to = copyBytes(target, to, reply, 0, reply.length);
  }
  if (user < 0) {
    copyBytes(target, to, properties, replyEnd, properties.length);
  } else {
    to = copyBytes(target, to, properties, replyEnd, user);
    copyBytes(target, to, properties, user + 1 + userLength, properties.length);
  }
  return target;
}

/** A stretch of the old table that is left out, and what stands there instead. */
interface Cut {
  readonly from: number;
  readonly to: number;
  readonly instead: string;
}

interface Cuts {
  readonly cuts: readonly Cut[];
  /** The first path that is there. */
  readonly first: HeaderField | undefined;
}

const noCuts: Cuts = { cuts: [], first: undefined };

function cutsOf(properties: Uint8Array, tableStart: number, tableEnd: number): Cuts {
  const cuts: Cut[] = [];
  let first: HeaderField | undefined;
  walk(properties, tableStart, tableEnd, (name, type, end) => {
    const length = properties[name]!;
    if (length === 2) {
      if (isNamed(properties, name, 'CC')) cuts.push({ from: name, to: type, instead: ccHeader });
    } else if (length >= ccHeader.length && properties[name + 1] === 0x78) {
      if (isNamed(properties, name, pathHeader)) {
        first ??= { type: String.fromCharCode(properties[type]!), value: properties.subarray(type + 1, end) };
        cuts.push({ from: name, to: end, instead: '' });
      } else if (droppedHeaders.some((its) => isNamed(properties, name, its))) {
        cuts.push({ from: name, to: end, instead: '' });
      }
    }
  });
  return { cuts, first };
}

function from(cut: { readonly instead: string }): number {
  return cut.instead === '' ? 0 : 1 + cut.instead.length;
}

function writeName(target: Buffer, at: number, name: string): number {
  target[at] = name.length;
  return at + 1 + target.write(name, at + 1, 'latin1');
}

/** The last entry made, which nearly always is the next one too: a source appends its own name. */
let lastEntry: { readonly path: readonly string[]; readonly key: string; readonly bytes: Buffer } = {
  path: [],
  key: '',
  bytes: Buffer.alloc(0),
};

function pathEntry(path: readonly string[]): Buffer {
  // One array serves all messages of a batch, and nobody changes it.
  if (path === lastEntry.path) return lastEntry.bytes;
  const key = path.join('\0');
  if (key === lastEntry.key) {
    lastEntry = { ...lastEntry, path };
    return lastEntry.bytes;
  }
  const clusters = path.map((cluster) => Buffer.from(cluster));
  const length = clusters.reduce((sum, cluster) => sum + 5 + cluster.length, 0);
  const bytes = Buffer.alloc(path.length === 0 ? 0 : 1 + pathHeader.length + 5 + length);
  if (bytes.length > 0) {
    let at = writeName(bytes, 0, pathHeader);
    bytes[at] = 0x41;
    at = bytes.writeUInt32BE(length, at + 1);
    for (const cluster of clusters) {
      bytes[at] = 0x53;
      at = bytes.writeUInt32BE(cluster.length, at + 1);
      bytes.set(cluster, at);
      at += cluster.length;
    }
  }
  lastEntry = { path, key, bytes };
  return bytes;
}
