import type { Clock } from '@tombolo/kernel/clock';

/**
 * Two ordered pipes between an adapter and its server, each late by the latency. What is put in within one instant comes
 * out in one callback. Once closed nothing comes out any more.
 */
export class MemoryPipes {
  readonly #clock: Clock;
  readonly #latencyMs: number;
  #closed = false;
  #batches = new Map<'server' | 'client', { at: number; calls: (() => void)[] }>();

  constructor(clock: Clock, latencyMs: number) {
    this.#clock = clock;
    this.#latencyMs = latencyMs;
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
    const at = this.#clock.now() + this.#latencyMs;
    const open = this.#batches.get(to);
    if (open && open.at === at) {
      open.calls.push(call);
      return;
    }
    const batch = { at, calls: [call] };
    this.#batches.set(to, batch);
    this.#clock.wake(at, () => {
      if (this.#batches.get(to) === batch) this.#batches.delete(to);
      for (const each of batch.calls) {
        if (this.#closed) return;
        each();
      }
    });
  }
}
