import { isUtf8 } from 'node:buffer';
import { type ContentHeader, type Field, type PropertyName, readTable } from './content-header.ts';
import { queueDestination } from './destinations.ts';
import { fieldText, validText } from './field-text.ts';
import { type JmsTable, jmsHeader, noJmsTable, readJmsTable } from './jms-table.ts';
import { encodeModified } from './modified-utf8.ts';
import { ownPrefix, propertyNameOf } from './reserved-names.ts';

/** A longer line ends the connection (StompWireFormat.MAX_HEADER_LENGTH is 10,240; escaped, with some room). */
const maxLineBytes = 9_000;
/** The 1,001st header ends the connection (StompWireFormat.MAX_HEADERS); the rest is for the broker's own and the sidecar. */
const maxProjected = 800;

/** Properties that are one header of a frame each. */
export const frameHeaderOf = {
  contentType: 'content-type',
  contentEncoding: 'content-encoding',
  correlationId: 'correlation-id',
  type: 'type',
  messageId: `${ownPrefix}message_id`,
  userId: `${ownPrefix}user_id`,
  appId: `${ownPrefix}app_id`,
  clusterId: `${ownPrefix}cluster_id`,
} as const satisfies Partial<Record<PropertyName, string>>;

export const frameHeaderEntries = Object.entries(frameHeaderOf) as [keyof typeof frameHeaderOf, string][];

/** What consumers of ActiveMQ see of a message, and what the same message must show when it comes back. */
export interface Projection {
  /** Headers of SEND: without its destination, and without what depends on the time and on the body's length. */
  readonly headers: ReadonlyMap<string, string>;
  /** By name of the table's field: the property that shows it. */
  readonly shown: ReadonlyMap<Field, string>;
  readonly fields: readonly Field[];
  readonly jms: JmsTable;
  readonly isText: boolean;
  readonly body: Buffer;
}

/**
 * The message as ActiveMQ is to show it. Whatever is no text, has no name there, or fits no line is left out: it travels in the
 * sidecar only.
 * @throws Fault TOMBOLO_FRAME_INVALID when the table of headers is malformed
 */
export function project(header: ContentHeader, body: Buffer): Projection {
  const table = header.get('headers');
  const fields = table ? readTable(table) : [];
  const own = fields.find(({ name }) => name.equals(jmsHeaderName));
  const jms = own ? readJmsTable(own) : noJmsTable;
  const headers = new Map<string, string>();
  const show = (name: string, text: string | undefined): boolean => {
    if (text === undefined || headers.has(name) || headers.size >= maxProjected || !fitsLine(name, text)) return false;
    headers.set(name, text);
    return true;
  };
  const textOf = (name: PropertyName) => {
    const value = header.get(name);
    return value && validText(value);
  };

  headers.set('persistent', header.get('deliveryMode')?.[0] === 2 ? 'true' : 'false');
  const priority = header.get('priority')?.[0];
  if (priority !== undefined) headers.set('priority', String(Math.min(priority, 9)));
  for (const [name, frameHeader] of frameHeaderEntries) {
    if (name === 'contentType' && jms.isContentTypeAdded) continue;
    show(frameHeader, textOf(name) ?? jms.frameHeaders.get(frameHeader));
  }
  const replyTo = textOf('replyTo') ?? jms.frameHeaders.get('reply-to');
  if (replyTo) show('reply-to', queueDestination(replyTo));

  const shown = new Map<Field, string>();
  for (const field of fields) {
    const name = validText(field.name);
    const text = name ? fieldText(field) : undefined;
    if (name === undefined || text === undefined) continue;
    const property = propertyNameOf(name, text);
    if (show(property, text)) shown.set(field, property);
  }
  for (const [name, value] of jms.properties) show(propertyNameOf(name, value), value);
  return { headers, shown, fields, jms, ...bodyOf(header, jms, body) };
}

const jmsHeaderName = Buffer.from(jmsHeader);

function fitsLine(name: string, value: string): boolean {
  // A zero would end the frame for many clients.
  if (name === '' || name.includes('\0') || value.includes('\0')) return false;
  const characters = name.length + value.length;
  // A UTF-16 unit takes at most three bytes, an escaped one two.
  if (characters * 3 < maxLineBytes) return true;
  if (characters > maxLineBytes) return false;
  const escapes = (name + value).match(/[\\\r\n:]/g)?.length ?? 0;
  return Buffer.byteLength(name) + Buffer.byteLength(value) + escapes < maxLineBytes;
}

/** Content types of what a consumer would rather have as a text. */
const textual = /^\s*(text\/|application\/([\w.-]+\+)?(json|xml)\s*(;|$))/i;
const otherCharset = /charset\s*=\s*"?(?!utf-?8\b|us-ascii\b)/i;

/** A TextMessage or a BytesMessage, as it was; what has never been either is a text when its content type says so and its bytes allow it. */
function bodyOf(
  header: ContentHeader,
  jms: JmsTable,
  body: Buffer,
): { readonly isText: boolean; readonly body: Buffer } {
  const bytes = { isText: false, body };
  if (jms.body === 'bytes') return bytes;
  if (jms.body === 'text' && !jms.isModified && !body.includes(0)) return { isText: true, body };
  const contentType = header.get('contentType')?.toString('latin1') ?? '';
  const isTextual = textual.test(contentType) && !otherCharset.test(contentType) && !header.has('contentEncoding');
  if (!(jms.body === 'text' || isTextual) || !isUtf8(body)) return bytes;
  return { isText: true, body: encodeModified(body) };
}
