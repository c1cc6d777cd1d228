import { Fault } from '@tombolo/kernel/fault';
import type { Frame, RelayableFrame } from '@tombolo/wire/frame';

/*
 * What a neighbour says is its own word, or that of a cluster behind it which it relays. Nobody but the neighbour has proved who it is
 * on this link, so its own word is taken as it is, and that of others only as far as connectors let something cross it: with
 * networkTTL 1 a neighbour speaks for itself alone, with n for clusters that are up to n connectors away. Besides, a neighbour that lies
 * on a way that is known to a cluster may hand over that one's words by its own, shorter, link: it holds them in any case.
 */

export interface TestimonyOptions {
  readonly cluster: string;
  /** The largest networkTTL of the connectors with this neighbour; 0: there is none. */
  readonly farthest: (neighbour: string) => number;
  /** Whether a way to this cluster is known that leads through this neighbour. */
  readonly between: (neighbour: string, cluster: string) => boolean;
}

/** `ignored`: honest bridges say it too, and it means nothing here. `refused`: no honest bridge with the same file says it. */
export type Verdict = 'taken' | 'ignored' | 'refused';

/** Judges whether a neighbour may say what it says. Pure. */
export class Testimony {
  readonly #cluster: string;
  readonly #farthest: (neighbour: string) => number;
  readonly #between: (neighbour: string, cluster: string) => boolean;

  constructor({ cluster, farthest, between }: TestimonyOptions) {
    this.#cluster = cluster;
    this.#farthest = farthest;
    this.#between = between;
  }

  /** @throws Fault TOMBOLO_FRAME_INVALID when the neighbour speaks in the name of another cluster: the link is to end */
  judge(neighbour: string, frame: Frame): Verdict {
    switch (frame.kind) {
      case 'demand': {
        const longest = Math.max(frame.path.length, ...(frame.farther ?? []).map(({ path }) => path.length));
        return longest <= this.#farthest(neighbour) ? 'taken' : 'refused';
      }
      case 'withdraw':
        // Told to everybody who may have heard of the demand, by whatever way.
        return frame.sink === neighbour || this.#relays(neighbour) ? 'taken' : 'ignored';
      case 'hop-lost':
        return frame.cluster === neighbour || this.#relays(neighbour) ? 'taken' : 'ignored';
      // Of the link itself.
      case 'connectors':
      case 'unreachable':
      case 'relayed':
      case 'digest':
      case 'snapshot-request':
      case 'snapshot-begin':
      case 'snapshot-end':
        return 'taken';
      default:
        return this.#relayed(neighbour, frame);
    }
  }

  #relayed(neighbour: string, frame: RelayableFrame): Verdict {
    const { speaker, target } = partiesOf(frame);
    const { hops = 0 } = frame;
    if (hops === 0) {
      if (speaker === neighbour) return target === this.#cluster || this.#relays(neighbour) ? 'taken' : 'refused';
      throw new Fault(
        'TOMBOLO_FRAME_INVALID',
        `Cluster '${neighbour}' sent a ${frame.kind} frame in the name of cluster '${speaker}'. Its bridge is not to be trusted, or of another version.`,
      );
    }
    // A frame of this cluster that went in a circle while ways were changing.
    if (speaker === this.#cluster) return 'ignored';
    const crossed = hops + 1 + (target === this.#cluster ? 0 : 1);
    return crossed <= this.#farthest(neighbour) || this.#between(neighbour, speaker) ? 'taken' : 'refused';
  }

  #relays(neighbour: string): boolean {
    return this.#farthest(neighbour) > 1;
  }
}

/** The cluster whose word a frame is, and the one that it is for. */
export function partiesOf(frame: RelayableFrame): { readonly speaker: string; readonly target: string } {
  switch (frame.kind) {
    case 'open':
    case 'messages':
    case 'state':
    case 'closed':
      return { speaker: frame.address.source, target: frame.address.sink };
    case 'resume':
    case 'refuse':
    case 'credit':
    case 'settle':
    case 'gap':
      return { speaker: frame.address.sink, target: frame.address.source };
    case 'collect':
    case 'forget':
    case 'bindings-request':
    case 'ask':
      return { speaker: frame.source, target: frame.sink };
    case 'collected':
    case 'bindings':
    case 'answer':
      return { speaker: frame.sink, target: frame.source };
    default:
      throw new Error(`unexpected ${frame satisfies never}`);
  }
}
