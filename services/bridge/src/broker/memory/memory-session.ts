import type { Clock } from '@tombolo/kernel/clock';

/**
 * Two ordered pipes between an adapter and its server, each late by the latency. What is put in within one instant comes
 * out in one callback. Once closed nothing comes out any more.
 */
export class MemoryPipes {
  readonly #clock: Clock;
  readonly #client: Clock;
  readonly #latency: () => number;
  #closed = false;
  /** The last batch each way that may still be under way: nothing overtakes it. */
  readonly #batches = new Map<'server' | 'client', { at: number; calls: (() => void)[] }>();

  /** @param client the client's clock: what comes to it comes when it runs */
  constructor(clock: Clock, client: Clock, latency: () => number) {
    this.#clock = clock;
    this.#client = client;
    this.#latency = latency;
  }

  toServer(call: () => void): void {
    this.#put('server', call);
  }

  toClient(call: () => void): void {
    this.#put('client', call);
  }

  close(): void {
    this.#closed = true;
  }

  #put(to: 'server' | 'client', call: () => void): void {
    if (this.#closed) return;
    const open = this.#batches.get(to);
    const at = Math.max(this.#clock.now() + this.#latency(), open?.at ?? 0);
    if (open && open.at === at) {
      open.calls.push(call);
      return;
    }
    const batch = { at, calls: [call] };
    this.#batches.set(to, batch);
    const clock = to === 'client' ? this.#client : this.#clock;
    clock.wake(at, () => {
      if (this.#batches.get(to) === batch) this.#batches.delete(to);
      for (const each of batch.calls) {
        if (this.#closed) return;
        each();
      }
    });
  }
}
