import { walk } from './header-table.ts';
import { expiration, flags, type PropertyOffsets, scan, textAt, u32 } from './properties.ts';

/** The header in which a dead letter carries the `expiration` it had. */
export const expirationHeader = 'x-tombolo-expiration';

/** What a dead letter says of itself, each in a header of its own: `x-tombolo-` and the name. All are texts. */
export interface DeadLetterFacts {
  /** Names this dead letter: made when it was parked. */
  readonly id: string;
  /** Why the sink can never take it. */
  readonly reason: string;
  /** The sink. */
  readonly peer: string;
  /** The destination of its stream: a queue, or the exchange that it was captured from. */
  readonly destination: string;
  /** How many times the sink was given it, this last one included. */
  readonly attempts: string;
  /** When it was parked, ISO 8601 in UTC. */
  readonly time: string;
  readonly connector: string;
  /** The queue at the source that it was taken from, and how it had been published to it. */
  readonly queue: string;
  readonly exchange: string;
  readonly 'routing-key': string;
}

const names = [
  'id',
  'reason',
  'peer',
  'destination',
  'attempts',
  'time',
  'connector',
  'queue',
  'exchange',
  'routing-key',
] as const satisfies readonly (keyof DeadLetterFacts)[];

const prefix = 'x-tombolo-';

/** The headers that say these facts. */
export function deadLetterHeaders(facts: DeadLetterFacts): Record<string, string> {
  return Object.fromEntries(names.map((name) => [prefix + name, facts[name]]));
}

/**
 * The properties with which a message is parked: the given long-string headers are added at the end of its header table (made
 * when there is none), and its `expiration` becomes a header, or the dead letter would vanish with it. Names that are there
 * already are not looked for: the last one counts.
 */
export function deadLetterProperties(properties: Uint8Array, headers: Readonly<Record<string, string>>): Uint8Array {
  const offsets = scan(properties);
  const expires = expiration(properties, offsets);
  const entries = tableEntries(expires === undefined ? headers : { ...headers, [expirationHeader]: expires });
  const at = offsets.headersAt;
  const had = offsets.headers >= 0;
  const before = had ? u32(properties, at) : 0;
  const tableStart = had ? at + 4 : at;
  const tableEnd = tableStart + before;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(before + entries.length);
  const tail =
    expires === undefined
      ? [properties.subarray(tableEnd)]
      : [
          properties.subarray(tableEnd, offsets.expiration),
          properties.subarray(offsets.expiration + 1 + properties[offsets.expiration]!),
        ];
  const result = Buffer.concat([
    properties.subarray(0, at),
    length,
    properties.subarray(tableStart, tableEnd),
    entries,
    ...tail,
  ]);
  result.writeUInt16BE((offsets.flags | flags.headers) & ~flags.expiration, 0);
  return result;
}

/**
 * What a dead letter says of itself, as far as it says it: anybody may publish to the queue that holds them.
 * @throws Fault TOMBOLO_FRAME_INVALID when properties or header table are malformed
 */
export function deadLetterFacts(properties: Uint8Array): Partial<DeadLetterFacts> {
  const found: Partial<Record<keyof DeadLetterFacts, string>> = {};
  for (const { name, text } of parkingHeaders(properties, scan(properties))) {
    const fact = name.slice(prefix.length) as keyof DeadLetterFacts;
    if (names.includes(fact) && text !== undefined) found[fact] = text;
  }
  return found;
}

/**
 * The properties that the message had before it was parked: without the headers that `deadLetterProperties` has added, except for
 * those in `keep`, and with its `expiration`.
 * @throws Fault TOMBOLO_FRAME_INVALID when properties or header table are malformed
 */
export function replayedProperties(properties: Uint8Array, keep: readonly (keyof DeadLetterFacts)[] = []): Uint8Array {
  const offsets = scan(properties);
  if (offsets.headers < 0) return properties;
  const tableStart = offsets.headers + 4;
  const tableEnd = tableStart + u32(properties, offsets.headers);
  const kept = new Set(keep.map((name) => prefix + name));
  const cuts = parkingHeaders(properties, offsets)
    .filter(({ name }) => !kept.has(name))
    .sort((a, b) => a.from - b.from);
  const table: Uint8Array[] = [];
  let copied = tableStart;
  for (const { from, to } of cuts) {
    table.push(properties.subarray(copied, from));
    copied = to;
  }
  table.push(properties.subarray(copied, tableEnd));
  const entries = Buffer.concat(table);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(entries.length);
  const expires = cuts.find(({ name }) => name === expirationHeader)?.text;
  const text = Buffer.from(expires ?? '');
  const restores = expires !== undefined && offsets.expiration < 0 && text.length < 256;
  const at = restores ? expirationAt(properties, offsets, tableEnd) : properties.length;
  const result = Buffer.concat([
    properties.subarray(0, offsets.headers),
    ...(entries.length > 0 ? [length, entries] : []),
    properties.subarray(tableEnd, at),
    ...(restores ? [Buffer.of(text.length), text] : []),
    properties.subarray(at),
  ]);
  const without = entries.length > 0 ? offsets.flags : offsets.flags & ~flags.headers;
  result.writeUInt16BE(restores ? without | flags.expiration : without, 0);
  return result;
}

interface ParkingHeader {
  readonly name: string;
  /** Undefined when it is no long string. */
  readonly text: string | undefined;
  readonly from: number;
  readonly to: number;
}

/** The last of each of the headers that are written when a message is parked. */
function parkingHeaders(properties: Uint8Array, offsets: PropertyOffsets): ParkingHeader[] {
  if (offsets.headers < 0) return [];
  const last = new Map<string, ParkingHeader>();
  const start = offsets.headers + 4;
  walk(properties, start, start + u32(properties, offsets.headers), (from, type, to) => {
    const length = properties[from]!;
    if (length <= prefix.length || properties[from + 1] !== 0x78) return;
    const name = textAt(properties, from + 1, from + 1 + length);
    if (name !== expirationHeader && !ownHeaders.has(name)) return;
    const text = properties[type] === 0x53 ? textAt(properties, type + 5, to) : undefined;
    last.set(name, { name, text, from, to });
  });
  // Ours comes behind the others, which an application may have copied along with it.
  const id = last.get(`${prefix}id`);
  const expires = last.get(expirationHeader);
  if (id && expires && expires.from < id.from) last.delete(expirationHeader);
  return [...last.values()];
}

const ownHeaders: ReadonlySet<string> = new Set(names.map((name) => prefix + name));

/** Where `expiration` belongs among the properties that are there: behind the last of those that come before it. */
function expirationAt(properties: Uint8Array, offsets: PropertyOffsets, tableEnd: number): number {
  for (const short of [offsets.replyTo, offsets.correlationId]) if (short >= 0) return short + 1 + properties[short]!;
  for (const octet of [offsets.priority, offsets.deliveryMode]) if (octet >= 0) return octet + 1;
  return tableEnd;
}

function tableEntries(headers: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const key = Buffer.from(name);
      const text = Buffer.from(value);
      const head = Buffer.alloc(1 + key.length + 5);
      head[0] = key.length;
      head.set(key, 1);
      head[1 + key.length] = 0x53; // S: long string
      head.writeUInt32BE(text.length, 2 + key.length);
      return Buffer.concat([head, text]);
    }),
  );
}
