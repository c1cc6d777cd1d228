import type { Ground, Setup } from '../ground.ts';
import type { Sample } from '../sample.ts';

export interface RowOptions {
  readonly rounds: number;
  /** Share of the usual number of messages. */
  readonly scale: number;
  readonly log: (line: string) => void;
}

/** Something that is measured; `ROWS` selects rows by the beginning of their names. */
export interface Row {
  readonly name: string;
  readonly setup: Setup;
  /** Why it cannot be measured on this machine. */
  readonly missing?: () => string | undefined;
  /** By way, a sample per round; the ways take turns. */
  run(ground: Ground, options: RowOptions): Promise<Readonly<Record<string, readonly Sample[]>>>;
}
