import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { root } from './image.ts';

export interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: { readonly default: { readonly aliases: readonly string[] } };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly restart?: string;
  readonly read_only?: boolean;
}

/** The folder that relative paths of the compose files count from. */
export const composeFolder = join(root, 'infra/compose');

/** The services of a compose file, with what they extend put in: maps are merged, lists added to, as Compose does. */
export function servicesOf(file: string): Readonly<Record<string, Service>> {
  const { services } = read(file) as { services: Record<string, Extending> };
  const resolved = Object.entries(services).map(([name, { extends: base, ...own }]) => {
    if (!base) return [name, own];
    const { services: others } = read(join(dirname(file), base.file)) as { services: Record<string, object> };
    const extended = others[base.service];
    if (!extended) throw new Error(`${file}: ${name} extends ${base.service}, which ${base.file} does not have`);
    return [name, merged(extended, own)];
  });
  return Object.fromEntries(resolved);
}

type Extending = { readonly extends?: { readonly file: string; readonly service: string } };

function read(file: string): unknown {
  return parse(readFileSync(join(composeFolder, file), 'utf8'));
}

function merged(base: unknown, own: unknown): unknown {
  if (Array.isArray(base) && Array.isArray(own)) return [...base, ...own];
  if (!isMap(base) || !isMap(own)) return own;
  const keys = new Set([...Object.keys(base), ...Object.keys(own)]);
  return Object.fromEntries(
    [...keys].map((key) => [
      key,
      Object.hasOwn(base, key) && Object.hasOwn(own, key) ? merged(base[key], own[key]) : (own[key] ?? base[key]),
    ]),
  );
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `${NAME:-default}` in a value, as Compose would put it in when nothing is set. */
export function interpolated(text: string): string {
  return text.replace(/\$\{[A-Z_]+:-([^}]*)\}/g, '$1');
}
