/** Something in a topology file that an operator should read: where it stands, what is wrong, what was expected. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  /** From 1, as editors count. */
  readonly line: number;
  /** From 1, as editors count. */
  readonly column: number;
  /** The place in the file, e.g. `clusters.east.broker.uris[0]`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong. Never carries the value of a secret, of a URI, or of anything that came by reference. */
  readonly message: string;
  readonly expected?: string;
  /** The nearest known name, when the one written looks like a slip of it. */
  readonly suggestion?: string;
}

export type Path = readonly (string | number)[];

/** `file:line:column: error: path: message; expected …; did you mean "x"?`, in one line. */
export function renderProblem(problem: Problem): string {
  const place = `${problem.file}:${problem.line}:${problem.column}: ${problem.severity}: `;
  const path = problem.path === '' ? '' : `${problem.path}: `;
  const expected = problem.expected === undefined ? '' : `; expected ${problem.expected}`;
  const suggestion = problem.suggestion === undefined ? '' : `; did you mean "${problem.suggestion}"?`;
  return `${place}${path}${problem.message}${expected}${suggestion}`;
}

/** Problems in the order in which a reader meets them: by file, then line, then column. */
export function inReadingOrder(problems: readonly Problem[]): Problem[] {
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...problems].sort((a, b) => order(a.file, b.file) || a.line - b.line || a.column - b.column);
}

/** `clusters.east.uris[0]`. */
export function renderPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += `${text === '' ? '' : '.'}${safeKey(step)}`;
  }
  return text;
}

/**
 * A key as it may be shown. `{password:hunter2}` is, in YAML, one key of seventeen characters: what follows the first
 * character that no name has is left out, so that a forgotten space does not print a password.
 */
export function safeKey(key: string): string {
  const name = /^[\w.@/-]{0,80}/.exec(key)?.[0] ?? '';
  return name.length === key.length ? key : `${name}…`;
}

/** The known name that `name` is most probably a slip of, or undefined when none is near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  const written = name.toLowerCase();
  for (const candidate of known) {
    const target = candidate.toLowerCase();
    const begun = written.length >= 4 && target.startsWith(written);
    const distance = begun ? 1 : editDistance(written, target);
    const limit = Math.max(1, Math.floor(Math.max(written.length, target.length) / 3));
    if (distance <= limit && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein's distance, with two neighbours swapped counting as one slip. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let distance = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, beforeLast[j - 2]! + 1);
      }
      row.push(distance);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
