import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Fault } from '@tombolo/kernel/fault';
import type { z } from 'zod';
import { advise } from './advice.ts';
import { parseSource, type SourceDocument } from './document.ts';
import {
  type ClusterDraft,
  type ConnectorDraft,
  type Draft,
  type Finding,
  type Origin,
  type Piece,
  type Report,
  type Scope,
  valueAt,
  without,
} from './draft.ts';
import { judge, oneOf } from './judge.ts';
import { inReadingOrder, nearest, type Path, type Problem, renderPath, renderProblem, safeKey } from './problem.ts';
import { findReferences, resolveReferences } from './references.ts';
import { resolveTopology } from './resolve.ts';
import {
  bridgeSchema,
  brokerSchema,
  clusterSchema,
  connectorSchema,
  knownKeys,
  namePattern,
  topologySchema,
} from './schema.ts';
import type { Topology } from './topology.ts';

export interface LoadOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: from disk, as UTF-8. */
  readonly readFile?: (path: string) => string;
  /** `run`: the clusters whose bridges this process is. Absent: `validate`, the whole file is judged. */
  readonly cluster?: readonly string[];
}

export interface LoadResult {
  /** Undefined when there is an error. */
  readonly topology: Topology | undefined;
  /** Errors and warnings, in reading order. */
  readonly problems: readonly Problem[];
  /** Absolute paths of all that was read, found or not: what a watcher has to watch. */
  readonly files: readonly string[];
}

/** The error that ends a process which cannot go on without its topology: every error, a line each. */
export function topologyFault(problems: readonly Problem[]): Fault {
  const errors = problems.filter(({ severity }) => severity === 'error');
  return new Fault('TOMBOLO_TOPOLOGY_INVALID', errors.map(renderProblem).join('\n'));
}

/**
 * Reads a topology file, or a directory of them (*.yaml, *.yml, *.json, by name), and judges it. Never throws for what
 * is wrong with the file: every problem found is in the result. With `cluster`, problems that concern neither these
 * clusters nor a connector that names them are warnings, and only these clusters' references are resolved (and the `uris`
 * of their peers, which they dial, where the environment permits).
 */
export function loadTopology(path: string, options: LoadOptions): LoadResult {
  const loader = new Loader(options);
  const documents = loader.read(path);
  const draft = loader.draft(documents);
  if (documents.length > 0 && !loader.unreadable) {
    judge(draft, loader.report);
    advise(draft, loader.report);
  }
  const problems = inReadingOrder(loader.problems);
  const valid = documents.length > 0 && problems.every(({ severity }) => severity === 'warning');
  return { topology: valid ? resolveTopology(draft, problems) : undefined, problems, files: [...loader.files] };
}

