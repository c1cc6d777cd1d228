/**
 * Reads the printed Erlang triples in which the event exchange carries argument tables, e.g.
 * `{<<"x-priority">>,signedint,10}` (RabbitMQ's amqp_0_9_1 event format). What it cannot read is left out.
 */
export function parseErlangArguments(printed: unknown): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  if (!Array.isArray(printed)) return result;
  for (const each of printed) {
    const triple = typeof each === 'string' ? each : String(each);
    const match = /^\{<<"((?:[^"\\]|\\.)*)">>,([a-z0-9_]+),(.*)\}$/s.exec(triple);
    if (!match) continue;
    const [, name, type, value] = match as unknown as [string, string, string, string];
    result[unquote(name)] = parseValue(type, value);
  }
  return result;
}

function parseValue(type: string, printed: string): unknown {
  switch (type) {
    case 'byte':
    case 'short':
    case 'signedint':
    case 'long':
    case 'unsignedbyte':
    case 'unsignedshort':
    case 'unsignedint':
    case 'timestamp':
    case 'float':
    case 'double':
      return Number(printed);
    case 'bool':
      return printed === 'true';
    case 'longstr':
    case 'binary':
      return parseBinary(printed);
    default:
      return printed;
  }
}

/** `<<"text">>`, or `<<1,2,3>>` where it is not printable. */
function parseBinary(printed: string): string {
  const text = /^<<"((?:[^"\\]|\\.)*)"(?:\/utf8)?>>$/s.exec(printed);
  if (text) return unquote(text[1] as string);
  const bytes = /^<<([\d,\s]*)>>$/.exec(printed);
  if (bytes) {
    return Buffer.from(
      (bytes[1] as string)
        .split(',')
        .filter((byte) => byte.trim() !== '')
        .map(Number),
    ).toString('utf8');
  }
  return printed;
}

function unquote(text: string): string {
  return text.replace(/\\(.)/gs, '$1');
}
