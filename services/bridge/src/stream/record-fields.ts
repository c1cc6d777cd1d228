import type { SequenceRanges, StreamEpoch } from '@tombolo/wire/frame';
import { DIGEST_BYTES } from './in-doubt.ts';
import { countOf } from './settlement.ts';

/*
 * The fields of a stream's record:
 *
 *   e:<incarnation>.<epoch>           what is known of an epoch, as JSON
 *   c:<incarnation>.<epoch>:<first>   messages that the broker confirmed: time, ranges of numbers, identities (IdentityLog.pack)
 *   i:<number>                        identities with a message id of removed messages: time, digests
 *
 * Times are milliseconds since 1970, so that another process can read them. Numbers are big-endian float64. Fields of another
 * form are of a later version, and left alone.
 */

/** What is known of an epoch besides its confirmed messages. */
export interface EpochNote {
  readonly removedThrough: number;
  /** What was being published when it was written: it may or may not be with the broker. */
  readonly publishing: SequenceRanges;
}

export interface ConfirmedPage {
  readonly ranges: SequenceRanges;
  readonly packed: Uint8Array;
  readonly at: number;
}

export interface RingPage {
  readonly digests: Uint8Array;
  readonly at: number;
}

/** A stream's record as it was read, field by field. */
export interface ReadRecord {
  readonly epochs: readonly {
    readonly id: StreamEpoch;
    readonly note: EpochNote | undefined;
    readonly pages: ReadonlyMap<string, ConfirmedPage>;
  }[];
  readonly ring: ReadonlyMap<string, RingPage>;
}

const fieldForm = /^(?:e:(\d+)\.(\d+)|c:(\d+)\.(\d+):(\d+)|i:(\d+))$/;
/** What no bridge wrote is not believed. */
const LARGEST = 1_000_000;

export function epochField({ incarnation, epoch }: StreamEpoch): string {
  return `e:${incarnation}.${epoch}`;
}

export function pageField({ incarnation, epoch }: StreamEpoch, first: number): string {
  return `c:${incarnation}.${epoch}:${first}`;
}

export function ringField(number: number): string {
  return `i:${number}`;
}

export function encodeNote({ removedThrough, publishing }: EpochNote): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ removedThrough, publishing }));
}

export function encodePage({ ranges, packed, at }: ConfirmedPage): Uint8Array {
  const bytes = new Uint8Array(16 + ranges.length * 8 + packed.length);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, at);
  view.setFloat64(8, ranges.length);
  for (let i = 0; i < ranges.length; i++) view.setFloat64(16 + i * 8, ranges[i]!);
  bytes.set(packed, 16 + ranges.length * 8);
  return bytes;
}

export function encodeRing({ digests, at }: RingPage): Uint8Array {
  const bytes = new Uint8Array(8 + digests.length);
  new DataView(bytes.buffer).setFloat64(0, at);
  bytes.set(digests, 8);
  return bytes;
}

/** What cannot be read is left out: the record is a help, and a wrong entry in it would be a loss. */
export function readRecord(fields: ReadonlyMap<string, Uint8Array>): ReadRecord {
  const epochs = new Map<string, { id: StreamEpoch; note: EpochNote | undefined; pages: Map<string, ConfirmedPage> }>();
  const ring = new Map<string, RingPage>();
  const of = (incarnation: string, epoch: string) => {
    const id = { incarnation: Number(incarnation), epoch: Number(epoch) };
    const key = epochField(id);
    const known = epochs.get(key) ?? { id, note: undefined, pages: new Map() };
    epochs.set(key, known);
    return known;
  };
  for (const [field, value] of fields) {
    const [, noteInc, noteEpoch, pageInc, pageEpoch, , ringNumber] = fieldForm.exec(field) ?? [];
    if (noteInc !== undefined) of(noteInc, noteEpoch!).note = decodeNote(value);
    else if (pageInc !== undefined) {
      const page = decodePage(value);
      if (page) of(pageInc, pageEpoch!).pages.set(field, page);
    } else if (ringNumber !== undefined && value.length >= 8 && (value.length - 8) % DIGEST_BYTES === 0) {
      ring.set(field, { at: viewOf(value).getFloat64(0), digests: value.subarray(8) });
    }
  }
  return { epochs: [...epochs.values()], ring };
}

function decodeNote(value: Uint8Array): EpochNote | undefined {
  try {
    const { removedThrough, publishing } = JSON.parse(new TextDecoder().decode(value)) as Partial<EpochNote>;
    if (!Number.isSafeInteger(removedThrough) || !isRanges(publishing)) return undefined;
    return { removedThrough: removedThrough!, publishing };
  } catch {
    return undefined;
  }
}

function decodePage(value: Uint8Array): ConfirmedPage | undefined {
  if (value.length < 16) return undefined;
  const view = viewOf(value);
  const count = view.getFloat64(8);
  if (!Number.isSafeInteger(count) || count < 2 || value.length < 16 + count * 8) return undefined;
  const ranges = Array.from({ length: count }, (_, i) => view.getFloat64(16 + i * 8));
  const packed = value.subarray(16 + count * 8);
  if (!isRanges(ranges) || packed.length !== countOf(ranges) * (DIGEST_BYTES + 1)) return undefined;
  return { ranges, packed, at: view.getFloat64(0) };
}

function isRanges(value: unknown): value is SequenceRanges {
  if (!Array.isArray(value) || value.length % 2 !== 0) return false;
  let above = 0;
  let count = 0;
  for (let i = 0; i < value.length; i += 2) {
    const [from, to] = [value[i] as number, value[i + 1] as number];
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from <= above || to < from) return false;
    above = to;
    count += to - from + 1;
  }
  return count <= LARGEST;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
