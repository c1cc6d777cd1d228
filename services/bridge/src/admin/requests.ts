import { z } from 'zod';

/*
 * What the API takes. Whatever is not named here is refused, also a slip in the name of a field: an operation that was meant as a dry
 * run must not be a real one.
 */

const name = (description: string) => z.string().min(1).describe(description);
const dryRun = z.boolean().default(false).describe('Only say what it would be.');
const pageNumber = z.int().min(1).default(1);
const pageSize = (most: number) => z.int().min(1).max(most).default(100);

export const tableQuery = z.strictObject({
  page: pageNumber,
  pageSize: pageSize(10_000),
  destination: z.string().optional().describe('Rows of this destination only.'),
  search: z.string().max(255).optional().describe('Rows whose destination has this in it, in capitals or not.'),
  stuck: z
    .boolean()
    .optional()
    .describe('true: demand that is not served, streams on which nothing moves. false: the others.'),
});

export const traceQuery = z.strictObject({ destination: z.string().min(1).max(255).describe('The name of a queue.') });

export const detailedQuery = z.strictObject({
  destination: z.array(z.string().min(1)).min(1).describe('Names, or patterns with * and >; may be repeated.'),
});

const selection = {
  id: name('The dead letter’s own id, or its message id.').optional(),
  destination: name('Those of this queue or exchange.').optional(),
  peer: name('Those that this cluster could not take.').optional(),
  reason: name('Those whose reason has this in it.').optional(),
};

export const parkedQuery = z.strictObject({ ...selection, page: pageNumber, pageSize: pageSize(1_000) });

export const parkedBody = z.strictObject({
  ...selection,
  all: z.boolean().default(false).describe('Must be true when nothing is selected.'),
  dryRun,
});

export const connectorParams = z.strictObject({ name: name('The connector.') });

export const scopeBody = z.strictObject({ scope: z.enum(['process', 'cluster']) });

export const peerBody = z.strictObject({ peer: name('A cluster.'), dryRun });
