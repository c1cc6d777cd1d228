/** What an application's message is called: its producer, and a number from 1 on. It is also how its body begins. */
export interface MessageName {
  readonly producer: string;
  readonly number: number;
}

const persistent = Uint8Array.of(0x10, 0x00, 0x02);

/** The body of a message: its name, filled up to the size. */
export function bodyOf({ producer, number }: MessageName, bytes: number): Uint8Array {
  const name = `${producer}#${number} `;
  return Buffer.from(name.padEnd(bytes, '.'));
}

/** Delivery mode 2, and a message id if asked for. */
export function propertiesOf({ producer, number }: MessageName, withId: boolean): Uint8Array {
  if (!withId) return persistent;
  const id = Buffer.from(`${producer}-${number}`);
  return Buffer.concat([Uint8Array.of(0x10, 0x80, 0x02, id.length), id]);
}

/** Reads the name from a body. */
export function keyOf(body: Uint8Array): string {
  const end = body.indexOf(0x20);
  return Buffer.from(body.buffer, body.byteOffset, end).toString('latin1');
}

export function nameOf(key: string): MessageName {
  const [producer, number] = key.split('#');
  return { producer: producer!, number: Number(number) };
}
