import type { Envelope } from '@tombolo/wire/envelope';
import type { StompHeaders } from '../stomp-codec.ts';
import {
  type Field,
  type PropertyName,
  stringField,
  uint64,
  writeContentHeader,
  writeTable,
} from './content-header.ts';
import { addressOf, queueNameOf } from './destinations.ts';
import { type JmsTable, jmsHeader, writeJmsTable } from './jms-table.ts';
import { decodeModified } from './modified-utf8.ts';
import { frameHeaderEntries, frameHeaderOf, type Projection, project } from './projection.ts';
import { groupId, groupSequence, headerNameOf, isMessageHeader, isReservedHeader } from './reserved-names.ts';
import { isSidecar, readSidecar, type Sidecar } from './sidecar.ts';

/** Above it RabbitMQ closes the channel (a time to live is at most 2^32 − 1 ms). */
const maxExpirationMs = 4_294_967_295n;
/** What ActiveMQ says of a message whose sender has set none. */
const defaultPriority = '4';
const standardHeaders = ['correlation-id', 'type', 'reply-to', 'content-type', 'content-encoding'];

/**
 * A MESSAGE frame as a message of AMQP. Always the same bytes for the same message, whenever and however often it is delivered. One that
 * came from AMQP and is unchanged gets exactly the properties that it had; one that an application has changed keeps those of
 * its types and headers that are not affected. infra/docs/activemq.md has the table.
 */
export function toEnvelope(headers: StompHeaders, body: Buffer): Envelope {
  const address = addressOf(headers.get('destination') ?? '');
  const isText = isTextMessage(headers);
  const sidecar = readSidecar(headers);
  const decoded = isText ? decodeModified(body) : undefined;
  if (sidecar) {
    for (const candidate of decoded ? [decoded, body] : [body]) {
      const projection = project(sidecar.header, candidate);
      const isSame = projection.isText === isText && projection.body.equals(body) && isUnchanged(headers, projection);
      if (isSame) return { ...address, properties: sidecar.properties, body: candidate };
    }
  }
  return {
    ...address,
    properties: freshProperties(headers, isText, decoded !== undefined, sidecar),
    body: decoded ?? body,
  };
}

/**
 * True: the broker may have more of this message than it shows. The body of a MapMessage, an ObjectMessage and a StreamMessage does not
 * come over STOMP (5.17.2): such a message looks like a text, or a message without a body, that is empty.
 */
export function mayHideBody(headers: StompHeaders, body: Buffer): boolean {
  if (body.length > 0 || headers.has('content-length')) return false;
  const sidecar = readSidecar(headers);
  if (!sidecar) return true;
  const projection = project(sidecar.header, body);
  return !projection.isText || !isUnchanged(headers, projection);
}

/** A BytesMessage comes with its length; so does a text whose sender gave a length together with `amq-msg-type`. */
function isTextMessage(headers: StompHeaders): boolean {
  return !headers.has('content-length') || headers.get('amq-msg-type')?.toLowerCase() === 'text';
}

/** ActiveMQ obeys groups, and does not show them to consumers over STOMP. */
const isHidden = (name: string): boolean => name === groupId || name === groupSequence;

function isUnchanged(headers: StompHeaders, { headers: projected }: Projection): boolean {
  if ((headers.get('priority') ?? defaultPriority) !== (projected.get('priority') ?? defaultPriority)) return false;
  if ((headers.get('persistent') === 'true') !== (projected.get('persistent') === 'true')) return false;
  if (standardHeaders.some((name) => headers.get(name) !== projected.get(name))) return false;
  for (const [name, value] of projected) {
    const now = headers.get(name);
    if (!isMessageHeader(name) && now !== value && !(now === undefined && isHidden(name))) return false;
  }
  for (const name of headers.keys())
    if (!isMessageHeader(name) && !isSidecar(name) && !projected.has(name)) return false;
  return true;
}

// ---- a message of ActiveMQ, or one that an application there has changed ---------------------------------------------------

