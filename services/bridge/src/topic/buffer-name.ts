import { nameDigest } from '@tombolo/wire/name-digest';

const prefix = 'tombolo.topic.';
/** What AMQP 0-9-1 allows a queue's name (a short string). */
const maxBytes = 255;
/** Leads a part that stands for a name too long to be written out; no escaped name begins with it. */
const digestMark = '~';

/**
 * The name of the queue that captures what an exchange is given for a sink: `tombolo.topic.<sink>.<exchange>`. Whatever is no
 * ASCII letter, digit, `_`, `-` or `:` is escaped as in URIs, dots too, so that no two pairs share a name. A name too long
 * for the broker is made shorter by a digest in place of the exchange, and of the sink if need be.
 */
export function bufferName(sink: string, exchange: string): string {
  const room = maxBytes - prefix.length - 1;
  let sinkPart = escaped(sink);
  let exchangePart = escaped(exchange);
  if (sinkPart.length + exchangePart.length > room) exchangePart = digested(exchange);
  if (sinkPart.length + exchangePart.length > room) sinkPart = digested(sink);
  return `${prefix}${sinkPart}.${exchangePart}`;
}

/**
 * Whose buffer this is; undefined for what is no buffer's name. A part that was made shorter is undefined in itself: it can only
 * be compared with the names of what is known.
 */
export function parseBufferName(
  name: string,
): { readonly sink: string | undefined; readonly exchange: string | undefined } | undefined {
  if (!name.startsWith(prefix)) return undefined;
  const parts = name.slice(prefix.length).split('.');
  if (parts.length !== 2) return undefined;
  const [sink, exchange] = parts.map(unescaped);
  if (sink === undefined || exchange === undefined) return undefined;
  const read = { sink: sink.name, exchange: exchange.name };
  // Anything that is written differently from how it would be is not ours.
  const isOurs =
    sink.name === undefined || exchange.name === undefined || bufferName(sink.name, exchange.name) === name;
  return isOurs ? read : undefined;
}

function escaped(name: string): string {
  return encodeURIComponent(name.replace(/\p{Surrogate}/gu, '\uFFFD'))
    .replace(/[^A-Za-z0-9_:%-]/g, escapeAscii)
    .replaceAll('%3A', ':');
}

function escapeAscii(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

function digested(name: string): string {
  return `${digestMark}${nameDigest(name)}`;
}

/** Undefined: nothing that `escaped` or `digested` could have written. */
function unescaped(part: string): { readonly name: string | undefined } | undefined {
  if (part.startsWith(digestMark)) return /^~[0-9a-f]{32}$/.test(part) ? { name: undefined } : undefined;
  if (!/^(?:[A-Za-z0-9_:-]|%[0-9A-F]{2})+$/.test(part)) return undefined;
  try {
    return { name: decodeURIComponent(part) };
  } catch {
    return undefined;
  }
}
