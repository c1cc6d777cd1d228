import { createServer, connect as dial, type Server, type Socket } from 'node:net';

/** One connection through the proxy. */
interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  /** Nothing passes on it any more, for good. */
  silent: boolean;
}

/** A TCP proxy on loopback whose weather the test makes. */
export class FlakyProxy {
  /** Where to connect to. */
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #delayMs = 0;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  #frozen = false;
  #down = false;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    server.on('connection', (near) => this.#accept(near, targetPort));
  }

  /** Starts a proxy in front of a port of this machine. */
  static async to(targetPort: number): Promise<FlakyProxy> {
    // Half-open: what is under way arrives, though its sender has ended.
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FlakyProxy(server, targetPort);
  }

  /** How many connections go through it now. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Each direction is this late from now on. What is under way keeps its order. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Each direction of each connection carries so much from now on; Infinity: no limit. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Nothing passes, nothing breaks, on old connections and new ones: the network between two sites is parted. */
  freeze(): void {
    this.#frozen = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  /** Everything passes again, what was held back first. */
  thaw(): void {
    this.#frozen = false;
    for (const pair of this.#pairs) {
      if (pair.silent) continue;
      pair.near.resume();
      pair.far.resume();
    }
  }

  /**
   * The connections that there are stay open and carry nothing any more, and nobody is told when an end gives up: half-open, as
   * after a firewall forgot them. New ones work.
   */
  silence(): void {
    for (const pair of this.#pairs) {
      pair.silent = true;
      pair.near.pause();
      pair.far.pause();
    }
  }

  /** Resets every connection; new ones are accepted. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /** Resets every connection and accepts no new one, until `up`. */
  down(): void {
    this.#down = true;
    this.cut();
  }

  up(): void {
    this.#down = false;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(near: Socket, targetPort: number): void {
    if (this.#down) {
      near.resetAndDestroy();
      return;
    }
    const far = dial({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const pair: Pair = { near, far, silent: false };
    this.#pairs.add(pair);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      if (this.#frozen) socket.pause();
    }
    this.#pump(pair, near, far);
    this.#pump(pair, far, near);
    let ends = 0;
    const gone = () => {
      // The other end of a silent connection must not hear that this one has gone.
      if (pair.silent && ++ends < 2) return;
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', () => {}).on('close', gone);
  }

  #pump(pair: Pair, from: Socket, to: Socket): void {
    /** What is under way, in order, and when the last of it arrives. */
    const underWay: (() => void)[] = [];
    let due = 0;
    const read = () => {
      if (!this.#frozen && !pair.silent) from.resume();
    };
    const write = (bytes: Buffer) => {
      if (pair.silent || to.destroyed || to.write(bytes)) return;
      from.pause();
      if (to.listenerCount('drain') === 0) to.once('drain', read);
    };
    const pass = (bytes: number, then: () => void) => {
      const now = performance.now();
      due = Math.max(due, now + this.#delayMs) + (1000 * bytes) / this.#bytesPerSecond;
      if (underWay.length === 0 && due <= now) return then();
      // A line that is too narrow holds the sender up, rather than keep it all.
      const full = due - now - this.#delayMs > queuedMs;
      if (full) from.pause();
      underWay.push(then);
      setTimeout(() => {
        // The first, whichever timer this is: they may come a millisecond out of order.
        underWay.shift()?.();
        if (full) read();
      }, due - now);
    };
    from.on('data', (bytes) => pass(bytes.length, () => write(bytes)));
    from.on('end', () => pass(0, () => pair.silent || to.end()));
  }
}

/** How much time's worth a narrow line holds. */
const queuedMs = 500;
