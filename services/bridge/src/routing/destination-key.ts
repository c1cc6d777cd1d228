import type { Destination } from '@tombolo/wire/frame';

/** A destination as a map key. */
export function destinationKey({ kind, name }: Destination): string {
  return `${kind}:${name}`;
}

/** The destination as metrics have it: reply queues are too many to be told apart. */
export function shownName({ kind, name }: Destination): string {
  return kind === 'reply' ? 'tombolo.reply' : name;
}
