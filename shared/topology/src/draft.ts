import type { SourceDocument } from './document.ts';
import type { Path } from './problem.ts';
import type { ParsedBridge, ParsedBroker, ParsedConnector } from './schema.ts';

/*
 * A topology between the file and its resolved form: pieces that know where they stand, some of them with holes where
 * something was wrong, so that the rest can still be judged.
 */

/** Where a piece stands: paths inside it are counted from here. */
export interface Origin {
  readonly document: SourceDocument;
  readonly path: Path;
}

export interface Piece<T> {
  readonly origin: Origin;
  /** As written, references not replaced: tells a literal password from one that came by reference. */
  readonly raw: unknown;
  /** Undefined when too much was wrong. */
  readonly value: T | undefined;
  /** Paths (inside the piece) whose value is not known, because it was wrong or its reference was not resolved. */
  readonly holes: readonly Path[];
}

export interface ClusterDraft {
  readonly name: string;
  readonly origin: Origin;
  readonly broker: Piece<ParsedBroker> | undefined;
  readonly bridge: Piece<ParsedBridge> | undefined;
}

export interface ConnectorDraft extends Piece<ParsedConnector> {
  /** Every cluster that it names, known or not. */
  readonly names: readonly string[];
}

export interface Draft {
  readonly network: string | undefined;
  /** The clusters whose bridges run in this process; undefined: the file is judged as a whole. */
  readonly own: readonly string[] | undefined;
  readonly clusters: ReadonlyMap<string, ClusterDraft>;
  readonly connectors: readonly ConnectorDraft[];
}

/** Whom a problem concerns: certain clusters, or the file as such (then it is an error for everybody). */
export type Scope = readonly string[] | 'file';

export interface Finding {
  readonly message: string;
  readonly expected?: string | undefined;
  readonly suggestion?: string | undefined;
  readonly at?: 'key' | 'value';
}

export interface Report {
  error(scope: Scope, origin: Origin, path: Path, finding: Finding | string): void;
  warning(origin: Origin, path: Path, finding: Finding | string): void;
}

/** Whether the value at `path` inside the piece may be judged: the piece is there and has no hole there or around it. */
export function isKnown(piece: Piece<unknown> | undefined, path: Path): boolean {
  if (!piece) return true;
  if (piece.value === undefined) return false;
  return !piece.holes.some((hole) => hole.every((step, index) => index >= path.length || step === path[index]));
}

/** The value at `path` of plain data, or undefined. */
export function valueAt(value: unknown, path: Path): unknown {
  let current = value;
  for (const step of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, step)) return undefined;
    current = (current as Record<string | number, unknown>)[step];
  }
  return current;
}

/** A copy of plain data without what stands at `paths`; items of lists close up. */
export function without(value: unknown, paths: readonly Path[]): unknown {
  if (paths.length === 0) return value;
  const below = (step: string | number): Path[] =>
    paths.filter((path) => path.length > 1 && path[0] === step).map((path) => path.slice(1));
  const gone = (step: string | number): boolean => paths.some((path) => path.length === 1 && path[0] === step);
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => (gone(index) ? [] : [without(item, below(index))]));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (gone(key) ? [] : [[key, without(item, below(key))]])),
  );
}
