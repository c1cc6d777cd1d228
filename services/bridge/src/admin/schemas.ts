import { z } from 'zod';
import { problems } from './problem.ts';

/*
 * What the API answers, field by field: the source of the OpenAPI document. Answers are not cut to these shapes; a test holds that
 * they are what the types of view.ts and its neighbours say, and another one that a running bridge answers so.
 */

const maybe = <T extends z.ZodType>(schema: T, description: string) => schema.optional().describe(description);
const text = (description: string) => z.string().describe(description);
const count = (description: string) => z.number().describe(description);
const kind = z.enum(['queue', 'topic', 'reply', 'cluster']).describe('topic: an exchange.');

const page = <T extends z.ZodType>(item: T) =>
  z.object({
    items: z.array(item),
    total: count('Rows on all pages.'),
    page: count('From 1.'),
    pageSize: count('Rows on a page.'),
  });

export const healthSchema = z.object({ status: z.literal('ok') });

export const readinessSchema = z.object({
  ready: z.boolean(),
  reasons: z.array(z.string()).describe('Why not, as sentences.'),
});

export const problemSchema = z
  .object({
    type: text('urn:tombolo:problem: and the word in `error`.'),
    title: text('The same for every problem of this kind.'),
    status: z.number(),
    detail: text('What happened, and what to do, as a sentence.'),
    error: z.enum(Object.keys(problems) as [keyof typeof problems]).describe('A word for programs.'),
    message: text('The same as `detail`.'),
    master: maybe(z.string(), 'Of a standby: who is the master, as far as that is known.'),
    mistakes: maybe(z.array(z.object({ at: z.string(), message: z.string() })), 'Every mistake of the request.'),
  })
  .describe('Why the request failed (RFC 9457).');

export const drainViewSchema = z.object({
  scope: z.enum(['process', 'cluster']),
  text: text('What that means, and how to undo it.'),
});

export const brokerSchema = z.object({
  type: z.string(),
  up: z.boolean(),
  state: z.enum(['down', 'connecting', 'standby', 'master']),
  address: maybe(z.string(), 'host:port/vhost in use, without credentials.'),
  product: z.string().optional(),
  reason: maybe(z.string(), 'Why it is not up, and what to do.'),
  blocked: maybe(z.string(), 'Its alarm, when it takes no messages.'),
  demandMethod: text('How consumers are seen.'),
});

export const linkSchema = z.object({
  peer: z.string(),
  up: z.boolean(),
  state: z.string(),
  reason: maybe(z.string(), 'Why it is not up.'),
  address: z.string().optional(),
  roundTripMs: z.number().optional(),
  protocolVersion: z.number().optional(),
  reconnects: z.number(),
  bytesIn: z.number(),
  bytesOut: z.number(),
});

export const connectorSchema = z.object({
  name: z.string(),
  from: z.string(),
  to: z.string(),
  duplex: z.boolean(),
  peer: z.string(),
  state: z.enum(['up', 'pending', 'down', 'paused']).describe('pending: only one end has it in its file.'),
  reason: z.string().optional(),
});

export const deadLetterViewSchema = z.object({
  queue: z.string(),
  messages: maybe(z.number(), 'As last looked at; absent: not yet.'),
  problem: maybe(z.string(), 'Why messages cannot be parked at present.'),
});

export const configSchema = z
  .object({
    path: z.string(),
    hash: count('The same at bridges with the same connectors in force.'),
    since: text('When it came in force, ISO 8601 in UTC.'),
    pendingRestart: z.array(z.string()).describe('Settings that have changed in the file and need a restart.'),
    refused: z
      .object({ at: z.string(), problems: z.array(z.string()) })
      .optional()
      .describe('Why the file as it is now is not in force, with lines and columns; absent: it is.'),
  })
  .describe('The topology in force.');

export const statusSchema = z.object({
  network: z.string(),
  cluster: z.string(),
  instance: z.string(),
  version: z.string(),
  role: z.enum(['master', 'standby']),
  roleReason: maybe(z.string(), 'Why it is a standby, or who is the master.'),
  election: z.object({
    type: z.string(),
    holder: maybe(z.string(), 'Whose lease it is, as far as it is known.'),
    leaseRemainingMs: maybe(z.number(), 'Absent where there are no leases.'),
  }),
  draining: z.boolean(),
  drains: z.array(drainViewSchema),
  incarnation: z.number(),
  readiness: readinessSchema,
  broker: brokerSchema,
  links: z.array(linkSchema),
  connectors: z.array(connectorSchema),
  deadLetters: deadLetterViewSchema.optional(),
  config: configSchema.optional(),
  differences: z.array(z.string()).describe('What the two ends of a destination count differently.'),
  notes: z.array(z.string()).describe('Warnings of the file, and what else an operator should know.'),
  totals: z.object({ demand: z.number(), streams: z.number() }),
});

