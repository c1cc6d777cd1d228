import { type Field, longField, readTable, sizedValue, stringField, tableField } from './content-header.ts';
import { fieldText } from './field-text.ts';

/** The header of AMQP under which that of a JMS message is kept for which AMQP has no place: a table. */
export const jmsHeader = 'x-tombolo-jms';

/** What of a message of ActiveMQ has no place in AMQP's properties. */
export interface JmsTable {
  /** A TextMessage or a BytesMessage; undefined: it has never been a message of ActiveMQ. */
  readonly body: 'text' | 'bytes' | undefined;
  /** The text had been written by Java, see modified-utf8.ts. */
  readonly isModified: boolean;
  /** The content type `text/plain` was added at the border: a TextMessage says no more of itself. */
  readonly isContentTypeAdded: boolean;
  /** Milliseconds since 1970; AMQP has seconds. 0: none. */
  readonly timestampMs: bigint;
  /** Milliseconds since 1970, where AMQP has a time to live. 0: never. */
  readonly expiresMs: bigint;
  /** What fits no property of AMQP, being longer than 255 bytes, by the frame's header; `reply-to` as in AMQP. */
  readonly frameHeaders: ReadonlyMap<string, string>;
  /** Properties whose name cannot be that of a header. */
  readonly properties: ReadonlyMap<string, string>;
}

export const noJmsTable: JmsTable = {
  body: undefined,
  isModified: false,
  isContentTypeAdded: false,
  timestampMs: 0n,
  expiresMs: 0n,
  frameHeaders: new Map(),
  properties: new Map(),
};

/** Reads the header `x-tombolo-jms`; what an application wrote there and is not understood counts as absent. */
export function readJmsTable(field: Field | undefined): JmsTable {
  if (field?.type !== 'F') return noJmsTable;
  const fields = new Map(readTable(sizedValue(field)).map((each) => [each.name.toString('utf8'), each]));
  const text = (name: string) => {
    const its = fields.get(name);
    return its?.type === 'S' ? fieldText(its) : undefined;
  };
  const whole = (name: string) => {
    const its = fields.get(name);
    const value = its?.type === 'l' ? its.value.readBigInt64BE() : 0n;
    return value > 0n ? value : 0n;
  };
  const body = text('body');
  return {
    body: body === 'text' || body === 'bytes' ? body : undefined,
    isModified: text('encoding') === 'modified-utf-8',
    isContentTypeAdded: text('content-type') === 'added',
    timestampMs: whole('timestamp'),
    expiresMs: whole('expires'),
    frameHeaders: readPairs(fields.get('frame-headers')),
    properties: readPairs(fields.get('properties')),
  };
}

export function writeJmsTable(table: JmsTable): Field {
  const { body, isModified, isContentTypeAdded, timestampMs, expiresMs, frameHeaders, properties } = table;
  const fields: Field[] = [];
  if (body) fields.push(stringField('body', body));
  if (isModified) fields.push(stringField('encoding', 'modified-utf-8'));
  if (isContentTypeAdded) fields.push(stringField('content-type', 'added'));
  if (timestampMs > 0n) fields.push(longField('timestamp', timestampMs));
  if (expiresMs > 0n) fields.push(longField('expires', expiresMs));
  if (frameHeaders.size > 0) fields.push(writePairs('frame-headers', frameHeaders));
  if (properties.size > 0) fields.push(writePairs('properties', properties));
  return tableField(jmsHeader, fields);
}

/** As JSON: a name may be longer than that of a table's field, and empty. */
function writePairs(name: string, pairs: ReadonlyMap<string, string>): Field {
  return stringField(name, JSON.stringify([...pairs].sort(([a], [b]) => (a < b ? -1 : 1))));
}

function readPairs(field: Field | undefined): ReadonlyMap<string, string> {
  const text = field?.type === 'S' ? fieldText(field) : undefined;
  if (text === undefined) return new Map();
  try {
    const pairs: unknown = JSON.parse(text);
    const isPair = (pair: unknown) =>
      Array.isArray(pair) && pair.length === 2 && pair.every((each) => typeof each === 'string');
    return Array.isArray(pairs) && pairs.every(isPair) ? new Map(pairs as [string, string][]) : new Map();
  } catch {
    return new Map();
  }
}
