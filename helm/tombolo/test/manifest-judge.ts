import { createRequire } from 'node:module';
import type { Manifest } from './helm.ts';

const require = createRequire(import.meta.url);

/**
 * What is wrong with an object, by the schema of its kind: wrong types, missing fields, and keys that the kind does not have. The
 * validators of kubernetes-models let unknown keys pass; but each asks for every key that it knows, so that a key which nobody asked for
 * is an unknown one.
 */
export function faultsOf(manifest: Manifest): string[] {
  const { apiVersion, kind } = manifest;
  const library = apiVersion.startsWith('monitoring.coreos.com/')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models';
  const model = require(`${library}/${apiVersion}/${kind}`)[kind] as { prototype: { validate(): void } };
  const asked = new Map<object, Set<PropertyKey>>();
  try {
    model.prototype.validate.call(watched(manifest, asked));
  } catch (thrown) {
    return [`${kind} ${manifest.metadata.name}: ${(thrown as Error).message}`];
  }
  return unknownKeys(manifest, asked, '').map((path) => `${kind} ${manifest.metadata.name}: unknown key ${path}`);
}

/** The object, and all in it, such that the keys that are read of each are noted in `asked`. */
function watched<T extends object>(
  value: T,
  asked: Map<object, Set<PropertyKey>>,
  seen = new Map<object, object>(),
): T {
  const keys = new Set<PropertyKey>();
  asked.set(value, keys);
  return new Proxy(value, {
    get(target, key) {
      keys.add(key);
      const inside: unknown = Reflect.get(target, key);
      if (typeof inside !== 'object' || inside === null) return inside;
      if (!seen.has(inside)) seen.set(inside, watched(inside, asked, seen));
      return seen.get(inside);
    },
  });
}

function unknownKeys(value: unknown, asked: ReadonlyMap<object, ReadonlySet<PropertyKey>>, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inside]) =>
    asked.get(value)?.has(key) ? unknownKeys(inside, asked, `${path}.${key}`) : [`${path}.${key}`],
  );
}
