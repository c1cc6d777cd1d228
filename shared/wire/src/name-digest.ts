import { createHash } from 'node:crypto';

/** 32 hexadecimal digits that stand for a name that is too long to be written out. */
export function nameDigest(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 32);
}
