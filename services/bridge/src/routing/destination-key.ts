import type { Destination } from '@tombolo/wire/frame';

/** A destination as a map key. */
export function destinationKey({ kind, name }: Destination): string {
  return `${kind}:${name}`;
}
