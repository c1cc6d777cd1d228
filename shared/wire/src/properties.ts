import { Fault } from '@tombolo/kernel/fault';

/*
 * The properties of a message as AMQP 0-9-1 writes them in a content header (specification 4.2.6.1), raw:
 *
 *   u16 flags · the present properties in the order of their flags, highest first
 *
 * The two lowest flags are ignored, as RabbitMQ does. Nothing is decoded that nobody asks for.
 */

/** Where the present properties are; −1 for an absent one. Offsets are those of the value's first byte (its length byte). */
export interface PropertyOffsets {
  readonly flags: number;
  readonly headers: number;
  /** Where the header table is, or belongs when there is none. */
  readonly headersAt: number;
  readonly deliveryMode: number;
  readonly priority: number;
  readonly correlationId: number;
  readonly replyTo: number;
  readonly expiration: number;
  readonly messageId: number;
  readonly timestamp: number;
  readonly userId: number;
}

/** Bits of the flag word. */
export const flags = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
  type: 0x0020,
  userId: 0x0010,
  appId: 0x0008,
  clusterId: 0x0004,
} as const;

/** Throws the fault for properties that are not what AMQP 0-9-1 says. */
export function malformed(why: string): never {
  throw new Fault('TOMBOLO_FRAME_INVALID', `The properties of a message are not valid AMQP 0-9-1: ${why}.`);
}

/**
 * Finds every present property; the header table is stepped over, not walked. Every message is scanned at each bridge: there are no
 * closures here, which were a tenth of what a bridge allocated.
 * @throws Fault TOMBOLO_FRAME_INVALID when they are malformed
 */
export function scan(properties: Uint8Array): PropertyOffsets {
  const size = properties.length;
  if (size < 2) malformed('the flags are cut off');
  const set = (properties[0]! << 8) | properties[1]!;
  // Where a value is cut off `next` comes to lie behind the end, and stays there.
  let next = 2;
  if ((set & flags.contentType) !== 0) next = stringEnd(properties, next);
  if ((set & flags.contentEncoding) !== 0) next = stringEnd(properties, next);
  const headersAt = next;
  const headers = (set & flags.headers) === 0 ? -1 : next;
  if (headers >= 0) next += 4 + (next + 4 <= size ? u32(properties, next) : 0);
  const deliveryMode = (set & flags.deliveryMode) === 0 ? -1 : next;
  if (deliveryMode >= 0) next += 1;
  const priority = (set & flags.priority) === 0 ? -1 : next;
  if (priority >= 0) next += 1;
  const correlationId = (set & flags.correlationId) === 0 ? -1 : next;
  if (correlationId >= 0) next = stringEnd(properties, next);
  const replyTo = (set & flags.replyTo) === 0 ? -1 : next;
  if (replyTo >= 0) next = stringEnd(properties, next);
  const expiration = (set & flags.expiration) === 0 ? -1 : next;
  if (expiration >= 0) next = stringEnd(properties, next);
  const messageId = (set & flags.messageId) === 0 ? -1 : next;
  if (messageId >= 0) next = stringEnd(properties, next);
  const timestamp = (set & flags.timestamp) === 0 ? -1 : next;
  if (timestamp >= 0) next += 8;
  if ((set & flags.type) !== 0) next = stringEnd(properties, next);
  const userId = (set & flags.userId) === 0 ? -1 : next;
  if (userId >= 0) next = stringEnd(properties, next);
  if ((set & flags.appId) !== 0) next = stringEnd(properties, next);
  if ((set & flags.clusterId) !== 0) next = stringEnd(properties, next);
  if (next > size) malformed('a value is cut off');
  if (next < size) malformed('bytes follow the last property');
  return {
    flags: set,
    headers,
    headersAt,
    deliveryMode,
    priority,
    correlationId,
    replyTo,
    expiration,
    messageId,
    timestamp,
    userId,
  };
}

/** The offset behind the short string at `at`; behind the end of all when its length byte is not there. */
function stringEnd(properties: Uint8Array, at: number): number {
  return at < properties.length ? at + 1 + properties[at]! : at + 1;
}

/** 2 is persistent; undefined when it was not set (which brokers take for transient). */
export function deliveryMode(properties: Uint8Array, at: PropertyOffsets = scan(properties)): number | undefined {
  return at.deliveryMode < 0 ? undefined : properties[at.deliveryMode];
}

/** The message's priority, when set. */
export function priority(properties: Uint8Array, at: PropertyOffsets = scan(properties)): number | undefined {
  return at.priority < 0 ? undefined : properties[at.priority];
}

/** The message id, when set. */
export function messageId(properties: Uint8Array, at: PropertyOffsets = scan(properties)): string | undefined {
  return shortString(properties, at.messageId);
}

/** What the sender says that the body is, when set. */
export function contentType(properties: Uint8Array, at: PropertyOffsets = scan(properties)): string | undefined {
  return (at.flags & flags.contentType) === 0 ? undefined : shortString(properties, 2);
}

/** When the sender says that the message was made, in seconds since 1970, when set. */
export function timestampSeconds(properties: Uint8Array, at: PropertyOffsets = scan(properties)): number | undefined {
  if (at.timestamp < 0) return undefined;
  return u32(properties, at.timestamp) * 0x1_0000_0000 + u32(properties, at.timestamp + 4);
}

/** The time to live as the sender wrote it: decimal milliseconds, if it is well-formed. */
export function expiration(properties: Uint8Array, at: PropertyOffsets = scan(properties)): string | undefined {
  return shortString(properties, at.expiration);
}

/** The user that the source's broker has checked, when set. */
export function userId(properties: Uint8Array, at: PropertyOffsets = scan(properties)): string | undefined {
  return shortString(properties, at.userId);
}

/** Where answers are expected, when set. */
export function replyTo(properties: Uint8Array, at: PropertyOffsets = scan(properties)): string | undefined {
  return shortString(properties, at.replyTo);
}

function shortString(properties: Uint8Array, at: number): string | undefined {
  return at < 0 ? undefined : textAt(properties, at + 1, at + 1 + properties[at]!);
}

/** The UTF-8 text between two offsets. */
export function textAt(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
}

/** The big-endian number of four bytes at an offset that is known to be within. */
export function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
