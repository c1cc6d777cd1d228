/** A plain encoder of AMQP 0-9-1 properties, to test against: clear and slow. Headers are given raw: type letter and value. */
export interface PlainProperties {
  contentType?: string;
  contentEncoding?: string;
  headers?: [name: string, type: string, value: Buffer][];
  deliveryMode?: number;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  expiration?: string;
  messageId?: string;
  timestamp?: bigint;
  type?: string;
  userId?: string;
  appId?: string;
  clusterId?: string;
}

export function encodeProperties(plain: PlainProperties): Buffer {
  const parts: (Buffer | undefined)[] = [
    short(plain.contentType),
    short(plain.contentEncoding),
    plain.headers && table(plain.headers),
    octet(plain.deliveryMode),
    octet(plain.priority),
    short(plain.correlationId),
    short(plain.replyTo),
    short(plain.expiration),
    short(plain.messageId),
    plain.timestamp === undefined ? undefined : long(plain.timestamp),
    short(plain.type),
    short(plain.userId),
    short(plain.appId),
    short(plain.clusterId),
  ];
  const flags = Buffer.alloc(2);
  flags.writeUInt16BE(parts.reduce((set, part, i) => (part ? set | (0x8000 >> i) : set), 0));
  return Buffer.concat([flags, ...parts.filter((part) => part !== undefined)]);
}

export function longString(text: string | Buffer): Buffer {
  return sized(Buffer.from(text as string));
}

export function strings(...items: string[]): Buffer {
  return sized(Buffer.concat(items.flatMap((item) => [Buffer.from('S'), longString(item)])));
}

export function table(headers: [string, string, Buffer][]): Buffer {
  return sized(Buffer.concat(headers.flatMap(([name, type, value]) => [short(name)!, Buffer.from(type), value])));
}

export function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function short(text: string | undefined): Buffer | undefined {
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function octet(value: number | undefined): Buffer | undefined {
  return value === undefined ? undefined : Buffer.from([value]);
}

function long(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
