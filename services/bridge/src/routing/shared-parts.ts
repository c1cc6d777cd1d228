import type { DemandFrame, Destination, QueueProperties } from '@tombolo/wire/frame';

/** More parts than this are not looked up any more: a network that changes all the time must not fill the memory. */
const LARGEST = 20_000;

/**
 * What advertisements have in common, stored once. Every frame comes off its link with strings and lists of its own; but all demands of
 * a sink come by the same few paths, and most queues are alike. That is two thirds of what a way would weigh.
 */
export class SharedParts {
  readonly #names = new Map<string, string>();
  readonly #paths = new Map<string, readonly string[]>();
  readonly #queues = new Map<string, QueueProperties>();

  /** How many are known. */
  get size(): number {
    return this.#names.size + this.#paths.size + this.#queues.size;
  }

  /** The frame, made of shared parts. */
  frame(frame: DemandFrame, destination: Destination): DemandFrame {
    const { sink, incarnation, version, path, ttl, farther, connector, consumers, queue, leaseMs } = frame;
    return {
      kind: 'demand',
      sink: this.#name(sink),
      destination,
      incarnation,
      version,
      path: this.#path(path),
      ttl,
      ...(farther && { farther: farther.map((way) => ({ path: this.#path(way.path), ttl: way.ttl })) }),
      connector: this.#name(connector),
      consumers,
      queue: shared(this.#queues, JSON.stringify(queue), () => queue),
      leaseMs,
    };
  }

  #name(name: string): string {
    return shared(this.#names, name, () => name);
  }

  #path(path: readonly string[]): readonly string[] {
    return shared(this.#paths, path.join('\n'), () => path.map((name) => this.#name(name)));
  }
}

function shared<T>(parts: Map<string, T>, key: string, make: () => T): T {
  const known = parts.get(key);
  if (known !== undefined) return known;
  if (parts.size >= LARGEST) parts.clear();
  const part = make();
  parts.set(key, part);
  return part;
}
