import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from '@tombolo/testing/await-until';
import type { BridgeProcess } from '../e2e/network.ts';

/** Debian's package libfaketime; the dynamic linker puts the machine's folder in for `$LIB`. */
const folders = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((machine) => `/usr/lib/${machine}/faketime`);
const library = folders.map((folder) => join(folder, 'libfaketimeMT.so.1')).find((file) => existsSync(file));

/** Why no process can be given a clock of its own; undefined when one can. */
export function wallClockMissing(): string | undefined {
  return library ? undefined : 'libfaketime is not installed';
}

/** A wall clock that a process has for itself, by libfaketime; its monotonic clock is the machine's, which never jumps. */
export class WallClock {
  readonly #file: string;
  /** What the process is started with. */
  readonly env: Readonly<Record<string, string>>;

  private constructor(file: string) {
    this.#file = file;
    this.env = {
      LD_PRELOAD: library!,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_CACHE_DURATION: '1',
    };
  }

  static async make(): Promise<WallClock> {
    const file = join(await mkdtemp(join(tmpdir(), 'tombolo-clock-')), 'offset');
    await writeFile(file, '+0\n');
    return new WallClock(file);
  }

  /** From now on it is so many seconds ahead (negative: behind). */
  async set(seconds: number): Promise<void> {
    await writeFile(this.#file, `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }

  /** Resolves when this process, which answers with the time, has seen that clock. */
  async seenBy(bridge: BridgeProcess, seconds: number): Promise<void> {
    await awaitUntil(
      `the clock of ${bridge.name} is ${seconds} s ahead`,
      async () => {
        const { headers } = await fetch(`${bridge.admin}/healthz`);
        const ahead = (Date.parse(headers.get('date') ?? '') - Date.now()) / 1000;
        return Math.abs(ahead - seconds) < 5;
      },
      { withinMs: 10_000, everyMs: 50 },
    );
  }
}