class Loader {
  readonly problems: Problem[] = [];
  readonly files = new Set<string>();
  unreadable = false;
  readonly #options: LoadOptions;
  readonly #readFile: (path: string) => string;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#readFile = options.readFile ?? ((path) => readFileSync(path, 'utf8'));
  }

  readonly report: Report = {
    error: (scope, origin, path, finding) => this.#add(this.#severity(scope), origin, path, finding),
    warning: (origin, path, finding) => this.#add('warning', origin, path, finding),
  };

  #severity(scope: Scope): Problem['severity'] {
    const own = this.#options.cluster;
    return scope === 'file' || own === undefined || scope.some((name) => own.includes(name)) ? 'error' : 'warning';
  }

  #add(severity: Problem['severity'], origin: Origin, path: Path, finding: Finding | string): void {
    const { message, expected, suggestion, at } =
      typeof finding === 'string' ? ({ message: finding } as Finding) : finding;
    const whole = [...origin.path, ...path];
    this.problems.push({
      severity,
      file: origin.document.file,
      ...origin.document.locate(whole, at),
      path: renderPath(whole),
      message,
      ...(expected === undefined ? {} : { expected }),
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }

  /** Parses the file, or every file of the directory; those with broken syntax are reported and left out. */
  read(path: string): SourceDocument[] {
    const documents: SourceDocument[] = [];
    const refuse = (file: string, message: string, expected: string): void => {
      this.problems.push({ severity: 'error', file, line: 1, column: 1, path: '', message, expected });
      this.unreadable = true;
    };
    let files = [path];
    this.files.add(resolve(path));
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      files = readdirSync(path)
        .filter((name) => /^[^.].*\.(?:yaml|yml|json)$/.test(name))
        .sort()
        .map((name) => join(path, name));
      if (files.length === 0) refuse(path, 'there is no topology in this directory', '*.yaml, *.yml or *.json');
    }
    for (const file of files) {
      this.files.add(resolve(file));
      let source: string;
      try {
        source = this.#readFile(file);
      } catch (thrown) {
        const { code } = thrown as NodeJS.ErrnoException;
        refuse(file, `the file cannot be read (${code ?? 'error'})`, 'a topology file');
        continue;
      }
      const { document, problems } = parseSource(file, source);
      this.problems.push(...problems);
      if (!document) this.unreadable = true;
      else if (typeof document.value !== 'object' || document.value === null || Array.isArray(document.value)) {
        refuse(file, 'is not a topology', 'a map with version, network, clusters and networkConnectors');
      } else documents.push(document);
    }
    return documents;
  }

  /** Takes the documents apart into pieces and judges each for itself. */
  draft(documents: readonly SourceDocument[]): Draft {
    const clusters = new Map<string, ClusterDraft>();
    const connectors: ConnectorDraft[] = [];
    const stated = new Map<string, { value: unknown; document: SourceDocument }>();
    for (const document of documents) {
      const top = document.value as Record<string, unknown>;
      const origin = { document, path: [] };
      this.#unknownKeys(
        'file',
        origin,
        [],
        Object.keys(top).filter((key) => !key.startsWith('x-')),
        topologySchema,
      );
      for (const key of ['version', 'network'] as const) {
        if (top[key] === undefined) continue;
        this.#judge<unknown>(topologySchema.shape[key], 'file', { document, path: [key] }, top[key]);
        const other = stated.get(key);
        if (!other) stated.set(key, { value: top[key], document });
        else if (other.value !== top[key]) {
          this.report.error('file', origin, [key], `is not the same in ${other.document.file} and in ${document.file}`);
        }
      }
      this.#readClusters(document, top['clusters'], clusters);
      this.#readConnectors(document, top['networkConnectors'], connectors);
    }
    const first = documents[0];
    const own = this.#options.cluster;
    if (first && !this.unreadable) {
      const origin = { document: first, path: [] };
      for (const [key, expected] of [
        ['version', '1'],
        ['network', 'the name of the network'],
        ['clusters', 'a map of clusters by name'],
      ] as const) {
        const missing =
          key === 'clusters' ? documents.every(({ value }) => valueAt(value, [key]) === undefined) : !stated.has(key);
        if (missing) this.report.error('file', origin, [key], { message: 'is missing', expected });
      }
      for (const name of own ?? []) {
        if (clusters.has(name)) continue;
        const finding = {
          message: `there is no cluster "${name}" to run`,
          ...oneOf(name, clusters.keys()),
          at: 'key' as const,
        };
        this.report.error('file', origin, ['clusters'], finding);
      }
    }
    const network = stated.get('network')?.value;
    return { network: typeof network === 'string' ? network : undefined, own, clusters, connectors };
  }

  #readClusters(document: SourceDocument, raw: unknown, clusters: Map<string, ClusterDraft>): void {
    if (raw === undefined) return;
    const origin = { document, path: ['clusters'] };
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      this.report.error('file', origin, [], { message: `is ${kindOf(raw)}`, expected: 'a map of clusters by name' });
      return;
    }
    for (const [name, value] of Object.entries(raw)) {
      const place: Origin = { document, path: ['clusters', name] };
      if (!namePattern.test(name)) {
        const expected = 'at most 64 letters, digits, dots, dashes and underscores';
        this.report.error('file', place, [], { message: 'cannot be the name of a cluster', expected, at: 'key' });
        continue;
      }
      const sections: Record<string, unknown> =
        typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
      if (value !== null && (typeof value !== 'object' || Array.isArray(value))) {
        this.report.error([name], place, [], {
          message: `is ${kindOf(value)}`,
          expected: 'a map with broker and bridge',
        });
      }
      this.#unknownKeys([name], place, [], Object.keys(sections), clusterSchema);
      const before = clusters.get(name);
      for (const key of ['broker', 'bridge'] as const) {
        if (!before?.[key] || sections[key] === undefined) continue;
        const files = `${before[key].origin.document.file} and in ${document.file}`;
        this.report.error([name], place, [key], { message: `cluster ${name} has a ${key} in ${files}`, at: 'key' });
        delete sections[key];
      }
      const at = (key: string): Origin => ({ document, path: ['clusters', name, key] });
      clusters.set(name, {
        name,
        origin: before?.origin ?? place,
        broker:
          sections['broker'] === undefined
            ? before?.broker
            : this.#section(name, brokerSchema, at('broker'), sections['broker']),
        bridge:
          sections['bridge'] === undefined
            ? before?.bridge
            : this.#section(name, bridgeSchema, at('bridge'), sections['bridge']),
      });
    }
  }

  /** Replaces the references of a cluster's section, as far as they are this process's business, and judges it. */
  #section<T>(name: string, schema: z.ZodType<T>, origin: Origin, raw: unknown): Piece<T> {
    const { cluster: own, env } = this.#options;
    const context = { env, readFile: this.#readFile, file: origin.document.file };
    if (own === undefined || own.includes(name)) {
      const resolved = resolveReferences(raw, context);
      for (const file of resolved.files) this.files.add(file);
      for (const { path, message, expected } of resolved.failures) {
        if (own) this.report.error([name], origin, path, { message, expected });
        else this.report.warning(origin, path, { message, expected: `${expected}, where this bridge runs` });
      }
      return this.#judge(schema, [name], origin, resolved.value, raw, resolved.holes);
    }
    // Of another machine's cluster, only where to dial it is needed here.
    const uris = valueAt(raw, ['uris']);
    if (origin.path.at(-1) !== 'bridge' || !Array.isArray(uris)) {
      return this.#judge(schema, [name], origin, raw, raw, findReferences(raw));
    }
    const dialled = resolveReferences(uris, context);
    for (const { path, message } of dialled.failures) {
      this.report.warning(origin, ['uris', ...path], `${message}, so it is not dialled`);
    }
    const value = { ...(raw as object), uris: dialled.value };
    const elsewhere = findReferences(raw).filter(([key]) => key !== 'uris');
    const holes = [...elsewhere, ...dialled.holes.map((hole) => ['uris', ...hole])];
    return this.#judge(schema, [name], origin, value, raw, holes);
  }

  #readConnectors(document: SourceDocument, raw: unknown, connectors: ConnectorDraft[]): void {
    if (raw === undefined || raw === null) return;
    if (!Array.isArray(raw)) {
      const origin = { document, path: ['networkConnectors'] };
      this.report.error('file', origin, [], { message: `is ${kindOf(raw)}`, expected: 'a list of connectors' });
      return;
    }
    for (const [index, item] of raw.entries()) {
      const names = ['from', 'to'].map((end) => valueAt(item, [end])).filter((name) => typeof name === 'string');
      const origin = { document, path: ['networkConnectors', index] };
      connectors.push({ ...this.#judge(connectorSchema, names, origin, item), names });
    }
  }

  /** Judges one piece; what is wrong is reported and cut out, so that the rest can be used for further judgement. */
  #judge<T>(
    schema: z.ZodType<T>,
    scope: Scope,
    origin: Origin,
    value: unknown,
    raw = value,
    unresolved: readonly Path[] = [],
  ): Piece<T> {
    const holes: Path[] = [...unresolved];
    // Reported against the piece with its references in place, so that the paths are those of the file.
    const given = schema.safeParse(value);
    if (given.success && holes.length === 0) return { origin, raw, value: given.data, holes };
    const reported = new Set<string>();
    for (const issue of given.error?.issues ?? []) {
      const path = issue.path as Path;
      // One value may fail several tests, each of which says the same of what was expected.
      const place = JSON.stringify(path);
      if (issue.code !== 'unrecognized_keys' && reported.has(place)) continue;
      reported.add(place);
      if (unresolved.some((hole) => isWithin(path, hole))) continue;
      if (issue.code === 'unrecognized_keys') {
        this.#unknownKeys(scope, origin, path, issue.keys, schema);
        holes.push(...issue.keys.map((key) => [...path, key]));
      } else if (issue.code === 'invalid_key') {
        const expected = 'a name of letters, digits, dots, dashes and underscores';
        this.report.error(scope, origin, path, { message: 'cannot be a name', expected, at: 'key' });
        holes.push(path);
      } else {
        this.report.error(scope, origin, path, this.#finding(issue, valueAt(value, path), valueAt(raw, path), path));
        holes.push(path);
      }
    }
    // Cutting can leave a list too short or a key missing: then what holds it goes too.
    let rest = without(
      value,
      holes.filter((hole) => hole.length > 0),
    );
    for (let round = 0; round < 6; round++) {
      const again = schema.safeParse(rest);
      if (again.success) return { origin, raw, value: again.data, holes };
      const paths = again.error.issues.map((issue) => issue.path as Path);
      const more = paths.map((path) => (valueAt(rest, path) === undefined ? path.slice(0, -1) : path));
      if (more.some((path) => path.length === 0)) break;
      rest = without(rest, more);
      holes.push(...more);
    }
    return { origin, raw, value: undefined, holes };
  }

  #finding(issue: z.core.$ZodIssue, value: unknown, raw: unknown, path: Path): Finding {
    const expected = issue.message;
    if (value === undefined) return { message: path.length === 0 ? 'is empty' : 'is missing', expected };
    if (value === null) return { message: 'is empty', expected };
    if (issue.code === 'invalid_value' && typeof value === 'string' && value === raw) {
      const suggestion = nearest(value, issue.values.map(String));
      return { message: `"${safeKey(value)}" is not known`, expected, suggestion };
    }
    if (issue.code === 'invalid_type') return { message: `is ${kindOf(value)}`, expected };
    return { message: 'is not valid', expected };
  }

  #unknownKeys(scope: Scope, origin: Origin, path: Path, keys: readonly string[], schema: z.ZodType): void {
    const known = knownKeys(schema, path);
    for (const key of keys) {
      if (known.includes(key)) continue;
      const suggestion = nearest(safeKey(key).replace(/…$/, ''), known);
      const expected = suggestion === undefined && known.length > 0 ? `one of ${known.join(', ')}` : undefined;
      this.report.error(scope, origin, [...path, key], { message: 'unknown key', expected, suggestion, at: 'key' });
    }
  }
}

function isWithin(path: Path, outer: Path): boolean {
  return outer.length <= path.length && outer.every((step, index) => step === path[index]);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  return { string: 'text', number: 'a number', boolean: 'true or false' }[typeof value as string] ?? typeof value;
}
