import type { MessagesFrame } from '@tombolo/wire/frame';

/** What a forwarder asks of a stream. */
export interface Forwardable {
  readonly hasUnsent: boolean;
  nextBatch(maxBytes: number, now: number): MessagesFrame | undefined;
}

/** One batch: large enough to make a write worth it, small enough that streams of one link take turns. */
const BATCH_BYTES = 64 * 1024;

/**
 * Sends the messages of all streams to one peer, in turns, as far as the link takes them. At most one frame waits here: the rest
 * stays with its stream, where it can still be given back.
 */
export class Forwarder {
  #streams = new Set<Forwardable>();
  #stalled: MessagesFrame | undefined;
  #send: (frame: MessagesFrame) => boolean;

  /** @param send hands a frame to the link; false: not taken, `pump` is called again when there is room */
  constructor(send: (frame: MessagesFrame) => boolean) {
    this.#send = send;
  }

  offer(stream: Forwardable, now: number): void {
    this.#streams.add(stream);
    this.pump(now);
  }

  pump(now: number): void {
    if (this.#stalled) {
      if (!this.#send(this.#stalled)) return;
      this.#stalled = undefined;
    }
    for (const stream of this.#streams) {
      // Taken out and put in again: a set is walked in order of insertion, so streams take turns.
      this.#streams.delete(stream);
      const frame = stream.nextBatch(BATCH_BYTES, now);
      if (!frame) continue;
      if (stream.hasUnsent) this.#streams.add(stream);
      if (!this.#send(frame)) {
        this.#stalled = frame;
        return;
      }
    }
  }

  /** The link is gone: what was not taken is sent again when the streams have compared notes. */
  reset(): void {
    this.#streams.clear();
    this.#stalled = undefined;
  }
}

/** One forwarder for each neighbour and sink: a relay that is slow towards one sink holds up nobody else. */
export class Forwarders {
  readonly #send: (neighbour: string, frame: MessagesFrame) => boolean;
  readonly #forwarders = new Map<string, Map<string, Forwarder>>();

  /** @param send hands a frame to the link with `neighbour`; false: not taken, `pump` is called again when there is room */
  constructor(send: (neighbour: string, frame: MessagesFrame) => boolean) {
    this.#send = send;
  }

  offer(neighbour: string, sink: string, stream: Forwardable, now: number): void {
    const bySink = this.#forwarders.get(neighbour) ?? new Map<string, Forwarder>();
    this.#forwarders.set(neighbour, bySink);
    let forwarder = bySink.get(sink);
    if (!forwarder) {
      forwarder = new Forwarder((frame) => this.#send(neighbour, frame));
      bySink.set(sink, forwarder);
    }
    forwarder.offer(stream, now);
  }

  pump(neighbour: string, now: number): void {
    for (const forwarder of this.#forwarders.get(neighbour)?.values() ?? []) forwarder.pump(now);
  }

  /** The link to this neighbour is gone: what was handed to it and not taken is sent again once notes are compared. */
  reset(neighbour: string): void {
    for (const forwarder of this.#forwarders.get(neighbour)?.values() ?? []) forwarder.reset();
    this.#forwarders.delete(neighbour);
  }
}
