import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@tombolo/kernel/clock';
import { awaitUntil } from '@tombolo/testing/await-until';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileWatch } from '../src/file-watch.ts';

let directory: string;
let told: number;
let watch: FileWatch | undefined;

/** Begins to watch; without `pollMs` only what the system tells counts. */
function follow(paths: () => readonly string[], pollMs = 3_600_000, settleMs = 20): void {
  watch = new FileWatch({ paths, changed: () => told++, clock: systemClock, settleMs, pollMs });
  watch.start();
}

const toldTimes = (times: number) => awaitUntil(`told ${times} times`, () => told === times, { withinMs: 5_000 });

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tombolo-watch-'));
  told = 0;
});

afterEach(async () => {
  watch?.stop();
  await rm(directory, { recursive: true });
});

describe('a watched file', () => {
  it('is told of when it is written in place, and when another takes its name as editors do', async () => {
    const file = join(directory, 'tombolo.yaml');
    await writeFile(file, 'one');
    follow(() => [file]);
    await writeFile(file, 'two and more');
    await toldTimes(1);
    await writeFile(`${file}.new`, 'three');
    await rename(`${file}.new`, file);
    await toldTimes(2);
    // The new file is watched as the old one was.
    await writeFile(file, 'four and more');
    await toldTimes(3);
  });

  it('is told of when a ConfigMap is updated: the link that its directory is behind is exchanged', async () => {
    for (const version of ['..v1', '..v2']) {
      await mkdir(join(directory, version));
      await writeFile(join(directory, version, 'tombolo.yaml'), version);
    }
    await symlink('..v1', join(directory, '..data'));
    const file = join(directory, 'tombolo.yaml');
    await symlink('..data/tombolo.yaml', file);
    follow(() => [file]);
    await symlink('..v2', join(directory, '..data_tmp'));
    await rename(join(directory, '..data_tmp'), join(directory, '..data'));
    await rm(join(directory, '..v1'), { recursive: true });
    await toldTimes(1);
  });

  it('is told of once, however many times it was written in a row, and not when others beside it are', async () => {
    const file = join(directory, 'tombolo.yaml');
    await writeFile(file, '');
    follow(() => [file], 3_600_000, 300);
    for (let length = 1; length <= 20; length++) {
      await writeFile(file, 'x'.repeat(length));
      await writeFile(join(directory, 'bridge.log'), 'x'.repeat(length));
    }
    await toldTimes(1);
    for (let length = 1; length <= 20; length++) await writeFile(join(directory, 'bridge.log'), 'y'.repeat(length));
    await writeFile(file, 'the last');
    await toldTimes(2);
  });

  it('is found by looking where the system tells nothing, also when it was not there at first', async () => {
    const file = join(directory, 'not-yet', 'tombolo.yaml');
    follow(() => [file], 20);
    await mkdir(join(directory, 'not-yet'));
    await writeFile(file, 'one');
    await toldTimes(1);
    await rm(join(directory, 'not-yet'), { recursive: true });
    await toldTimes(2);
  });

  it('of a directory is told of when it comes, changes and goes, if who watches names it from then on', async () => {
    const added = join(directory, 'b.yaml');
    let paths = [directory];
    follow(() => paths);
    await writeFile(added, 'one');
    await toldTimes(1);
    paths = [directory, added];
    await writeFile(join(directory, 'c.yaml'), 'one');
    await toldTimes(2);
    await writeFile(added, 'two and more');
    await toldTimes(3);
    await rm(added);
    await toldTimes(4);
    expect(told).toBe(4);
  });
});