function freshProperties(
  headers: StompHeaders,
  isText: boolean,
  isModified: boolean,
  sidecar: Sidecar | undefined,
): Buffer {
  const before = sidecar && project(sidecar.header, Buffer.alloc(0));
  const header = new Map<PropertyName, Buffer>();
  const frameHeaders = new Map<string, string>();
  const properties = new Map<string, string>();

  const short = (name: PropertyName, frameHeader: string, text: string | undefined) => {
    if (text === undefined) return;
    const value = Buffer.from(text);
    if (value.length <= 255) header.set(name, value);
    else frameHeaders.set(frameHeader, text);
  };
  for (const [name, frameHeader] of frameHeaderEntries) short(name, frameHeader, headers.get(frameHeader));
  const replyTo = headers.get('reply-to');
  short('replyTo', 'reply-to', replyTo && queueNameOf(replyTo));
  if (!header.has('messageId')) short('messageId', frameHeaderOf.messageId, headers.get('message-id'));
  header.delete('userId');
  short('userId', frameHeaderOf.userId, headers.get('JMSXUserID'));
  const isContentTypeAdded = isText && !headers.has('content-type');
  if (isContentTypeAdded) header.set('contentType', Buffer.from('text/plain'));

  header.set('deliveryMode', Buffer.from([headers.get('persistent') === 'true' ? 2 : 1]));
  header.set('priority', Buffer.from([Number(headers.get('priority') ?? defaultPriority) & 0xff]));
  const timestampMs = whole(headers.get('timestamp'));
  if (timestampMs > 0n) header.set('timestamp', uint64(timestampMs / 1000n));
  const expiresMs = whole(headers.get('expires'));
  const ttl = expiresMs - timestampMs;
  if (expiresMs > 0n && timestampMs > 0n && ttl >= 0n && ttl <= maxExpirationMs) {
    header.set('expiration', Buffer.from(String(ttl)));
  }

  const fields = keptFields(headers, before);
  const kept = new Set(fields.map(({ property }) => property));
  const added: Field[] = [];
  for (const [name, value] of headers) {
    if (isMessageHeader(name) || isSidecar(name) || kept.has(name) || isOwn(name)) continue;
    const itsName = headerNameOf(name);
    if (isReservedHeader(itsName)) properties.set(itsName, value);
    else added.push(stringField(itsName, value));
  }
  // Java's maps promise no order.
  added.sort((a, b) => Buffer.compare(a.name, b.name));
  const jms: JmsTable = {
    body: isText ? 'text' : 'bytes',
    isModified,
    isContentTypeAdded,
    timestampMs,
    expiresMs,
    frameHeaders,
    properties,
  };
  header.set('headers', writeTable([...fields.map(({ field }) => field), ...added, writeJmsTable(jms)]));
  return writeContentHeader(header);
}

const ownProperties = new Set<string>(Object.values(frameHeaderOf));
const isOwn = (name: string): boolean => ownProperties.has(name);

/**
 * The headers that the message had when it came from AMQP, with their types: those that ActiveMQ shows as they were, and those that
 * it cannot show. In place of one whose text an application has changed comes that text; one that it has removed is left out.
 */
function keptFields(headers: StompHeaders, before: Projection | undefined): readonly Kept[] {
  const kept: Kept[] = [];
  for (const field of before?.fields ?? []) {
    if (field.name.toString('latin1') === jmsHeader) continue;
    const property = before?.shown.get(field);
    const now = property === undefined ? undefined : headers.get(property);
    const isAsItWas =
      property === undefined || now === before?.headers.get(property) || (now === undefined && isHidden(property));
    if (isAsItWas) kept.push({ field, property });
    else if (now !== undefined) kept.push({ field: { ...stringField('', now), name: field.name }, property });
  }
  return kept;
}

interface Kept {
  readonly field: Field;
  /** The property that shows it; undefined: none does. */
  readonly property: string | undefined;
}

function whole(text: string | undefined): bigint {
  return text && /^\d{1,15}$/.test(text) ? BigInt(text) : 0n;
}
