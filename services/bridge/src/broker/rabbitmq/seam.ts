import type { Duplex, Writable } from 'node:stream';
import type { Channel, ChannelModel } from 'amqplib';

/**
 * The internals of amqplib 2.3.1 that the raw data path touches, and nothing else of it. Deliveries, publications,
 * acknowledgements and confirms are read and written as bytes (amqplib's codec does not keep every header field, and
 * costs three times as much); everything else stays amqplib's. The version is pinned; `seam.test.ts` fails if this moves.
 */
export interface Wire {
  readonly stream: Duplex;
  /** Bytes read but not parsed yet. */
  rest: Buffer;
  frameMax: number;
  /** What keeps heartbeats honest: set whenever bytes were written or read beside amqplib. */
  sentSinceLastCheck: boolean;
  recvSinceLastCheck: boolean;
  /** By channel number; `null` once released. */
  readonly channels: (WireChannel | null)[];
  readonly serverProperties: Readonly<Record<string, unknown>>;
  /** Reads one frame from `rest` or the stream; false: none yet. Its result goes to `accept`. */
  recvFrame(): unknown;
}

export interface WireChannel {
  /** An object-mode stream: every chunk is written to the socket whole, so it must hold whole frames. */
  readonly buffer: Writable;
}

/** The connection below amqplib's model. */
export function wireOf(model: ChannelModel): Wire {
  return model.connection as unknown as Wire;
}

/** The number of an open channel. */
export function numberOf(channel: Channel): number {
  return (channel as unknown as { ch: number }).ch;
}

/** Where the bytes of a channel go, in order with amqplib's own methods on it. Valid until the channel closes. */
export function bufferOf(wire: Wire, channel: Channel): Writable {
  const entry = wire.channels[numberOf(channel)];
  if (!entry) throw new Error('the channel is not open');
  return entry.buffer;
}

/** What a test checks before it believes in the seam: every name above is there and has the right kind. */
export function seamProblems(model: ChannelModel, channel: Channel): string[] {
  const wire = wireOf(model) as unknown as Record<string, unknown>;
  const kinds: Record<string, (value: unknown) => boolean> = {
    stream: (value) => typeof (value as Duplex)?.read === 'function' && typeof (value as Duplex)?.write === 'function',
    rest: (value) => Buffer.isBuffer(value),
    frameMax: (value) => typeof value === 'number' && value >= 4096,
    sentSinceLastCheck: (value) => typeof value === 'boolean',
    recvSinceLastCheck: (value) => typeof value === 'boolean',
    channels: (value) => Array.isArray(value),
    serverProperties: (value) => typeof value === 'object' && value !== null,
    recvFrame: (value) => typeof value === 'function',
  };
  const problems = Object.entries(kinds)
    .filter(([name, right]) => !right(wire[name]))
    .map(([name]) => `connection.${name}`);
  if (typeof numberOf(channel) !== 'number') problems.push('channel.ch');
  else if (typeof wireOf(model).channels[numberOf(channel)]?.buffer?.write !== 'function') problems.push('buffer');
  return problems;
}
