import { messageOf } from '@tombolo/kernel/fault';
import type { Broker } from '../broker/port.ts';
import type { Router } from '../routing/router.ts';
import type { ShellLog } from '../stream/shell.ts';
import type { SinkHalf } from '../stream/sink-half.ts';

/** The queue that is on the broker while its cluster is drained: every bridge beside it sees it, whoever is master. It stays empty. */
export const drainMarker = 'tombolo.draining';

/** What brings messages in. */
export interface Receiver {
  readonly sink: Pick<SinkHalf, 'setReceiving' | 'quiet' | 'visible'>;
  readonly router: Pick<Router, 'setHushed'>;
}

export interface ClusterDrainOptions {
  readonly broker: Pick<Broker, 'source' | 'buffers'>;
  readonly log: ShellLog;
  /** When the demand is withdrawn although something is still under way (monotonic ms), for a drain that begins now. */
  readonly deadline: () => number;
}

/**
 * Whether the cluster is drained, and what follows: nothing is brought in, while what waits here still leaves. Kept on the broker, so
 * that it outlives every bridge. Until it is known, nothing is brought in either; when it cannot be known, the last known holds.
 */
export class ClusterDrain {
  readonly #options: ClusterDrainOptions;
  #on: boolean | undefined;
  #receiver: Receiver | undefined;
  #visible = false;
  #closing: Promise<void> = Promise.resolve();
  #marking: Promise<void> = Promise.resolve();

  constructor(options: ClusterDrainOptions) {
    this.#options = options;
  }

  get on(): boolean {
    return this.#on === true;
  }

  /** This bridge is the master from now on, with these parts; undefined: it is not any more. */
  serve(receiver: Receiver | undefined): void {
    this.#receiver = receiver;
    if (!receiver) return;
    receiver.sink.setReceiving(this.#on === false);
    receiver.router.setHushed(this.on);
    this.#show();
    void this.look();
  }

  /** The broker's consumers are seen, or are not. Its queues are seen by the same look: the marker has been told of before. */
  visible(visible: boolean): void {
    this.#visible = visible;
    if (visible && this.#on === undefined) this.#known(false);
    this.#show();
  }

  /** The watch has seen the marker come or go; lists may lag behind what was done just now. */
  seen(exists: boolean): void {
    if (this.#on === undefined) this.#known(exists);
    else if (exists !== this.#on) void this.look();
  }

  /** Asks the broker. */
  async look(): Promise<void> {
    const { broker, log } = this.#options;
    try {
      this.#known((await broker.source.inspect(drainMarker)) !== undefined);
    } catch (thrown) {
      log.debug({ queue: drainMarker, reason: messageOf(thrown) }, 'whether the cluster is drained is not known');
    }
  }

  /** Drains the cluster, or ends that, for all bridges beside it; resolves when what was under way is settled. Rejects with a Fault when the broker does not let us keep it. */
  async set(on: boolean): Promise<void> {
    // One after the other: the last word counts, however long the broker takes for the one before.
    const before = this.#marking.catch(() => {});
    this.#marking = before.then(() => this.#mark(on));
    await this.#marking;
    if (on) await this.#closing;
  }

  async #mark(on: boolean): Promise<void> {
    const { source, buffers } = this.#options.broker;
    // A quorum queue is seen while a minority of the broker's nodes is away; a classic one goes with its node.
    if (!on) await buffers.delete(drainMarker);
    else if (!(await source.inspect(drainMarker))) await source.declare(drainMarker, { type: 'quorum', durable: true });
    this.#known(on);
  }

  #known(on: boolean): void {
    if (this.#on === on) return;
    const isNews = on || this.#on !== undefined;
    this.#on = on;
    if (isNews)
      this.#options.log.info({ draining: on }, on ? 'the cluster is drained' : 'the cluster is not drained any more');
    this.#show();
    const receiver = this.#receiver;
    if (!receiver) return;
    if (on) {
      this.#closing = this.#close(receiver);
      return;
    }
    receiver.router.setHushed(false);
    receiver.sink.setReceiving(true);
  }

  /** Credit goes back first, so that what sources have taken is settled; only then is the demand withdrawn, which sends it back. */
  async #close(receiver: Receiver): Promise<void> {
    receiver.sink.setReceiving(false);
    await receiver.sink.quiet(this.#options.deadline());
    if (this.on && this.#receiver === receiver) receiver.router.setHushed(true);
  }

  #show(): void {
    this.#receiver?.sink.visible(this.#visible && this.#on !== undefined);
  }
}
