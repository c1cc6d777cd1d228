import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { serve } from './remote.ts';

/**
 * A line with a round trip, as a process of its own: bytes that come in leave so much later, in order, however many are under
 * way. It also counts, and cuts.
 */
class SlowLine {
  readonly server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** Chunks from the side that dials: about one per request. */
  requests = 0;
  bytes = 0;

  constructor(targetPort: number, delayMs: number) {
    this.server = createServer((near) => {
      const far = dial(targetPort, '127.0.0.1');
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      this.#pump(near, far, delayMs, true);
      this.#pump(far, near, delayMs, false);
      for (const socket of pair) {
        socket.setNoDelay(true);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#pairs.delete(pair);
          for (const other of pair) other.destroy();
        });
      }
    });
  }

  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  #pump(from: Socket, to: Socket, delayMs: number, counted: boolean): void {
    const underWay: { readonly due: number; readonly bytes: Buffer }[] = [];
    let timer: NodeJS.Timeout | undefined;
    let ended = false;
    const release = () => {
      timer = undefined;
      const time = performance.now();
      to.cork();
      while (underWay[0] && underWay[0].due <= time) to.write((underWay.shift() as { bytes: Buffer }).bytes);
      to.uncork();
      if (underWay[0]) timer = setTimeout(release, underWay[0].due - time);
      else if (ended) to.end();
    };
    from.on('data', (bytes) => {
      this.bytes += bytes.length;
      if (counted) this.requests++;
      if (delayMs === 0) {
        to.write(bytes);
        return;
      }
      underWay.push({ due: performance.now() + delayMs, bytes });
      if (!timer) timer = setTimeout(release, delayMs);
    });
    from.on('end', () => {
      ended = true;
      if (underWay.length === 0) to.end();
    });
  }
}

const lines = new Map<number, SlowLine>();

const calls = {
  /** Opens a line to a port of this machine; resolves with the port to dial. `delayMs` is that of each direction. */
  open: async ({ port, delayMs }: { readonly port: number; readonly delayMs: number }) => {
    const line = new SlowLine(port, delayMs);
    await new Promise<void>((resolve) => line.server.listen(0, '127.0.0.1', resolve));
    const { port: own } = line.server.address() as { port: number };
    lines.set(own, line);
    return own;
  },
  cut: async (port: number) => lines.get(port)?.cut(),
  counts: async (port: number) => {
    const { requests = 0, bytes = 0 } = lines.get(port) ?? {};
    return { requests, bytes };
  },
  close: async (port: number) => {
    const line = lines.get(port);
    lines.delete(port);
    line?.server.close();
    line?.cut();
  },
};

export type LineCalls = typeof calls;

serve(calls);
