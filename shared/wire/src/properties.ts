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
 * Finds every present property; the header table is stepped over, not walked.
 * @throws Fault TOMBOLO_FRAME_INVALID when they are malformed
 */
export function scan(properties: Uint8Array): PropertyOffsets {
  const size = properties.length;
  if (size < 2) malformed('the flags are cut off');
  const set = (properties[0]! << 8) | properties[1]!;
  let at = 2;

  const short = (flag: number): number => {
    if ((set & flag) === 0) return -1;
    const start = at;
    at += 1 + (properties[at] ?? size);
    if (at > size) malformed('a string is cut off');
    return start;
  };
  const fixed = (flag: number, length: number): number => {
    if ((set & flag) === 0) return -1;
    const start = at;
    at += length;
    if (at > size) malformed('it is cut off');
    return start;
  };

  short(flags.contentType);
  short(flags.contentEncoding);
  const headersAt = at;
  const headers = fixed(flags.headers, 4);
  if (headers >= 0) {
    at += u32(properties, headers);
    if (at > size) malformed('the header table is cut off');
  }
  const deliveryMode = fixed(flags.deliveryMode, 1);
  const priority = fixed(flags.priority, 1);
  const correlationId = short(flags.correlationId);
  const replyTo = short(flags.replyTo);
  const expiration = short(flags.expiration);
  const messageId = short(flags.messageId);
  const timestamp = fixed(flags.timestamp, 8);
  short(flags.type);
  const userId = short(flags.userId);
  short(flags.appId);
  short(flags.clusterId);
  if (at !== size) malformed('bytes follow the last property');
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
