import type { ArgumentValue, Binding } from './binding.ts';
import { isNamed, walk } from './header-table.ts';
import { scan, textAt, u32 } from './properties.ts';

/** What of a message decides its way through an exchange. */
export interface Routed {
  readonly routingKey: string;
  readonly properties: Uint8Array;
}

/**
 * Whether an exchange of this type gives the message to the binding, as RabbitMQ decides it (rabbit_exchange_type_*). Where
 * it cannot be known (a type that a plugin brings, an argument whose value is not known) the answer is true.
 * @throws Fault TOMBOLO_FRAME_INVALID when the exchange looks at headers and the properties are malformed
 */
export function bindingMatches(type: string, binding: Binding, message: Routed): boolean {
  switch (type) {
    case 'direct':
      return binding.routingKey === message.routingKey;
    case 'topic':
      return topicMatches(binding.routingKey, message.routingKey);
    case 'headers':
      return headersMatch(binding, message.properties);
    default:
      return true;
  }
}

/** `*` takes one word, `#` any number of them; words are what dots separate, and an empty key has none. */
export function topicMatches(pattern: string, routingKey: string): boolean {
  if (pattern === routingKey || pattern === '#') return true;
  const words = wordsOf(routingKey);
  // How far each prefix of the pattern may have come: reach[i] says that the first i words are taken.
  let reach = Array.from({ length: words.length + 1 }, (_, index) => index === 0);
  for (const part of wordsOf(pattern)) {
    const next: boolean[] = new Array(words.length + 1).fill(false);
    for (let index = 0; index <= words.length; index++) {
      if (part === '#') next[index] = reach[index] === true || (index > 0 && next[index - 1] === true);
      else if (index > 0) next[index] = reach[index - 1] === true && (part === '*' || part === words[index - 1]);
    }
    reach = next;
  }
  return reach[words.length] === true;
}

function wordsOf(key: string): string[] {
  return key === '' ? [] : key.split('.');
}

function headersMatch(binding: Binding, properties: Uint8Array): boolean {
  const kind = binding.arguments['x-match'] ?? 'all';
  const withX = kind === 'all-with-x' || kind === 'any-with-x';
  const wanted = Object.keys(binding.arguments).filter(
    (name) => name !== 'x-match' && (withX || !name.startsWith('x-')),
  );
  const isMet = (name: string) => hasHeader(properties, name, binding.arguments[name]!);
  return kind === 'any' || kind === 'any-with-x' ? wanted.some(isMet) : wanted.every(isMet);
}

function hasHeader(properties: Uint8Array, name: string, wanted: ArgumentValue): boolean {
  const { headers } = scan(properties);
  if (headers < 0) return false;
  const start = headers + 4;
  const isAscii = /^[\x20-\x7e]*$/.test(name);
  let met = false;
  walk(properties, start, start + u32(properties, headers), (at, type, end) => {
    if (met) return;
    const isIt = isAscii ? isNamed(properties, at, name) : textAt(properties, at + 1, type) === name;
    if (isIt) met = same(wanted, decode(properties, type, end));
  });
  return met;
}

const unknown = Symbol('a value that bindings cannot be compared with');
type Decoded = ArgumentValue | typeof unknown | Decoded[];

/** A header's value, as the management API would show it in a binding. */
function decode(bytes: Uint8Array, type: number, end: number): Decoded {
  const at = type + 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (String.fromCharCode(bytes[type]!)) {
    case 'S':
      return textAt(bytes, at + 4, end);
    case 't':
      return bytes[at] !== 0;
    case 'b':
      return view.getInt8(at);
    case 'B':
      return view.getUint8(at);
    case 's':
      return view.getInt16(at);
    case 'u':
      return view.getUint16(at);
    case 'I':
      return view.getInt32(at);
    case 'i':
      return view.getUint32(at);
    case 'l':
    case 'L':
      return Number(view.getBigInt64(at));
    case 'T':
      return Number(view.getBigUint64(at));
    case 'f':
      return view.getFloat32(at);
    case 'd':
      return view.getFloat64(at);
    default:
      return unknown;
  }
}

/** Numbers are compared by value, since their type is not known; what cannot be compared counts as equal. */
function same(wanted: ArgumentValue, found: Decoded): boolean {
  if (wanted === null || found === unknown || typeof wanted === 'object') return true;
  return wanted === found;
}
