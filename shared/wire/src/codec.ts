import { Fault } from '@tombolo/kernel/fault';
import { type Fields, fields, invalid, whole } from './fields.ts';
import type { CollectedFrame, Finding, Frame, MessagesFrame } from './frame.ts';
import { headReaders, streamKey } from './heads.ts';
import { limits } from './limits.ts';
import { pack, unpack } from './message-pack.ts';
import { readRecords, recordsLength, writeRecords } from './message-records.ts';

/*
 * A frame as bytes, all numbers big-endian:
 *
 *   u8 format (1) · u8 kind · u32 length of head · head (MessagePack) · raw
 *
 * Raw are the records of messages (message-records.ts), or the identities of a collected frame: for each of its
 * items 16 bytes per digest, then one byte per id. Bodies, properties and digests never pass through MessagePack.
 */
const format = 1;
const prefixBytes = 6;

/** The numbers of the kinds are part of the protocol: never reuse one. 240 and above belong to the handshake. */
const codes: { readonly [K in Frame['kind']]: number } = {
  connectors: 1,
  demand: 2,
  withdraw: 3,
  digest: 4,
  'snapshot-request': 5,
  'snapshot-begin': 6,
  'snapshot-end': 7,
  collect: 8,
  collected: 9,
  forget: 10,
  unreachable: 11,
  relayed: 12,
  'bindings-request': 13,
  bindings: 14,
  'hop-lost': 15,
  open: 16,
  resume: 17,
  refuse: 18,
  credit: 19,
  messages: 20,
  settle: 21,
  state: 22,
  gap: 23,
  closed: 24,
  ask: 32,
  answer: 33,
};
const kinds = new Map<number, Frame['kind']>(
  (Object.entries(codes) as [Frame['kind'], number][]).map(([kind, code]) => [code, kind]),
);

/** A frame of a kind that this version does not know: a newer peer's. It is to be ignored. */
export interface UnknownFrame {
  readonly kind: 'unknown';
  readonly code: number;
}

/**
 * Encodes a frame into one buffer of its own. Reasons in words are cut to their limit.
 * @throws Fault TOMBOLO_FRAME_INVALID when it is above a limit
 */
export function encodeFrame(frame: Frame): Buffer {
  if (frame.kind === 'messages') return encodeMessages(frame);
  if (frame.kind === 'collected') return encodeCollected(frame);
  return begin(frame.kind, headOf(frame), 0);
}

/** How many bytes the messages of a data frame take on the wire, roughly: for bounds where nothing is encoded. */
export function weightOf(frame: MessagesFrame): number {
  let total = 128;
  for (const message of frame.messages) total += 64 + message.properties.length + message.body.length;
  return total;
}

/**
 * Decodes a frame. Bodies, properties and digests are slices of `bytes`: who keeps one keeps all.
 * @throws Fault TOMBOLO_FRAME_INVALID for anything that is not a sound frame, and nothing else
 */
export function decodeFrame(bytes: Uint8Array): Frame | UnknownFrame {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (source.length < prefixBytes) invalid('it is shorter than its prefix');
  if (source.length > limits.frameBytes) invalid(`it is larger than ${limits.frameBytes} bytes`);
  if (source[0] !== format) invalid(`its format is ${source[0]} and not ${format}`);
  const kind = kinds.get(source[1]!);
  if (!kind) return { kind: 'unknown', code: source[1]! };
  const headLength = source.readUInt32BE(2);
  if (headLength > limits.headBytes || headLength > source.length - prefixBytes) invalid('its head is cut off');
  const head = fields({ head: unpack(source.subarray(prefixBytes, prefixBytes + headLength)) }, 'head');
  const raw = source.subarray(prefixBytes + headLength);
  if (kind === 'messages') return decodeMessages(head, raw);
  if (kind !== 'collected' && raw.length > 0) invalid('bytes follow its head');
  return headReaders[kind](head, raw);
}

function encodeMessages(frame: MessagesFrame): Buffer {
  if (frame.messages.length > limits.messages) invalid(`it has more than ${limits.messages} messages`);
  const { kind: _, messages, ...rest } = frame;
  const head = { ...rest, count: messages.length };
  const length = recordsLength(frame.messages);
  const bytes = begin('messages', head, length);
  writeRecords(bytes, bytes.length - length, frame.messages);
  return bytes;
}

function decodeMessages(head: Fields, raw: Buffer): MessagesFrame {
  return {
    kind: 'messages',
    ...streamKey(head),
    attempt: whole(head, 'attempt'),
    last: whole(head, 'last'),
    messages: readRecords(raw, whole(head, 'count')),
  };
}

function encodeCollected(frame: CollectedFrame): Buffer {
  const { kind, items, ...head } = frame;
  let length = 0;
  const counted = items.map(({ destination, digests, ids, ageMs }) => {
    if (digests.length !== ids.length * 16) invalid('digests and ids differ in length');
    length += digests.length + ids.length;
    return { destination, count: ids.length, ...(ageMs !== undefined && { ageMs }) };
  });
  const bytes = begin(kind, { ...head, items: counted }, length);
  let at = bytes.length - length;
  for (const { digests, ids } of items) {
    bytes.set(digests, at);
    bytes.set(ids, at + digests.length);
    at += digests.length + ids.length;
  }
  return bytes;
}

/** Prefix and head written, with room for `rawLength` bytes behind them. */
function begin(kind: Frame['kind'], head: unknown, rawLength: number): Buffer {
  const packed = pack(head);
  if (packed.length > limits.headBytes || prefixBytes + packed.length + rawLength > limits.frameBytes) {
    throw new Fault('TOMBOLO_FRAME_INVALID', `A ${kind} frame is too large to be sent to a peer.`);
  }
  const bytes = Buffer.allocUnsafe(prefixBytes + packed.length + rawLength);
  bytes[0] = format;
  bytes[1] = codes[kind];
  bytes.writeUInt32BE(packed.length, 2);
  bytes.set(packed, prefixBytes);
  return bytes;
}

type Rejections = readonly { readonly sequence: number; readonly reason: string }[];

interface Wordy {
  readonly kind: Frame['kind'];
  readonly reason?: string;
  readonly rejected?: Rejections;
  readonly findings?: readonly Finding[];
}

function headOf(frame: Wordy) {
  const { kind: _, ...head } = frame;
  if (head.findings !== undefined) {
    return { ...head, findings: head.findings.map((each) => ({ ...each, text: clipped(each.text) })) };
  }
  if (head.reason !== undefined) return { ...head, reason: clipped(head.reason) };
  if (head.rejected !== undefined && head.rejected.length > 0) {
    return { ...head, rejected: head.rejected.map((each) => ({ ...each, reason: clipped(each.reason) })) };
  }
  return head;
}

function clipped(reason: string): string {
  // Three bytes is the most that a UTF-16 unit takes.
  const most = Math.floor(limits.reasonBytes / 3);
  return reason.length > most ? `${reason.slice(0, most - 1)}…` : reason;
}
