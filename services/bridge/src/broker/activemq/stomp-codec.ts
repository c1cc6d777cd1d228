/**
 * Header lines of a STOMP frame, decoded: names and values as the application wrote them. Of a name that comes twice the first
 * counts (STOMP 1.2, "Repeated Header Entries").
 */
export type StompHeaders = ReadonlyMap<string, string>;

/** What a server sends. */
export interface StompFrame {
  readonly command: string;
  readonly headers: StompHeaders;
  /** Its `content-length` header says whether the length was given: ActiveMQ gives it for a BytesMessage, and not for a TextMessage. */
  readonly body: Buffer;
}

const newline = 0x0a;
const carriageReturn = 0x0d;
const nothing: Buffer = Buffer.alloc(0);
const end = Buffer.alloc(1);

/** More than that is no head of a message, but a stream that is out of step. */
const maxHeadBytes = 16 * 1024 * 1024;
const maxBodyBytes = 1024 * 1024 * 1024;

/** The head of a frame whose body has not come completely. */
interface Begun {
  readonly command: string;
  readonly headers: StompHeaders;
  /** Of the length that was announced, filled so far; undefined: the body goes on to the next zero byte. */
  readonly announced: Buffer | undefined;
  filled: number;
  readonly parts: Buffer[];
  partBytes: number;
}

/**
 * Cuts what a server sends into frames (STOMP 1.2). Bodies are copies that keep no larger buffer alive, and no byte of one is
 * looked at twice, however many chunks it comes in.
 */
export class StompReader {
  #rest: Buffer = nothing;
  #begun: Begun | undefined;

  /** The frames that are complete with this chunk. @throws Error when it is no STOMP; nothing can be read after that */
  read(chunk: Buffer): StompFrame[] {
    const frames: StompFrame[] = [];
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = nothing;
    for (;;) {
      if (!this.#begun) {
        // Line ends between frames are heartbeats.
        let at = 0;
        while (bytes[at] === newline || bytes[at] === carriageReturn) at++;
        const bodyAt = headEnd(bytes, at);
        if (bodyAt === undefined) {
          if (bytes.length - at > maxHeadBytes) throw new Error('the headers of a frame do not end');
          if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at));
          return frames;
        }
        this.#begun = begin(bytes.toString('utf8', at, bodyAt));
        bytes = bytes.subarray(bodyAt);
      }
      const rest = fill(this.#begun, bytes);
      if (rest === undefined) return frames;
      const { command, headers, announced, parts } = this.#begun;
      frames.push({ command, headers, body: announced ?? Buffer.concat(parts) });
      this.#begun = undefined;
      bytes = rest;
    }
  }
}

/** Where the body begins: after an empty line. */
function headEnd(bytes: Buffer, from: number): number | undefined {
  for (let at = bytes.indexOf(newline, from); at >= 0; at = bytes.indexOf(newline, at + 1)) {
    if (bytes[at + 1] === newline) return at + 2;
    if (bytes[at + 1] === carriageReturn && bytes[at + 2] === newline) return at + 3;
  }
  return undefined;
}

function begin(head: string): Begun {
  const lines = head.split('\n');
  const command = trimmed(lines[0] as string);
  const decode = command === 'CONNECTED' ? (text: string) => text : unescaped;
  const headers = new Map<string, string>();
  for (let index = 1; index < lines.length; index++) {
    const line = trimmed(lines[index] as string);
    if (line === '') continue;
    const colon = line.indexOf(':');
    if (colon < 0) throw new Error(`a header of ${command} has no colon`);
    const name = decode(line.slice(0, colon));
    if (!headers.has(name)) headers.set(name, decode(line.slice(colon + 1)));
  }
  const length = headers.get('content-length');
  if (length === undefined) return { command, headers, announced: undefined, filled: 0, parts: [], partBytes: 0 };
  const bytes = Number(length);
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > maxBodyBytes) {
    throw new Error(`a body of "${length}" bytes was announced`);
  }
  return { command, headers, announced: Buffer.allocUnsafe(bytes), filled: 0, parts: [], partBytes: 0 };
}

/** Takes what belongs to this frame; returns what is left, or undefined when more has to come. */
function fill(frame: Begun, bytes: Buffer): Buffer | undefined {
  if (frame.announced) {
    const copied = bytes.copy(frame.announced, frame.filled);
    frame.filled += copied;
    if (frame.filled < frame.announced.length || copied === bytes.length) return undefined;
    if (bytes[copied] !== 0) throw new Error(`the body of ${frame.command} does not end where it should`);
    return bytes.subarray(copied + 1);
  }
  const at = bytes.indexOf(0);
  if (at !== 0 && bytes.length > 0) frame.parts.push(Buffer.from(bytes.subarray(0, at < 0 ? bytes.length : at)));
  frame.partBytes += at < 0 ? bytes.length : at;
  if (frame.partBytes > maxBodyBytes) throw new Error('the body of a frame does not end');
  return at < 0 ? undefined : bytes.subarray(at + 1);
}

function trimmed(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

/**
 * A frame as a client sends it. Its headers are written as they are, `content-length` only if it is among them; a body without it
 * must not contain a zero byte.
 */
export function encodeFrame(
  command: string,
  headers: StompHeaders | ReadonlyArray<readonly [string, string]>,
  body?: Uint8Array,
): Buffer {
  // The headers of CONNECT are not escaped, so that servers of 1.0 understand them (STOMP 1.2, "Value Encoding").
  const encode = command === 'CONNECT' || command === 'STOMP' ? (text: string) => text : escaped;
  let head = `${command}\n`;
  for (const [name, value] of headers) head += `${encode(name)}:${encode(value)}\n`;
  const bytes = Buffer.from(`${head}\n`, 'utf8');
  return body && body.length > 0 ? Buffer.concat([bytes, body, end]) : Buffer.concat([bytes, end]);
}

const special = /[\\\r\n:]/;

function escaped(text: string): string {
  if (!special.test(text)) return text;
  return text.replaceAll('\\', '\\\\').replaceAll('\r', '\\r').replaceAll('\n', '\\n').replaceAll(':', '\\c');
}

const unescapes: Readonly<Record<string, string>> = { '\\\\': '\\', '\\r': '\r', '\\n': '\n', '\\c': ':' };

function unescaped(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\./g, (pair) => unescapes[pair] ?? pair);
}
