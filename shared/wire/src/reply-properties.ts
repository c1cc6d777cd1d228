import { flags, type PropertyOffsets, replyTo, scan } from './properties.ts';

/** Gives what stands in the place of a `reply-to`; undefined: it stays as it is. At most 255 bytes. */
export type ReplyToRewrite = (address: string) => string | undefined;

/**
 * The value that a `reply-to` is to be replaced by, as a short string with its length; undefined when there is nothing to
 * replace. An absent or empty `reply-to` is not asked for, nor is one that is not UTF-8: no name that a bridge could publish to.
 */
export function rewrittenReplyTo(
  properties: Uint8Array,
  offsets: PropertyOffsets,
  rewrite: ReplyToRewrite,
): Buffer | undefined {
  const at = offsets.replyTo;
  const length = at < 0 ? 0 : properties[at]!;
  if (length === 0) return undefined;
  const address = replyTo(properties, offsets)!;
  const rewritten = rewrite(address);
  if (rewritten === undefined || rewritten === address) return undefined;
  if (!Buffer.from(address).equals(properties.subarray(at + 1, at + 1 + length))) return undefined;
  const bytes = Buffer.from(rewritten);
  if (bytes.length > 255) return undefined;
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** The `reply-to` of a message; undefined when it has none, or is malformed: the broker will say so. */
export function replyToOf(properties: Uint8Array): string | undefined {
  if (!asksForReply(properties)) return undefined;
  try {
    return replyTo(properties);
  } catch {
    return undefined;
  }
}

/** Most messages ask for no reply: the flag alone tells. */
function asksForReply(properties: Uint8Array): boolean {
  return properties.length >= 2 && (properties[0]! & (flags.replyTo >> 8)) !== 0;
}

/**
 * The same properties with another `reply-to`, every other byte as it was; the very same array when it stays as it is.
 * @throws Fault TOMBOLO_FRAME_INVALID when the properties are malformed
 */
export function withReplyTo(properties: Uint8Array, rewrite: ReplyToRewrite): Uint8Array {
  if (!asksForReply(properties)) return properties;
  const offsets = scan(properties);
  const value = rewrittenReplyTo(properties, offsets, rewrite);
  if (!value) return properties;
  const at = offsets.replyTo;
  return Buffer.concat([properties.subarray(0, at), value, properties.subarray(at + 1 + properties[at]!)]);
}
