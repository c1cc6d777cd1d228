import { readFileSync, writeFileSync } from 'node:fs';
import type { Sample } from './sample.ts';

export interface RowResult {
  /** ISO 8601, to the minute. */
  readonly measuredAt: string;
  readonly rounds: number;
  /** Runs that were thrown away because the machine was not ours alone. */
  readonly thrownAway: number;
  readonly ways: Readonly<Record<string, readonly Sample[]>>;
}

export interface Results {
  readonly machine: string;
  readonly software: string;
  readonly rows: Readonly<Record<string, RowResult>>;
}

/** What was measured before; nothing when there is no such file. */
export function readResults(file: string): Results | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Results;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Figures are kept to four digits: there is no more in them. */
export function writeResults(file: string, results: Results): void {
  const short = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(4)) : value);
  const text = JSON.stringify(results, short, 2);
  writeFileSync(file, `${text}\n`);
}
