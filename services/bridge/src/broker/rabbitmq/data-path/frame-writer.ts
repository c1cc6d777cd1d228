import type { Publication } from '../../port.ts';
import { frameEnd, frameOverhead, frameType } from './frame-reader.ts';
import { basicClass, methodId, writeLong } from './methods.ts';

/** Small frames are gathered into buffers of at most about this size: one write for many messages. */
const gatherBytes = 64 * 1024;
/** Heads and ends of a publication's first three frames, and the fixed fields of the first two. */
const publicationOverhead = 3 * frameOverhead + 4 + 2 + 1 + 12;

/**
 * The frames of a batch of publications on one channel: method, content header with the properties as they are, and the
 * body split at frame-max. Every buffer holds whole frames: amqplib's multiplexer puts other channels' between them.
 */
export function encodePublications(
  channel: number,
  publications: readonly Publication[],
  frameMax: number,
  mandatory = true,
): Buffer[] {
  const maxBody = frameMax - frameOverhead;
  const buffers: Buffer[] = [];
  let gathered: Buffer | undefined;
  let at = 0;
  let lastExchange: string | undefined;
  let lastKey: string | undefined;
  let exchange: Buffer = noBytes;
  let key: Buffer = noBytes;
  /** About what the publications that are not written yet take. */
  let left = 0;
  for (const { exchange, routingKey, properties, body } of publications)
    left += publicationOverhead + 2 + 3 * (exchange.length + routingKey.length) + properties.length + body.length;
  /** Room for one frame of `size` bytes, in the gathering buffer or a buffer of its own. */
  const reserve = (size: number): Buffer => {
    if (gathered && gathered.length - at >= size) return gathered;
    if (gathered && at > 0) buffers.push(gathered.subarray(0, at));
    // Never more than is left to write: with 64 KiB for every small batch the process collected garbage half of the time, because
    // V8 goes by the size of buffers, and one message a batch is what a broker's confirms make of a busy stream.
    gathered = Buffer.allocUnsafeSlow(Math.max(size, Math.min(gatherBytes, left)));
    at = 0;
    return gathered;
  };
  for (const publication of publications) {
    if (publication.exchange !== lastExchange) {
      lastExchange = publication.exchange;
      exchange = shortString(lastExchange);
    }
    if (publication.routingKey !== lastKey) {
      lastKey = publication.routingKey;
      key = shortString(lastKey);
    }
    const methodSize = 4 + 2 + exchange.length + key.length + 1;
    const headerSize = 12 + publication.properties.length;
    const out = reserve(methodSize + headerSize + 2 * frameOverhead);
    at = writeHead(out, at, frameType.method, channel, methodSize);
    out.writeUInt32BE(methodId.basicPublish, at);
    out.writeUInt16BE(0, at + 4);
    at += 6;
    out.set(exchange, at);
    at += exchange.length;
    out.set(key, at);
    at += key.length;
    out[at++] = mandatory ? 1 : 0;
    out[at++] = frameEnd;
    at = writeHead(out, at, frameType.header, channel, headerSize);
    out.writeUInt16BE(basicClass, at);
    out.writeUInt16BE(0, at + 2);
    writeLong(out, publication.body.length, at + 4);
    at += 12;
    out.set(publication.properties, at);
    at += publication.properties.length;
    out[at++] = frameEnd;
    for (let from = 0; from < publication.body.length; from += maxBody) {
      const to = Math.min(publication.body.length, from + maxBody);
      const frame = reserve(to - from + frameOverhead);
      at = writeHead(frame, at, frameType.body, channel, to - from);
      frame.set(to - from === publication.body.length ? publication.body : publication.body.subarray(from, to), at);
      at += to - from;
      frame[at++] = frameEnd;
    }
    const { properties, body } = publication;
    left -= publicationOverhead + exchange.length + key.length + properties.length + body.length;
  }
  if (gathered && at > 0) buffers.push(gathered.subarray(0, at));
  return buffers;
}

/** A settlement to write: `nack` always asks for requeueing. */
export interface AckFrame {
  readonly kind: 'ack' | 'nack';
  readonly tag: number;
  readonly multiple: boolean;
}

/** All acknowledgements of a channel's turn as one buffer. */
export function encodeAcks(channel: number, acks: readonly AckFrame[]): Buffer {
  const frameSize = 4 + 8 + 1 + frameOverhead;
  const out = Buffer.allocUnsafeSlow(acks.length * frameSize);
  let at = 0;
  for (const ack of acks) {
    at = writeHead(out, at, frameType.method, channel, frameSize - frameOverhead);
    out.writeUInt32BE(ack.kind === 'ack' ? methodId.basicAck : methodId.basicNack, at);
    writeLong(out, ack.tag, at + 4);
    out[at + 12] = (ack.multiple ? 1 : 0) | (ack.kind === 'nack' ? 2 : 0);
    out[at + 13] = frameEnd;
    at += 14;
  }
  return out;
}

/** Asks for one message of a queue, to be acknowledged. */
export function encodeGet(channel: number, queue: string): Buffer {
  const name = shortString(queue);
  const size = 4 + 2 + name.length + 1;
  const out = Buffer.allocUnsafeSlow(size + frameOverhead);
  let at = writeHead(out, 0, frameType.method, channel, size);
  out.writeUInt32BE(methodId.basicGet, at);
  out.writeUInt16BE(0, at + 4);
  out.set(name, at + 6);
  at += 6 + name.length;
  out[at] = 0; // no-ack: false
  out[at + 1] = frameEnd;
  return out;
}

function writeHead(out: Buffer, at: number, type: number, channel: number, size: number): number {
  out[at] = type;
  out.writeUInt16BE(channel, at + 1);
  out.writeUInt32BE(size, at + 3);
  return at + 7;
}

const noBytes = Buffer.from([0]);

function shortString(text: string): Buffer {
  const length = Buffer.byteLength(text);
  if (length > 255) throw new RangeError('a short string has at most 255 bytes');
  const bytes = Buffer.allocUnsafeSlow(1 + length);
  bytes[0] = length;
  bytes.write(text, 1);
  return bytes;
}
