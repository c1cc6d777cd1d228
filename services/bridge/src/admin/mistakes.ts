import { nearest } from '@tombolo/topology/problem';
import type { Mistake } from './problem.ts';

/** What the validator says of one part of a request, as far as it is read here. */
interface Finding {
  readonly instancePath: string;
  readonly keyword: string;
  readonly message?: string;
  readonly params: Record<string, unknown>;
  /** Of the object that the part belongs to. */
  readonly parentSchema?: { readonly properties?: object };
}

/** Validator's findings as sentences that name what was expected. Pure. */
export function mistakesOf(findings: readonly Finding[], context: string): Mistake[] {
  return findings.map((finding) => ({
    at: `${context}${finding.instancePath}`,
    message: sentence(finding, context === 'querystring' ? 'parameter' : 'field'),
  }));
}

function sentence({ keyword, params, parentSchema, message }: Finding, what: string): string {
  if (keyword === 'additionalProperties') {
    const name = String(params['additionalProperty']);
    const known = Object.keys(parentSchema?.properties ?? {});
    const near = nearest(name, known);
    return `there is no ${what} "${name}"; ${near ? `did you mean "${near}"?` : `there are: ${known.join(', ')}`}`;
  }
  if (keyword === 'enum') return `must be one of ${(params['allowedValues'] as unknown[]).join(', ')}`;
  if (keyword === 'required') return `the ${what} "${params['missingProperty']}" is missing`;
  return message ?? 'is not valid';
}
