import type { ArgumentValue, BindingArguments } from '@tombolo/wire/binding';

/** How the management API writes bytes that are not UTF-8. */
const notText = 'Not UTF-8, base64 is: ';

/**
 * A binding's arguments as the management API shows them. JSON has fewer types than AMQP: numbers are one type, and what it
 * cannot express is text (RabbitMQ 3.10: a void is "undefined"). Such a value is taken for unknown (`null`).
 */
export function argumentsFromJson(json: unknown): BindingArguments {
  const value = fromJson(json);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as BindingArguments) : {};
}

function fromJson(json: unknown): ArgumentValue {
  if (typeof json === 'string') return json === 'undefined' || json.startsWith(notText) ? null : json;
  if (typeof json === 'number' || typeof json === 'boolean') return json;
  if (Array.isArray(json)) return json.map(fromJson);
  if (typeof json !== 'object' || json === null) return null;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, fromJson(value)]));
}

/**
 * A binding's arguments as an event prints them, the same as the management API would show them; undefined when there is one
 * that is printed too richly to be read here (nested ones): then only the API tells.
 */
export function argumentsFromEvent(printed: unknown): BindingArguments | undefined {
  if (!Array.isArray(printed)) return undefined;
  const result: Record<string, ArgumentValue> = {};
  for (const each of printed) {
    const match = /^\{<<"([^"\\]*)">>,([a-z0-9_]+),(.*)\}$/s.exec(String(each));
    if (!match) return undefined;
    const value = fromErlang(match[2] as string, match[3] as string);
    if (value === undefined) return undefined;
    result[match[1] as string] = value;
  }
  return result;
}

function fromErlang(type: string, printed: string): ArgumentValue | undefined {
  switch (type) {
    case 'byte':
    case 'short':
    case 'signedint':
    case 'long':
    case 'unsignedbyte':
    case 'unsignedshort':
    case 'unsignedint':
    case 'timestamp': {
      const number = Number(printed);
      return Number.isFinite(number) ? number : undefined;
    }
    case 'bool':
      return printed === 'true' ? true : printed === 'false' ? false : undefined;
    case 'void':
      return null;
    case 'longstr': {
      const text = /^<<"([^"\\]*)"(?:\/utf8)?>>$/s.exec(printed)?.[1];
      return text === undefined ? undefined : fromJson(text);
    }
    default:
      return undefined;
  }
}
