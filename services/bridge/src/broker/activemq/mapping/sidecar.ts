import { Fault } from '@tombolo/kernel/fault';
import { type ContentHeader, readContentHeader, readTable } from './content-header.ts';
import { ownPrefix } from './reserved-names.ts';

/*
 * The properties as AMQP had them travel with the message, in a property of its own that no application has to look at: over STOMP
 * every other property is a string. One line may hold 10,240 bytes, so they are cut; all pieces but the last are of one length.
 */

const first = `${ownPrefix}properties`;
const piece = /^tombolo_properties(_\d+)?$/;
const pieceLength = 8_000;
/** More pieces than that leave no room for other headers. */
const maxPieces = 100;

/** The largest properties that can travel, in bytes; ActiveMQ takes 1,000 headers of 10,240 bytes. */
export const maxPropertiesBytes = (pieceLength / 4) * 3 * maxPieces;

export function isSidecar(name: string): boolean {
  return piece.test(name);
}

/** Headers for SEND. */
export function writeSidecar(properties: Uint8Array): [string, string][] {
  const bytes = Buffer.from(properties.buffer, properties.byteOffset, properties.byteLength);
  const text = bytes.toString('base64');
  const headers: [string, string][] = [];
  for (let at = 0; at < text.length; at += pieceLength) {
    headers.push([at === 0 ? first : `${first}_${at / pieceLength + 1}`, text.slice(at, at + pieceLength)]);
  }
  return headers;
}

export interface Sidecar {
  readonly properties: Buffer;
  readonly header: ContentHeader;
}

/**
 * What came along; undefined when nothing did, or what no bridge has written: RabbitMQ would route by CC and BCC, and refuse the
 * user id of somebody else, and a bridge lets none of them get here.
 */
export function readSidecar(headers: ReadonlyMap<string, string>): Sidecar | undefined {
  let text = headers.get(first);
  if (text === undefined) return undefined;
  for (let number = 2; number <= maxPieces; number++) {
    const next = headers.get(`${first}_${number}`);
    if (next === undefined) break;
    text += next;
  }
  const properties = Buffer.from(text, 'base64');
  try {
    const header = readContentHeader(properties);
    const table = header.get('headers');
    const isRouted = table && readTable(table).some(({ name }) => /^B?CC$/.test(name.toString('latin1')));
    return header.has('userId') || isRouted ? undefined : { properties, header };
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}
