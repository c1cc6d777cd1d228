import type { Blocked, Destination } from '@tombolo/wire/frame';
import type { PublishOutcome } from '../broker/port.ts';

import { Refusal } from './refusal.ts';
import type { SinkStream } from './sink-machine.ts';
import { outstandingOf, type SinkStreams } from './sink-streams.ts';

/**
 * What the streams of a destination do while its broker refuses their messages for now: they try when it is time, tell their sources,
 * and give back what has waited for long. Pure.
 */
export class Restraint {
  readonly #cluster: string;
  readonly #destination: Destination;
  readonly #streams: SinkStreams;
  /** The broker takes nothing for this destination at present. */
  #refusal: Refusal | undefined;
  /** Streams may have been told so. */
  #told = false;

  constructor(cluster: string, destination: Destination, streams: SinkStreams) {
    this.#cluster = cluster;
    this.#destination = destination;
    this.#streams = streams;
  }

  /** Why the broker takes nothing at present, or undefined. */
  get blocked(): Blocked | undefined {
    return this.#refusal?.blocked;
  }
  /** When `apply` is due next (monotonic ms); Infinity: nothing is refused. */
  get dueAt(): number {
    return this.#refusal?.dueAt ?? Number.POSITIVE_INFINITY;
  }

  /** A stream joins: it publishes nothing before its turn. */
  join(stream: SinkStream): void {
    if (this.#refusal) stream.setMost(0);
  }

  /** Something has changed at the sink: no use in waiting. */
  mended(now: number): void {
    this.#refusal?.mended(now);
  }

  /** `ready` messages wait in the queue; undefined: it could not be looked at. */
  probed(ready: number | undefined, now: number): void {
    if (this.#refusal?.probed(ready)) this.#refusal.mended(now);
  }

  /** Messages have an answer, which their stream is told afterwards. What is tried next is said by `apply`, not by what comes back then. */
  heard(outcome: PublishOutcome, detail: string | undefined, brokerUp: boolean, now: number): void {
    if (brokerUp && (outcome === 'returned' || outcome === 'refused' || outcome === 'forbidden')) {
      this.#refusal ??= new Refusal(this.#cluster, this.#destination, outcome, detail, now);
      this.#refusal.refused(now);
    }
    if (this.#refusal) for (const stream of this.#streams.bySource.values()) stream.setMost(0);
    if (outcome === 'confirmed' && this.#refusal?.taken()) this.#refusal = undefined;
  }

  apply(mayPublish: boolean, draining: boolean, now: number): void {
    const refusal = this.#refusal;
    if (!refusal) return this.#end(now);
    this.#told = true;
    // What is refused would hold up the end of it.
    if (draining) this.#streams.each((stream) => stream.release());
    if (!mayPublish) return;
    this.#streams.each((stream) => {
      const waits = refusal.most === 0;
      return [...stream.setBlocked(refusal.blocked, now), ...(waits ? stream.revoke(now) : [])];
    });
    if (refusal.givesBack(now)) this.#giveBack();
    refusal.wake(now);
    const streams = this.#streams.all;
    if (refusal.most === 0 || streams.some(({ underWay }) => underWay > 0)) return;
    const trying = streams.find(({ held }) => held > 0);
    if (trying) {
      for (const stream of streams) if (stream !== trying) stream.setMost(0);
      this.#streams.run(trying.address.source, (stream) => stream.setMost(refusal.most));
      return;
    }
    // Nothing is left to try it with: one message is asked for, or all was taken.
    if (refusal.most > 1) {
      this.#refusal = undefined;
      this.#end(now);
    } else if (!draining) this.#ask(now);
  }

  #end(now: number): void {
    if (!this.#told) return;
    this.#told = false;
    this.#streams.each((stream) => [...stream.setBlocked(undefined, now), ...stream.setMost(Number.POSITIVE_INFINITY)]);
  }

  /** All but one message, which is what is tried. */
  #giveBack(): void {
    let keep = 1;
    this.#streams.each((stream) => {
      const kept = Math.min(keep, stream.held);
      keep -= kept;
      return stream.release(kept);
    });
  }

  /** One message is asked for, of a source that may have one. */
  #ask(now: number): void {
    const { open } = this.#streams;
    const asked = open.find(({ empty }) => !empty) ?? open[0];
    if (!asked || outstandingOf(open) > 0) return;
    asked.setMost(1);
    this.#streams.run(asked.address.source, (stream) => stream.grant(1, now));
  }
}
