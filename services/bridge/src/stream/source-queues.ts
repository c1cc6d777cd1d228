import type { Destination, QueueProperties } from '@tombolo/wire/frame';
import { bufferName } from '../topic/buffer-name.ts';
import { Orphans } from './orphans.ts';
import type { SourceFlow } from './source-flow.ts';
import type { SourceStream } from './source-machine.ts';

/** A queue of the own cluster that peers draw from. */
export interface QueueAtSource {
  readonly name: string;
  /** As its streams' addresses name it. */
  readonly destination: Destination;
  readonly orphans: Orphans<SourceStream>;
  /** By sink. */
  readonly flows: Map<string, SourceFlow>;
  properties: QueueProperties;
  /** Consumers of the own cluster: a single-active-consumer queue is left to them. */
  localConsumers: number;
  /** Messages that were never delivered before were seen: peers may forget what is in doubt. */
  fresh: boolean;
}

/** The queues of the own cluster as a source sees them: those that exist, and those that streams draw from. */
export class SourceQueues {
  readonly #drawn = new Map<string, QueueAtSource>();
  /** Queues that exist, as far as the watch has told. */
  readonly #known = new Map<string, QueueProperties>();
  readonly #localConsumers = new Map<string, number>();

  /** Its properties, as far as the watch has told that it exists. */
  known(name: string): QueueProperties | undefined {
    return this.#known.get(name);
  }

  names(): Iterable<string> {
    return this.#known.keys();
  }

  created(name: string, properties: QueueProperties): void {
    this.#known.set(name, properties);
    const drawn = this.#drawn.get(name);
    if (drawn) drawn.properties = properties;
  }

  /** It is not there (any more), as far as is known. */
  gone(name: string): void {
    this.#known.delete(name);
  }

  /** How many consumers of the own cluster the queue has. Returns the streams for which that is new. */
  localConsumers(name: string, consumers: number): SourceFlow[] {
    if (consumers === 0) this.#localConsumers.delete(name);
    else this.#localConsumers.set(name, consumers);
    const drawn = this.#drawn.get(name);
    if (!drawn || drawn.localConsumers === consumers) return [];
    drawn.localConsumers = consumers;
    return [...drawn.flows.values()];
  }

  /** The queue that such a stream draws from. */
  drawn(sink: string, destination: Destination): QueueAtSource {
    const name = drawnFrom(sink, destination);
    let queue = this.#drawn.get(name);
    if (!queue) {
      const properties = this.#known.get(name) ?? {};
      const localConsumers = this.#localConsumers.get(name) ?? 0;
      const orphans = new Orphans<SourceStream>();
      queue = { name, destination, orphans, flows: new Map(), properties, localConsumers, fresh: false };
      this.#drawn.set(name, queue);
    }
    return queue;
  }

  /** The stream has ended: a queue of which nothing is left to be known is forgotten. */
  ended(flow: SourceFlow): void {
    const { name, flows, orphans } = flow.queue;
    if (flows.get(flow.sink) === flow) flows.delete(flow.sink);
    if (flows.size === 0 && orphans.empty) this.#drawn.delete(name);
  }

  /** It was deleted, or made anew: what is in doubt of it and has no message id will not be seen again, here or by any sink. */
  deleted(name: string): void {
    this.gone(name);
    const drawn = this.#drawn.get(name);
    if (!drawn) return;
    drawn.orphans.queueDeleted();
    drawn.fresh = true;
  }

  drawnQueues(): Iterable<QueueAtSource> {
    return this.#drawn.values();
  }

  /** Forgets queues of which nothing is left to be known. */
  prune(now: number): void {
    for (const [name, { flows, orphans }] of this.#drawn) {
      orphans.prune(now);
      if (flows.size === 0 && orphans.empty) this.#drawn.delete(name);
    }
  }

  flow(sink: string, destination: Destination): SourceFlow | undefined {
    return this.#drawn.get(drawnFrom(sink, destination))?.flows.get(sink);
  }

  flows(): SourceFlow[] {
    return [...this.#drawn.values()].flatMap(({ flows }) => [...flows.values()]);
  }

  flowsOf(name: string): SourceFlow[] {
    return [...(this.#drawn.get(name)?.flows.values() ?? [])];
  }

  flowsTo(sink: string): SourceFlow[] {
    return this.flows().filter((flow) => flow.sink === sink);
  }
}

/** The name of the queue of the own cluster that a stream draws from. */
export function drawnFrom(sink: string, { kind, name }: Destination): string {
  return kind === 'topic' ? bufferName(sink, name) : name;
}

/** Why a queue cannot be a source, or undefined. */
export function refusedSource(properties: QueueProperties): string | undefined {
  if (properties.type === 'stream')
    return 'it is a stream: reading it removes nothing, so it cannot be bridged as a queue';
  if (properties.exclusive) return 'it is exclusive to one connection';
  if (properties.autoDelete)
    return 'it is auto-delete: the end of a bridge’s consumer could delete it with its messages';
  if (properties.internalPurpose) return `it is internal (x-internal-purpose: ${properties.internalPurpose})`;
  return undefined;
}
