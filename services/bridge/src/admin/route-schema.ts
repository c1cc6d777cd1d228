import { z } from 'zod';
import { problemType } from './problem.ts';
import { problemSchema } from './schemas.ts';

interface RouteSchema {
  readonly tag: 'health' | 'state' | 'operations';
  readonly summary: string;
  readonly querystring?: z.ZodType;
  readonly params?: z.ZodType;
  readonly body?: z.ZodType;
  /** What it answers when it does; text where none is given. */
  readonly answer?: z.ZodType;
  /** What it answers with another status than 200, instead of a problem. */
  readonly otherwise?: Readonly<Record<number, z.ZodType>>;
}

/** JSON Schema as fastify validates with it and as OpenAPI 3.1 takes it. Answers are open: later versions may tell more. */
export function jsonSchema(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' });
  return rest;
}

const problem = { description: 'Why not', content: { [problemType]: { schema: jsonSchema(problemSchema) } } };

/** What a route takes and answers, for fastify: it validates the one, and documents both. */
export function routeSchema({ tag, summary, answer, otherwise = {}, ...given }: RouteSchema): object {
  const requests = Object.entries(given).map(([part, schema]) => [part, jsonSchema(schema as z.ZodType)]);
  const others = Object.entries(otherwise).map(([status, schema]) => [status, jsonSchema(schema)]);
  const text = { description: 'Prometheus text', content: { 'text/plain': { schema: { type: 'string' } } } };
  return {
    tags: [tag],
    summary,
    ...Object.fromEntries(requests),
    ...(tag === 'operations' && { security: [{ adminToken: [] }] }),
    response: {
      200: answer ? jsonSchema(answer) : text,
      ...Object.fromEntries(others),
      ...(tag !== 'health' && { default: problem }),
    },
  };
}
