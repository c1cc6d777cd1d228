import { isAlias, isMap, isScalar, isSeq, LineCounter, type Pair, parseDocument, visit, type YAMLMap } from 'yaml';
import type { Path, Problem } from './problem.ts';

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One file, parsed, that can say where each of its values stands. */
export interface SourceDocument {
  readonly file: string;
  /** Plain data: anchors, aliases and merge keys are resolved. */
  readonly value: unknown;
  /**
   * Where the value at `path` stands, or with 'key' the key that leads to it. A value that came through an alias or a
   * merge key stands where its anchor is. What does not exist stands where the last thing on the way to it does.
   */
  locate(path: Path, what?: 'value' | 'key'): Position;
}

export type ParseResult =
  | { readonly document: SourceDocument; readonly problems: readonly Problem[] }
  | { readonly document: undefined; readonly problems: readonly Problem[] };

/**
 * Parses YAML 1.2 with merge keys (and so JSON). Problems never quote the file: a password may stand where the syntax
 * went wrong. Duplicate keys are problems, and parsing goes on; after other syntax errors there is no document.
 */
export function parseSource(file: string, source: string): ParseResult {
  const lines = new LineCounter();
  const parsed = parseDocument(source, {
    lineCounter: lines,
    merge: true,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: true,
    // At its own level the library would print keys that are no strings, with what is in them.
    logLevel: 'error',
  });
  const problems: Problem[] = [];
  const report = (offset: number, message: string, severity: Problem['severity'] = 'error'): void => {
    const { line, col } = lines.linePos(Math.min(offset, source.length));
    problems.push({ severity, file, line: Math.max(1, line), column: Math.max(1, col), path: '', message });
  };
  let broken = false;
  for (const error of parsed.errors) {
    if (error.code === 'DUPLICATE_KEY') {
      report(error.pos[0], 'this key was given before in the same map');
    } else {
      broken = true;
      report(error.pos[0], describe(error));
    }
  }
  for (const warning of parsed.warnings) {
    broken ||= warning.code === 'TAG_RESOLVE_FAILED';
    report(warning.pos[0], describe(warning), warning.code === 'TAG_RESOLVE_FAILED' ? 'error' : 'warning');
  }
  visit(parsed, {
    Alias(_, alias) {
      if (alias.resolve(parsed)) return;
      broken = true;
      report(alias.range?.[0] ?? 0, 'no anchor of this name stands before this alias');
    },
  });
  if (broken) return { document: undefined, problems };
  let value: unknown;
  try {
    value = parsed.toJS();
  } catch {
    // Merging what is no map, or aliases that multiply without bound.
    report(0, 'not valid YAML: its aliases or merge keys cannot be resolved');
    return { document: undefined, problems };
  }
  const locate = (path: Path, what: 'value' | 'key' = 'value'): Position => {
    let node: unknown = resolveAlias(parsed.contents, parsed);
    let offset = offsetOf(node) ?? 0;
    for (const [index, step] of path.entries()) {
      const last = index === path.length - 1;
      if (isSeq(node) && typeof step === 'number') {
        const item = node.items[step];
        if (item === undefined) break;
        offset = offsetOf(item) ?? offset;
        node = resolveAlias(item, parsed);
      } else if (isMap(node)) {
        const pair = findPair(node, String(step), parsed);
        if (!pair) break;
        const keyOffset = offsetOf(pair.key) ?? offset;
        const empty =
          pair.value === null || (isScalar(pair.value) && pair.value.source === '' && pair.value.value === null);
        offset = empty || (last && what === 'key') ? keyOffset : (offsetOf(pair.value) ?? keyOffset);
        // A map that begins on a later line is better pointed at by its key.
        if (!last || (what === 'value' && isMap(pair.value) && !pair.value.flow)) offset = keyOffset;
        node = resolveAlias(pair.value, parsed);
      } else break;
    }
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  return { document: { file, value, locate }, problems };
}

type Parsed = ReturnType<typeof parseDocument>;

function resolveAlias(node: unknown, parsed: Parsed): unknown {
  return isAlias(node) ? node.resolve(parsed) : node;
}

function offsetOf(node: unknown): number | undefined {
  return (node as { range?: [number, number, number] | null } | null)?.range?.[0];
}

function findPair(map: YAMLMap, key: string, parsed: Parsed): Pair | undefined {
  const keyOf = (pair: Pair): unknown => (isScalar(pair.key) ? pair.key.value : pair.key);
  const own = map.items.find((pair) => typeof keyOf(pair) !== 'symbol' && String(keyOf(pair)) === key);
  if (own) return own;
  for (const pair of map.items) {
    const merged = keyOf(pair);
    if (!(merged === '<<' || (typeof merged === 'symbol' && merged.description === '<<'))) continue;
    const source = resolveAlias(pair.value, parsed);
    for (const part of isSeq(source) ? source.items : [source]) {
      const target = resolveAlias(part, parsed);
      const found = isMap(target) ? findPair(target, key, parsed) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}

/** yaml's messages end in what it stumbled over, in quotes or after a colon: that is cut off. */
function describe({ code, message }: { code: string; message: string }): string {
  if (code === 'TAG_RESOLVE_FAILED')
    return 'a value that begins with ! is a tag, and this one is not known: put it in quotes';
  if (code === 'NON_STRING_KEY') return 'a key is text, not a map or a list';
  if (code === 'BAD_DQ_ESCAPE') return 'no such escape sequence in double quotes';
  return `not valid YAML: ${message.split(/: |"|\n/)[0]!.trim()}`;
}
