import type { SinkEffect } from './effects.ts';
import type { SinkStream } from './sink-machine.ts';

/** What a destination wants done; stream effects name their source's cluster. */
export type DestinationEffect =
  | { readonly do: 'stream'; readonly source: string; readonly effect: SinkEffect }
  | { readonly do: 'probe' };

/** The streams of one destination at its sink, and what they want done, in order. Pure. */
export class SinkStreams {
  readonly bySource = new Map<string, SinkStream>();
  #out: DestinationEffect[] = [];

  get all(): SinkStream[] {
    return [...this.bySource.values()];
  }
  /** Those that credit can be given to. */
  get open(): SinkStream[] {
    return this.all.filter((stream) => stream.open);
  }
  /** Messages that are here without a verdict. */
  get unsettled(): number {
    let unsettled = 0;
    for (const stream of this.bySource.values()) unsettled += stream.unsettled;
    return unsettled;
  }
  /** From a credit to the message that needed it, for the farthest source of which it is known (ms). */
  get loopMs(): number {
    let longest = 0;
    for (const { loopMs } of this.bySource.values()) if (Number.isFinite(loopMs)) longest = Math.max(longest, loopMs);
    return longest;
  }
  /** Bytes of messages that are here. */
  get bytes(): number {
    let bytes = 0;
    for (const stream of this.bySource.values()) bytes += stream.unsettledBytes;
    return bytes;
  }

  /** Lets the stream of this source act, if there is one. */
  run(source: string, act: (stream: SinkStream) => SinkEffect[]): void {
    const stream = this.bySource.get(source);
    if (stream) for (const effect of act(stream)) this.#out.push({ do: 'stream', source, effect });
  }

  /** Lets every stream act. */
  each(act: (stream: SinkStream) => SinkEffect[]): void {
    for (const source of this.bySource.keys()) this.run(source, act);
  }

  probe(): void {
    this.#out.push({ do: 'probe' });
  }

  take(): DestinationEffect[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}

/** Credit of these streams that was granted and is not used up. */
export function outstandingOf(streams: readonly SinkStream[]): number {
  return streams.reduce((sum, stream) => sum + stream.outstanding, 0);
}
