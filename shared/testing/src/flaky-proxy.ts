import { createServer, connect as dial, type Server, type Socket } from 'node:net';

/** A TCP proxy on loopback whose weather the test makes. */
export class FlakyProxy {
  /** Where to connect to. */
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  #delayMs = 0;
  #frozen = false;
  #down = false;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    server.on('connection', (near) => this.#accept(near, targetPort));
  }

  /** Starts a proxy in front of a port of this machine. */
  static async to(targetPort: number): Promise<FlakyProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FlakyProxy(server, targetPort);
  }

  /** How many connections go through it now. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Each direction is this late from now on. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Nothing passes, nothing breaks: a peer that went silent. */
  freeze(): void {
    this.#frozen = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  thaw(): void {
    this.#frozen = false;
    for (const { near, far } of this.#pairs) {
      near.resume();
      far.resume();
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
    const far = dial(targetPort, '127.0.0.1');
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      if (this.#frozen) socket.pause();
    }
    this.#pump(near, far);
    this.#pump(far, near);
    const gone = () => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', gone).on('close', gone);
  }

  #pump(from: Socket, to: Socket): void {
    let pending = 0;
    const write = (bytes: Buffer) => {
      if (!to.destroyed && !to.write(bytes)) {
        from.pause();
        to.once('drain', () => {
          if (!this.#frozen) from.resume();
        });
      }
    };
    from.on('data', (bytes) => {
      if (this.#delayMs === 0 && pending === 0) {
        write(bytes);
        return;
      }
      pending++;
      setTimeout(() => {
        pending--;
        write(bytes);
      }, this.#delayMs);
    });
    from.on('end', () => to.end());
  }
}
