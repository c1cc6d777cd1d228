import type { Frame, StreamMessage } from '@tombolo/wire/frame';
import fc from 'fast-check';

/** Arbitrary sound frames of every kind. */
const whole = fc.maxSafeNat();
const name = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }).filter((s) => Buffer.byteLength(s) <= 255);
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const destination = fc.record({
  kind: fc.constantFrom('queue' as const, 'topic' as const, 'reply' as const, 'cluster' as const),
  name,
});
const key = {
  address: fc.record({ source: name, sink: name, destination }),
  incarnation: whole,
  epoch: whole,
};
export const ranges = fc
  .uniqueArray(fc.integer({ min: 1, max: 1_000_000 }), { maxLength: 20 })
  .map((numbers) => numbers.sort((a, b) => a - b).slice(0, numbers.length - (numbers.length % 2)));
const rejected = fc.array(fc.record({ sequence: whole, reason: fc.string({ maxLength: 50 }) }), { maxLength: 5 });
const queue = fc.record(
  {
    type: fc.constantFrom('classic', 'quorum'),
    durable: fc.boolean(),
    maxLength: whole,
    singleActiveConsumer: fc.boolean(),
  },
  { requiredKeys: [] },
);
const demand = { sink: name, destination, incarnation: whole, version: whole };
const collection = { source: name, sink: name, incarnation: whole };
const is = <K extends Frame['kind']>(kind: K) => fc.constant(kind);

const resumption = {
  attempt: whole,
  sinkIncarnation: whole,
  received: ranges,
  accepted: ranges,
  rejected,
  creditVersion: whole,
  granted: whole,
};
const verdicts = { accepted: ranges, released: ranges, rejected };
const comparison = fc.record({ through: whole, lost: whole, doubled: whole });
const state = {
  settledThrough: whole,
  removedThrough: whole,
  creditVersion: whole,
  taken: whole,
  returned: ranges,
  empty: fc.boolean(),
};

const demandKeys = [
  ...(['kind', 'sink', 'destination', 'incarnation', 'version'] as const),
  ...(['path', 'ttl', 'connector', 'consumers', 'queue', 'leaseMs'] as const),
] as const;

export const message: fc.Arbitrary<StreamMessage> = fc.record({
  sequence: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
  redelivered: fc.boolean(),
  resent: fc.boolean(),
  hasId: fc.boolean(),
  digest: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((array) => Buffer.from(array)),
  exchange: fc.string({ maxLength: 40, unit: 'grapheme' }),
  routingKey: fc.string({ maxLength: 40, unit: 'grapheme' }),
  properties: bytes(60),
  body: bytes(200),
});