export const demandRowSchema = z.object({
  kind,
  destination: z.string(),
  cluster: text('Whose consumers these are.'),
  consumers: z.number(),
  unserved: maybe(z.string(), 'Why no message comes, as a word; absent: it is served.'),
  detail: maybe(z.string(), 'The same as a sentence.'),
  connectors: z.array(z.string()).describe('By which it is told to peers, or was heard.'),
});

export const streamRowSchema = z.object({
  role: z.enum(['source', 'sink']),
  peer: z.string(),
  connector: z.string(),
  kind,
  destination: z.string(),
  state: z.string(),
  blockedBy: maybe(z.string(), 'Why nothing moves; absent: it flows, or there is nothing to move.'),
  blockedReason: maybe(z.string(), 'Of a source: the same as a word.'),
  epoch: z.string(),
  granted: z.number(),
  credit: count('Granted less what was taken.'),
  window: z.number(),
  last: count('The highest sequence number taken (source) or received (sink).'),
  unsettled: z.number(),
  unsettledBytes: z.number(),
  accepted: z.number(),
  released: z.number(),
  rejected: z.number(),
  returned: z.number(),
  suppressed: z.number(),
  unrecorded: maybe(z.number(), 'Would be doubled if this bridge died now, as far as the record in Redis goes.'),
  inDoubt: maybe(z.number(), 'Of a sink: stored here, and not yet known to be removed at the source.'),
  heldMs: maybe(
    z.number(),
    'Of a source: how long ago the oldest message was taken that is not settled; absent: none is.',
  ),
  missing: z.array(z.number()).describe('Sequence numbers asked for again: from, to, from, to, …'),
  comparedThrough: maybe(z.number(), 'Up to which number both ends have compared their counts.'),
  lost: z.number(),
  doubled: z.number(),
});

export const demandPageSchema = page(demandRowSchema);
export const streamPageSchema = page(streamRowSchema);

export const traceSchema = z.object({
  destination: z.string(),
  items: z.array(
    z.object({
      cluster: z.string(),
      findings: z.array(
        z.object({
          code: z.string(),
          state: z.enum(['ok', 'info', 'stops']).describe('stops: messages wait because of it.'),
          text: z.string(),
        }),
      ),
    }),
  ),
  conclusion: text('What becomes of its messages, and why, in one sentence.'),
});

export const parkedPageSchema = page(
  z.object({
    id: z.string().optional(),
    messageId: z.string().optional(),
    destination: z.string().optional(),
    peer: z.string().optional(),
    connector: z.string().optional(),
    queue: maybe(z.string(), 'The queue that it goes back to when it is replayed.'),
    reason: z.string().optional(),
    attempts: z.number().optional(),
    time: maybe(z.string(), 'When it was parked, ISO 8601 in UTC.'),
    bytes: count('Of its body, which is never shown.'),
    contentType: z.string().optional(),
    timestampSeconds: maybe(z.number(), 'When its sender says that it was made, since 1970.'),
  }),
).extend({
  queue: text('Where they are parked.'),
  complete: z.boolean().describe('False: there are more than are read for a list.'),
});

export const replaySchema = z.object({
  selected: z.number(),
  replayed: z.number(),
  kept: z
    .array(z.object({ queue: z.string().optional(), why: z.string(), messages: z.number() }))
    .describe('Stay parked.'),
});

export const dropSchema = z.object({ selected: z.number(), dropped: z.number() });

export const drainCheckSchema = z.object({
  cluster: z.string(),
  draining: z.boolean().describe('Nothing is brought in.'),
  left: z.boolean().describe('False only when nothing is left, and that is known.'),
  items: z.array(
    z.object({
      kind: z.enum(['queue', 'topic', 'reply', 'dead-letters']),
      destination: z.string(),
      peer: maybe(z.string(), 'Of a topic: whose subscribers it is kept for.'),
      ready: z.number(),
      unacknowledged: maybe(z.number(), 'Absent: not known.'),
      unsettled: z.number(),
      inDoubt: z.number(),
      deadLettered: z.number(),
      buffered: z.number(),
      stays: maybe(z.string(), 'Why what is ready does not leave.'),
    }),
  ),
  complete: z.boolean().describe('False: not every queue could be looked at.'),
  ageMs: z.object({ ready: z.number(), unacknowledged: z.number() }).describe('How old the numbers may be.'),
  notes: z.array(z.string()),
});

export const drainedSchema = z.object({
  scope: z.enum(['process', 'cluster']),
  left: z
    .array(z.object({ destination: z.string(), peer: z.string(), messages: z.number() }))
    .describe('Not settled in time, and given back.'),
  drains: z.array(drainViewSchema).describe('What is drained now.'),
});

export const undrainedSchema = drainedSchema.omit({ left: true });

export const releasedSchema = z.object({
  items: z.array(
    z.object({
      destination: z.string(),
      messages: z.number(),
      mayBeDoubled: count('Of these, what was sent: it may be delivered twice.'),
    }),
  ),
});

export const cleanedUpSchema = z.object({ items: z.array(z.object({ queue: z.string(), messages: z.number() })) });

export const operatedSchema = z.object({ connector: z.string(), state: connectorSchema.shape.state.optional() });
