import { Ajv, type ValidateFunction } from 'ajv';

interface Described {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly object[];
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}

/** An OpenAPI document as a bridge serves it, and whether answers are as it says. */
export class Description {
  readonly #document: Described;
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(document: unknown) {
    this.#document = document as Described;
  }

  /** Every route of the document: method, path as a template, and what is said of it. */
  get operations(): { readonly method: string; readonly path: string; readonly operation: Operation }[] {
    return Object.entries(this.#document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
    );
  }

  /**
   * What of an answer is not as the document says: a field of another type, one that is missing, and also one that it does not name.
   * @param path as a template, e.g. `/api/v1/connectors/{name}/pause`
   */
  complaints(method: 'get' | 'post', path: string, status: number, answer: unknown): string[] {
    const key = `${method} ${path} ${status}`;
    let validate = this.#validators.get(key);
    if (!validate) {
      const { responses } = this.#document.paths[path]?.[method] ?? { responses: {} };
      const { content = {} } = responses[status] ?? responses['default'] ?? {};
      const [described] = Object.values(content);
      if (!described) return [`${key} is not described`];
      validate = new Ajv({ strict: false, allErrors: true }).compile(closed(described.schema) as object);
      this.#validators.set(key, validate);
    }
    if (validate(answer)) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${key}: ${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  }
}

/** The same schema, but what it does not name is an error. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const parts = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]));
  return 'properties' in parts ? { additionalProperties: false, ...parts } : parts;
}