const plainFrame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    kind: is('connectors'),
    connectors: fc.array(fc.record({ name, from: name, to: name }), { maxLength: 4 }),
  }),
  fc.record(
    {
      kind: is('demand'),
      ...demand,
      path: fc.array(name, { maxLength: 5 }),
      ttl: whole,
      farther: fc.array(fc.record({ path: fc.array(name, { maxLength: 5 }), ttl: whole }), { maxLength: 3 }),
      connector: name,
      consumers: whole,
      queue,
      leaseMs: fc.integer({ min: 0, max: 1e6 }),
    },
    { requiredKeys: [...demandKeys] },
  ),
  fc.record({ kind: is('withdraw'), ...demand }),
  fc.record({ kind: is('digest'), incarnation: whole, count: whole, digest: name }),
  fc.record({ kind: is('snapshot-request') }),
  fc.record({ kind: is('unreachable'), sink: name, destination }),
  fc.record({
    ...{ kind: is('hop-lost'), cluster: name, peer: name, incarnation: whole, version: whole },
    leaseMs: fc.integer({ min: 0, max: 1e6 }),
  }),
  fc.record({ kind: is('relayed'), sink: name, bytes: whole }),
  fc.record({
    kind: fc.constantFrom('snapshot-begin' as const, 'snapshot-end' as const),
    incarnation: whole,
    version: whole,
    sighted: fc.boolean(),
  }),
  fc.record({ kind: is('collect'), ...collection }),
  fc.record({
    kind: is('collected'),
    ...collection,
    complete: fc.boolean(),
    items: fc.array(
      fc.nat(4).chain((count) =>
        fc.record(
          {
            destination,
            digests: fc.uint8Array({ minLength: count * 16, maxLength: count * 16 }).map((array) => Buffer.from(array)),
            ids: fc.uint8Array({ minLength: count, maxLength: count }).map((array) => Buffer.from(array)),
            ageMs: fc.nat(1_000_000),
          },
          { requiredKeys: ['destination', 'digests', 'ids'] },
        ),
      ),
      { maxLength: 4 },
    ),
  }),
  fc.record({
    kind: is('bindings-request'),
    source: name,
    sink: name,
    exchange: name,
    incarnation: whole,
    version: whole,
  }),
  fc.record({
    kind: is('bindings'),
    source: name,
    sink: name,
    exchange: name,
    update: fc.oneof(
      fc.record({
        is: fc.constant('ops' as const),
        incarnation: whole,
        from: whole,
        ops: fc.array(name, { maxLength: 4 }),
      }),
      fc.record({
        is: fc.constant('full' as const),
        incarnation: whole,
        version: whole,
        part: whole,
        parts: whole,
        bindings: fc.array(name, { maxLength: 4 }),
      }),
    ),
  }),
  fc.record({ kind: is('forget'), ...collection, destination }),
  fc.record({ kind: is('ask'), source: name, sink: name, question: whole, destination }),
  fc.record(
    {
      kind: is('answer'),
      source: name,
      sink: name,
      question: whole,
      complete: fc.boolean(),
      findings: fc.array(
        fc.record({ code: fc.string({ maxLength: 16 }), state: fc.constantFrom('ok', 'info', 'stops'), text: name }),
        { maxLength: 4 },
      ),
      site: name,
    },
    { requiredKeys: ['kind', 'source', 'sink', 'question', 'complete', 'findings'] },
  ),
  fc.record({
    kind: is('open'),
    ...key,
    connector: name,
    attempt: whole,
    last: whole,
    settledThrough: whole,
    gone: ranges,
    queue,
  }),
  fc.record({ kind: is('resume'), ...key, ...resumption }),
  fc.record({ kind: is('resume'), ...key, ...resumption, countedSince: whole }),
  fc.record({ kind: is('refuse'), ...key, reason: name, retryAfterMs: fc.integer({ min: 0, max: 1e6 }) }),
  fc.record({ kind: is('credit'), ...key, creditVersion: whole, granted: whole }),
  fc.record({
    ...{ kind: is('credit'), ...key, creditVersion: whole, granted: whole },
    blocked: fc.record({ reason: fc.string({ maxLength: 20 }), detail: fc.string({ maxLength: 100 }) }),
  }),
  fc.record({ kind: is('settle'), ...key, ...verdicts }),
  fc.record({ kind: is('settle'), ...key, ...verdicts, countedSince: whole, comparison }),
  fc.record({ kind: is('state'), ...key, ...state }),
  fc.record({ kind: is('state'), ...key, ...state, removed: fc.record({ since: whole, count: whole, sum: whole }) }),
  fc.record({ kind: is('gap'), ...key, missing: ranges }),
  fc.record({ kind: is('closed'), ...key, reason: name }),
  fc.record({
    kind: is('messages'),
    ...key,
    attempt: whole,
    last: whole,
    messages: fc.array(message, { maxLength: 6 }),
  }),
) as fc.Arbitrary<Frame>;

/** Those that are relayed may say how often they were. */
export const frame: fc.Arbitrary<Frame> = fc
  .tuple(plainFrame, fc.option(fc.nat(9), { nil: undefined }))
  .map(([plain, hops]) =>
    hops === undefined || !('address' in plain || 'source' in plain) ? plain : { ...plain, hops },
  );
