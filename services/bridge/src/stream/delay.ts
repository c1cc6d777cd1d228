import { timestampSeconds } from '@tombolo/wire/properties';

/** A larger one is no count of seconds: it would be in the year 5138. Many producers write milliseconds. */
const LARGEST_SECONDS = 100_000_000_000;

/**
 * How old a message is, by the timestamp that its producer gave it (AMQP 0-9-1: seconds since 1970); undefined without one. Never below
 * 0: where the producer's clock is ahead it is as if it had been made now.
 * @param wall milliseconds since 1970
 */
export function delaySeconds(properties: Uint8Array, wall: number): number | undefined {
  const made = timestampSeconds(properties);
  if (made === undefined || made === 0) return undefined;
  return Math.max(0, wall / 1000 - (made > LARGEST_SECONDS ? made / 1000 : made));
}
