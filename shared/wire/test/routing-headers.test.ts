import { describe, expect, it } from 'vitest';
import { hasRoutingHeader } from '../src/routing-headers.ts';

/** Properties with nothing but headers, each an empty array or, when it has another one in it, a table. */
function withHeaders(...headers: readonly (string | readonly [string, string])[]): Uint8Array {
  const table = Buffer.concat(
    headers.map((each) =>
      typeof each === 'string'
        ? field(each, 'A', Buffer.alloc(0))
        : field(each[0], 'F', field(each[1], 'A', Buffer.alloc(0))),
    ),
  );
  return Buffer.concat([Buffer.from([0x20, 0x00]), long(table)]);
}

function field(name: string, type: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name + type), long(value)]);
}

function long(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

describe('headers by which a broker routes', () => {
  it('are CC and BCC', () => {
    expect(hasRoutingHeader(withHeaders('x', 'CC'))).toBe(true);
    expect(hasRoutingHeader(withHeaders('BCC'))).toBe(true);
  });

  it('are not what only looks like them', () => {
    expect(hasRoutingHeader(withHeaders('x-tombolo-cc', 'cc', 'CCC', 'ACC'))).toBe(false);
    expect(hasRoutingHeader(withHeaders(['x', 'CC']))).toBe(false);
    expect(hasRoutingHeader(new Uint8Array([0, 0]))).toBe(false);
    expect(hasRoutingHeader(new Uint8Array([0x20, 0, 2, 0x43, 0x43]))).toBe(false);
  });
});
