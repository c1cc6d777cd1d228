import { describe, expect, it } from 'vitest';
import { delaySeconds } from '../../../src/stream/delay.ts';

/** Properties with nothing but a timestamp. */
function stamped(timestamp: number): Uint8Array {
  const bytes = Buffer.alloc(10);
  bytes.writeUInt16BE(0x0040);
  bytes.writeBigUInt64BE(BigInt(timestamp), 2);
  return bytes;
}

describe('the delay of a message', () => {
  const made = 1_700_000_000;
  const wall = (made + 42) * 1000;

  it('is counted from its timestamp, in seconds as AMQP has it', () => {
    expect(delaySeconds(stamped(made), wall)).toBe(42);
  });

  it('is counted from a timestamp in milliseconds, as many producers write it', () => {
    expect(delaySeconds(stamped(made * 1000), wall)).toBe(42);
  });

  it('is not known without a timestamp', () => {
    expect(delaySeconds(Buffer.from([0, 0]), wall)).toBeUndefined();
    expect(delaySeconds(stamped(0), wall)).toBeUndefined();
  });

  it('is none when the clock of the producer is ahead', () => {
    expect(delaySeconds(stamped(made + 60), wall)).toBe(0);
  });
});
