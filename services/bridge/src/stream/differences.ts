import type { Destination } from '@tombolo/wire/frame';
import type { DifferenceView } from '../admin/view.ts';
import { destinationKey } from '../routing/destination-key.ts';
import type { Difference } from './reconciliation.ts';

/** One end of the streams of a destination, over all their epochs. */
export interface StreamEnd {
  readonly role: 'source' | 'sink';
  readonly connector: string;
  readonly peer: string;
  readonly destination: Destination;
}

interface Entry {
  readonly end: StreamEnd;
  /** Of epochs that came before. */
  past: Difference;
  epoch: string;
  present: Difference;
}

const none: Difference = { lost: 0, doubled: 0 };

/** What the two ends of streams counted differently, for as long as the process runs: an epoch that has ended is not forgotten. */
export class Differences {
  readonly #entries = new Map<string, Entry>();

  /** The result of the latest comparison of this epoch. True when the difference has grown. */
  compared(end: StreamEnd, epoch: string, difference: Difference): boolean {
    const key = keyOf(end);
    let entry = this.#entries.get(key);
    if (!entry) {
      if (sizeOf(difference) === 0) return false;
      entry = { end, past: none, epoch, present: none };
      this.#entries.set(key, entry);
    }
    if (entry.epoch !== epoch) {
      entry.past = sum(entry.past, entry.present);
      entry.epoch = epoch;
      entry.present = none;
    }
    const grown = sizeOf(difference) > sizeOf(entry.present);
    entry.present = { lost: difference.lost, doubled: difference.doubled };
    if (sizeOf(entry.past) + sizeOf(entry.present) === 0) this.#entries.delete(key);
    return grown;
  }

  of(end: StreamEnd): Difference {
    const entry = this.#entries.get(keyOf(end));
    return entry ? sum(entry.past, entry.present) : none;
  }

  /** Those that are not 0. */
  views(): DifferenceView[] {
    return [...this.#entries.values()].map(({ end: { destination, ...end }, past, present }) => ({
      ...end,
      kind: destination.kind,
      destination: destination.name,
      ...sum(past, present),
    }));
  }
}

function keyOf({ role, connector, peer, destination }: StreamEnd): string {
  return [role, connector, peer, destinationKey(destination)].join('\u0000');
}

function sum(a: Difference, b: Difference): Difference {
  return { lost: a.lost + b.lost, doubled: a.doubled + b.doubled };
}

function sizeOf({ lost, doubled }: Difference): number {
  return lost + doubled;
}
