import { isUtf8 } from 'node:buffer';

/*
 * How Java keeps a text: UTF-8, but a zero as the two bytes C0 80, and a character beyond U+FFFF as two surrogates of three
 * bytes each (java.io.DataInput, "Modified UTF-8"). ActiveMQ hands the bytes of a TextMessage of a JMS client over STOMP as they
 * are, and a JMS client that reads proper four-byte UTF-8, sent over STOMP, throws UTFDataFormatException (5.17.2). So texts
 * are converted at this border.
 */

/** UTF-8 as a JMS client reads it. Of bytes that are valid UTF-8; the same buffer where there is nothing to convert. */
export function encodeModified(utf8: Buffer): Buffer {
  if (!utf8.some((byte) => byte === 0 || byte >= 0xf0)) return utf8;
  const parts: number[] = [];
  for (const character of utf8.toString('utf8')) {
    const code = character.codePointAt(0) as number;
    if (code === 0) parts.push(0xc0, 0x80);
    else if (code <= 0xffff) parts.push(...Buffer.from(character));
    else for (let unit = 0; unit < 2; unit++) parts.push(...threeBytes(character.charCodeAt(unit)));
  }
  return Buffer.from(parts);
}

function threeBytes(unit: number): number[] {
  return [0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)];
}

/** The UTF-8 of what `encodeModified` made; undefined when these bytes are not such, or the same in both encodings. */
export function decodeModified(bytes: Buffer): Buffer | undefined {
  if (!bytes.includes(0xed) && !bytes.includes(0xc0)) return undefined;
  const decoded = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; ) {
    const high = surrogate(bytes, at);
    const low = high >= 0xd800 && high < 0xdc00 ? surrogate(bytes, at + 3) : -1;
    if (low >= 0xdc00) {
      length += decoded.write(String.fromCharCode(high, low), length);
      at += 6;
    } else if (bytes[at] === 0xc0 && bytes[at + 1] === 0x80) {
      decoded[length++] = 0;
      at += 2;
    } else {
      decoded[length++] = bytes[at++] as number;
    }
  }
  const utf8 = Buffer.from(decoded.subarray(0, length));
  // Whatever else is in it, it must be possible to go back.
  return length < bytes.length && isUtf8(utf8) && encodeModified(utf8).equals(bytes) ? utf8 : undefined;
}

/** The UTF-16 unit of a surrogate that stands here in three bytes; −1: none does. */
function surrogate(bytes: Buffer, at: number): number {
  if (bytes[at] !== 0xed || at + 2 >= bytes.length) return -1;
  const [second, third] = [bytes[at + 1] as number, bytes[at + 2] as number];
  return second >= 0xa0 && second < 0xc0 && third >= 0x80 && third < 0xc0
    ? 0xd000 | ((second & 0x3f) << 6) | (third & 0x3f)
    : -1;
}
