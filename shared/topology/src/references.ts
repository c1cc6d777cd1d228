import { dirname, resolve } from 'node:path';
import { messageOf } from '@tombolo/kernel/fault';
import type { Path } from './problem.ts';

export interface ReferenceContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  /** The topology file: relative paths are counted from its directory. */
  readonly file: string;
}

export interface Resolved {
  /** A copy with every reference replaced; what could not be replaced is still there, and listed in `holes`. */
  readonly value: unknown;
  readonly holes: readonly Path[];
  readonly failures: readonly { readonly path: Path; readonly message: string; readonly expected: string }[];
  /** Files that were referred to, found or not: what a watcher watches besides the topology itself. */
  readonly files: readonly string[];
}

const variable = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

/** True when the text is, or holds, a reference to an environment variable. */
export function hasReference(text: string): boolean {
  return text.search(variable) !== -1;
}

/**
 * Replaces `${NAME}`, `${NAME:-default}` (the default also when the variable is empty, as in a shell), `{file: path}`,
 * and makes the paths of TLS files absolute. Nothing that was put in is looked at again.
 */
export function resolveReferences(value: unknown, context: ReferenceContext): Resolved {
  const holes: Path[] = [];
  const failures: { path: Path; message: string; expected: string }[] = [];
  const files: string[] = [];
  const directory = dirname(context.file);

  const read = (path: Path, name: string, written: string): string | undefined => {
    const file = resolve(directory, name);
    const shown = name === written ? file : written;
    files.push(file);
    try {
      return context.readFile(file);
    } catch (thrown) {
      const code = (thrown as NodeJS.ErrnoException).code ?? messageOf(thrown);
      failures.push({ path, message: `the file ${shown} cannot be read (${code})`, expected: 'a readable file' });
      return undefined;
    }
  };
  const text = (path: Path, written: string): string => {
    let missing = false;
    const replaced = written.replace(variable, (_, name: string, otherwise: string | undefined) => {
      const found = context.env[name];
      if (found !== undefined && (found !== '' || otherwise === undefined)) return found;
      if (otherwise !== undefined) return otherwise;
      missing = true;
      failures.push({ path, message: `the environment has no ${name}`, expected: `${name} to be set, or a default` });
      return '';
    });
    if (missing) holes.push(path);
    return replaced;
  };
  const walk = (path: Path, node: unknown): unknown => {
    if (typeof node === 'string') {
      const replaced = text(path, node);
      if (!/^(?:ca|cert|key)$/.test(String(path.at(-1))) || path.at(-2) !== 'tls' || replaced === '') return replaced;
      read(path, replaced, node);
      return resolve(directory, replaced);
    }
    if (Array.isArray(node)) return node.map((item, index) => walk([...path, index], item));
    if (typeof node !== 'object' || node === null) return node;
    if (isFileReference(node)) {
      const before = holes.length;
      const name = text(path, node.file);
      if (holes.length > before) return node;
      const content = read(path, name, node.file)?.replace(/(?:\r?\n)+$/, '');
      if (content === undefined) holes.push(path);
      return content ?? node;
    }
    return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, walk([...path, key], item)]));
  };
  return { value: walk([], value), holes, failures, files };
}

/** Where references stand that are left as they are, because they belong to another machine. */
export function findReferences(value: unknown): Path[] {
  const found: Path[] = [];
  const walk = (path: Path, node: unknown): void => {
    if (typeof node === 'string') {
      if (hasReference(node)) found.push(path);
    } else if (Array.isArray(node)) {
      for (const [index, item] of node.entries()) walk([...path, index], item);
    } else if (typeof node === 'object' && node !== null) {
      if (isFileReference(node)) found.push(path);
      else for (const [key, item] of Object.entries(node)) walk([...path, key], item);
    }
  };
  walk([], value);
  return found;
}

function isFileReference(node: object): node is { file: string } {
  const keys = Object.keys(node);
  return keys.length === 1 && keys[0] === 'file' && typeof (node as { file: unknown }).file === 'string';
}
