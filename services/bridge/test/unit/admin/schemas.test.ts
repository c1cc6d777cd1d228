import { describe, expectTypeOf, it } from 'vitest';
import type { z } from 'zod';
import type { Trace } from '../../../src/admin/conclusion.ts';
import type { DrainCheck } from '../../../src/admin/drain-check.ts';
import type { Problem } from '../../../src/admin/problem.ts';
import type * as schemas from '../../../src/admin/schemas.ts';
import type { Page, Readiness, Status } from '../../../src/admin/status.ts';
import type {
  DemandView,
  DropResult,
  GivenBack,
  ParkedPage,
  ReplayResult,
  StreamView,
} from '../../../src/admin/view.ts';

type Undefinable<T> = { [K in keyof T]: undefined extends T[K] ? K : never }[keyof T];

/** T as JSON has it: what may be undefined may be absent. */
type Json<T> = T extends readonly (infer Item)[]
  ? Json<Item>[]
  : T extends object
    ? Flat<
        { -readonly [K in Exclude<keyof T, Undefinable<T>>]: Json<T[K]> } & {
          -readonly [K in Undefinable<T> & keyof T]?: Json<Exclude<T[K], undefined>>;
        }
      >
    : T;
type Flat<T> = { [K in keyof T]: T[K] };

type Answer<Name extends keyof typeof schemas> = Json<z.infer<(typeof schemas)[Name]>>;

describe('the schemas of answers', () => {
  it('are what the types of the views say, field by field', () => {
    expectTypeOf<Answer<'readinessSchema'>>().toEqualTypeOf<Json<Readiness>>();
    expectTypeOf<Answer<'problemSchema'>>().toEqualTypeOf<Json<Problem>>();
    expectTypeOf<Answer<'statusSchema'>>().toEqualTypeOf<Json<Status>>();
    expectTypeOf<Answer<'demandPageSchema'>>().toEqualTypeOf<Json<Page<DemandView>>>();
    expectTypeOf<Answer<'streamPageSchema'>>().toEqualTypeOf<Json<Page<StreamView>>>();
    expectTypeOf<Answer<'traceSchema'>>().toEqualTypeOf<Json<Trace>>();
    expectTypeOf<Answer<'parkedPageSchema'>>().toEqualTypeOf<Json<ParkedPage>>();
    expectTypeOf<Answer<'replaySchema'>>().toEqualTypeOf<Json<ReplayResult>>();
    expectTypeOf<Answer<'dropSchema'>>().toEqualTypeOf<Json<DropResult>>();
    expectTypeOf<Answer<'drainCheckSchema'>>().toEqualTypeOf<Json<DrainCheck>>();
    expectTypeOf<Answer<'releasedSchema'>['items']>().toEqualTypeOf<Json<readonly GivenBack[]>>();
  });
});
