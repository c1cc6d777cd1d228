import { type FSWatcher, readdirSync, realpathSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '@tombolo/kernel/clock';

export interface WatchOptions {
  /** What to watch, files and directories, whether or not they are there; asked again after every change. */
  readonly paths: () => readonly string[];
  /** One of them is another than before, and has been still since. */
  readonly changed: () => void;
  readonly clock: Clock;
  /** How long it must be still before `changed` is called (ms): editors and copies write in steps. Default 200. */
  readonly settleMs?: number;
  /** How often is looked, for file systems that tell nothing (ms). Default 5,000. */
  readonly pollMs?: number;
}

/** Something that is never still is looked at all the same after so many settle times. */
const patience = 8;

/**
 * Tells when files change, in whichever way: written in place, replaced by a rename as editors do, or behind a symbolic link
 * that is exchanged as Kubernetes does with a ConfigMap (`..data`). The directories of the files, and of what links lead to,
 * are watched, for a file that is replaced is another one; where the system tells nothing (network file systems, too many
 * watches), looking from time to time finds it. What else happens in these directories costs a look, and is not told.
 */
export class FileWatch {
  readonly #options: WatchOptions;
  readonly #settleMs: number;
  readonly #watchers = new Map<string, FSWatcher>();
  /** By path, how it looked when it was last told of, or first seen. */
  #looks = new Map<string, string>();
  #settling = false;
  #cancelSettle = (): void => {};
  #cancelPoll = (): void => {};
  #running = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#settleMs = options.settleMs ?? 200;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#looks = this.#lookNow();
    this.#follow();
    this.#pollLater();
  }

  stop(): void {
    this.#running = false;
    this.#cancelSettle();
    this.#cancelPoll();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #pollLater(): void {
    const { clock, pollMs = 5_000 } = this.#options;
    this.#cancelPoll = clock.wake(clock.now() + pollMs, () => {
      this.#stirred();
      this.#follow();
      this.#pollLater();
    });
  }

  /** Something happened in one of the directories, perhaps to another file: looked at once it may be still. */
  #stirred(): void {
    if (!this.#running || this.#settling) return;
    this.#settling = true;
    this.#settle(undefined, patience);
  }

  #settle(seen: string | undefined, left: number): void {
    const { changed, clock } = this.#options;
    this.#cancelSettle = clock.wake(clock.now() + this.#settleMs, () => {
      const now = this.#lookNow();
      const news = [...now].filter(([path, look]) => (this.#looks.get(path) ?? look) !== look).join('\n');
      if (news !== '' && news !== seen && left > 0) return this.#settle(news, left - 1);
      this.#settling = false;
      this.#looks = now;
      if (news === '') return;
      changed();
      this.#looks = new Map([...this.#lookNow(), ...now]);
      this.#follow();
    });
  }

  /** Watches the directories that the paths are in now. */
  #follow(): void {
    if (!this.#running) return;
    const wanted = new Set(this.#options.paths().flatMap(directoriesOf));
    for (const [directory, watcher] of this.#watchers) {
      if (wanted.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of wanted) {
      if (this.#watchers.has(directory)) continue;
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#stirred());
        const forget = (): void => {
          watcher.close();
          if (this.#watchers.get(directory) === watcher) this.#watchers.delete(directory);
        };
        // For instance the directory is gone: looking finds it when it is back.
        watcher.on('error', forget);
        this.#watchers.set(directory, watcher);
      } catch {
        // It is not there, or the system has no watch left: looking has to do.
      }
    }
  }

  #lookNow(): Map<string, string> {
    return new Map(this.#options.paths().map((path) => [path, lookAt(path)]));
  }
}

/** The directory of a path, that of what it leads to when it is a link, and itself when it is a directory. */
function directoriesOf(path: string): string[] {
  const found = [dirname(path)];
  try {
    const real = realpathSync(path);
    found.push(statSync(real).isDirectory() ? real : dirname(real));
  } catch {
    // It is not there.
  }
  return found;
}

/** What a look shows of a path, links followed. Of a directory the names in it, which are no paths of their own yet. */
function lookAt(path: string): string {
  try {
    const found = statSync(path);
    if (found.isDirectory()) return readdirSync(path).sort().join('\u0000');
    const { dev, ino, size, mtimeMs } = found;
    return `${dev}:${ino}:${size}:${mtimeMs}`;
  } catch {
    return 'absent';
  }
}
