import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a process offers: each takes and resolves with what JSON can hold. */
export type Calls = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

interface Request {
  readonly id: number;
  readonly call: string;
  readonly argument: unknown;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly failure?: string;
}

/** In the process: serves the calls until the parent goes. */
export function serve(calls: Calls): void {
  process.on('message', async ({ id, call, argument }: Request) => {
    const answer = await Promise.resolve()
      .then(() => calls[call]?.(argument as never))
      .then(
        (value): Answer => ({ id, value }),
        (error): Answer => ({ id, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      );
    process.send?.(answer);
  });
  process.on('disconnect', () => process.exit(0));
}

/** A process of the measurement's own, on processors of its own when they are given. */
export class Remote<C extends Calls> {
  readonly #child: ChildProcess;
  readonly #open = new Map<number, (answer: Answer) => void>();
  #ids = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (answer: Answer) => {
      this.#open.get(answer.id)?.(answer);
      this.#open.delete(answer.id);
    });
    child.on('exit', (code, signal) => {
      for (const [id, tell] of this.#open) tell({ id, failure: `the process ended (${code ?? signal})` });
      this.#open.clear();
    });
  }

  /** @param file beside this one, as it is built */
  static start<C extends Calls>(file: string, processors: string | undefined): Remote<C> {
    const run = [process.execPath, fileURLToPath(new URL(file, import.meta.url))];
    const [command, ...args] = processors === undefined ? run : ['taskset', '-c', processors, ...run];
    return new Remote<C>(spawn(command as string, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
  }

  /** taskset becomes what it starts. */
  get pid(): number {
    return this.#child.pid as number;
  }

  call<K extends keyof C & string>(call: K, argument: Parameters<C[K]>[0]): Promise<Awaited<ReturnType<C[K]>>> {
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      this.#open.set(id, ({ value, failure }) => {
        if (failure === undefined) resolve(value as Awaited<ReturnType<C[K]>>);
        else reject(new Error(`${call}: ${failure}`));
      });
      this.#child.send({ id, call, argument } satisfies Request);
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.disconnect();
    await gone;
  }
}
